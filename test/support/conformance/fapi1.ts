import assert from 'node:assert/strict'
import { createPublicKey } from 'node:crypto'
import { now } from '../strict-provider/context.ts'
import { encryptJwe } from '../strict-provider/jwe.ts'
import type { StrictProvider, StrictProviderOptions } from '../strict-provider/provider.ts'
import { withBrokenSignature, without } from './changes.ts'
import { type Change, finishes, named, stops } from './fapi-ends.ts'
import { fapiIdTokenModules, idTokens } from './fapi-id-token.ts'
import { describePlan, type ModuleSettings, type Modules, type VariantSettings } from './suite.ts'

/** What is chosen for the FAPI 1.0 plan, by the suite's names. */
export interface Fapi1Variant {
  readonly fapi_profile: 'plain_fapi'
  readonly fapi_client_type: 'oidc'
  readonly client_auth_type: 'private_key_jwt' | 'mtls'
  readonly fapi_auth_request_method: 'by_value' | 'pushed'
  readonly fapi_response_mode: 'jarm'
}

const SIGNED = { requestObjectSigningAlg: 'PS256', authorizationSignedResponseAlg: 'PS256' }

/** The suite's provider, and an app: signed requests, signed answers, and tokens that are bound to a certificate. */
function settingsFor(variant: Fapi1Variant): VariantSettings {
  const isPushed = variant.fapi_auth_request_method === 'pushed'
  const provider: StrictProviderOptions = {
    issuerPath: '/test/a/express-oidc/',
    clientId: 'client_aBc123:%+~',
    issParameter: 'absent',
    revocation: 'absent',
    idToken: 'thin',
    fapiKeys: true,
    tokenEndpointAuthMethod: variant.client_auth_type === 'mtls' ? 'tls_client_auth' : 'private_key_jwt',
    tlsClientCertificateBoundAccessTokens: true,
    alg: 'PS256',
    ...SIGNED,
    ...(isPushed ? { pushed: 'required' } : {}),
  }
  const options = {
    ...({ responseMode: 'jwt', userinfo: true, idTokenSignedResponseAlg: 'PS256' } as const),
    ...SIGNED,
    ...(isPushed ? { requirePushedAuthorizationRequests: true } : {}),
  }
  return { provider, app: { options } }
}

/** A second client, which is registered for encrypted tokens. */
const encrypted: ModuleSettings<Fapi1Variant> = { provider: { idTokenEncryptedResponseAlg: 'RSA-OAEP' } }

/** The padding that has leaked so many keys, to the very key that is good for the other one. */
function byRsa15({ change, clientKeys }: StrictProvider): void {
  const jwk = clientKeys.find(({ use, kty }) => use === 'enc' && kty === 'RSA')
  assert.ok(jwk)
  const key = createPublicKey({ key: jwk, format: 'jwk' })
  const header = { kid: jwk['kid'], cty: 'JWT' }
  change.encryptedIdToken = (_good, signed) => encryptJwe(signed, { alg: 'RSA1_5', enc: 'A128CBC-HS256', key, header })
}

const weekAgo: Change = idTokens({ claims: (good) => ({ ...good, iat: now() - 7 * 86_400 }) })

function withoutScope({ change }: StrictProvider): void {
  change.tokenResponse = without('scope')
}

const MODULES: Modules<Fapi1Variant> = {
  ...fapiIdTokenModules<Fapi1Variant>(),
  'encrypted-idtoken': finishes(undefined, { settings: encrypted }),
  'encrypted-idtoken-usingrsa15': stops(byRsa15, 'ERR_OIDC_ID_TOKEN_ENCRYPTION_ALG', 'resource', encrypted),
  'invalid-signature': stops(idTokens({ jwt: withBrokenSignature }), 'ERR_OIDC_ID_TOKEN_SIGNATURE'),
  'iat-is-week-in-past': stops(weekAgo, 'ERR_OIDC_ID_TOKEN_ISSUED_AT'),
  'no-scope-in-token-endpoint-response': finishes(withoutScope),
  'missing-athash': finishes(idTokens({ claims: without('at_hash') })),
}

/** The modules of the FAPI 1.0 Advanced plan with JARM, by their names. */
export const FAPI1_MODULES: Modules<Fapi1Variant> = {
  'fapi1-advanced-final-client-test': finishes(),
  ...named('fapi1-advanced-final-client-test-', MODULES),
}

/** The FAPI 1.0 Advanced plan. What its variant leaves open is as usual as can be. */
export function describeFapi1Plan(plan: string, variant: Partial<Fapi1Variant>, names: readonly string[]): void {
  const usual: Fapi1Variant = {
    fapi_profile: 'plain_fapi',
    fapi_client_type: 'oidc',
    client_auth_type: 'private_key_jwt',
    fapi_auth_request_method: 'by_value',
    fapi_response_mode: 'jarm',
  }
  describePlan(plan, { ...usual, ...variant }, names, { modules: FAPI1_MODULES, settingsFor })
}
