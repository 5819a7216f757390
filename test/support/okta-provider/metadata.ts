import type { ServerResponse } from 'node:http'
import { sendText } from '../servers/http-server.ts'
import { sendOAuthError, sendOktaError } from './answers.ts'
import { endpointAt, issuerAt, type OktaContext, type OktaRequest, serverOf } from './context.ts'
import type { IssuerMode, JsonObject, OktaServer } from './directory.ts'

/**
 * Where each kind of server has its documents. There is no `/.well-known/openid-configuration/oauth2/{id}`, and the
 * document for OAuth is at two addresses.
 */
const DOCUMENTS = [
  [/^\/\.well-known\/openid-configuration$/, 'discovery'],
  [/^\/oauth2\/(?<id>[^/]+)\/\.well-known\/openid-configuration$/, 'discovery'],
  [/^\/\.well-known\/oauth-authorization-server$/, 'oauth-discovery'],
  [/^\/oauth2\/(?<id>[^/]+)\/\.well-known\/oauth-authorization-server$/, 'oauth-discovery'],
  [/^\/\.well-known\/oauth-authorization-server\/oauth2\/(?<id>[^/]+)$/, 'oauth-discovery'],
] as const

/** The document at a path, if there is one. */
export function findDocument(
  path: string,
): { readonly endpoint: 'discovery' | 'oauth-discovery'; readonly serverId: string } | undefined {
  for (const [pattern, endpoint] of DOCUMENTS) {
    const match = pattern.exec(path)
    if (match) return { endpoint, serverId: match.groups?.['id'] ?? 'org' }
  }
  return undefined
}

/** Whether there is such a server; if not, that is the answer. */
export function isServer(context: OktaContext, { serverId }: OktaRequest, res: ServerResponse): boolean {
  if (serverId !== 'org' && context.license === 'unlicensed') {
    sendOktaError(res, 401, 'E0000015', 'You do not have permission to access the feature you are requesting')
    return false
  }
  if (context.servers.has(serverId)) return true
  sendOktaError(res, 404, 'E0000007', `Not found: Resource not found: ${serverId} (AuthorizationServer)`)
  return false
}

/** The domain in `iss`. */
export function issuerOrigin(context: OktaContext, mode: IssuerMode, askedAt: string): string {
  return { ORG_URL: context.orgOrigin, CUSTOM_URL: context.customOrigin, DYNAMIC: askedAt }[mode]
}

/** `?client_id=` brings the issuer that this client's tokens have, and its keys; an unknown client is an error. */
export function answerMetadata(context: OktaContext, request: OktaRequest, res: ServerResponse): void {
  const server = serverOf(context, request)
  const clientId = request.query.get('client_id')
  const client = context.clients.get(clientId ?? '')
  if (clientId !== null && client === undefined) {
    sendOAuthError(res, 400, 'invalid_client', "Invalid value for 'client_id' parameter.")
    return
  }
  const mode = server.id === 'org' ? (client?.issuer_mode ?? 'DYNAMIC') : server.issuerMode
  const origin = issuerOrigin(context, mode, request.url.origin)
  const keysQuery = client?.pinned_keys === undefined ? '' : `?client_id=${client.client_id}`
  const metadata = metadataOf(context, server, origin, keysQuery)
  const json = request.endpoint === 'discovery' ? metadata : withoutOpenId(metadata)
  res.setHeader('Cache-Control', 'max-age=86400, must-revalidate')
  sendText(res, 200, 'application/json', JSON.stringify(context.change.metadata?.(json) ?? json))
}

/** RFC 8414 2 knows nothing of UserInfo and ID Tokens. */
function withoutOpenId(metadata: JsonObject): JsonObject {
  const isOfOpenId = /^(userinfo_endpoint|id_token_.*|subject_types_supported|claims_supported)$/
  return Object.fromEntries(Object.entries(metadata).filter(([name]) => !isOfOpenId.test(name)))
}

/**
 * As published in 2026, with all that is missing: no `iss` in answers, nothing of `request_uri`, no session management, no
 * CIBA, no scopes and claims of the server's own. What is announced and of no use is there too.
 */
