import type { Json } from '../types.ts'
import {
  anyOf,
  booleanRule,
  firstFailing,
  functionRule,
  isJson,
  members,
  must,
  objectWith,
  oneOf,
  optional,
  type Rule,
} from './rule.ts'
import { issuer, parseHttpUrl } from './urls.ts'

/**
 * What is told to a provider about a client, by the wire names (OIDC Dynamic Client Registration 2, RFC 7591 2, and the
 * standards that add to them). Any further member goes over the wire as it is: `client_name#de`, `consent_method` of Okta.
 * A provider may change, fill in or leave out what it likes: its answer is what holds.
 */
export interface ClientMetadata {
  /** `web` and `native`; at Okta also `browser` and `service`, and fixed once the client is made. */
  readonly application_type?: string
  /** Shown to people. Okta demands it. */
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
  /** Public keys, by value. Never together with `jwks_uri`, never with a private member. */
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

/** Members that go before others of the same name; `null` takes a member away. */
export type ClientChanges = { readonly [Name in keyof ClientMetadata]: ClientMetadata[Name] | null }

/** A client as its provider describes it (RFC 7591 3.2.1): what holds, whatever was asked for. */
export interface ClientInformation extends ClientMetadata {
  readonly client_id: string
  /** Told when the client is made and when its secret changes; many providers never tell it again. */
  readonly client_secret?: string
  /** Seconds since 1970. */
  readonly client_id_issued_at?: number
  /** Seconds since 1970; 0, or absent, where the secret never expires. */
  readonly client_secret_expires_at?: number
  /** A credential for this client's own entry (RFC 7592 3). Okta gives none. */
  readonly registration_access_token?: string
  /** Where this client's own entry is (RFC 7592 3). Okta gives none. */
  readonly registration_client_uri?: string
}

/** A client together with when it came to be what it is. It holds secrets: keep it where secrets are kept. */
export interface RegisteredClient extends ClientInformation {
  /** When the provider gave this client, or its present secret, in seconds since 1970. */
  readonly registeredAt: number
}

/**
 * Where registered clients are kept, so that a restart does not register another one. A secret is mostly told only once:
 * `write` must have kept the client for good when it resolves, and must never leave half of one behind.
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
  /** The client that is kept under this key; `undefined` where there is none. */
  read(key: string): Promise<RegisteredClient | undefined>
  write(key: string, client: RegisteredClient): Promise<void>
  /** Does nothing where there is none. */
  remove(key: string): Promise<void>
}

/** A token that allows to register, or a function that gets it whenever it is needed. */
export type InitialAccessToken = string | (() => string | Promise<string>)

/** The scheme of the header that carries such a token: `SSWS` is that of Okta's API tokens. */
export type InitialAccessTokenScheme = 'Bearer' | 'SSWS'

/** How an application registers itself at its provider. */
export interface RegistrationOptions {
  /**
   * What the provider is told of the client, by wire names, beside and before what follows from the other options; `null`
   * leaves a member out.
   */
  metadata?: ClientChanges
  /** Where the client is kept, for example `fileClientStore('/var/lib/app/clients')`. */
  store: ClientStore
  /** What allows to register; none is needed where registration is open. It is not used for anything but clients. */
  initialAccessToken?: InitialAccessToken
  /**
   * How it is sent: as a bearer token (RFC 7591 3), or as an API token of Okta.
   * @default 'Bearer'
   */
  initialAccessTokenScheme?: InitialAccessTokenScheme
}

/** Whether a token can go into a header: one word of printable ASCII, as RFC 6750 2.1 and Okta's tokens are. */
export function isHeaderToken(value: unknown): value is string {
  return typeof value === 'string' && /^[!-~]+$/.test(value)
}

const initialAccessToken: Rule = anyOf(
  functionRule,
  must('be printable ASCII without spaces, or a function', isHeaderToken),
)

const initialAccessTokenScheme: Rule = oneOf('Bearer', 'SSWS')

/** An instance of a class will do, and so will an object that inherits its methods. */
const store: Rule = must('have the methods read, write and remove', (value) =>
  ['read', 'write', 'remove'].every((method) => typeof Object(value)[method] === 'function'),
)

/** What is in it is for the provider to judge. */
const metadata: Rule = firstFailing(
  objectWith(() => []),
  must('hold only what JSON can hold', (value) => isJson(value)),
)

/** The option `registration`. */
export const registrationRule: Rule = members({
  metadata: optional(metadata),
  store,
  initialAccessToken: optional(initialAccessToken),
  initialAccessTokenScheme: optional(initialAccessTokenScheme),
})

/** Where clients are registered, for the functions that do so without `oidc()`. */
export const registrationEndpointRule: Rule = members({
  issuer: optional(issuer),
  registrationEndpoint: optional(
    must('be an absolute https URL without fragment or credentials', (value) => parseHttpUrl(value)?.hash === ''),
  ),
  initialAccessToken: optional(initialAccessToken),
  initialAccessTokenScheme: optional(initialAccessTokenScheme),
  timeout: optional(must('be a number of seconds above 0, at most 120', isTimeout)),
  fetch: optional(functionRule),
  dangerouslyAllowInsecureRequests: optional(booleanRule),
})

function isTimeout(value: unknown): boolean {
  return typeof value === 'number' && value > 0 && value <= 120
}
