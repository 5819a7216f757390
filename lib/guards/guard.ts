import { AccessDeniedError, type ErrorCode, OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import {
  type Handler,
  headerOf,
  type Next,
  type Request,
  type Response,
  requestPath,
  wantsPage,
} from '../http/request.ts'
import { redirect, send } from '../http/response.ts'
import type { AuthenticatedContext, AuthenticationRequirement, OidcContext } from '../types.ts'

/** A middleware that lets a request through or denies it. */
export interface Guard {
  (req: Request, res: Response, next: Next): void
  /**
   * Guards a single handler. TypeScript then knows that `req.oidc.claims` exists in the handler, and `req` and `res` get
   * the framework's types. Outside of a route, name them: `requireAuth().before<RequestHandler>(...)`.
   *
   * @example
   * ```ts
   * app.get('/hello', requireAuth().before((req, res) => res.json({ hello: req.oidc.claims.name })))
   * ```
   */
  before<Known extends AnyHandler>(handler: GuardedHandler<Known>): Known & Handler
}

/** A request that a guard has let through: the user is logged in, so `req.oidc.claims` exists. */
export type Authenticated<Req> = Req & { readonly oidc: AuthenticatedContext }

/** The framework's handler type `Known`, for a request that a guard has let through. */
export type GuardedHandler<Known> = Known extends (req: infer Req, res: infer Res, next: infer Then) => infer Result
  ? (req: Authenticated<Req & FrameworkOf<Res>['req']>, res: FrameworkOf<Res>['res'], next: Then) => Result
  : never

/**
 * Compilers before TypeScript 5.9 leave the type parameters of Express's routing methods open in a nested call: `req.params`
 * is a `P` then, and `res.json()` accepts nothing but a `ResBody`. Express's response names the request type with all
 * defaults (`res.req`), and that one the response type (`req.res`). Connect has no `req.res`: its types are not generic.
 */
type FrameworkOf<Res> = [Res] extends [never]
  ? { req: unknown; res: Res }
  : Res extends { req: infer Req extends { res?: unknown } }
    ? { req: Req; res: NonNullable<Req['res']> }
    : { req: unknown; res: Res }

type AnyHandler = (req: never, res: never, next: never) => unknown

/** Why a user who is logged in is denied. */
export interface Denial {
  readonly code: ErrorCode
  /** For the error log. The error page does not show it. */
  readonly message: string
  /** What a new login must achieve, if a new login can help. */
  readonly requirement?: AuthenticationRequirement
}

/** Checks a login. A check is synchronous and does not see the request. */
export type Check = (login: Pick<AuthenticatedContext, 'claims' | 'scope' | 'meets'>) => Denial | undefined

interface Rule {
  readonly check: Check
  /** Also sent with the first login, so that a user who is not logged in needs only one. */
  readonly requirement: AuthenticationRequirement | undefined
}

/** Creates a guard from a check. Every denial becomes a response here. */
export function createGuard(check: Check, requirement?: AuthenticationRequirement): Guard {
  const rule = { check, requirement }
  function guard(req: Request, res: Response, next: Next): void {
    if (isAllowed(req, res, next, rule)) next()
  }
  function before(handler: (req: Authenticated<Request>, res: Response, next: Next) => unknown): Handler {
    return function guarded(req, res, next) {
      return isAllowed(req, res, next, rule) ? forwardRejection(handler(req, res, next), next) : undefined
    }
  }
  // The framework passes the objects that it declared. Only its types for them are wider than ours.
  return Object.assign(guard, { before }) as Guard
}

/**
 * Express 5 handles the rejection of a returned promise, which may be of another library. In Express 4 and Connect it would end
 * the process. A promise may reject without a reason, but `next()` would run the next handler.
 */
function forwardRejection(result: unknown, next: Next): unknown {
  if (typeof Object(result).then !== 'function') return result
  return Promise.resolve(result).catch((error: unknown) =>
    next(error ?? new Error('The handler of before() rejected without a reason. Throw an Error.')),
  )
}

/** A request that `oidc()` has handled. */
type OidcRequest = Request & { readonly oidc: OidcContext & { callingPage?(): string } }

/** True if `oidc()` has handled this request. Otherwise passes `ERR_OIDC_NOT_MOUNTED` to `next`. */
export function requireContext(req: Request, next: Next): req is OidcRequest {
  if ('oidc' in req && typeof req.oidc === 'object' && req.oidc !== null) return true
  next(
    new OidcError(
      'ERR_OIDC_NOT_MOUNTED',
      'req.oidc is missing, because oidc() did not handle this request. Mount app.use(oidc({ ... })) before this handler.',
    ),
  )
  return false
}

function isAllowed<Req extends Request>(req: Req, res: Response, next: Next, rule: Rule): req is Authenticated<Req> {
  if (!requireContext(req, next)) return false
  if (!req.oidc.isAuthenticated) {
    if (isPreflight(req)) sendNoContent(res)
    else requestLogin(req, res, rule)
    return false
  }
  const denial = rule.check(req.oidc)
  if (denial === undefined) return true
  publishDenial(req, denial.code)
  if (denial.requirement === undefined) next(new AccessDeniedError(denial.code, denial.message))
  else if (wantsPage(req)) redirect(res, req.oidc.loginUrl(undefined, denial.requirement))
  else sendChallenge(req, res, denial, denial.requirement)
  return false
}

/** A CORS preflight never carries a cookie, so the login cannot be known. */
function isPreflight(req: Request): boolean {
  return req.method === 'OPTIONS' && headerOf(req, 'access-control-request-method') !== undefined
}

/**
 * Sends neither a login nor CORS headers. The preflight must not pass the guard either: handlers of `app.use()` run for
 * every method, so anyone could reach them by sending the preflight headers. `cors()` must be mounted before the guard.
 */
function sendNoContent(res: Response): void {
  res.statusCode = 204
  res.end()
}

/** Redirects a page to the login route and back. A script gets 401 with the login URL. */
function requestLogin(req: OidcRequest, res: Response, { requirement }: Rule): void {
  publishDenial(req, 'ERR_OIDC_LOGIN_REQUIRED')
  if (wantsPage(req)) redirect(res, req.oidc.loginUrl(undefined, requirement))
  else sendLoginRequired(req, res, { code: 'ERR_OIDC_LOGIN_REQUIRED', message: 'Please sign in.' }, requirement)
}

function sendChallenge(req: OidcRequest, res: Response, denial: Denial, requirement: AuthenticationRequirement): void {
  res.setHeader('WWW-Authenticate', stepUpChallenge(requirement))
  sendLoginRequired(req, res, denial, requirement)
}

/** The login leads back to the page that runs the script, or to `/` if it is unknown. A script may replace it in `loginUrl`. */
function sendLoginRequired(
  req: OidcRequest,
  res: Response,
  { code, message }: Denial,
  requirement: AuthenticationRequirement | undefined,
): void {
  const loginUrl = req.oidc.loginUrl(req.oidc.callingPage?.() ?? '/', requirement)
  send(res, 401, 'application/json', JSON.stringify({ error: code, message, loginUrl }))
}

function publishDenial(req: Request, code: ErrorCode): void {
  publish['express-oidc:denied'](() => ({ code, path: requestPath(req) }))
}

/** The challenge for a login that is too old or too weak (RFC 9470 3). The values contain no quotes: the guard checked that. */
function stepUpChallenge({ acr, maxAge }: AuthenticationRequirement): string {
  const params = [
    'error="insufficient_user_authentication"',
    'error_description="A stronger or more recent login is needed"',
    ...(acr === undefined ? [] : [`acr_values="${acr.join(' ')}"`]),
    ...(maxAge === undefined ? [] : [`max_age="${maxAge}"`]),
  ]
  return `Bearer ${params.join(', ')}`
}
