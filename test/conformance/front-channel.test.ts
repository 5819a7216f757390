import type { ResponseType } from '../../lib/types.ts'
import { modulesOfType } from '../support/conformance/modules.ts'
import { describeOidccPlan } from '../support/conformance/oidcc.ts'

// The plans whose answers bring tokens by the browser: in the fragment, as these response types do where nothing is
// said, or by `form_post`.

const PLANS: readonly (readonly [plan: string, mode: 'default' | 'form_post', types: readonly ResponseType[]])[] = [
  ['oidcc-client-implicit-certification-test-plan', 'default', ['id_token', 'id_token token']],
  ['oidcc-client-hybrid-certification-test-plan', 'default', ['code id_token', 'code token', 'code id_token token']],
  ['oidcc-client-formpost-implicit-certification-test-plan', 'form_post', ['id_token', 'id_token token']],
  [
    'oidcc-client-formpost-hybrid-certification-test-plan',
    'form_post',
    ['code id_token', 'code token', 'code id_token token'],
  ],
]

for (const [plan, mode, types] of PLANS) {
  for (const type of types) describeOidccPlan(plan, { response_type: type, response_mode: mode }, modulesOfType(type))
}
