import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { applicableTo, COMPREHENSIVE_MODULES } from '../support/conformance/modules.ts'
import { describeOidccPlan } from '../support/conformance/oidcc.ts'
import { BASIC, type Variant } from '../support/conformance/variant.ts'

// The plan for everything, in which everything is left to choose.

const VARIANTS: readonly Partial<Variant>[] = [
  { client_auth_type: 'private_key_jwt', request_type: 'request_object' },
  { client_auth_type: 'client_secret_post', response_mode: 'form_post', client_registration: 'dynamic_client' },
  { client_auth_type: 'client_secret_jwt', request_type: 'request_uri' },
  { client_auth_type: 'none' },
  { client_auth_type: 'self_signed_tls_client_auth', response_type: 'code token' },
  { response_type: 'code id_token token', response_mode: 'form_post', client_registration: 'dynamic_client' },
]

for (const variant of VARIANTS) {
  const names = COMPREHENSIVE_MODULES.filter((name) => applicableTo({ ...BASIC, ...variant }, name))
  describeOidccPlan('oidcc-client-test-plan', variant, names)
}

describe('the variants of oidcc-client-test-plan', () => {
  it('leave no module out', () => {
    const isActedOut = (name: string): boolean =>
      VARIANTS.some((variant) => applicableTo({ ...BASIC, ...variant }, name))
    assert.deepEqual(
      COMPREHENSIVE_MODULES.filter((name) => !isActedOut(name)),
      [],
    )
  })
})
