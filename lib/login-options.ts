import type { Json } from './claims.ts'

/** The options of `req.oidc.login()`. All are optional. */
export interface LoginOptions {
  /**
   * The path of this app to return to. It must begin with the path of `baseUrl`, if that has one.
   * @default the current page, or the home page if the request is not a GET
   */
  returnTo?: string
  /**
   * Authorization request parameters for this login, for example `{ prompt: 'login', login_hint: 'ada' }`. With `prompt:
   * 'enroll_authenticator'` (Okta) the user who is logged in enrolls an authenticator and comes back: the login does not change.
   */
  authorizationParams?: AuthorizationParams
  /**
   * The name of the provider, as in the option `providers`.
   * @default the provider of the current login, or else the first one
   */
  provider?: string
  /** What the login must be and have. The callback refuses a login that does not meet this, and the current one stays. */
  requirement?: AuthRequirement
  /**
   * More scopes for this login, separated by spaces, beside those of the option `scope` (incremental consent). `req.oidc.scope`
   * says which of them are granted. To refuse a login without them, use `requirement: { scope }`.
   */
  scope?: string
}

/**
 * How strong and how recent a login must be (RFC 9470), and which scopes it must have. At least one member is required.
 *
 * @example
 * ```ts
 * requireAuth({ acr: ['phr', 'phrh'], maxAge: 300 })
 * requireAuth({ scope: 'calendar.read' })
 * ```
 */
export interface AuthRequirement {
  /** Authentication context classes. The login must have one of them: `'urn:okta:loa:2fa:any'`, `['phr', 'phrh']`. */
  acr?: string | readonly string[]
  /** How many seconds ago the user may have authenticated, at least 1. */
  maxAge?: number
  /** Authentication methods (RFC 8176 2). The login must have used all of them: `'mfa'`. */
  amr?: string | readonly string[]
  /** Scopes (RFC 6749 3.3). The login must have all of them. Without them the user is sent to the provider to grant them. */
  scope?: string | readonly string[]
}

/**
 * Authorization request parameters by their wire names: `{ prompt: 'login', max_age: 300 }`. Objects and lists are sent as
 * JSON (`claims`, `authorization_details`). A list for `resource` is sent as repeated parameters (RFC 8707 2.1).
 */
export type AuthorizationParams = Readonly<
  Record<string, string | number | readonly Json[] | { readonly [name: string]: Json }>
>

/** The response types of a login, with their words in the order of the standard. */
export type ResponseType =
  | 'code'
  | 'id_token'
  | 'id_token token'
  | 'code id_token'
  | 'code token'
  | 'code id_token token'

/** What a login must be and have, with lists for its values (RFC 9470). */
export interface AuthenticationRequirement {
  /** Authentication context classes. The login must have one of them. */
  readonly acr?: readonly string[]
  /** How many seconds ago the user may have authenticated. */
  readonly maxAge?: number
  /** Authentication methods. The login must have used all of them. */
  readonly amr?: readonly string[]
  readonly scope?: readonly string[]
}
