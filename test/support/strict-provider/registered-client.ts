import type { KeySet } from '../app/signing-keys.ts'
import type { JsonObject } from './changes.ts'
import type { StrictClient, TokenEndpointAuthMethod } from './client.ts'

/** A client out of what it has registered by the names of the wire, with the defaults filled in (OIDC Registration 2). */
export function createRegisteredClient(metadata: JsonObject): StrictClient {
  const text = (name: string): string | undefined => {
    const value = metadata[name]
    return typeof value === 'string' ? value : undefined
  }
  const list = (name: string): readonly string[] => [metadata[name] ?? []].flat().map(String)
  return {
    clientId: text('client_id') ?? '',
    clientSecret: text('client_secret') ?? '',
    // Looked up in the list of them when it was registered.
    tokenEndpointAuthMethod: (text('token_endpoint_auth_method') ?? 'client_secret_basic') as TokenEndpointAuthMethod,
    tokenEndpointAuthSigningAlg: text('token_endpoint_auth_signing_alg'),
    clientJwks: metadata['jwks'] as KeySet | undefined,
    clientJwksUri: text('jwks_uri'),
    tlsClientAuthSubjectDn: text('tls_client_auth_subject_dn'),
    tlsClientCertificateBoundAccessTokens: metadata['tls_client_certificate_bound_access_tokens'] === true,
    dpopBoundAccessTokens: metadata['dpop_bound_access_tokens'] === true,
    requirePushedAuthorizationRequests: metadata['require_pushed_authorization_requests'] === true,
    requestObjectSigningAlg: text('request_object_signing_alg'),
    requestObjectEncryptionAlg: text('request_object_encryption_alg'),
    requestObjectEncryptionEnc: text('request_object_encryption_enc'),
    alg: text('id_token_signed_response_alg') ?? 'RS256',
    idTokenEncryptedResponseAlg: text('id_token_encrypted_response_alg'),
    idTokenEncryptedResponseEnc: text('id_token_encrypted_response_enc'),
    userinfoSignedResponseAlg: text('userinfo_signed_response_alg'),
    userinfoEncryptedResponseAlg: text('userinfo_encrypted_response_alg'),
    userinfoEncryptedResponseEnc: text('userinfo_encrypted_response_enc'),
    authorizationSignedResponseAlg: text('authorization_signed_response_alg') ?? 'RS256',
    authorizationEncryptedResponseAlg: text('authorization_encrypted_response_alg'),
    authorizationEncryptedResponseEnc: text('authorization_encrypted_response_enc'),
    redirectUris: list('redirect_uris'),
    postLogoutRedirectUris: list('post_logout_redirect_uris'),
    certificates: [],
  }
}
