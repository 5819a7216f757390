import { RESPONSE_TYPES } from '../../../lib/options/response-type.ts'
import type { ResponseType } from '../../../lib/types.ts'
import type { Fapi2Variant } from './fapi2-variant.ts'
import type { Variant } from './variant.ts'

// The modules of the OpenID Foundation's plans for relying parties, by their names (release-v5.2.3 and 84 commits).

/** Asked of every response type. */
const OF_EVERY_TYPE = [
  'oidcc-client-test',
  'oidcc-client-test-invalid-iss',
  'oidcc-client-test-missing-sub',
  'oidcc-client-test-invalid-aud',
  'oidcc-client-test-missing-iat',
  'oidcc-client-test-kid-absent-single-jwks',
  'oidcc-client-test-kid-absent-multiple-jwks',
  'oidcc-client-test-idtoken-sig-rs256',
  'oidcc-client-test-invalid-sig-rs256',
  'oidcc-client-test-nonce-invalid',
  'oidcc-client-test-scope-userinfo-claims',
] as const

/** Asked of some, each with what it is asked of. */
const OF_SOME_TYPES: readonly (readonly [name: string, types: readonly ResponseType[]])[] = [
  ['oidcc-client-test-idtoken-sig-none', ['code']],
  ['oidcc-client-test-userinfo-invalid-sub', RESPONSE_TYPES.filter((type) => type !== 'id_token')],
  ['oidcc-client-test-nonce-unless-code-flow', RESPONSE_TYPES.filter((type) => type !== 'code')],
  ['oidcc-client-test-client-secret-basic', ['code', 'code id_token', 'code token', 'code id_token token']],
  ['oidcc-client-test-invalid-chash', ['code id_token', 'code id_token token']],
  ['oidcc-client-test-missing-chash', ['code id_token', 'code id_token token']],
  ['oidcc-client-test-invalid-athash', ['id_token token', 'code id_token token']],
  ['oidcc-client-test-missing-athash', ['id_token token', 'code id_token token']],
]

/** What the Basic, Implicit and Hybrid plans, and those with `form_post`, have for a response type. */
export function modulesOfType(responseType: ResponseType): readonly string[] {
  const more = OF_SOME_TYPES.filter(([, types]) => types.includes(responseType)).map(([name]) => name)
  return [...OF_EVERY_TYPE, ...more]
}

const OF_DISCOVERY = [
  'oidcc-client-test-discovery-openid-config',
  'oidcc-client-test-discovery-jwks-uri-keys',
  'oidcc-client-test-discovery-issuer-mismatch',
  'oidcc-client-test-signing-key-rotation-just-before-signing',
  'oidcc-client-test-signing-key-rotation',
] as const

/** Of the Config plan. */
export const CONFIG_MODULES: readonly string[] = ['oidcc-client-test-idtoken-sig-none', ...OF_DISCOVERY]

/** Of the Dynamic plan. */
export const DYNAMIC_MODULES: readonly string[] = [
  ...CONFIG_MODULES,
  'oidcc-client-test-discovery-webfinger-acct',
  'oidcc-client-test-discovery-webfinger-url',
  'oidcc-client-test-dynamic-registration',
  'oidcc-client-test-request-uri-signed-rs256',
  'oidcc-client-test-request-uri-signed-none',
  'oidcc-client-test-userinfo-signed',
]

/** Of the comprehensive plan alone. */
const OF_NO_OTHER_PLAN = [
  'oidcc-client-test-missing-aud',
  'oidcc-client-test-invalid-sig-hs256',
  'oidcc-client-test-invalid-sig-es256',
  'oidcc-client-test-form-post-error',
  'oidcc-client-test-userinfo-bearer-header',
  'oidcc-client-test-userinfo-bearer-body',
  'oidcc-client-test-aggregated-claims',
  'oidcc-client-test-distributed-claims',
  'oidcc-client-test-mtls-endpoint-aliases',
] as const

/** Of the comprehensive plan: those of all other plans, and its own. */
export const COMPREHENSIVE_MODULES: readonly string[] = [
  ...new Set([...RESPONSE_TYPES.flatMap(modulesOfType), ...DYNAMIC_MODULES, ...OF_NO_OTHER_PLAN]),
]

