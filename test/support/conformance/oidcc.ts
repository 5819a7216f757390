import { DISCOVERY_MODULES } from './discovery.ts'
import { ID_TOKEN_MODULES } from './id-token.ts'
import { REFRESH_ACTS } from './refresh.ts'
import { REQUEST_MODULES } from './requests.ts'
import { describePlan, type Modules } from './suite.ts'
import { USERINFO_MODULES } from './userinfo.ts'
import { BASIC, settingsFor, type Variant } from './variant.ts'

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
