import { OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import { allowMethods, headerOf, type Request, type Response, redirect } from '../http.ts'
import { createEndSessionUrl } from '../protocol/end-session.ts'
import type { RelyingParty } from '../relying-party.ts'
import { requireSession } from '../session/express-session.ts'
import { destroySession, readLogin } from '../session/login-session.ts'
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
  const tokens = await rp.tokenRecords.read(request)
  await rp.tokenRecords.remove(request)
  const { sessionID, session } = request
  await destroySession(request)
  expireSessionCookie(req, res, sessionID, session.cookie)
  rp.landing.unmark(res)
  await config.hooks.afterLogout?.({ req, res, claims })
  publish['express-oidc:logout'](() => ({ issuer: config.issuer, sub: claims?.sub }))
  redirect(res, (await endSessionUrl(rp, tokens?.idToken)) ?? config.postLogoutRedirectUri)
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
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  if (req.method === 'GET') return true
  const source = headerOf(req, 'origin') ?? headerOf(req, 'referer') ?? ''
  return URL.canParse(source) && new URL(source).origin === origin
}
