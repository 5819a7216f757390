import type { JsonWebKey } from 'node:crypto'
import { createSigningKeys, type SigningKey } from '../app/signing-keys.ts'
import type { GlewlwydAdmin } from './glewlwyd-admin.ts'

/** The scopes that can be asked for, beside `openid`. */
const SCOPES = ['profile', 'email', 'offline_access']

/** Who can log in. `eve` may use nothing that wants `openid`. */
export const GLEWLWYD_USERS = {
  ada: {
    password: 'the password of ada',
    name: 'Ada Lovelace',
    email: 'ada@example.test',
    scope: ['openid', ...SCOPES],
  },
  eve: { password: 'the password of eve', name: 'Eve', email: 'eve@example.test', scope: ['profile'] },
} as const

/** What clients may have that a new database knows nothing of. */
const CLIENT_PROPERTIES = {
  sign_kid: { multiple: false },
  post_logout_redirect_uris: { multiple: true },
  backchannel_logout_uri: { multiple: false },
  frontchannel_logout_uri: { multiple: false },
  authorization_signed_response_alg: { multiple: false },
  authorization_encrypted_response_alg: { multiple: false },
  authorization_encrypted_response_enc: { multiple: false },
}

/** Makes two issuers, a user, and what they need. */
export async function configureGlewlwyd(
  admin: GlewlwydAdmin,
  origin: string,
): Promise<{ readonly issuer: string; readonly plainIssuer: string }> {
  const [issuer, plainIssuer] = [`${origin}/api/oidc`, `${origin}/api/plain`]
  const jwks = await createPrivateJwks()
  for (const scope of SCOPES) await admin.addScope(scope)
  for (const [username, user] of Object.entries(GLEWLWYD_USERS)) await admin.addUser({ username, ...user })
  await admin.addClientProperties(CLIENT_PROPERTIES)
  await admin.addPlugin('oidc', 'oidc', pluginParameters(issuer, jwks, { 'oauth-as-iss-id': true }))
  await admin.addPlugin('oidc', 'plain', pluginParameters(plainIssuer, jwks, { 'oauth-as-iss-id': false }))
  return { issuer, plainIssuer }
}

async function createPrivateJwks(): Promise<readonly JsonWebKey[]> {
  const { rsa, p256 } = createSigningKeys()
  return [privateJwk(rsa, 'rs256', 'RS256'), privateJwk(p256, 'es256', 'ES256')]
}

function privateJwk({ privateKey }: SigningKey, kid: string, alg: string): JsonWebKey {
  return { ...privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig' }
}

/** Everything that a client may want; each client says what it does want. */
function pluginParameters(iss: string, keys: readonly JsonWebKey[], own: object): Readonly<Record<string, unknown>> {
  return {
    iss,
    'jwks-private': JSON.stringify({ keys }),
    'default-kid': 'rs256',
    'client-sign_kid-parameter': 'sign_kid',
    'subject-type': 'public',
    'access-token-duration': 3600,
    'refresh-token-duration': 1209600,
    'code-duration': 600,
    'refresh-token-rolling': true,
    'refresh-token-one-use': 'never',
    'auth-type-code-enabled': true,
    'auth-type-code-revoke-replayed': true,
    'auth-type-token-enabled': true,
    'auth-type-refresh-enabled': true,
    'jwks-show': true,
    'allowed-scope': ['openid', ...SCOPES],
    'name-claim': 'on-demand',
    'name-claim-scope': ['profile'],
    'email-claim': 'on-demand',
    'email-claim-scope': ['email'],
    'pkce-allowed': true,
    'pkce-required': true,
    'request-parameter-allow': true,
    'request-parameter-allow-encrypted': true,
    'request-maximum-exp': 3600,
    'client-jwks-parameter': 'jwks',
    'client-jwks_uri-parameter': 'jwks_uri',
    'encrypt-out-token-allow': true,
    'client-enc-parameter': 'enc',
    'client-alg-parameter': 'alg',
    'client-alg_kid-parameter': 'alg_kid',
    'client-encrypt_id_token-parameter': 'encrypt_id_token',
    'client-encrypt_userinfo-parameter': 'encrypt_userinfo',
    'session-management-allowed': true,
    'session-cookie-name': 'GLEWLWYD2_OIDC_SID',
    'session-cookie-expiration': 2419200,
    'front-channel-logout-allowed': true,
    'back-channel-logout-allowed': true,
    'oauth-dpop-allowed': true,
    'oauth-dpop-iat-duration': 60,
    'oauth-par-allowed': true,
    'oauth-par-duration': 90,
    'oauth-par-request_uri-prefix': 'urn:ietf:params:oauth:request_uri:',
    'oauth-fapi-allow-jarm': true,
    'introspection-revocation-allowed': true,
    'introspection-revocation-allow-target-client': true,
    'register-client-allowed': true,
    'register-client-auth-scope': [],
    'register-client-management-allowed': true,
    ...own,
  }
}
