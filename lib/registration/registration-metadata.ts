import type { ClientChanges, ClientMetadata } from '../client-metadata.ts'
import type { Config } from '../config/config.ts'
import { createClientKeys } from '../jose/client-keys.ts'

/** Signature algorithms by their wire names, with what holds where nothing is said (OIDC Registration 2, JARM 3). */
export const SIGNED: readonly (readonly [wire: string, member: keyof Config, usual: string | undefined])[] = [
  ['id_token_signed_response_alg', 'idTokenSignedResponseAlg', 'RS256'],
  ['authorization_signed_response_alg', 'authorizationSignedResponseAlg', 'RS256'],
  ['userinfo_signed_response_alg', 'userinfoSignedResponseAlg', undefined],
  ['request_object_signing_alg', 'requestObjectSigningAlg', undefined],
  ['token_endpoint_auth_signing_alg', 'tokenEndpointAuthSigningAlg', undefined],
]

/** Encryption by its wire names: a content encryption is told only beside its algorithm. */
export const ENCRYPTED: readonly (readonly [wire: string, alg: keyof Config, enc: keyof Config])[] = [
  ['id_token_encrypted_response', 'idTokenEncryptedResponseAlg', 'idTokenEncryptedResponseEnc'],
  ['authorization_encrypted_response', 'authorizationEncryptedResponseAlg', 'authorizationEncryptedResponseEnc'],
  ['userinfo_encrypted_response', 'userinfoEncryptedResponseAlg', 'userinfoEncryptedResponseEnc'],
  ['request_object_encryption', 'requestObjectEncryptionAlg', 'requestObjectEncryptionEnc'],
]

/**
 * What a provider is told of this application: whatever follows from its configuration, and over that what the
 * application says itself. What is usual is left out, since not every provider knows every member.
 */
export function clientMetadataOf(config: Config, own: ClientChanges = {}): ClientMetadata {
  const types = own.response_types ?? [config.responseType]
  const metadata: ClientChanges = {
    client_name: new URL(config.origin).host,
    redirect_uris: [config.redirectUri],
    post_logout_redirect_uris: [config.postLogoutRedirectUri],
    response_types: types,
    grant_types: grantTypesOf(types, config.scope),
    token_endpoint_auth_method: config.tokenEndpointAuthMethod,
    ...signatures(config),
    ...encryptions(config),
    ...bindings(config),
    ...addresses(config),
    ...(own.jwks || own.jwks_uri ? {} : keysOf(config)),
    ...own,
  }
  return Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== undefined && value !== null))
}

/** OIDC Registration 2, and what a refresh token is asked for by (OIDC Core 11). */
function grantTypesOf(types: readonly string[], scope: string): readonly string[] {
  const words = types.flatMap((type) => type.split(' '))
  return [
    ...(words.includes('code') ? ['authorization_code'] : []),
    ...(words.some((word) => word === 'token' || word === 'id_token') ? ['implicit'] : []),
    ...(scope.split(' ').includes('offline_access') ? ['refresh_token'] : []),
  ]
}

function signatures(config: Config): ClientMetadata {
  const told = SIGNED.filter(([, member, usual]) => config[member] !== usual)
  return Object.fromEntries(told.map(([wire, member]) => [wire, String(config[member])]))
}

function encryptions(config: Config): ClientMetadata {
  const told = ENCRYPTED.filter(([, alg]) => config[alg] !== undefined)
  return Object.fromEntries(
    told.flatMap(([wire, alg, enc]) => [
      [`${wire}_alg`, String(config[alg])],
      [`${wire}_enc`, String(config[enc])],
    ]),
  )
}

/** RFC 9126 6, RFC 9449 5.2, RFC 8705 3.4. */
function bindings(config: Config): ClientMetadata {
  return {
    ...(config.requirePushedAuthorizationRequests ? { require_pushed_authorization_requests: true } : {}),
    ...(config.dpopBoundAccessTokens ? { dpop_bound_access_tokens: true } : {}),
    ...(config.tlsClientCertificate === undefined ? {} : { tls_client_certificate_bound_access_tokens: true }),
  }
}

/** Routes that the provider, or others, send browsers to or ask. */
function addresses({ origin, basePath, routes, requestObjectBy }: Config): ClientMetadata {
  return {
    ...(origin.startsWith('https:') ? logoutAddresses(origin + basePath, routes) : {}),
    ...(routes.initiateLogin === undefined ? {} : { initiate_login_uri: origin + basePath + routes.initiateLogin }),
    ...(requestObjectBy === 'reference' ? { request_uris: [origin + basePath + routes.requestObjects] } : {}),
  }
}

/** OIDC Back-Channel Logout 2.2, Front-Channel Logout 2. Providers refuse plain http there, and development has nothing else. */
function logoutAddresses(base: string, routes: Config['routes']): ClientMetadata {
  return {
    backchannel_logout_uri: base + routes.backchannelLogout,
    backchannel_logout_session_required: true,
    frontchannel_logout_uri: base + routes.frontchannelLogout,
    frontchannel_logout_session_required: true,
  }
}

/** By address, so that keys can change without a new registration; by value where no provider could fetch them. */
function keysOf(config: Config): ClientMetadata {
  if (config.clientKeys.length === 0) return {}
  if (config.origin.startsWith('https:')) return { jwks_uri: config.origin + config.basePath + config.routes.jwks }
  return { jwks: createClientKeys(config.clientKeys).publicJwks as NonNullable<ClientMetadata['jwks']> }
}
