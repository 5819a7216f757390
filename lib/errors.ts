import { ERROR_STATUS, type ErrorCode } from './error-status.ts'

/** What an {@link OidcError} may carry beside its code and message. */
export interface OidcErrorOptions {
  /** The lower failure. For logs; it is never shown to a browser. */
  cause?: unknown
  /** The HTTP status, where it is not the code's usual one. */
  status?: number
  /** HTTP headers that belong to the answer, for example `Allow` or `Retry-After`. */
  headers?: Record<string, string>
}

/**
 * The base of everything that this library throws or passes to `next`. The message is for the operator; it holds no
 * token, code, secret or request input. `status`, `expose` and `headers` are what Express' own error handler reads.
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
  readonly code: ErrorCode
  /** The HTTP status to answer with. */
  readonly status: number
  /** Whether the message is fit for the person at the browser: true for 4xx, false for what only operators can mend. */
  readonly expose: boolean
  readonly headers: Readonly<Record<string, string>>

  constructor(code: ErrorCode, message: string, options: OidcErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = code
    this.status = options.status ?? ERROR_STATUS[code]
    this.expose = this.status < 500
    this.headers = { 'Cache-Control': 'no-store', ...options.headers }
  }
}

/** The options given to `oidc()` or to a guard are wrong. All faults are reported at once. */
export class ConfigError extends OidcError {
  /** One sentence for each fault, beginning with the option's name. */
  readonly faults: readonly string[]

  constructor(faults: readonly string[]) {
    super(
      'ERR_OIDC_CONFIG',
      `The configuration has ${faults.length === 1 ? 'a fault' : 'faults'}:\n- ${faults.join('\n- ')}`,
    )
    this.faults = faults
  }
}

/** What a provider said of its own refusal (RFC 6749 4.1.2.1 and 5.2). All of it is untrusted text. */
export interface ProviderRefusal {
  /** The registered or private error code, as the provider sent it: `invalid_client`, or `E0000047` of Okta's own APIs. */
  error: string
  /** The provider's text for developers. It may hold what the user typed: escape it, never interpret it. */
  errorDescription?: string | undefined
  /** A page about the error. */
  errorUri?: string | undefined
}

/** What a {@link ProviderError} may carry beside what every error does. */
export interface ProviderErrorOptions extends OidcErrorOptions {
  /** What the provider said. */
  refusal?: ProviderRefusal | undefined
  /** Seconds to wait before asking again. */
  retryAfter?: number | undefined
  /** The provider's name for the failure, already checked in form. */
  errorId?: string | undefined
  /** The provider's name for the request, already checked in form. */
  requestId?: string | undefined
}

/** The provider cannot be reached, refuses, or answers what the standards forbid. */
export class ProviderError extends OidcError {
  /** What the provider said, where it said something. */
  readonly refusal: ProviderRefusal | undefined
  /** Seconds to wait before asking again, where the provider told (429 and 503). */
  readonly retryAfter: number | undefined
  /** The name that Okta gave to this failure, for its support: at most 64 letters, digits, `.`, `_`, `@` and `-`. */
  readonly errorId: string | undefined
  /** The name that Okta gave to the request, for its support and its System Log, of the same characters. */
  readonly requestId: string | undefined

  constructor(code: ErrorCode, message: string, options: ProviderErrorOptions = {}) {
    const { refusal, retryAfter, errorId, requestId, headers, ...rest } = options
    super(code, message, {
      ...rest,
      headers: retryAfter === undefined ? { ...headers } : { 'Retry-After': String(retryAfter), ...headers },
    })
    this.refusal = refusal
    this.retryAfter = retryAfter
    this.errorId = errorId
    this.requestId = requestId
  }
}

/** The provider sent the browser back with an error instead of a code (OIDC Core 3.1.2.6). */
export class AuthorizationError extends OidcError {
  readonly refusal: ProviderRefusal

  constructor(refusal: ProviderRefusal) {
    super('ERR_OIDC_AUTHORIZATION', 'The provider refused the login.', { status: authorizationStatus(refusal.error) })
    this.refusal = refusal
  }
}

/** A guard refused a request of somebody who is logged in: a new login would not help. */
export class AccessDeniedError extends OidcError {}

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

function authorizationStatus(error: string): number {
  return AUTHORIZATION_STATUS.get(error) ?? 400
}
