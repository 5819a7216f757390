import type { KeySet } from '../app/signing-keys.ts'
import type { Certificate } from '../servers/tls-certificate.ts'

export type TokenEndpointAuthMethod =
  | 'client_secret_basic'
  | 'client_secret_post'
  | 'client_secret_jwt'
  | 'private_key_jwt'
  | 'tls_client_auth'
  | 'self_signed_tls_client_auth'
  | 'none'

/** What the provider holds to be registered of a client (OIDC Registration 2, and what others have added). */
export interface ClientSettings {
  readonly tokenEndpointAuthMethod?: TokenEndpointAuthMethod | undefined
  /** The only algorithm that assertions may be signed with; absent: every one of their kind. */
  readonly tokenEndpointAuthSigningAlg?: string | undefined
  /** The client's public keys. Those of `createClientKeys()` unless told, where any are needed. */
  readonly clientJwks?: KeySet | undefined
  /** Where the client publishes its keys: fetched each time that one is needed. */
  readonly clientJwksUri?: string | undefined
  /** RFC 8705 2.1.2: what the subject of the certificate must be, `CN=test-client` unless told. */
  readonly tlsClientAuthSubjectDn?: string | undefined
  /** RFC 8705 3: access tokens are bound to the certificate that the client shows. */
  readonly tlsClientCertificateBoundAccessTokens?: boolean | undefined
  /** RFC 9449 5.2: a token request without a proof is refused. */
  readonly dpopBoundAccessTokens?: boolean | undefined
  /** RFC 9126 6. */
  readonly requirePushedAuthorizationRequests?: boolean | undefined
  /** What request objects have to be signed with, `none` included; a request without one is complained of. */
  readonly requestObjectSigningAlg?: string | undefined
  readonly requestObjectEncryptionAlg?: string | undefined
  readonly requestObjectEncryptionEnc?: string | undefined
  /** What ID Tokens are signed with: RS256 unless told. */
  readonly alg?: string | undefined
  readonly idTokenEncryptedResponseAlg?: string | undefined
  readonly idTokenEncryptedResponseEnc?: string | undefined
  /** UserInfo as a signed JWT; absent: JSON. */
  readonly userinfoSignedResponseAlg?: string | undefined
  readonly userinfoEncryptedResponseAlg?: string | undefined
  readonly userinfoEncryptedResponseEnc?: string | undefined
  /** What authorization responses as JWTs (JARM) are signed with: RS256 unless told. */
  readonly authorizationSignedResponseAlg?: string | undefined
  readonly authorizationEncryptedResponseAlg?: string | undefined
  readonly authorizationEncryptedResponseEnc?: string | undefined
  /** Where logout tokens go (OIDC Back-Channel Logout 2.2); absent: nowhere. */
  readonly backchannelLogoutUri?: string | undefined
  /** Whether they name the session: so it is unless told. */
  readonly backchannelLogoutSessionRequired?: boolean | undefined
  /** What is framed when somebody logs out (OIDC Front-Channel Logout 2). */
  readonly frontchannelLogoutUri?: string | undefined
  /** Whether that gets `iss` and `sid`: so it is unless told. */
  readonly frontchannelLogoutSessionRequired?: boolean | undefined
}

/** A client that the provider knows. */
export interface StrictClient extends ClientSettings {
  readonly clientId: string
  readonly clientSecret: string
  readonly tokenEndpointAuthMethod: TokenEndpointAuthMethod
  readonly alg: string
  readonly authorizationSignedResponseAlg: string
  /** Exactly these; absent: those that the test has set at the provider. */
  readonly redirectUris?: readonly string[] | undefined
  readonly postLogoutRedirectUris?: readonly string[] | undefined
  /** The certificates that it may prove itself by. */
  readonly certificates: readonly Pick<Certificate, 'cert'>[]
}

/** Whether anything that is asked of the client needs keys of its own. */
export function needsClientKeys(settings: ClientSettings): boolean {
  const { tokenEndpointAuthMethod, requestObjectSigningAlg } = settings
  const encrypted = [
    settings.idTokenEncryptedResponseAlg,
    settings.userinfoEncryptedResponseAlg,
    settings.authorizationEncryptedResponseAlg,
  ]
  return (
    tokenEndpointAuthMethod === 'private_key_jwt' ||
    (requestObjectSigningAlg !== undefined && !/^(none|HS\d+)$/.test(requestObjectSigningAlg)) ||
    encrypted.some((alg) => alg !== undefined && /^(RSA|ECDH)/.test(alg))
  )
}

/** Whether the client shows a certificate in TLS, to prove itself or to have its tokens bound to it (RFC 8705). */
export function needsCertificate(settings: ClientSettings): boolean {
  const { tokenEndpointAuthMethod: method = '', tlsClientCertificateBoundAccessTokens: isBound } = settings
  return method.includes('tls_client_auth') || isBound === true
}
