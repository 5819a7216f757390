import { ONLY_PROVIDER } from '../config/config.ts'
import { OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import { allowMethods, headerOf, type Request, type Response, redirect, send, wantsPage } from '../http.ts'
import type { EndSessionRequest } from '../protocol/end-session.ts'
import type { RelyingParty } from '../relying-party.ts'
import { requireSession, type SessionRequest } from '../session/express-session.ts'
import { endSession, readLastLogin, readLogin, readTokensId } from '../session/login-session.ts'
import { expireSessionCookie } from '../session/session-cookie.ts'
import type { TokenRecord } from '../types.ts'
import { sendLogoutPage } from './logout-page.ts'
import { logoutAtProvider } from './provider-logout.ts'

/** `POST /logout` from one of our own pages: ends the login here and at the provider. */
export async function logoutRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, ...(rp.config.logoutByGet ? ['POST', 'GET'] : ['POST']))
  checkOrigin(req, rp.config.origin)
  await endLogin(rp, req, res)
}

/**
 * Ends the session, then sends the browser to the provider to end its session too. The order matters: some providers never
 * send the browser back.
 */
export async function endLogin(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  const { config } = rp
  const request = requireSession(req)
  const [login, last] = [readLogin(req, config), readLastLogin(req, config)]
  const event = { req, res, provider: last?.provider ?? ONLY_PROVIDER, claims: login?.claims }
  await config.hooks.beforeLogout?.(event)
  if (res.headersSent) return
  const { sessionID, session } = request
  const tokensId = readTokensId(request, config)
  await endSession(request, rp.ended)
  // Only now: a refresh that is on its way either has kept its tokens before this, or finds that the login has ended.
  const tokens = tokensId === undefined ? undefined : await takeTokens(rp, request, tokensId)
  expireSessionCookie(req, res, sessionID, session.cookie)
  if (config.clearSiteData.length > 0) {
    res.setHeader('Clear-Site-Data', config.clearSiteData.map((what) => `"${what}"`).join(', '))
  }
  rp.landing.unmark(res)
  rp.silentLogins.markLogout(res)
  await config.hooks.afterLogout?.(event)
  publish['express-oidc:logout'](() => ({
    provider: event.provider,
    how: 'application',
    issuer: login?.claims.iss,
    sub: login?.claims.sub,
  }))
  if (res.headersSent) return
  leave(req, res, await logoutAtProvider(rp, last, tokens), config.postLogoutRedirectUri)
}

/** A script cannot follow a redirect to another site: it is told where to send the person. */
function leave(req: Request, res: Response, request: EndSessionRequest | undefined, landing: string): void {
  if (!wantsPage(req)) send(res, 200, 'application/json', JSON.stringify({ logoutUrl: request?.address ?? landing }))
  else if (request?.method === 'POST') sendLogoutPage(res, request)
  else redirect(res, request?.url ?? landing)
}

async function takeTokens(
  { tokenRecords }: RelyingParty,
  { sessionStore }: SessionRequest,
  id: string,
): Promise<TokenRecord | undefined> {
  const tokens = await tokenRecords.read(sessionStore, id)
  await tokenRecords.remove(sessionStore, id)
  return tokens
}

/** Another site must not be able to log anybody out: a browser says where a request comes from (RFC 9700 4.7). */
function checkOrigin(req: Request, origin: string): void {
  if (isFromOwnOrigin(req, origin)) return
  throw new OidcError(
    'ERR_OIDC_CROSS_SITE_LOGOUT',
    'A logout must come from a page of this application: a form with method="post" at the origin of baseUrl.',
  )
}

function isFromOwnOrigin(req: Request, origin: string): boolean {
  const site = headerOf(req, 'sec-fetch-site')
  // What a browser fetches in advance, nobody has asked for yet.
  if (headerOf(req, 'sec-purpose') !== undefined) return false
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  if (req.method === 'GET') return true
  const source = headerOf(req, 'origin') ?? headerOf(req, 'referer') ?? ''
  return URL.canParse(source) && new URL(source).origin === origin
}
