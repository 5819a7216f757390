import { OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import { allowMethods, headerOf, type Request, type Response, redirect, send, wantsPage } from '../http.ts'
import { createEndSessionUrl } from '../protocol/end-session.ts'
import type { RelyingParty } from '../relying-party.ts'
import { requireSession, type SessionRequest } from '../session/express-session.ts'
import { endSession, readLogin, readTokensId } from '../session/login-session.ts'
import { expireSessionCookie } from '../session/session-cookie.ts'

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
  const claims = readLogin(req, config)?.claims
  await config.hooks.beforeLogout?.({ req, res, claims })
  if (res.headersSent) return
  const idToken = await takeIdToken(rp, request)
  const { sessionID, session } = request
  await endSession(request, rp.ended)
  expireSessionCookie(req, res, sessionID, session.cookie)
  rp.landing.unmark(res)
  await config.hooks.afterLogout?.({ req, res, claims })
  publish['express-oidc:logout'](() => ({ issuer: config.issuer, sub: claims?.sub }))
  if (!res.headersSent) leave(req, res, (await endSessionUrl(rp, idToken)) ?? config.postLogoutRedirectUri)
}

/** A script cannot follow a redirect to another site: it is told where to send the person. */
function leave(req: Request, res: Response, url: string): void {
  if (wantsPage(req)) redirect(res, url)
  else send(res, 200, 'application/json', JSON.stringify({ logoutUrl: url }))
}

async function takeIdToken(rp: RelyingParty, req: SessionRequest): Promise<string | undefined> {
  const id = readTokensId(req, rp.config)
  if (id === undefined) return undefined
  const tokens = await rp.tokenRecords.read(req.sessionStore, id)
  await rp.tokenRecords.remove(req.sessionStore, id)
  return tokens?.idToken
}

/** A provider that is down must not keep anybody logged in: then the logout is local. */
async function endSessionUrl(rp: RelyingParty, idToken: string | undefined): Promise<string | undefined> {
  if (idToken === undefined) return undefined
  const provider = await rp.findProvider().catch(() => undefined)
  return provider === undefined ? undefined : createEndSessionUrl(provider, rp.config, idToken)
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
