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

/** Why somebody who is logged in may not do this. */
export interface Denial {
  readonly code: ErrorCode
  /** For the operator. */
  readonly message: string
  /** What a new login would have to come to, where one would help. */
  readonly requirement?: AuthenticationRequirement
}

/** What a guard asks of a login: synchronous, and without a look at the request. */
export type Check = (login: Pick<AuthenticatedContext, 'claims' | 'scope' | 'meets'>) => Denial | undefined

/** A request that `oidc()` has seen. */
type OidcRequest = Request & { readonly oidc: OidcContext }
/** A request that a guard has let through: `req.oidc.claims` is there. */
export type Authenticated<Req> = Req & { readonly oidc: AuthenticatedContext }

type AnyHandler = (req: never, res: never, next: never) => unknown

/**
 * A handler as the framework types it, but for a request that a guard has let through. The framework's own types are
 * found where the handler is given to it, so `req` and `res` need no annotation.
 */
export type GuardedHandler<Known> = Known extends (req: infer Req, res: infer Res, next: infer Then) => infer Answer
  ? (req: Authenticated<Req>, res: Res, next: Then) => Answer
  : never

/** A middleware that lets a request through or refuses it. */
export interface Guard {
  (req: Request, res: Response, next: Next): void
  /**
   * Guards one handler, for which `req.oidc.claims` is then known to be there.
   *
   * @example
   * ```ts
   * app.get('/hello', requireAuth().before((req, res) => res.json({ hello: req.oidc.claims.name })))
   * ```
   */
  before<Known extends AnyHandler>(handler: GuardedHandler<Known>): Known & Handler
}

/** What a guard holds a request to. */
interface Rule {
  readonly check: Check
  /** What a login must come to: whoever is not logged in is asked for no less at once. */
  readonly requirement: AuthenticationRequirement | undefined
}

/** Makes a guard of a check. This is the one place where a denial becomes an answer. */
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
  // What the framework hands in is what it declared: only its names for it are wider than ours.
  return Object.assign(guard, { before }) as Guard
}

/** Express 5 looks at what a handler returns; Express 4 and Connect would let the rejection end the process. */
function forwardRejection(result: unknown, next: Next): unknown {
  return result instanceof Promise ? result.catch(next) : result
}

/** A CORS preflight never carries a cookie, so it can be no login that it lacks. */
function isPreflight(req: Request): boolean {
  return req.method === 'OPTIONS' && headerOf(req, 'access-control-request-method') !== undefined
}

/**
 * Neither a redirect nor a 401, and no permission either: a handler of `app.use()` does not look at the method, so
 * nothing behind a guard may see a request that only says to be a preflight. `cors()` belongs in front.
 */
function answerPreflight(res: Response): void {
  res.statusCode = 204
  res.end()
}

function isAllowed<Req extends Request>(req: Req, res: Response, next: Next, rule: Rule): req is Authenticated<Req> {
  if (!hasContext(req)) {
    next(new OidcError('ERR_OIDC_NOT_MOUNTED', 'req.oidc is missing: mount app.use(oidc({ ... })) before this guard.'))
    return false
  }
  if (!req.oidc.isAuthenticated) {
    if (isPreflight(req)) answerPreflight(res)
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

/** Whether `oidc()` has seen this request. */
export function hasContext(req: Request): req is OidcRequest {
  return 'oidc' in req && typeof req.oidc === 'object' && req.oidc !== null
}

/** A page is sent to log in and comes back; a script gets a 401 with the address to send the person to. */
function requestLogin(req: OidcRequest, res: Response, { requirement }: Rule): void {
  publishDenial(req, 'ERR_OIDC_LOGIN_REQUIRED')
  if (wantsPage(req)) redirect(res, req.oidc.loginUrl(undefined, requirement))
  else sendLoginRequired(req, res, { code: 'ERR_OIDC_LOGIN_REQUIRED', message: 'Please sign in.' }, requirement)
}

function sendChallenge(req: OidcRequest, res: Response, denial: Denial, requirement: AuthenticationRequirement): void {
  res.setHeader('WWW-Authenticate', challengeOf(requirement))
  sendLoginRequired(req, res, denial, requirement)
}

/** The page that runs the script is not known here: the script may put it in the place of `returnTo` in the address. */
function sendLoginRequired(
  req: OidcRequest,
  res: Response,
  { code, message }: Denial,
  requirement: AuthenticationRequirement | undefined,
): void {
  const loginUrl = req.oidc.loginUrl('/', requirement)
  send(res, 401, 'application/json', JSON.stringify({ error: code, message, loginUrl }))
}

function publishDenial(req: Request, code: ErrorCode): void {
  publish['express-oidc:denied'](() => ({ code, path: requestPath(req) }))
}

/**
 * The challenge for a script whose login is too old or too weak (RFC 9470 3). What it asks for holds no quote: whoever made
 * the guard was held to that.
 */
function challengeOf({ acr, maxAge }: AuthenticationRequirement): string {
  const params = [
    'error="insufficient_user_authentication"',
    'error_description="A stronger or more recent login is needed"',
    ...(acr === undefined ? [] : [`acr_values="${acr.join(' ')}"`]),
    ...(maxAge === undefined ? [] : [`max_age="${maxAge}"`]),
  ]
  return `Bearer ${params.join(', ')}`
}