function metadataOf(context: OktaContext, { id }: OktaServer, origin: string, keysQuery: string): JsonObject {
  const at = (name: string): string => endpointAt(origin, id, name)
  return {
    issuer: issuerAt(origin, id),
    authorization_endpoint: at('authorize'),
    token_endpoint: at('token'),
    userinfo_endpoint: at('userinfo'),
    // Of the organisation, whatever the server.
    registration_endpoint: endpointAt(context.orgOrigin, 'org', 'clients'),
    jwks_uri: at('keys') + keysQuery,
    ...SUPPORTED,
    scopes_supported: [...STANDARD_SCOPES, ...(id === 'org' ? ['groups'] : [])],
    introspection_endpoint: at('introspect'),
    revocation_endpoint: at('revoke'),
    end_session_endpoint: at('logout'),
    pushed_authorization_request_endpoint: at('par'),
    device_authorization_endpoint: at('device/authorize'),
  }
}

export const STANDARD_SCOPES = [
  ...['openid', 'profile', 'email', 'address', 'phone', 'offline_access'],
  ...['device_sso', 'interclient_access'],
] as const

const AUTH_METHODS = ['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'none']
const ASYMMETRIC = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512']

const SUPPORTED = {
  response_types_supported: [
    ...['code', 'id_token', 'code id_token', 'code token', 'id_token token', 'code id_token token'],
  ],
  response_modes_supported: ['query', 'fragment', 'form_post', 'okta_post_message'],
  grant_types_supported: [
    ...['authorization_code', 'implicit', 'refresh_token', 'password'],
    ...['urn:ietf:params:oauth:grant-type:device_code', 'urn:openid:params:grant-type:ciba'],
    ...['urn:okta:params:oauth:grant-type:otp', 'http://auth0.com/oauth/grant-type/mfa-otp'],
  ],
  subject_types_supported: ['public'],
  id_token_signing_alg_values_supported: ['RS256'],
  id_token_encryption_alg_values_supported: ['RSA-OAEP-256', 'RSA-OAEP-384', 'RSA-OAEP-512'],
  id_token_encryption_enc_values_supported: ['A256GCM'],
  token_endpoint_auth_methods_supported: AUTH_METHODS,
  introspection_endpoint_auth_methods_supported: AUTH_METHODS,
  revocation_endpoint_auth_methods_supported: AUTH_METHODS,
  code_challenge_methods_supported: ['S256'],
  request_parameter_supported: true,
  request_object_signing_alg_values_supported: ['HS256', 'HS384', 'HS512', ...ASYMMETRIC],
  backchannel_token_delivery_modes_supported: ['poll'],
  dpop_signing_alg_values_supported: ASYMMETRIC,
  claims_supported: [
    ...['iss', 'ver', 'sub', 'aud', 'iat', 'exp', 'jti', 'auth_time', 'amr', 'idp', 'nonce', 'name', 'nickname'],
    ...['preferred_username', 'given_name', 'middle_name', 'family_name', 'email', 'email_verified', 'profile'],
    ...['zoneinfo', 'locale', 'address', 'phone_number', 'picture', 'website', 'gender', 'birthdate', 'updated_at'],
    ...['at_hash', 'c_hash'],
  ],
} as const

/** One to three keys in no order, without `x5c`; those of a client whose keys are pinned are another set. */
export function answerKeys(context: OktaContext, request: OktaRequest, res: ServerResponse): void {
  const server = serverOf(context, request)
  const pinned = context.clients.get(request.query.get('client_id') ?? '')?.pinned_keys
  const keys = (pinned ?? server.keys).map(({ jwk }) => ({ ...jwk, alg: 'RS256' }))
  res.setHeader('Cache-Control', `max-age=${server.keysMaxAge}, must-revalidate`)
  // The one that signs comes last.
  sendText(res, 200, 'application/json', JSON.stringify({ keys: [...keys.slice(1), ...keys.slice(0, 1)] }))
}
