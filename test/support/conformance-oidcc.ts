import { DISCOVERY_MODULES } from './conformance-discovery.ts'
import { ID_TOKEN_MODULES } from './conformance-id-token.ts'
import { REFRESH_ACTS } from './conformance-refresh.ts'
import { REQUEST_MODULES } from './conformance-requests.ts'
import { describePlan, type Modules } from './conformance-suite.ts'
import { USERINFO_MODULES } from './conformance-userinfo.ts'
import { BASIC, settingsFor, type Variant } from './conformance-variant.ts'

/** Every module of the OpenID Connect plans, by its name. */
export const OIDCC_MODULES: Modules<Variant> = {
  ...ID_TOKEN_MODULES,
  ...USERINFO_MODULES,
  ...REQUEST_MODULES,
  ...DISCOVERY_MODULES,
  ...REFRESH_ACTS,
}

/** An OpenID Connect plan. What its variant leaves open is as plain as can be. */
export function describeOidccPlan(plan: string, variant: Partial<Variant>, names: readonly string[]): void {
  describePlan(plan, { ...BASIC, ...variant }, names, { modules: OIDCC_MODULES, settingsFor })
}
