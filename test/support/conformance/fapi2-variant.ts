import type { AnyOptions } from '../app/app.ts'
import type { StrictProviderOptions } from '../strict-provider/provider.ts'
import type { ModuleSettings, VariantSettings } from './suite.ts'

/** What is chosen for a FAPI 2.0 plan, by the suite's names. */
export interface Fapi2Variant {
  readonly fapi_profile: 'plain_fapi' | 'openbanking_uk' | 'openbanking_brazil'
  readonly fapi_client_type: 'oidc'
  readonly client_auth_type: 'private_key_jwt' | 'mtls'
  readonly sender_constrain: 'dpop' | 'mtls'
  readonly authorization_request_type: 'simple' | 'rar'
  readonly fapi_request_method: 'unsigned' | 'signed_non_repudiation'
  readonly fapi_response_mode: 'plain_response' | 'jarm'
}

export type Fapi2Settings = ModuleSettings<Fapi2Variant>

/** What the plan for the security profile fixes, and the more usual choices. */
export const FAPI2: Fapi2Variant = {
  fapi_profile: 'plain_fapi',
  fapi_client_type: 'oidc',
  client_auth_type: 'private_key_jwt',
  sender_constrain: 'dpop',
  authorization_request_type: 'simple',
  fapi_request_method: 'unsigned',
  fapi_response_mode: 'plain_response',
}

const DETAILS = [{ type: 'account_information', actions: ['list_accounts'] }]

/** The suite's provider, and an app as one would register it for certification. */
export function fapi2SettingsFor(variant: Fapi2Variant): VariantSettings {
  const isSigned = variant.fapi_request_method === 'signed_non_repudiation'
  const isJarm = variant.fapi_response_mode === 'jarm'
  const options: Partial<AnyOptions> = {
    userinfo: true,
    ...(isSigned ? { requestObjectSigningAlg: 'PS256' } : {}),
    ...(isJarm ? { responseMode: 'jwt', authorizationSignedResponseAlg: 'PS256' } : {}),
    ...(variant.authorization_request_type === 'rar'
      ? { authorizationParams: { authorization_details: DETAILS } }
      : {}),
  }
  return { provider: providerFor(variant, isSigned && isJarm), app: { options } }
}

/** Only a client with both, signed requests and signed answers, has the profile of both. */
function providerFor(variant: Fapi2Variant, isMessageSigning: boolean): StrictProviderOptions {
  const isSigned = variant.fapi_request_method === 'signed_non_repudiation'
  const isByDpop = variant.sender_constrain === 'dpop'
  return {
    issuerPath: '/test/a/express-oidc/',
    clientId: 'client_aBc123:%+~',
    revocation: 'absent',
    idToken: 'thin',
    profile: isMessageSigning ? 'fapi2-message-signing' : 'fapi2',
    tokenEndpointAuthMethod: variant.client_auth_type === 'mtls' ? 'tls_client_auth' : 'private_key_jwt',
    ...(isSigned ? { requestObjectSigningAlg: 'PS256' } : {}),
    ...(isByDpop
      ? { dpop: 'nonce', dpopBoundAccessTokens: true }
      : { dpop: 'absent', tlsClientCertificateBoundAccessTokens: true }),
  }
}