/** Those of the comprehensive plan that are for some variants alone, the response types aside. */
const OF_SOME_VARIANTS: Readonly<Record<string, (variant: Variant) => boolean>> = {
  'oidcc-client-test-dynamic-registration': (variant) => variant.client_registration === 'dynamic_client',
  'oidcc-client-test-request-uri-signed-rs256': (variant) => variant.request_type === 'request_uri',
  'oidcc-client-test-request-uri-signed-none': (variant) => variant.request_type === 'request_uri',
  'oidcc-client-test-userinfo-signed': (variant) => variant.response_type !== 'id_token',
  'oidcc-client-test-invalid-sig-hs256': (variant) => variant.client_auth_type.startsWith('client_secret'),
  'oidcc-client-test-form-post-error': (variant) => variant.response_mode === 'form_post',
  'oidcc-client-test-mtls-endpoint-aliases': (variant) => variant.client_auth_type.endsWith('tls_client_auth'),
}

/** Whether the comprehensive plan has a module in this variant. */
export function applicableTo(variant: Variant, name: string): boolean {
  const types = OF_SOME_TYPES.find(([some]) => some === name)?.[1] ?? RESPONSE_TYPES
  return types.includes(variant.response_type) && OF_SOME_VARIANTS[name]?.(variant) !== false
}

/** Of the plan for logins that begin elsewhere. */
export const INITIATE_LOGIN_MODULES: readonly string[] = ['oidcc-client-test-3rd-party-init-login']

/** Of the plan for refresh tokens. */
export const REFRESH_MODULES: readonly string[] = [
  'oidcc-client-test-refresh-token',
  'oidcc-client-test-refresh-token-invalid-issuer',
  'oidcc-client-test-refresh-token-invalid-sub',
]

/** Of the plans for session management, for each response type. */
export const SESSION_MANAGEMENT_MODULES: readonly string[] = ['oidcc-client-test-session-management']

/** Only where access tokens are bound by DPoP. */
const FAPI2_DPOP_MODULES: readonly string[] = [
  'fapi2-security-profile-final-client-test-happy-path-no-dpop-nonce',
  'fapi2-security-profile-final-client-test-rs-dpop-auth-scheme-case-insensitivity',
]

/** Only where the answer is plain: with JARM, another `iss` does what these look at. */
const FAPI2_PLAIN_RESPONSE_MODULES: readonly string[] = [
  'fapi2-security-profile-final-client-test-invalid-authorization-response-iss',
  'fapi2-security-profile-final-client-test-remove-authorization-response-iss',
]

/** Only in the profiles of countries. */
export const FAPI2_NATIONAL_MODULES: readonly string[] = [
  'fapi2-security-profile-final-client-test-invalid-openbanking-intent-id',
  'fapi2-security-profile-final-client-refresh-token-test',
]

/** Of the plan for the FAPI 2.0 Security Profile. */
export const FAPI2_SECURITY_PROFILE_MODULES: readonly string[] = [
  'fapi2-security-profile-final-client-test-happy-path',
  'fapi2-security-profile-final-client-test-discovery-issuer-mismatch',
  'fapi2-security-profile-final-client-test-invalid-iss',
  'fapi2-security-profile-final-client-test-invalid-aud',
  'fapi2-security-profile-final-client-test-invalid-secondary-aud',
  'fapi2-security-profile-final-client-test-invalid-null-alg',
  'fapi2-security-profile-final-client-test-invalid-alternate-alg',
  'fapi2-security-profile-final-client-test-invalid-expired-exp',
  'fapi2-security-profile-final-client-test-invalid-missing-exp',
  'fapi2-security-profile-final-client-test-invalid-missing-aud',
  'fapi2-security-profile-final-client-test-invalid-missing-iss',
  'fapi2-security-profile-final-client-test-valid-aud-as-array',
  'fapi2-security-profile-final-client-test-invalid-nonce',
  'fapi2-security-profile-final-client-test-invalid-missing-nonce',
  'fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-state-fails',
  'fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-missing-state-fails',
  'fapi2-security-profile-final-client-test-token-endpoint-response-without-expires_in',
  'fapi2-security-profile-final-client-test-token-type-case-insensitivity',
  ...FAPI2_DPOP_MODULES,
  ...FAPI2_PLAIN_RESPONSE_MODULES,
  ...FAPI2_NATIONAL_MODULES,
]

