import { INITIATE_LOGIN_MODULES } from '../support/conformance/modules.ts'
import { describeOidccPlan } from '../support/conformance/oidcc.ts'
import type { Variant } from '../support/conformance/variant.ts'

// Logins that begin elsewhere (OIDC Core 4). Everything is left to choose here.

const VARIANTS: readonly Partial<Variant>[] = [
  {},
  { client_registration: 'dynamic_client', request_type: 'request_uri' },
  { response_type: 'id_token', response_mode: 'form_post' },
]

for (const variant of VARIANTS) {
  describeOidccPlan('oidcc-client-test-3rd-party-init-login-test-plan', variant, INITIATE_LOGIN_MODULES)
}
