import type { Json } from '../types.ts'
import { type OptionTable, option, required } from './option-row.ts'
import { anyOf, firstFailing, functionRule, isJson, must, objectWith, oneOf, type Rule, withMethods } from './rule.ts'

/**
 * The metadata of a client by its wire names (OIDC Dynamic Client Registration 2, RFC 7591 2, and later standards).
 * Other members are sent unchanged: `client_name#de`, `consent_method` of Okta. The provider may change, add or drop
 * members: what it returns counts.
 */
export interface ClientMetadata {
  /** `web` or `native`. Okta also has `browser` and `service`, and never changes it later. */
  readonly application_type?: string
  /** Shown to users. Okta requires it. */
  readonly client_name?: string
  readonly client_uri?: string
  readonly logo_uri?: string
  readonly tos_uri?: string
  readonly policy_uri?: string
  readonly contacts?: readonly string[]
  readonly redirect_uris?: readonly string[]
  readonly post_logout_redirect_uris?: readonly string[]
  readonly response_types?: readonly string[]
  readonly grant_types?: readonly string[]
  readonly token_endpoint_auth_method?: string
  readonly token_endpoint_auth_signing_alg?: string
  /** Separated by spaces. */
  readonly scope?: string
  readonly initiate_login_uri?: string
  /** Public keys by value. Cannot be combined with `jwks_uri`. */
  readonly jwks?: { readonly keys: readonly { readonly [member: string]: Json | undefined }[] }
  readonly jwks_uri?: string
  readonly id_token_signed_response_alg?: string
  readonly id_token_encrypted_response_alg?: string
  readonly id_token_encrypted_response_enc?: string
  readonly userinfo_signed_response_alg?: string
  readonly userinfo_encrypted_response_alg?: string
  readonly userinfo_encrypted_response_enc?: string
  readonly authorization_signed_response_alg?: string
  readonly authorization_encrypted_response_alg?: string
  readonly authorization_encrypted_response_enc?: string
  readonly request_object_signing_alg?: string
  readonly request_object_encryption_alg?: string
  readonly request_object_encryption_enc?: string
  readonly request_uris?: readonly string[]
  readonly require_signed_request_object?: boolean
  readonly require_pushed_authorization_requests?: boolean
  readonly dpop_bound_access_tokens?: boolean
  readonly tls_client_certificate_bound_access_tokens?: boolean
  readonly tls_client_auth_subject_dn?: string
  readonly tls_client_auth_san_dns?: string
  readonly tls_client_auth_san_uri?: string
  readonly tls_client_auth_san_ip?: string
  readonly tls_client_auth_san_email?: string
  readonly frontchannel_logout_uri?: string
  readonly frontchannel_logout_session_required?: boolean
  readonly backchannel_logout_uri?: string
  readonly backchannel_logout_session_required?: boolean
  readonly backchannel_token_delivery_mode?: string
  readonly backchannel_authentication_request_signing_alg?: string
  readonly backchannel_custom_authenticator_id?: string
  readonly sector_identifier_uri?: string
  readonly subject_type?: string
  /** In seconds. */
  readonly default_max_age?: number
  readonly require_auth_time?: boolean
  readonly default_acr_values?: readonly string[]
  readonly software_id?: string
  readonly software_version?: string
  readonly software_statement?: string
  readonly [name: string]: Json | undefined | ClientMetadata['jwks']
}

/** Members to set. `null` removes a member. */
export type ClientChanges = { readonly [Name in keyof ClientMetadata]: ClientMetadata[Name] | null }

/** A client as its provider returns it (RFC 7591 3.2.1). It counts, not what was requested. */
export interface ClientInformation extends ClientMetadata {
  readonly client_id: string
  /** Sent when the client is registered and when its secret changes. Many providers never send it again. */
  readonly client_secret?: string
  /** Seconds since 1970. */
  readonly client_id_issued_at?: number
  /** Seconds since 1970. 0, or no value, means that the secret does not expire. */
  readonly client_secret_expires_at?: number
  /** The token that manages this client (RFC 7592 3). Okta has none. */
  readonly registration_access_token?: string
  /** The URL that manages this client (RFC 7592 3). Okta has none. */
  readonly registration_client_uri?: string
}

/** A client and the time of its registration. It contains secrets: store it as you store secrets. */
export interface RegisteredClient extends ClientInformation {
  /** When the client was registered or its current secret was issued, in seconds since 1970. */
  readonly registeredAt: number
}

/**
 * Stores registered clients, so that a restart does not register a new one. Most providers send a secret only once, so
 * a client must be safe on disk when `write` resolves, and a crash must never leave half a client.
 *
 * @example
 * ```ts
 * import type { ClientStore } from 'express-oidc/registration'
 * import { createClient } from 'redis'
 *
 * const redis = createClient()
 * const clients: ClientStore = {
 *   read: async (key) => JSON.parse((await redis.get(key)) ?? 'null') ?? undefined,
 *   write: async (key, client) => void (await redis.set(key, JSON.stringify(client))),
 *   remove: async (key) => void (await redis.del(key)),
 * }
 * ```
 */
export interface ClientStore {
  /** The client with this key; `undefined` if there is none. */
  read(key: string): Promise<RegisteredClient | undefined>
  write(key: string, client: RegisteredClient): Promise<void>
  /** Does nothing if there is no client with this key. */
  remove(key: string): Promise<void>
}

/** A token that allows registration, or a function that returns it. */
export type InitialAccessToken = string | (() => string | Promise<string>)

/** The authentication scheme of such a token. `SSWS` is for API tokens of Okta. */
export type InitialAccessTokenScheme = 'Bearer' | 'SSWS'

/** The option `registration`: how the application registers itself at its provider. */
export interface RegistrationOptions {
  /**
   * Metadata of the client by its wire names (OIDC Dynamic Client Registration 2). It overrides what follows from the
   * other options. `null` leaves a member out.
   */
  metadata?: ClientChanges
  /**
   * Stores the client, so that a restart does not register a new one: `fileClientStore()`, or an object with the same
   * methods. Several nodes need a shared store.
   */
  store: ClientStore
  /**
   * The token that allows registration (RFC 7591 3), or a function that returns it. Leave it out if registration is
   * open. It is sent only to the registration endpoint.
   */
  initialAccessToken?: InitialAccessToken
  /**
   * The authentication scheme of that token. Use `'SSWS'` for an API token of Okta.
   * @default 'Bearer'
   */
  initialAccessTokenScheme?: InitialAccessTokenScheme
}

/** True for text that can stand in a header: one word of printable ASCII, as RFC 6750 2.1 and Okta's tokens are. */
export function isHeaderToken(value: unknown): value is string {
  return typeof value === 'string' && /^[!-~]+$/.test(value)
}

export const initialAccessTokenRule: Rule = anyOf(
  functionRule,
  must('be printable ASCII without spaces, or a function', isHeaderToken),
)

export const initialAccessTokenSchemeRule: Rule = oneOf('Bearer', 'SSWS')

/** The provider judges the members: it may know more than we do. */
export const metadataRule: Rule = firstFailing(
  objectWith(() => []),
  must('contain only values that JSON can hold', (value) => isJson(value)),
)

/** The members of the option `registration`. */
export const REGISTRATION_OPTIONS: OptionTable<RegistrationOptions, 'metadata' | 'initialAccessToken'> = {
  metadata: option(metadataRule),
  store: required(withMethods('have the methods read, write and remove', 'read', 'write', 'remove')),
  initialAccessToken: option(initialAccessTokenRule),
  initialAccessTokenScheme: option(initialAccessTokenSchemeRule, 'Bearer'),
}
