import { isDevelopment } from './console/environment.ts'
import { stackForDevelopers } from './console/explanations.ts'
import { ERROR_STATUS, type ErrorCode } from './error-codes.ts'
import type { AuthenticationRequirement } from './login-options.ts'

export type { ErrorCode } from './error-codes.ts'

/** What an {@link OidcError} may carry besides its code and message. */
export interface OidcErrorOptions {
  /** The error that caused this one. Log it. It is never shown to a browser. */
  cause?: unknown
  /**
   * The HTTP status to respond with.
   * @default the status of the code, see docs/errors.md
   */
  status?: number
  /** HTTP headers for the response, for example `Allow` or `Retry-After`. */
  headers?: Record<string, string>
}

/**
 * The base class of all errors that this library throws or passes to `next`. Compare `code`, never the message. The message
 * is written for developers and contains no token, code, secret or request input. Express' own error handler uses
 * `status`, `expose` and `headers`.
 *
 * `docs/errors.md` explains each code: what happened, the usual cause, what to do.
 *
 * @example
 * ```ts
 * app.use((error: unknown, req: Request, res: Response, next: NextFunction) => {
 *   if (error instanceof OidcError) res.status(error.status).send(`Sorry (${error.code})`)
 *   else next(error)
 * })
 * ```
 */
export class OidcError extends Error {
  /** A stable name for what went wrong, for example `ERR_OIDC_STATE_MISSING`. */
  readonly code: ErrorCode
  /** The HTTP status to respond with. */
  readonly status: number
  /** True if the user may see the message: for a 4xx status. A 5xx status is a problem that only an operator can fix. */
  readonly expose: boolean
  /** HTTP headers for the response. `Cache-Control: no-store` is always among them. */
  readonly headers: Readonly<Record<string, string>>

  constructor(code: ErrorCode, message: string, options: OidcErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = code
    this.status = options.status ?? ERROR_STATUS[code]
    this.expose = this.status < 500
    this.headers = { 'Cache-Control': 'no-store', ...options.headers }
    // Node's own errors show the code in the stack too, so a log line that has only the stack is enough.
    const trace = String(this.stack).replace(/^\w+/, `${this.name} [${code}]`)
    Object.defineProperty(this, 'stack', isDevelopment() ? lazyStack(this, trace) : { value: trace })
  }

  /** The same as `status`, by the name that other frameworks read, such as NestJS. */
  get statusCode(): number {
    return this.status
  }

  override toString(): string {
    return `${this.name} [${this.code}]: ${this.message}`
  }
}

/** In development, `console.error(error)` prints what the developer needs, each thing once. Express prints errors so. */
Object.defineProperty(OidcError.prototype, Symbol.for('nodejs.util.inspect.custom'), { value: inspectError })

function inspectError(this: OidcError, _depth: number, options: object, inspect: Inspect): string {
  if (!isDevelopment()) return inspect(this, { ...options, customInspect: false })
  return this.cause === undefined ? String(this.stack) : `${this.stack}\n  [cause]: ${inspect(this.cause, options)}`
}

type Inspect = (value: unknown, options: object) => string

/** Most errors are handled without that anyone reads their stack. */
function lazyStack(error: OidcError, trace: string): PropertyDescriptor {
  function replaceStack(value: unknown): void {
    Object.defineProperty(error, 'stack', { value, writable: true })
  }
  return { get: () => stackForDevelopers(error, trace), set: replaceStack, configurable: true }
}

const MAX_SHOWN_LENGTH = 80

/**
 * Formats a value from outside for an error message: as JSON, cut at 80 characters, in printable ASCII without
 * `<` and `>`, in case an error handler sends the message as HTML. Never pass a secret, a token, a code or request input.
 */
