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
    if (this.stack !== undefined) this.stack = this.stack.replace(/^\w+/, `${this.name} [${code}]`)
  }

  override toString(): string {
    return `${this.name} [${this.code}]: ${this.message}`
  }
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
  /** The provider's error response, if it sent one. */
  readonly refusal: ProviderRefusal | undefined
  /** How many seconds to wait before a retry, if the provider said so (429 and 503). */
  readonly retryAfter: number | undefined
  /** Okta's id of this error, for its support: at most 64 letters, digits, `.`, `_`, `@` and `-`. */
  readonly errorId: string | undefined
  /** Okta's id of the request, for its support and its System Log. It has the same characters. */
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

/**
 * The provider redirected the browser back with an error instead of a code (OIDC Core 3.1.2.6), for example because the user
 * cancelled the login (`access_denied`).
 */
export class AuthorizationError extends OidcError {
  /** The error response. It came in the browser's request, so treat it as request input. */
  readonly refusal: ProviderRefusal

  constructor(refusal: ProviderRefusal) {
    super(
      'ERR_OIDC_AUTHORIZATION',
      "The provider refused the login. error.refusal has its error code, and the provider's log the reason.",
      { status: authorizationStatus(refusal.error) },
    )
    this.refusal = refusal
  }
}

/** A guard denied a user who is logged in. The same login would be denied again. */
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

