import { describeFapi2Plan } from '../support/conformance/fapi2.ts'
import { FAPI2, type Fapi2Variant } from '../support/conformance/fapi2-variant.ts'
import { applicableToFapi2, FAPI2_MESSAGE_SIGNING_MODULES } from '../support/conformance/modules.ts'

// FAPI 2.0 Message Signing: signed requests (JAR), signed answers (JARM), or both.

const VARIANTS: readonly Partial<Fapi2Variant>[] = [
  { fapi_request_method: 'signed_non_repudiation', fapi_response_mode: 'jarm' },
  { fapi_request_method: 'signed_non_repudiation', client_auth_type: 'mtls', sender_constrain: 'mtls' },
  { fapi_response_mode: 'jarm', sender_constrain: 'mtls' },
]

for (const variant of VARIANTS) {
  const names = FAPI2_MESSAGE_SIGNING_MODULES.filter((name) => applicableToFapi2({ ...FAPI2, ...variant }, name))
  describeFapi2Plan('fapi2-message-signing-final-client-test-plan', variant, names)
}
