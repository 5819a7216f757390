import type { ServerResponse } from 'node:http'
import { type Endpoint, type JsonObject, type StrictContext, sendChanged } from './context.ts'
import type { EndpointUrls } from './endpoints.ts'
import { ASYMMETRIC_ALGS, SYMMETRIC_ALGS } from './jws.ts'

/** OIDC Discovery 4.2. */
export function answerDiscovery(context: StrictContext, res: ServerResponse): void {
  sendChanged(res, metadata(context), context.change.discovery)
}

/** RFC 7517 5: one key is of a kind that nobody here signs with, and those for encryption are there to be passed over. */
export function answerJwks(context: StrictContext, res: ServerResponse): void {
  const { encryptionKeys, fapiKeys } = context
  const forEncryption = Object.values(encryptionKeys ?? {}).map(({ jwk }) => jwk)
  const forSigning = fapiKeys ? fapiJwks(context) : signingJwks(context)
  sendChanged(res, { keys: [...forSigning, ...forEncryption] }, context.change.jwks)
}

/** Every key has a `kid`, none an `alg`. */
function signingJwks({ keys, secondKeys }: StrictContext): readonly JsonObject[] {
  const second = Object.values(secondKeys ?? {}).map(({ jwk }) => jwk)
  const jwks = Object.values(keys).map(({ jwk }) => jwk)
  return [...jwks.slice(-1), ...second, ...jwks.slice(0, -1)].map((jwk) => ({ ...jwk }))
}

/** As the conformance suite has it for FAPI 2: keys for other algorithms under the very `kid` of the one that signs. */
function fapiJwks({ keys, secondKeys }: StrictContext): readonly JsonObject[] {
  const { rsa, p256, ed25519 } = keys
  const { kid } = rsa
  return [
    { ...p256.jwk, kid, alg: 'ES256' },
    { ...ed25519.jwk, kid, alg: 'EdDSA' },
    ...(secondKeys ? [{ ...secondKeys.rsa.jwk, alg: 'PS256' }] : []),
    { ...rsa.jwk, kid, alg: 'PS256' },
  ]
}

/** In odd orders: the words of a response type have none. */
const RESPONSE_TYPES = [
  ...['code', 'id_token', 'token id_token'],
  ...['id_token code', 'token code', 'token code id_token'],
]

const ENCRYPTION_ALGS = [
  ...['RSA-OAEP', 'RSA-OAEP-256', 'RSA-OAEP-384', 'RSA-OAEP-512', 'dir'],
  ...['ECDH-ES', 'ECDH-ES+A128KW', 'ECDH-ES+A192KW', 'ECDH-ES+A256KW'],
  ...['A128KW', 'A192KW', 'A256KW', 'A128GCMKW', 'A192GCMKW', 'A256GCMKW'],
]

const ALL_ALGS = [...ASYMMETRIC_ALGS, ...SYMMETRIC_ALGS]

const CONTENT_ENCRYPTIONS = [
  ...['A128GCM', 'A192GCM', 'A256GCM'],
  ...['A128CBC-HS256', 'A192CBC-HS384', 'A256CBC-HS512'],
]

function metadata(context: StrictContext): JsonObject {
  const { issuer, endpointUrls, issParameter, profile } = context
  return {
    issuer,
    authorization_endpoint: endpointUrls['/authorize'],
    token_endpoint: endpointUrls['/token'],
    userinfo_endpoint: endpointUrls['/userinfo'],
    jwks_uri: endpointUrls['/jwks'],
    end_session_endpoint: endpointUrls['/logout'],
    response_types_supported: profile === undefined ? RESPONSE_TYPES : ['code'],
    response_modes_supported: [
      ...['query', 'fragment', 'form_post'],
      ...['jwt', 'query.jwt', 'fragment.jwt', 'form_post.jwt'],
    ],
    grant_types_supported: ['authorization_code', 'refresh_token', 'implicit'],
    subject_types_supported: ['public'],
    code_challenge_methods_supported: ['S256'],
    scopes_supported: ['openid', 'profile', 'email', 'address', 'phone', 'groups', 'offline_access'],
    acr_values_supported: ['urn:example:pwd', 'urn:example:mfa'],
    claims_parameter_supported: true,
    claim_types_supported: ['normal', 'aggregated', 'distributed'],
    ...algorithms(context),
    ...clientAuthentication(context),
    ...optionalEndpoints(context),
    ...(issParameter === 'announced' ? { authorization_response_iss_parameter_supported: true } : {}),
    ...(context.dpop === 'absent' ? {} : { dpop_signing_alg_values_supported: ASYMMETRIC_ALGS }),
  }
}

function algorithms({ encryptionKeys, profile }: StrictContext): JsonObject {
  // FAPI 2.0 Security Profile 5.4.1.
  const ofProfile = ['PS256', 'ES256', 'EdDSA']
  const signing = profile === undefined ? ['RS256', ...ofProfile, 'HS256'] : ofProfile
  const encrypted = (name: string): JsonObject => ({
    [`${name}_encryption_alg_values_supported`]: ENCRYPTION_ALGS,
    [`${name}_encryption_enc_values_supported`]: CONTENT_ENCRYPTIONS,
  })
  return {
    id_token_signing_alg_values_supported: signing,
    authorization_signing_alg_values_supported: signing,
    userinfo_signing_alg_values_supported: signing,
    request_object_signing_alg_values_supported: profile === undefined ? [...ALL_ALGS, 'none'] : ofProfile,
    request_parameter_supported: true,
    request_uri_parameter_supported: true,
    ...encrypted('id_token'),
    ...encrypted('userinfo'),
    ...encrypted('authorization'),
    ...(encryptionKeys ? encrypted('request_object') : {}),
  }
}

/** Of the one client, or, where any can register, all. */
function clientAuthentication({ clients, clientId, registration, mtlsEndpointUrls }: StrictContext): JsonObject {
  const known = clients.get(clientId)?.tokenEndpointAuthMethod
  const withoutTls = ['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'none']
  const methods = registration === 'absent' ? [known] : withoutTls
  return {
    token_endpoint_auth_methods_supported: methods,
    ...(methods.some((method) => method?.endsWith('_jwt'))
      ? { token_endpoint_auth_signing_alg_values_supported: ALL_ALGS }
      : {}),
    ...(mtlsEndpointUrls ? { tls_client_certificate_bound_access_tokens: true } : {}),
  }
}

function optionalEndpoints(context: StrictContext): JsonObject {
  const { endpointUrls, mtlsEndpointUrls: aliases, pushed, registration, revocation, sessionManagement } = context
  const offered: Record<string, Endpoint> = {
    ...(pushed === 'absent' ? {} : { pushed_authorization_request_endpoint: '/par' }),
    ...(registration === 'absent' ? {} : { registration_endpoint: '/register' }),
    ...(revocation === 'absent' ? {} : { revocation_endpoint: '/revoke' }),
    ...(sessionManagement === 'absent' ? {} : { check_session_iframe: '/check-session' }),
  }
  const underTls: Record<string, Endpoint> = { token_endpoint: '/token', userinfo_endpoint: '/userinfo', ...offered }
  return {
    ...addresses(endpointUrls, offered),
    ...(pushed === 'required' ? { require_pushed_authorization_requests: true } : {}),
    // RFC 8705 5.
    ...(aliases ? { mtls_endpoint_aliases: addresses(aliases, underTls) } : {}),
  }
}

function addresses(urls: Partial<EndpointUrls>, names: Readonly<Record<string, Endpoint>>): JsonObject {
  return Object.fromEntries(Object.entries(names).map(([name, endpoint]) => [name, urls[endpoint]]))
}