/** Only where the answer is a JWT. */
const FAPI2_JARM_MODULES: readonly string[] = [
  'fapi2-security-profile-final-client-test-ensure-jarm-without-iss-fails',
  'fapi2-security-profile-final-client-test-ensure-jarm-with-invalid-iss-fails',
  'fapi2-security-profile-final-client-test-ensure-jarm-without-aud-fails',
  'fapi2-security-profile-final-client-test-ensure-jarm-with-invalid-aud-fails',
  'fapi2-security-profile-final-client-test-ensure-jarm-without-exp-fails',
  'fapi2-security-profile-final-client-test-ensure-jarm-with-expired-exp-fails',
  'fapi2-security-profile-final-client-test-ensure-jarm-with-invalid-sig-fails',
  'fapi2-security-profile-final-client-test-ensure-jarm-signature-is-not-none',
]

/** Of the plan for FAPI 2.0 Message Signing. */
export const FAPI2_MESSAGE_SIGNING_MODULES: readonly string[] = [
  ...FAPI2_SECURITY_PROFILE_MODULES,
  ...FAPI2_JARM_MODULES,
]

const FAPI2_OF_SOME: readonly (readonly [names: readonly string[], isFor: (variant: Fapi2Variant) => boolean])[] = [
  [FAPI2_DPOP_MODULES, (variant) => variant.sender_constrain === 'dpop'],
  [FAPI2_PLAIN_RESPONSE_MODULES, (variant) => variant.fapi_response_mode === 'plain_response'],
  [FAPI2_JARM_MODULES, (variant) => variant.fapi_response_mode === 'jarm'],
  [FAPI2_NATIONAL_MODULES.slice(0, 1), (variant) => variant.fapi_profile === 'openbanking_uk'],
  [FAPI2_NATIONAL_MODULES.slice(1), (variant) => variant.fapi_profile === 'openbanking_brazil'],
]

/** Whether a FAPI 2.0 plan has a module in this variant. */
export function applicableToFapi2(variant: Fapi2Variant, name: string): boolean {
  return FAPI2_OF_SOME.every(([names, isFor]) => !names.includes(name) || isFor(variant))
}

/** Only where the ID Token is a detached signature, and with it by the front channel: not with JARM. */
const FAPI1_DETACHED_MODULES: readonly string[] = [
  'fapi1-advanced-final-client-test-invalid-shash',
  'fapi1-advanced-final-client-test-invalid-chash',
  'fapi1-advanced-final-client-test-invalid-missing-shash',
]

/** Only in the profiles of countries. */
const FAPI1_NATIONAL_MODULES: readonly string[] = [
  'fapi1-advanced-final-client-test-invalid-openbanking-intent-id',
  'fapi1-advanced-final-client-refresh-token-test',
  'fapi1-advanced-final-client-brazildcr-happypath-test',
  'fapi1-advanced-final-client-test-payment-consent-response-valid-aud-as-array',
]

/** Of the plan for FAPI 1.0 Advanced with JARM and no country. */
export const FAPI1_JARM_MODULES: readonly string[] = [
  'fapi1-advanced-final-client-test',
  'fapi1-advanced-final-client-test-encrypted-idtoken',
  'fapi1-advanced-final-client-test-encrypted-idtoken-usingrsa15',
  'fapi1-advanced-final-client-test-discovery-issuer-mismatch',
  'fapi1-advanced-final-client-test-invalid-nonce',
  'fapi1-advanced-final-client-test-invalid-iss',
  'fapi1-advanced-final-client-test-invalid-aud',
  'fapi1-advanced-final-client-test-invalid-secondary-aud',
  'fapi1-advanced-final-client-test-invalid-signature',
  'fapi1-advanced-final-client-test-invalid-null-alg',
  'fapi1-advanced-final-client-test-invalid-alternate-alg',
  'fapi1-advanced-final-client-test-invalid-expired-exp',
  'fapi1-advanced-final-client-test-invalid-missing-exp',
  'fapi1-advanced-final-client-test-iat-is-week-in-past',
  'fapi1-advanced-final-client-test-invalid-missing-aud',
  'fapi1-advanced-final-client-test-invalid-missing-iss',
  'fapi1-advanced-final-client-test-invalid-missing-nonce',
  'fapi1-advanced-final-client-test-valid-aud-as-array',
  'fapi1-advanced-final-client-test-no-scope-in-token-endpoint-response',
  'fapi1-advanced-final-client-test-missing-athash',
]

/** Of the plan for FAPI 1.0 Advanced, those included that are not for us: of countries, or without JARM. */
export const FAPI1_ADVANCED_MODULES: readonly string[] = [
  ...FAPI1_JARM_MODULES,
  ...FAPI1_DETACHED_MODULES,
  ...FAPI1_NATIONAL_MODULES,
]
