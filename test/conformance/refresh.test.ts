import { REFRESH_MODULES } from '../support/conformance/modules.ts'
import { describeOidccPlan } from '../support/conformance/oidcc.ts'
import type { Variant } from '../support/conformance/variant.ts'

// Refresh tokens. Everything is left to choose here.

const VARIANTS: readonly Partial<Variant>[] = [
  {},
  { client_auth_type: 'private_key_jwt', client_registration: 'dynamic_client' },
  { client_auth_type: 'tls_client_auth' },
  { client_auth_type: 'client_secret_post', response_type: 'code id_token', response_mode: 'form_post' },
]

for (const variant of VARIANTS) describeOidccPlan('oidcc-client-refreshtoken-test-plan', variant, REFRESH_MODULES)
