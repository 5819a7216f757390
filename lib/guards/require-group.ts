import { ConfigError } from '../errors.ts'
import {
  type ClaimPath,
  type ClaimRequirement,
  claimValueGuard,
  parseClaimPath,
  parseClaimRequirement,
} from './claim-requirement.ts'
import type { Guard } from './guard.ts'

/** Where the groups of a person are. */
export interface GroupOptions {
  /**
   * The claim that holds the groups, as a list or as a single text; a list of names is the way to a nested one.
   * @default 'groups'
   */
  readonly claim?: ClaimPath
}

/**
 * Lets only people through who are in a group. Providers name the claim differently, and leave it out where somebody is
 * in no group at all. Names are compared whole, case included; they may hold spaces and colons. Who is not logged in is
 * asked to; who is not in the group gets `ERR_OIDC_INSUFFICIENT_CLAIM` (403), never a new login.
 *
 * @throws {ConfigError} for a group or a claim that is none
 * @example
 * ```ts
 * app.get('/admin', requireGroup('Domain Admins'), showAdmin)
 * app.get('/staff', requireGroup({ anyOf: ['staff', 'partners:gold'] }), showStaff)
 * app.get('/board', requireGroup({ allOf: ['staff', 'key holders'] }), showBoard)
 * app.get('/orders', requireGroup('sales', { claim: 'https://example.com/roles' }), showOrders)
 * app.get('/reports', requireGroup('editor', { claim: ['realm_access', 'roles'] }), showReports)
 * ```
 */
export function requireGroup(group: ClaimRequirement<string>, options: GroupOptions = {}): Guard {
  const path = parseClaimPath(readClaim(options), "requireGroup's claim")
  const test = parseClaimRequirement(group, isName)
  if (test !== undefined) return claimValueGuard(path, test)
  throw new ConfigError(['requireGroup takes the name of a group, { anyOf: [ ... ] } or { allOf: [ ... ] }.'])
}

function readClaim(options: unknown): unknown {
  const isObject = typeof options === 'object' && options !== null
  if (!isObject || Object.keys(options).some((name) => name !== 'claim')) {
    throw new ConfigError(['requireGroup takes no options but { claim }.'])
  }
  const { claim = 'groups' }: { claim?: unknown } = options
  return claim
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}
