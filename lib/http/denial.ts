import { showFailure } from '../console/failures.ts'
import { AccessDeniedError, type ErrorCode, OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import type { AuthenticationRequirement, OidcContext } from '../types.ts'
import { type ChallengeProblem, offerSchemes, type Protection, protectionOf, sendChallenge } from './challenge.ts'
import { sendLoginAnswer } from './login-answer.ts'
import { headerOf, type Next, type Request, type Response, requestPath, wantsPage } from './request.ts'
import { redirect } from './response.ts'

/** Why a request is denied. */
export interface Denial {
  readonly code: ErrorCode
  /** For the error log. The error page does not show it. */
  readonly message: string
  /** What a new login must achieve, if a new login can help. */
  readonly requirement?: AuthenticationRequirement | undefined
  /** The scopes that would suffice. */
  readonly scope?: readonly string[]
  /** For a request without a login: the answer that the guard chooses. */
  readonly otherwise?: Otherwise | undefined
}

/** The answer of a guard to a request without a login. */
export type Otherwise = 'login' | 401 | 404 | OtherwiseHandler

/**
 * Answers a request without a login. `next` never lets the request through to the guarded handler: without an error, it passes
 * `ERR_OIDC_LOGIN_REQUIRED` (401) to the error handlers.
 */
export type OtherwiseHandler = {
  // As a method, so that a handler with the types of Express fits too.
  handle(req: Request, res: Response, next: Next): unknown
}['handle']

/** A request with a context of `oidc()` or `bearer()`. */
export type ContextRequest = Request & { readonly oidc: OidcContext & SessionMembers }

/** What guards use of a context of `oidc()`. That of an access token has none of it: no browser adds the token by itself. */
interface SessionMembers {
  callingPage?(): string
  crossOriginError?(trustedOrigins: readonly string[]): AccessDeniedError | undefined
  csrfError?(): AccessDeniedError | undefined
  keepForm?(): void
  keptFormPage?(): Promise<string | undefined>
}

/** The denial of a request that nobody has authenticated. */
export function loginRequired(requirement?: AuthenticationRequirement, otherwise?: Otherwise): Denial {
  return { code: 'ERR_OIDC_LOGIN_REQUIRED', message: 'Please sign in.', requirement, otherwise }
}

/**
 * The one place that turns a denial into a response. A program that uses an access token gets a challenge, a page that can
 * log in is redirected, and any other request gets JSON. A user who lacks a right gets an error: it is passed to `next`.
 */
export function answerDenial(req: ContextRequest, res: Response, next: Next, denial: Denial): void {
  const protection = protectionOf(req)
  const { isAuthenticated, authenticatedBy } = req.oidc
  const isForTokens =
    protection !== undefined && (authenticatedBy === 'access_token' || isForTokensOnly(req, protection))
  const { otherwise } = denial
  if (!isAuthenticated && isPreflight(req)) sendNoContent(res)
  else if (!isAuthenticated && isOwnAnswer(otherwise, isForTokens)) answerOtherwise(req, res, next, denial, otherwise)
  else if (isForTokens) challenge(req, res, protection, denial)
  else answerUser(req, res, next, denial)
}

/** Where only access tokens count, nobody can log in: 401 is a challenge, and `'login'` too. */
function isOwnAnswer(otherwise: Otherwise | undefined, isForTokens: boolean): otherwise is Otherwise {
  if (otherwise === undefined) return false
  return !isForTokens || (otherwise !== 'login' && otherwise !== 401)
}

function answerOtherwise(req: ContextRequest, res: Response, next: Next, denial: Denial, otherwise: Otherwise): void {
  publishDenial(req, denial.code)
  if (otherwise === 'login') sendToLogin(req, res, next, denial)
  else if (otherwise === 404) next(new OidcError('ERR_OIDC_NOT_FOUND', 'There is nothing here.'))
  else if (otherwise !== 401) callOtherwise(otherwise, req, res, next)
  else if (wantsPage(req)) next(noLoginError())
  else sendLoginUrl(req, res, denial)
}

function noLoginError(): OidcError {
  return new OidcError('ERR_OIDC_LOGIN_REQUIRED', 'Please sign in.')
}

/**
 * Fails closed: whatever the function passes to `next`, throws or rejects with, the guarded handler does not run. Express takes
 * `undefined`, `'route'` and `'router'` for permission to go on.
 */
function callOtherwise(handler: OtherwiseHandler, req: Request, res: Response, next: Next): void {
  let isOver = false
  const deny = (reason?: unknown): void => {
    if (isOver) return
    isOver = true
    next(reason instanceof Error ? reason : noLoginError())
  }
  try {
    const result: unknown = handler(req, res, deny)
    if (typeof Object(result).then === 'function') Promise.resolve(result).catch(deny)
  } catch (error) {
    deny(error)
  }
}

function answerUser(req: ContextRequest, res: Response, next: Next, denial: Denial): void {
  publishDenial(req, denial.code)
  const canLoginHelp = !req.oidc.isAuthenticated || denial.requirement !== undefined
  if (!canLoginHelp) next(new AccessDeniedError(denial.code, denial.message))
  else if (wantsPage(req)) sendToLogin(req, res, next, denial)
  else sendLoginUrl(req, res, denial)
}

/** Redirects a page to the login route, which leads back to it, or to the page that posts its form again. */
function sendToLogin(req: ContextRequest, res: Response, next: Next, { requirement }: Denial): void {
  const goTo = (page?: string): void => redirect(res, req.oidc.loginUrl(page, requirement))
  if (req.method === 'POST' && req.oidc.keptFormPage !== undefined) {
    const fail = (error: unknown): void => process.nextTick(next, error)
    req.oidc.keptFormPage().then(goTo).catch(fail)
  } else goTo()
}

/** True if no session can authenticate the request, so that a login page would not help. */
function isForTokensOnly({ oidc }: ContextRequest, { allowSession }: Protection): boolean {
  return !oidc.isAuthenticated && !allowSession
}

/** A CORS preflight never carries a cookie or a token, so the sender cannot be known. */
export function isPreflight(req: Request): boolean {
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

function challenge(req: ContextRequest, res: Response, protection: Protection, denial: Denial): void {
  const isToken = req.oidc.authenticatedBy === 'access_token'
  publishDenial(req, isToken ? denial.code : 'ERR_OIDC_ACCESS_TOKEN_REQUIRED')
  if (isToken) sendChallenge(res, protection, problemOf(denial), req.oidc.tokenType)
  else sendChallenge(res, protection, REQUIRED)
}

const REQUIRED: ChallengeProblem = { status: 401, description: 'Send an access token in the header Authorization.' }

/** RFC 6750 3.1, RFC 9470 3. The scopes and the requirement were checked when the guard was made. */
function problemOf({ requirement, scope }: Denial): ChallengeProblem {
  if (requirement !== undefined && scope === undefined) return { ...STEP_UP, params: requirementParams(requirement) }
  const description = 'The access token lacks a right that this route requires.'
  return { status: 403, error: INSUFFICIENT_SCOPE, description, params: scopeParams(scope) }
}

const INSUFFICIENT_SCOPE = 'insufficient_scope'

function scopeParams(scope: readonly string[] | undefined): Readonly<Record<string, string>> {
  return scope === undefined ? {} : { scope: scope.join(' ') }
}

const STEP_UP = {
  status: 401,
  error: 'insufficient_user_authentication',
  description: 'A stronger or more recent login is needed',
} as const

function requirementParams({ acr, maxAge, scope }: AuthenticationRequirement): Readonly<Record<string, string>> {
  return {
    ...(acr === undefined ? {} : { acr_values: acr.join(' ') }),
    ...(maxAge === undefined ? {} : { max_age: String(maxAge) }),
    ...scopeParams(scope),
  }
}

/** The login leads back to the page that runs the script, or to `/` if it is unknown. A script may replace it in `loginUrl`. */
function sendLoginUrl(req: ContextRequest, res: Response, denial: Denial): void {
  const { code, message, requirement } = denial
  const protection = protectionOf(req)
  if (req.oidc.isAuthenticated && requirement !== undefined)
    res.setHeader('WWW-Authenticate', stepUp(denial, requirement))
  else if (protection !== undefined) offerSchemes(res, protection)
  const loginUrl = req.oidc.loginUrl(req.oidc.callingPage?.() ?? '/', requirement)
  sendLoginAnswer(req, res, { error: code, message, loginUrl })
}

/**
 * The challenge for a login that is too old or too weak (RFC 9470 3), or lacks a scope that a new login can get (RFC 6750 3.1).
 * The values contain no quotes: the guard checked that.
 */
function stepUp({ scope }: Denial, requirement: AuthenticationRequirement): string {
  const lacksScope = { error: INSUFFICIENT_SCOPE, description: 'A login with more scopes is needed' }
  const { error, description } = scope === undefined ? STEP_UP : lacksScope
  const params = { error, error_description: description, ...requirementParams(requirement) }
  return `Bearer ${Object.entries(params)
    .map(([name, value]) => `${name}="${value}"`)
    .join(', ')}`
}

/** Publishes that a request was denied. `error` says why a token was refused. */
export function publishDenial(req: Request, code: ErrorCode, error?: unknown): void {
  // The client does not learn it.
  if (error !== undefined) showFailure(error)
  publish['express-oidc:denied'](() => ({ code, path: requestPath(req), ...(error === undefined ? {} : { error }) }))
}
