import type { ResponseType } from '../../lib/types.ts'
import { LOGOUT_MODULES } from '../support/conformance/logout.ts'
import { describePlan } from '../support/conformance/suite.ts'
import { BASIC, settingsFor } from '../support/conformance/variant.ts'

// The logout plans of the OpenID Foundation's suite. The logout token comes while the browser waits at the provider: the
// session here has ended by then, and the token is good all the same.

const NAMES = Object.keys(LOGOUT_MODULES)

const MODULES = {
  'back-channel-logout': NAMES.filter((name) => name.includes('-backchannel-')),
  // That which begins at the provider is in the plan of all alone.
  'front-channel-logout': NAMES.filter((name) => name.includes('-frontchannel-rpinit')),
  'rp-initiated-logout': NAMES.filter((name) => name.includes('-rp-init-logout')),
} as const

const TYPES: Readonly<Record<string, readonly ResponseType[]>> = {
  basic: ['code'],
  implicit: ['id_token', 'id_token token'],
  hybrid: ['code id_token', 'code token', 'code id_token token'],
}

const acts = { modules: LOGOUT_MODULES, settingsFor }

for (const [kind, names] of Object.entries(MODULES)) {
  for (const [profile, types] of Object.entries(TYPES)) {
    for (const type of types) {
      describePlan(`oidcc-client-${kind}-rp-${profile}`, { ...BASIC, response_type: type }, names, acts)
    }
  }
}

describePlan('oidcc-client-logout-test-plan', BASIC, NAMES, acts)
