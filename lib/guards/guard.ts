import { ConfigError, OidcError, shown } from '../errors.ts'
import { answerDenial, type ContextRequest, type Denial, loginRequired, type Otherwise } from '../http/denial.ts'
import type { Handler, Next, Request, Response } from '../http/request.ts'
import type { AuthenticatedContext, AuthenticationRequirement, TokenContext } from '../types.ts'

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

/** A request that a guard has let through: a login or an access token authenticates it, so `req.oidc.claims` exists. */
export type Authenticated<Req> = Req & { readonly oidc: AuthenticatedContext | TokenContext }

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

/** Checks a login or an access token. A check is synchronous and does not see the request. */
export type Check = (
  login: Pick<AuthenticatedContext, 'authorizationDetails' | 'claims' | 'scope' | 'meets'>,
) => Denial | undefined

interface Rule {
  readonly check: Check
  /** Also sent with the first login, so that a user who is not logged in needs only one. */
  readonly requirement?: AuthenticationRequirement | undefined
  readonly otherwise?: Otherwise | undefined
}

/** What every guard takes. */
export interface GuardOptions {
  /**
   * The answer to a request without a login, in place of the usual one. It does not concern a user who is logged in but lacks a
   * right.
   *
   * - `'login'`: redirect to log in, also a request that is not recognized as a navigation.
   * - `401`: no redirect. A page gets `ERR_OIDC_LOGIN_REQUIRED` (401), passed to `next`, any other request 401 as JSON.
   * - `404`: `ERR_OIDC_NOT_FOUND`, passed to `next`, for routes whose existence is nobody's business.
   * - a function `(req, res, next)` that sends the answer. It cannot let the request through: `next()` without an error passes
   *   `ERR_OIDC_LOGIN_REQUIRED` (401) to the error handlers, and so does `next('route')`.
   *
   * Behind `bearer()`, it is for requests without a token that `allowAnonymous` or `allowSession` lets through. Without a session,
   * `'login'` and `401` are the challenge.
   *
   * @default a page is redirected to log in, any other request gets 401 as JSON
   * @example
   * ```ts
   * app.get('/admin', requireGroup('Domain Admins', { otherwise: 404 }), showAdmin)
   * app.get('/orders', requireAuth({ otherwise: (_req, res) => res.writeHead(303, { Location: '/welcome' }).end() }), showOrders)
   * ```
   */
  readonly otherwise?: Otherwise
}

/**
 * Reads the options of a guard. Throws a `ConfigError` for a wrong value of `otherwise` and for a member that is not in `known`.
 */
export function readGuardOptions(
  options: unknown,
  guard: string,
  known: readonly string[] = ['otherwise'],
): GuardOptions {
  const isObject = typeof options === 'object' && options !== null
  if (!isObject || Object.keys(options).some((name) => !known.includes(name))) {
    throw new ConfigError([`${guard} takes only the options { ${known.join(', ')} }. It got ${shown(options)}.`])
  }
  const otherwise: unknown = Reflect.get(options, 'otherwise')
  if (isOtherwise(otherwise)) return { otherwise }
  if (!('otherwise' in options)) return {}
  throw new ConfigError([
    `${guard} takes 'login', 401, 404 or a function (req, res, next) as its option otherwise. It got ${shown(otherwise)}.`,
  ])
}

function isOtherwise(value: unknown): value is Otherwise {
  return value === 'login' || value === 401 || value === 404 || typeof value === 'function'
}

/** Creates a guard from a check. `answerDenial` turns its denials into responses. */
export function createGuard(check: Check, options: Omit<Rule, 'check'> = {}): Guard {
  const rule = { ...options, check }
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

/** True if `oidc()` or `bearer()` has handled this request. Otherwise passes `ERR_OIDC_NOT_MOUNTED` to `next`. */
export function requireContext(req: Request, next: Next): req is ContextRequest {
  if ('oidc' in req && typeof req.oidc === 'object' && req.oidc !== null) return true
  next(
    new OidcError(
      'ERR_OIDC_NOT_MOUNTED',
      'req.oidc is missing, because neither oidc() nor bearer() handled this request. Mount app.use(oidc({ ... })) or ' +
        'app.use(bearer({ ... })) before this handler.',
    ),
  )
  return false
}

function isAllowed<Req extends Request>(req: Req, res: Response, next: Next, rule: Rule): req is Authenticated<Req> {
  if (!requireContext(req, next)) return false
  const denial = req.oidc.isAuthenticated
    ? (req.oidc.csrfError?.() ?? rule.check(req.oidc))
    : loginRequired(rule.requirement, rule.otherwise)
  if (denial === undefined) return true
  answerDenial(req, res, next, denial)
  return false
}
