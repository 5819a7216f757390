import { describeFapi2Plan } from '../support/conformance/fapi2.ts'
import { FAPI2, type Fapi2Variant } from '../support/conformance/fapi2-variant.ts'
import {
  applicableToFapi2,
  FAPI2_NATIONAL_MODULES,
  FAPI2_SECURITY_PROFILE_MODULES,
} from '../support/conformance/modules.ts'

// The FAPI 2.0 Security Profile. The client is always one of OpenID Connect: with `fapi_client_type` plain_oauth nobody
// logs in.

const PLAN = 'fapi2-security-profile-final-client-test-plan'

const VARIANTS: readonly Partial<Fapi2Variant>[] = [
  { client_auth_type: 'private_key_jwt', sender_constrain: 'dpop' },
  { client_auth_type: 'private_key_jwt', sender_constrain: 'mtls' },
  { client_auth_type: 'mtls', sender_constrain: 'dpop', authorization_request_type: 'rar' },
  { client_auth_type: 'mtls', sender_constrain: 'mtls' },
]

/** What these have that nobody else has. */
const COUNTRIES: readonly Partial<Fapi2Variant>[] = [
  { fapi_profile: 'openbanking_uk' },
  { fapi_profile: 'openbanking_brazil' },
  { fapi_profile: 'openbanking_brazil', client_auth_type: 'mtls', sender_constrain: 'mtls' },
]

function describeVariants(variants: readonly Partial<Fapi2Variant>[], names: readonly string[]): void {
  for (const variant of variants) {
    const applicable = names.filter((name) => applicableToFapi2({ ...FAPI2, ...variant }, name))
    describeFapi2Plan(PLAN, variant, applicable)
  }
}

describeVariants(VARIANTS, FAPI2_SECURITY_PROFILE_MODULES)
describeVariants(COUNTRIES, FAPI2_NATIONAL_MODULES)