export function shown(value: unknown): string {
  const json = jsonOrType(value)
  const text = json.length > MAX_SHOWN_LENGTH ? `${json.slice(0, MAX_SHOWN_LENGTH)}...` : json
  return text.replace(/[^ -~]|[<>]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** JSON has no functions, BigInts or cycles. An invalid option may have any of these. */
function jsonOrType(value: unknown): string {
  try {
    return JSON.stringify(value) ?? typeof value
  } catch {
    return typeof value
  }
}

/** The options of `oidc()` or of a guard are invalid. All problems are reported at once. */
export class ConfigError extends OidcError {
  /** One sentence for each problem. It begins with the name of the option. */
  readonly faults: readonly string[]

  constructor(faults: readonly string[]) {
    const count = faults.length === 1 ? 'a problem' : `${faults.length} problems`
    super('ERR_OIDC_CONFIG', `The configuration has ${count}:\n- ${faults.join('\n- ')}`)
    this.faults = faults
    // The message has them already, and Node prints both.
    Object.defineProperty(this, 'faults', { enumerable: false })
  }
}

/**
 * The error response of a provider (RFC 6749 4.1.2.1 and 5.2). All members are untrusted text: escape them before you show
 * them.
 */
export interface ProviderRefusal {
  /** The error code as the provider sent it: `invalid_client`, or `E0000047` of Okta's own APIs. */
  error: string
  /** The provider's text for developers. It may contain what the user typed. */
  errorDescription?: string | undefined
  /** The URL of a page about the error. */
  errorUri?: string | undefined
}

/** What a {@link ProviderError} may carry besides what every error has. */
export interface ProviderErrorOptions extends OidcErrorOptions {
  /** The HTTP status of the provider's response. */
  providerStatus?: number | undefined
  /** The provider's error response. */
  refusal?: ProviderRefusal | undefined
  /** How many seconds to wait before a retry. */
  retryAfter?: number | undefined
  /** The provider's id of this error, already validated. */
  errorId?: string | undefined
  /** The provider's id of the request, already validated. */
  requestId?: string | undefined
}

/** A request to the provider failed: it is unreachable, it refused the request, or its response is invalid. */
export class ProviderError extends OidcError {
  /** The HTTP status of the provider's response, if the error is about one. `status` is that of our own response. */
  readonly providerStatus: number | undefined
  /** The provider's error response, if it sent one. */
  readonly refusal: ProviderRefusal | undefined
  /** How many seconds to wait before a retry, if the provider said so (429 and 503). */
  readonly retryAfter: number | undefined
  /** Okta's id of this error, for its support: at most 64 letters, digits, `.`, `_`, `@` and `-`. */
  readonly errorId: string | undefined
  /** Okta's id of the request, for its support and its System Log. It has the same characters. */
  readonly requestId: string | undefined

  constructor(code: ErrorCode, message: string, options: ProviderErrorOptions = {}) {
    const { providerStatus, refusal, retryAfter, errorId, requestId, headers, ...rest } = options
    super(code, message, {
      ...rest,
      headers: retryAfter === undefined ? { ...headers } : { 'Retry-After': String(retryAfter), ...headers },
    })
    this.providerStatus = providerStatus
    this.refusal = refusal
    this.retryAfter = retryAfter
    this.errorId = errorId
    this.requestId = requestId
  }
}

/**
 * The provider redirected the browser back with an error instead of a code (OIDC Core 3.1.2.6), for example because the user
 * cancelled the login (`access_denied`).
 */
export class AuthorizationError extends OidcError {
  /** The error response. It came in the browser's request, so treat it as request input. */
  readonly refusal: ProviderRefusal

  constructor(refusal: ProviderRefusal) {
    const code = KNOWN_REFUSALS.has(refusal.error) ? refusal.error : 'an error code of its own'
    super(
      'ERR_OIDC_AUTHORIZATION',
      `The provider refused the login with ${code}. error.refusal has what it said, and the provider's log the reason.`,
      { status: authorizationStatus(refusal.error) },
    )
    this.refusal = refusal
  }
}

/** A guard denied a user who is logged in. The same login would be denied again. */
export class AccessDeniedError extends OidcError {}

/**
 * An API that `req.oidc.fetch()` called wants a stronger or more recent login (RFC 9470 3). Pass it to `next`: `errorPage()` sends
 * the user to log in with `requirement`, and then back to the page. A script gets 401 with the `loginUrl`.
 *
 * @example
 * ```ts
 * app.use((error: unknown, req: Request, res: Response, next: NextFunction) => {
 *   if (error instanceof StepUpError) res.redirect(303, req.oidc.loginUrl(undefined, error.requirement))
 *   else next(error)
 * })
 * ```
 */
export class StepUpError extends OidcError {
  /** What the API asks for: at least one member. For `req.oidc.loginUrl()` and `req.oidc.login()`. */
  readonly requirement: Pick<AuthenticationRequirement, 'acr' | 'maxAge'>

  constructor(requirement: StepUpError['requirement']) {
    super(
      'ERR_OIDC_INSUFFICIENT_AUTHENTICATION',
      'The API that req.oidc.fetch() called requires a stronger or more recent login ' +
        `(${Object.keys(requirement).join(', ')}). Pass this error to errorPage(), or log in with error.requirement.`,
    )
    this.requirement = requirement
  }
}

const AUTHORIZATION_STATUS: ReadonlyMap<string, number> = new Map([
  ['access_denied', 403],
  ['user_canceled_request', 403],
  ['login_required', 401],
  ['interaction_required', 401],
  ['consent_required', 401],
  ['account_selection_required', 401],
  ['unmet_authentication_requirements', 403],
  ['server_error', 502],
  ['temporarily_unavailable', 503],
])

/** The codes of the standards (RFC 6749 4.1.2.1, OIDC Core 3.1.2.6). Only these are shown: the response is request input. */
const KNOWN_REFUSALS: ReadonlySet<string> = new Set([
  ...AUTHORIZATION_STATUS.keys(),
  ...[
    'invalid_request',
    'invalid_scope',
    'invalid_target',
    'invalid_authorization_details',
    'unauthorized_client',
    'unsupported_response_type',
  ],
  ...['invalid_request_uri', 'invalid_request_object', 'request_not_supported', 'request_uri_not_supported'],
  ...['registration_not_supported'],
])

function authorizationStatus(error: string): number {
  return AUTHORIZATION_STATUS.get(error) ?? 400
}
