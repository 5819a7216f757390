import type { Json } from '../types.ts'

/** A private key of the client as a JWK (RFC 7517 4). */
export interface PrivateJwk {
  readonly kty: string
  readonly kid?: string
  readonly use?: 'sig' | 'enc'
  readonly alg?: string
  readonly [member: string]: Json | undefined
}

/** The TLS certificate of the client (RFC 8705), in PEM as for `node:tls`. */
export interface TlsClientCertificate {
  readonly cert: string | Uint8Array
  readonly key: string | Uint8Array
  readonly passphrase?: string
  /** The certificate authorities to trust for the provider, if not Node's own. */
  readonly ca?: string | Uint8Array
}

/** How the client authenticates at the provider (OIDC Core 9, RFC 8705 2). */
export type ClientAuthMethod =
  | 'client_secret_basic'
  | 'client_secret_post'
  | 'client_secret_jwt'
  | 'private_key_jwt'
  | 'tls_client_auth'
  | 'self_signed_tls_client_auth'
  | 'none'
