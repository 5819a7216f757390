import type { ClientMetadata } from '../client-metadata.ts'

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