/** Every error code of the library, with its HTTP status. `docs/errors.md` has a section for each. */
export const ERROR_STATUS = {
  // The setup of the application.
  ERR_OIDC_CONFIG: 500,
  ERR_OIDC_NOT_MOUNTED: 500,
  ERR_OIDC_NO_SESSION: 500,
  ERR_OIDC_SESSION_MISSING: 500,
  ERR_OIDC_SESSION_UNSUPPORTED: 500,
  ERR_OIDC_SESSION_COOKIE_INSECURE: 500,
  ERR_OIDC_SESSION_NOT_KEPT: 500,
  ERR_OIDC_SESSION_STORE: 503,
  ERR_OIDC_SHARED_STATE: 503,
  ERR_OIDC_RETURN_TO: 500,
  ERR_OIDC_CLIENT_SECRET: 500,
  ERR_OIDC_CLIENT_ASSERTION: 500,
  // Requests to the provider, discovery and keys.
  ERR_OIDC_PROVIDER_UNREACHABLE: 503,
  ERR_OIDC_PROVIDER_TIMEOUT: 504,
  ERR_OIDC_PROVIDER_BUSY: 503,
  ERR_OIDC_PROVIDER_STATUS: 502,
  ERR_OIDC_PROVIDER_REDIRECT: 502,
  ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE: 502,
  ERR_OIDC_PROVIDER_RESPONSE_INVALID: 502,
  ERR_OIDC_DISCOVERY_ISSUER: 502,
  ERR_OIDC_METADATA_INVALID: 502,
  ERR_OIDC_KEYS_INVALID: 502,
  // Client registration, and WebFinger.
  ERR_OIDC_REGISTRATION_UNSUPPORTED: 500,
  ERR_OIDC_REGISTRATION_REFUSED: 502,
  ERR_OIDC_REGISTRATION_UNAUTHORIZED: 502,
  ERR_OIDC_REGISTRATION_RESPONSE: 502,
  ERR_OIDC_REGISTRATION_SECRET: 502,
  ERR_OIDC_REGISTRATION_MISMATCH: 500,
  ERR_OIDC_REGISTRATION_STORE: 503,
  ERR_OIDC_WEBFINGER_IDENTIFIER: 400,
  ERR_OIDC_WEBFINGER_UNKNOWN: 400,
  ERR_OIDC_WEBFINGER_RESPONSE: 502,
  // Requests to the routes.
  ERR_OIDC_METHOD_NOT_ALLOWED: 405,
  ERR_OIDC_CROSS_SITE_LOGOUT: 403,
  ERR_OIDC_CROSS_ORIGIN_REQUEST: 403,
  ERR_OIDC_PROVIDER_UNKNOWN: 400,
  ERR_OIDC_UPGRADE_TOKEN: 401,
  ERR_OIDC_INITIATE_LOGIN: 400,
  ERR_OIDC_LOGIN_RATE_LIMIT: 503,
  ERR_OIDC_FRONTCHANNEL_LOGOUT: 400,
  // The pushed authorization request.
  ERR_OIDC_PUSHED_REQUEST: 502,
  ERR_OIDC_PUSHED_RESPONSE: 502,
  // The authorization response (the callback).
  ERR_OIDC_CALLBACK_INVALID: 400,
  ERR_OIDC_STATE_MISSING: 400,
  ERR_OIDC_TRANSACTION_MISSING: 400,
  ERR_OIDC_TRANSACTION_INVALID: 400,
  ERR_OIDC_TRANSACTION_EXPIRED: 400,
  ERR_OIDC_RESPONSE_ISSUER: 400,
  ERR_OIDC_RESPONSE_ISSUER_MISSING: 400,
  ERR_OIDC_RESPONSE_TOKEN: 400,
  ERR_OIDC_RESPONSE_JWT_MISSING: 400,
  ERR_OIDC_RESPONSE_JWT_MALFORMED: 400,
  ERR_OIDC_RESPONSE_JWT_TOO_LARGE: 400,
  ERR_OIDC_RESPONSE_JWT_ENCRYPTED: 400,
  ERR_OIDC_RESPONSE_JWT_UNENCRYPTED: 400,
  ERR_OIDC_RESPONSE_JWT_ENCRYPTION_ALG: 400,
  ERR_OIDC_RESPONSE_JWT_DECRYPTION: 400,
  ERR_OIDC_RESPONSE_JWT_ALG: 400,
  ERR_OIDC_RESPONSE_JWT_TYPE: 400,
  ERR_OIDC_RESPONSE_JWT_CRIT: 400,
  ERR_OIDC_RESPONSE_JWT_KEY: 400,
  ERR_OIDC_RESPONSE_JWT_SIGNATURE: 400,
  ERR_OIDC_RESPONSE_JWT_ISSUER: 400,
  ERR_OIDC_RESPONSE_JWT_AUDIENCE: 400,
  ERR_OIDC_RESPONSE_JWT_EXPIRED: 400,
  ERR_OIDC_RESPONSE_JWT_NOT_BEFORE: 400,
  ERR_OIDC_CODE_MISSING: 400,
  ERR_OIDC_ACCESS_TOKEN_MISSING: 400,
  ERR_OIDC_AUTHORIZATION: 400,
  ERR_OIDC_LOGIN_ENDED: 400,
  ERR_OIDC_LOGIN_EXPIRED: 400,
  ERR_OIDC_STATE_USED: 400,
  // The token endpoint.
  ERR_OIDC_TOKEN_REQUEST: 502,
  ERR_OIDC_TOKEN_RESPONSE: 502,
  // The ID Token.
  ERR_OIDC_ID_TOKEN_MISSING: 502,
  ERR_OIDC_ID_TOKEN_MALFORMED: 502,
  ERR_OIDC_ID_TOKEN_TOO_LARGE: 502,
  ERR_OIDC_ID_TOKEN_ENCRYPTED: 502,
  ERR_OIDC_ID_TOKEN_UNENCRYPTED: 502,
  ERR_OIDC_ID_TOKEN_ENCRYPTION_ALG: 502,
  ERR_OIDC_ID_TOKEN_DECRYPTION: 502,
  ERR_OIDC_ID_TOKEN_ALG: 502,
  ERR_OIDC_ID_TOKEN_TYPE: 502,
  ERR_OIDC_ID_TOKEN_CRIT: 502,
  ERR_OIDC_ID_TOKEN_KEY: 502,
  ERR_OIDC_ID_TOKEN_SIGNATURE: 502,
  ERR_OIDC_ID_TOKEN_ISSUER: 502,
  ERR_OIDC_ID_TOKEN_SUBJECT: 502,
  ERR_OIDC_ID_TOKEN_AUDIENCE: 502,
  ERR_OIDC_ID_TOKEN_AUTHORIZED_PARTY: 502,
  ERR_OIDC_ID_TOKEN_EXPIRED: 502,
  ERR_OIDC_ID_TOKEN_ISSUED_AT: 502,
  ERR_OIDC_ID_TOKEN_NOT_BEFORE: 502,
  ERR_OIDC_ID_TOKEN_NONCE: 502,
  ERR_OIDC_ID_TOKEN_AUTH_TIME: 502,
  ERR_OIDC_ID_TOKEN_ACCESS_TOKEN_HASH: 502,
  ERR_OIDC_ID_TOKEN_CODE_HASH: 502,
  ERR_OIDC_ID_TOKEN_STATE_HASH: 502,
  ERR_OIDC_ID_TOKENS_DIFFER: 502,
  ERR_OIDC_TENANT: 403,
  ERR_OIDC_ID_TOKEN_SESSION_EXPIRY: 502,
  // UserInfo.
  ERR_OIDC_USERINFO: 502,
  ERR_OIDC_USERINFO_SUBJECT: 502,
  ERR_OIDC_USERINFO_JWT_MISSING: 502,
  ERR_OIDC_USERINFO_JWT_MALFORMED: 502,
  ERR_OIDC_USERINFO_JWT_TOO_LARGE: 502,
  ERR_OIDC_USERINFO_JWT_ENCRYPTED: 502,
  ERR_OIDC_USERINFO_JWT_UNENCRYPTED: 502,
  ERR_OIDC_USERINFO_JWT_ENCRYPTION_ALG: 502,
  ERR_OIDC_USERINFO_JWT_DECRYPTION: 502,
  ERR_OIDC_USERINFO_JWT_ALG: 502,
  ERR_OIDC_USERINFO_JWT_TYPE: 502,
  ERR_OIDC_USERINFO_JWT_CRIT: 502,
  ERR_OIDC_USERINFO_JWT_KEY: 502,
  ERR_OIDC_USERINFO_JWT_SIGNATURE: 502,
  ERR_OIDC_USERINFO_JWT_ISSUER: 502,
  ERR_OIDC_USERINFO_JWT_AUDIENCE: 502,
  ERR_OIDC_CLAIMS_SOURCE: 502,
  // The logout token.
  ERR_OIDC_LOGOUT_TOKEN_MISSING: 400,
  ERR_OIDC_LOGOUT_TOKEN_MALFORMED: 400,
  ERR_OIDC_LOGOUT_TOKEN_TOO_LARGE: 400,
  ERR_OIDC_LOGOUT_TOKEN_ENCRYPTED: 400,
  ERR_OIDC_LOGOUT_TOKEN_UNENCRYPTED: 400,
  ERR_OIDC_LOGOUT_TOKEN_ENCRYPTION_ALG: 400,
  ERR_OIDC_LOGOUT_TOKEN_DECRYPTION: 400,
  ERR_OIDC_LOGOUT_TOKEN_ALG: 400,
  ERR_OIDC_LOGOUT_TOKEN_TYPE: 400,
  ERR_OIDC_LOGOUT_TOKEN_CRIT: 400,
  ERR_OIDC_LOGOUT_TOKEN_KEY: 400,
  ERR_OIDC_LOGOUT_TOKEN_SIGNATURE: 400,
  ERR_OIDC_LOGOUT_TOKEN_ISSUER: 400,
  ERR_OIDC_LOGOUT_TOKEN_AUDIENCE: 400,
  ERR_OIDC_LOGOUT_TOKEN_ISSUED_AT: 400,
  ERR_OIDC_LOGOUT_TOKEN_EXPIRED: 400,
  ERR_OIDC_LOGOUT_TOKEN_NOT_BEFORE: 400,
  ERR_OIDC_LOGOUT_TOKEN_ID: 400,
  ERR_OIDC_LOGOUT_TOKEN_EVENT: 400,
  ERR_OIDC_LOGOUT_TOKEN_NONCE: 400,
  ERR_OIDC_LOGOUT_TOKEN_SUBJECT: 400,
  ERR_OIDC_LOGOUT_TOKEN_REPLAYED: 400,
  ERR_OIDC_REVOCATION_JWT: 401,
  ERR_OIDC_SECURITY_EVENT_MISSING: 400,
  ERR_OIDC_SECURITY_EVENT_AUTHORIZATION: 400,
  ERR_OIDC_SECURITY_EVENT_MALFORMED: 400,
  ERR_OIDC_SECURITY_EVENT_TOO_LARGE: 400,
  ERR_OIDC_SECURITY_EVENT_ENCRYPTED: 400,
  ERR_OIDC_SECURITY_EVENT_ALG: 400,
  ERR_OIDC_SECURITY_EVENT_TYPE: 400,
  ERR_OIDC_SECURITY_EVENT_CRIT: 400,
  ERR_OIDC_SECURITY_EVENT_KEY: 400,
  ERR_OIDC_SECURITY_EVENT_SIGNATURE: 400,
  ERR_OIDC_SECURITY_EVENT_ISSUER: 400,
  ERR_OIDC_SECURITY_EVENT_AUDIENCE: 400,
  ERR_OIDC_SECURITY_EVENT_EXPIRES: 400,
  ERR_OIDC_SECURITY_EVENT_SUBJECT: 400,
  ERR_OIDC_SECURITY_EVENT_ISSUED_AT: 400,
  ERR_OIDC_SECURITY_EVENT_ID: 400,
  ERR_OIDC_SECURITY_EVENT_EVENTS: 400,
  ERR_OIDC_SECURITY_EVENT_TIMESTAMP: 400,
  ERR_OIDC_SECURITY_EVENT_STATE: 400,
  ERR_OIDC_TRANSMITTER_METADATA: 502,
  ERR_OIDC_STREAM_UNSUPPORTED: 500,
  ERR_OIDC_STREAM_REFUSED: 502,
  ERR_OIDC_STREAM_RESPONSE: 502,
  // Tokens that the application requests, and revocation.
  ERR_OIDC_TOKEN_UNAVAILABLE: 401,
  ERR_OIDC_REFRESH_REFUSED: 401,
  ERR_OIDC_INTERACTION_REQUIRED: 401,
  ERR_OIDC_REVOCATION: 502,
  // Access tokens on incoming requests.
  ERR_OIDC_ACCESS_TOKEN_REQUIRED: 401,
  ERR_OIDC_ACCESS_TOKEN_REQUEST: 400,
  ERR_OIDC_ACCESS_TOKEN_TOO_LARGE: 401,
  ERR_OIDC_ACCESS_TOKEN_MALFORMED: 401,
  ERR_OIDC_ACCESS_TOKEN_ENCRYPTED: 401,
  ERR_OIDC_ACCESS_TOKEN_CRIT: 401,
  ERR_OIDC_ACCESS_TOKEN_TYPE: 401,
  ERR_OIDC_ACCESS_TOKEN_ALG: 401,
  ERR_OIDC_ACCESS_TOKEN_KEY: 401,
  ERR_OIDC_ACCESS_TOKEN_SIGNATURE: 401,
  ERR_OIDC_ACCESS_TOKEN_ISSUER: 401,
  ERR_OIDC_ACCESS_TOKEN_AUDIENCE: 401,
  ERR_OIDC_ACCESS_TOKEN_EXPIRED: 401,
  ERR_OIDC_ACCESS_TOKEN_NOT_BEFORE: 401,
  ERR_OIDC_ACCESS_TOKEN_ISSUED_AT: 401,
  ERR_OIDC_ACCESS_TOKEN_SUBJECT: 401,
  ERR_OIDC_ACCESS_TOKEN_CLAIM: 401,
  ERR_OIDC_ACCESS_TOKEN_CONFIRMATION: 401,
  ERR_OIDC_ACCESS_TOKEN_INACTIVE: 401,
  ERR_OIDC_INTROSPECTION_UNAVAILABLE: 503,
  ERR_OIDC_INTROSPECTION_REQUEST: 502,
  ERR_OIDC_INTROSPECTION_RESPONSE: 502,
  // The DPoP proof beside an access token.
  ERR_OIDC_DPOP_PROOF_MISSING: 401,
  ERR_OIDC_DPOP_PROOF_MALFORMED: 401,
  ERR_OIDC_DPOP_PROOF_TOO_LARGE: 401,
  ERR_OIDC_DPOP_PROOF_TYPE: 401,
  ERR_OIDC_DPOP_PROOF_ALG: 401,
  ERR_OIDC_DPOP_PROOF_CRIT: 401,
  ERR_OIDC_DPOP_PROOF_KEY: 401,
  ERR_OIDC_DPOP_PROOF_BINDING: 401,
  ERR_OIDC_DPOP_PROOF_SIGNATURE: 401,
  ERR_OIDC_DPOP_PROOF_METHOD: 401,
  ERR_OIDC_DPOP_PROOF_URL: 401,
  ERR_OIDC_DPOP_PROOF_ISSUED_AT: 401,
  ERR_OIDC_DPOP_PROOF_ID: 401,
  ERR_OIDC_DPOP_PROOF_ACCESS_TOKEN_HASH: 401,
  ERR_OIDC_DPOP_PROOF_NONCE: 401,
  ERR_OIDC_DPOP_PROOF_REPLAYED: 401,
  // The client certificate beside an access token.
  ERR_OIDC_CERTIFICATE_HEADER: 400,
  ERR_OIDC_CERTIFICATE_MISSING: 401,
  ERR_OIDC_CERTIFICATE_BINDING: 401,
  // Guards.
  ERR_OIDC_CSRF_HEADER: 403,
  ERR_OIDC_FORM_NOT_KEPT: 400,
  ERR_OIDC_FORM_GONE: 400,
  ERR_OIDC_LOGIN_REQUIRED: 401,
  ERR_OIDC_INSUFFICIENT_AUTHENTICATION: 403,
  ERR_OIDC_INSUFFICIENT_SCOPE: 403,
  ERR_OIDC_INSUFFICIENT_CLAIM: 403,
  // The test kit, express-oidc/testing.
  ERR_OIDC_TESTING: 500,
} as const

/** The code of an {@link OidcError}. It is stable, unlike the message. */
export type ErrorCode = keyof typeof ERROR_STATUS
