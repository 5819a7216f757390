import type { Json } from './json-object.ts'

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
