import { createClientKeys } from '../jose/client-keys.ts'
import type { Config } from '../options/config.ts'
import type { ClientChanges, ClientMetadata } from '../options/registration-options.ts'

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

/** Members of a JWK that only its owner may know (RFC 7518 6.2.2, 6.3.2, 6.4). */
const PRIVATE_MEMBERS: readonly string[] = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/**
 * What contradicts itself in the metadata of a client, or must never leave: one sentence for each fault. Everything else
 * is for the provider to judge, which may know members and values that are not known here.
 */
export function findMetadataFaults(metadata: ClientMetadata): readonly string[] {
  const { jwks, jwks_uri: jwksUri, redirect_uris: redirectUris = [] } = metadata
  const faults: readonly (readonly [isFault: boolean, sentence: string])[] = [
    [jwks !== undefined && jwksUri !== undefined, 'jwks and jwks_uri must not both be there (RFC 7591 2).'],
    [hasPrivateKey(jwks), 'jwks must hold public keys only: one of them is private, or a secret.'],
    [redirectUris.some((uri) => uri.includes('#')), 'redirect_uris must have no fragment (RFC 6749 3.1.2).'],
    ...missingGrants(metadata).map(
      (grant) => [true, `grant_types must hold ${grant} for these response_types.`] as const,
    ),
  ]
  return faults.flatMap(([isFault, sentence]) => (isFault ? [sentence] : []))
}

/** OIDC Dynamic Client Registration 2: which grant each response type is obtained by. Absent: `code`, by its grant. */
function missingGrants({
  response_types: types = ['code'],
  grant_types: grants = ['authorization_code'],
}: ClientMetadata) {
  const words = types.flatMap((type) => type.split(' '))
  // Okta's `service` has the response type `token` although nothing comes through a browser.
  const isService = grants.includes('client_credentials') && types.every((type) => type === 'token')
  const needed = [
    ...(words.includes('code') ? ['authorization_code'] : []),
    ...(!isService && words.some((word) => word === 'token' || word === 'id_token') ? ['implicit'] : []),
  ]
  return needed.filter((grant) => !grants.includes(grant))
}

function hasPrivateKey(jwks: ClientMetadata['jwks']): boolean {
  const keys: unknown = jwks?.keys
  return Array.isArray(keys) && keys.some((key) => PRIVATE_MEMBERS.some((member) => Object.hasOwn(Object(key), member)))
}

/**
 * What Okta is known to refuse or to change, and what is registered without use: advice, one sentence each. None of it
 * stops a registration.
 */
export function adviseOnClient(metadata: ClientMetadata): readonly string[] {
  const { application_type: type = 'web', token_endpoint_auth_method: method } = metadata
  const { response_types: types = ['code'], grant_types: grants = ['authorization_code'] } = metadata
  const words = types.flatMap((responseType) => responseType.split(' '))
  const isFrontChannel = words.some((word) => word === 'token' || word === 'id_token')
  const advice: readonly (readonly [fits: boolean, sentence: string])[] = [
    [metadata.client_name === undefined, 'client_name is missing: Okta demands it.'],
    [grants.includes('implicit') && !isFrontChannel, 'grant_types holds implicit, which no response type needs.'],
    [
      grants.includes('authorization_code') && !words.includes('code'),
      'grant_types holds authorization_code, which no response type needs.',
    ],
    [
      type === 'web' && !grants.includes('authorization_code'),
      'grant_types lacks authorization_code, which Okta demands for the application_type web.',
    ],
    [
      ['browser', 'native'].includes(type) && method !== 'none',
      `token_endpoint_auth_method is not none, as it is usual for the application_type ${type}.`,
    ],
    [
      type === 'service' && grants.join() !== 'client_credentials',
      'grant_types must be client_credentials alone for the application_type service of Okta.',
    ],
  ]
  return advice.flatMap(([fits, sentence]) => (fits ? [sentence] : []))
}
