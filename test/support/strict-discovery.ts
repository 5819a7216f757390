import type { ServerResponse } from 'node:http'
import { type JsonObject, type StrictContext, sendChanged } from './strict-context.ts'

/** OIDC Discovery 4.2. */
export function answerDiscovery(context: StrictContext, res: ServerResponse): void {
  sendChanged(res, metadata(context), context.change.discovery)
}

/** RFC 7517 5: every key has a `kid`, none an `alg`, and one is of a kind that nobody here signs with. */
export function answerJwks(context: StrictContext, res: ServerResponse): void {
  const keys = Object.values(context.keys).map(({ jwk }) => jwk)
  sendChanged(res, { keys: [...keys.slice(-1), ...keys.slice(0, -1)] }, context.change.jwks)
}

function metadata({ issuer, endpointUrls, tokenEndpointAuthMethod, issParameter }: StrictContext): JsonObject {
  return {
    issuer,
    authorization_endpoint: endpointUrls['/authorize'],
    token_endpoint: endpointUrls['/token'],
    userinfo_endpoint: endpointUrls['/userinfo'],
    jwks_uri: endpointUrls['/jwks'],
    end_session_endpoint: endpointUrls['/logout'],
    // In odd orders: the words of a response type have none.
    response_types_supported: [
      ...['code', 'id_token', 'token id_token'],
      ...['id_token code', 'token code', 'token code id_token'],
    ],
    response_modes_supported: [
      ...['query', 'fragment', 'form_post'],
      ...['jwt', 'query.jwt', 'fragment.jwt', 'form_post.jwt'],
    ],
    authorization_signing_alg_values_supported: ['RS256', 'PS256', 'ES256', 'EdDSA', 'HS256'],
    grant_types_supported: ['authorization_code', 'refresh_token', 'implicit'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256', 'PS256', 'ES256', 'EdDSA', 'HS256'],
    token_endpoint_auth_methods_supported: [tokenEndpointAuthMethod],
    code_challenge_methods_supported: ['S256'],
    scopes_supported: ['openid', 'profile', 'email', 'address', 'phone', 'groups', 'offline_access'],
    ...(issParameter === 'announced' ? { authorization_response_iss_parameter_supported: true } : {}),
  }
}
