import type { ResponseType } from '../../lib/types.ts'
import { SESSION_MANAGEMENT_MODULES } from '../support/conformance/modules.ts'
import { SESSION_ACTS } from '../support/conformance/session.ts'
import { describePlan } from '../support/conformance/suite.ts'
import { BASIC, settingsFor } from '../support/conformance/variant.ts'

// Session management: the page of the application asks the frame of the provider. A real browser does so in another test.

const PLANS: readonly (readonly [plan: string, types: readonly ResponseType[]])[] = [
  ['oidcc-client-rp-session-management-rp-basic', ['code']],
  ['oidcc-client-rp-session-management-rp-implicit', ['id_token', 'id_token token']],
  ['oidcc-client-rp-session-management-rp-hybrid', ['code id_token', 'code token', 'code id_token token']],
]

const acts = { modules: SESSION_ACTS, settingsFor }

for (const [plan, types] of PLANS) {
  for (const type of types) describePlan(plan, { ...BASIC, response_type: type }, SESSION_MANAGEMENT_MODULES, acts)
}
