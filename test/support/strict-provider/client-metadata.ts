import type { TokenEndpointAuthMethod } from './client.ts'
import { readClientKeys } from './client-documents.ts'
import type { Demand, JsonObject, StrictContext, StrictRequest } from './context.ts'

const AUTH_METHODS: readonly TokenEndpointAuthMethod[] = [
  ...(['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt'] as const),
  ...(['tls_client_auth', 'self_signed_tls_client_auth', 'none'] as const),
]

/** What the provider alone decides (RFC 7591 3.2.1, RFC 7592 3). */
const OF_THE_PROVIDER = [
  ...['client_secret_expires_at', 'client_id_issued_at'],
  ...['registration_access_token', 'registration_client_uri'],
]

/** What is so where nothing is said (OIDC Registration 2). */
export const METADATA_DEFAULTS: JsonObject = {
  application_type: 'web',
  response_types: ['code'],
  grant_types: ['authorization_code'],
  token_endpoint_auth_method: 'client_secret_basic',
  id_token_signed_response_alg: 'RS256',
}

/** The metadata that a client sends; nothing where it is no JSON. */
export function readMetadata({ body }: StrictRequest): JsonObject {
  try {
    return Object(JSON.parse(body))
  } catch {
    return {}
  }
}

/** OIDC Registration 2 and 3.1, RFC 7591 2. */
export function metadataDemands(
  context: StrictContext,
  request: StrictRequest,
  metadata: JsonObject,
): readonly Demand[] {
  const type = request.headers['content-type'] ?? ''
  const { redirect_uris: uris, token_endpoint_auth_method: method, jwks, jwks_uri: jwksUri } = metadata
  const known: readonly unknown[] = AUTH_METHODS
  const published = jwks === undefined ? undefined : readClientKeys(context, '/register', jwks).keys.length
  const hasKeys = jwksUri !== undefined || published !== undefined
  return [
    [!/^application\/json(;|$)/.test(type), 'invalid_request', 'the body is not JSON'],
    ...OF_THE_PROVIDER.map(
      (name): Demand => [
        Object.hasOwn(metadata, name),
        'invalid_client_metadata',
        `${name} is for the provider to give`,
      ],
    ),
    [!Array.isArray(uris) || uris.length === 0, 'invalid_redirect_uri', 'redirect_uris is no list'],
    [![uris].flat().every(isAbsolute), 'invalid_redirect_uri', 'redirect_uris has one with a fragment, or none at all'],
    [jwks !== undefined && jwksUri !== undefined, 'invalid_client_metadata', 'there are both jwks and jwks_uri'],
    [jwksUri !== undefined && !isAbsolute(jwksUri), 'invalid_client_metadata', 'jwks_uri is no address'],
    [
      method !== undefined && !known.includes(method),
      'invalid_client_metadata',
      'token_endpoint_auth_method is not known',
    ],
    [published === 0, 'invalid_client_metadata', 'jwks has no public keys'],
    [method === 'private_key_jwt' && !hasKeys, 'invalid_client_metadata', 'there are no keys for private_key_jwt'],
    ...typeDemands(metadata),
  ]
}

function isAbsolute(uri: unknown): boolean {
  return typeof uri === 'string' && URL.canParse(uri) && !uri.includes('#')
}

/** OIDC Registration 2: which grant types each response type needs. */
function typeDemands(metadata: JsonObject): readonly Demand[] {
  const { response_types: responseTypes, grant_types: grantTypes } = { ...METADATA_DEFAULTS, ...metadata }
  const words = [responseTypes].flat().flatMap((type) => String(type).split(' '))
  const has = (grantType: string): boolean => [grantTypes].flat().includes(grantType)
  const isImplicit = words.includes('token') || words.includes('id_token')
  return [
    [words.includes('code') && !has('authorization_code'), 'invalid_client_metadata', 'code needs authorization_code'],
    [isImplicit && !has('implicit'), 'invalid_client_metadata', 'tokens by the browser need the grant type implicit'],
  ]
}

/** Whoever shares a secret with the provider. */
export function needsSecret(metadata: JsonObject): boolean {
  const { token_endpoint_auth_method: method } = { ...METADATA_DEFAULTS, ...metadata }
  const algorithms = Object.entries(metadata).filter(([name]) => name.endsWith('_alg'))
  return String(method).startsWith('client_secret') || algorithms.some(([, alg]) => /^(HS|dir|A\d)/.test(String(alg)))
}
