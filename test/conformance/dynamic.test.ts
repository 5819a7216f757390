import { CONFIG_MODULES, DYNAMIC_MODULES } from '../support/conformance/modules.ts'
import { describeOidccPlan } from '../support/conformance/oidcc.ts'

// The plans about what a client finds out by itself.

describeOidccPlan('oidcc-client-config-certification-test-plan', {}, CONFIG_MODULES)

const DYNAMIC = { client_registration: 'dynamic_client', request_type: 'request_uri' } as const

for (const method of ['client_secret_basic', 'private_key_jwt'] as const) {
  const variant = { client_auth_type: method, ...DYNAMIC }
  describeOidccPlan('oidcc-client-dynamic-certification-test-plan', variant, DYNAMIC_MODULES)
}
