import { publish } from '../events.ts'
import { allowMethods, headerOf, type Request, type Response, redirect, requestQuery } from '../http.ts'
import { createAuthorizationRequest, type LoginRequest } from '../protocol/authorization-request.ts'
import type { RelyingParty } from '../relying-party.ts'
import { safeReturnTo } from '../return-to.ts'
import { requireSession, type SessionRequest } from '../session/express-session.ts'
import { readLogin } from '../session/login-session.ts'
import { checkSecureCookie, isStrict } from '../session/session-cookie.ts'

/** `GET /login?returnTo=/path`: starts a login. A `returnTo` that is not ours is as good as none. */
export async function loginRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'GET')
  const returnTo = safeReturnTo(requestQuery(req).get('returnTo'), rp.config) ?? `${rp.config.basePath}/`
  await startLogin(rp, req, res, { returnTo, authorizationParams: {} })
}

/**
 * Sends the browser to the provider, with a new transaction in a cookie. Whatever would make the login fail when it comes
 * back is found now: a session that is missing, unfit, or not kept by the browser.
 */
export async function startLogin(rp: RelyingParty, req: Request, res: Response, wanted: LoginRequest): Promise<void> {
  const { config } = rp
  const request = requireSession(req)
  checkSecureCookie(request)
  if (readLogin(req, config) === undefined && !isBlindToSession(request)) rp.landing.check(req, res)
  await config.hooks.beforeLogin?.({ req, res, returnTo: wanted.returnTo })
  if (res.headersSent) return
  const { url, transaction } = createAuthorizationRequest(await rp.findProvider(), config, wanted)
  rp.transactions.begin(req, res, transaction)
  publish['express-oidc:login-start'](() => ({ issuer: config.issuer, path: pathOf(wanted.returnTo) }))
  redirect(res, url)
}

/** A Strict cookie stays away from what another site began: that it is not there says nothing. */
function isBlindToSession(req: SessionRequest): boolean {
  const site = headerOf(req, 'sec-fetch-site')
  return isStrict(req.session.cookie) && site !== undefined && site !== 'same-origin'
}

/** Queries may hold what is nobody else's business. */
function pathOf(returnTo: string): string {
  return returnTo.replace(/[?#].*$/, '')
}
