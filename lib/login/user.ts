import { ConfigError, OidcError } from '../errors.ts'
import { allowMethods, type Request, type Response } from '../http/request.ts'
import { senderOf } from '../http/request-origin.ts'
import { send } from '../http/response.ts'
import { callingPage, loginUrl } from '../http/return-to.ts'
import type { AppConfig } from '../options/config.ts'
import { resultOf } from '../options/rule.ts'
import type { RelyingParty } from '../relying-party.ts'
import { detachSession } from '../session/cookies.ts'
import { readLogin, readLoginEnd, recordActivity } from '../session/current-login.ts'
import type { Login } from '../types.ts'

/**
 * `GET` at `routes.user`: returns the user who is logged in, for scripts of our pages. The response is JSON with
 * three members:
 *
 * - `claims`: those that the option `userClaims` selects.
 * - `expiresAt`: when the login expires if the user does nothing, in seconds since 1970.
 * - `logoutUrl`: the path of the logout route, for a POST.
 *
 * A page polls this route, so it extends neither the login nor the session, unless the option `userExtendsSession` is
 * set. Throws `ERR_OIDC_CROSS_ORIGIN_REQUEST` for requests of other origins.
 */
export async function userRoute({ config }: RelyingParty, req: Request, res: Response): Promise<void> {
  const isCrossOrigin = senderOf(req, config.origin) === 'other'
  const extendsSession = config.userExtendsSession && !isCrossOrigin
  if (extendsSession) recordActivity(req, config)
  const [login, expiresAt] = [readLogin(req, config), readLoginEnd(req, config)]
  // Do this before the checks, because a refused request must not extend the session either.
  if (!extendsSession) detachSession(req)
  allowMethods(req, 'GET', 'HEAD')
  if (isCrossOrigin) throw crossOriginError(config)
  res.setHeader('Cross-Origin-Resource-Policy', 'same-origin')
  const { basePath, routes } = config
  if (login === undefined) sendAnonymous(req, res, config)
  else sendJson(res, 200, { claims: selectClaims(login, config), expiresAt, logoutUrl: basePath + routes.logout })
}

function sendAnonymous(req: Request, res: Response, config: AppConfig): void {
  if (config.anonymousUserStatus === 204) {
    res.statusCode = 204
    res.setHeader('Cache-Control', 'no-store')
    res.end()
    return
  }
  const url = loginUrl(config, { returnTo: callingPage(config, req) })
  sendJson(res, 401, { error: 'ERR_OIDC_LOGIN_REQUIRED', message: 'Please sign in.', loginUrl: url })
}

function selectClaims({ claims }: Login, { userClaims }: AppConfig): Readonly<Record<string, unknown>> {
  if (typeof userClaims !== 'function') {
    return Object.fromEntries(Object.entries(claims).filter(([name]) => userClaims.includes(name)))
  }
  const selected = resultOf(userClaims(claims))
  if (typeof selected === 'object' && selected !== null) return { ...selected }
  throw new ConfigError(['userClaims must be a function that returns an object of claims, and not async.'])
}

/** The route checks the origin itself, because the application may send CORS headers that allow other origins. */
function crossOriginError({ origin }: AppConfig): OidcError {
  return new OidcError(
    'ERR_OIDC_CROSS_ORIGIN_REQUEST',
    `The request does not come from a page at ${origin}, the origin of baseUrl. Only these pages may request routes.user.`,
  )
}

/** For a HEAD request, Node omits the body. */
function sendJson(res: Response, status: number, body: object): void {
  send(res, status, 'application/json', JSON.stringify(body))
}
