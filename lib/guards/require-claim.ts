import { ConfigError, shown } from '../errors.ts'
import type { Denial } from '../http/denial.ts'
import { resultOf } from '../options/rule.ts'
import type { IdTokenClaims } from '../types.ts'
import { createGuard, type Guard, type GuardOptions, readGuardOptions } from './guard.ts'

/** A value that a claim can be compared with. */
export type ClaimValue = string | number | boolean

/**
 * What a claim must be: this value, one value of `anyOf`, or all values of `allOf`. A claim that is a list meets a value
 * that it contains.
 */
export type ClaimRequirement<Value extends ClaimValue = ClaimValue> =
  | Value
  | { readonly anyOf: readonly Value[] }
  | { readonly allOf: readonly Value[] }

/** The name of a claim, or a list of names that leads to a nested claim: `['address', 'country']`. */
export type ClaimPath = string | readonly string[]

type Test = (value: unknown) => boolean

/**
 * Requires a login with this claim. A user who is not logged in is redirected to log in, as by `requireAuth()`. A login
 * that does not meet the requirement gets `ERR_OIDC_INSUFFICIENT_CLAIM` (403), never a new login.
 *
 * Strings are compared as a whole, and a missing claim meets nothing. Pass a function for any other comparison. A function
 * must return `true`: another value, a promise for example, denies the request.
 *
 * @throws {ConfigError} `ERR_OIDC_CONFIG` for an invalid claim name or requirement.
 * @example
 * ```ts
 * app.get('/admin', requireClaim('groups', 'admin'), showAdmin)
 * app.get('/dutch', requireClaim(['address', 'country'], { anyOf: ['NL', 'BE'] }), showDutch)
 * app.get('/verified', requireClaim('email', (email) => String(email).endsWith('@example.com')), showVerified)
 * app.get('/both', requireClaim((claims) => claims.email_verified === true), showBoth)
 * ```
 */
export function requireClaim(predicate: (claims: IdTokenClaims) => boolean, options?: GuardOptions): Guard
export function requireClaim(claim: ClaimPath, requirement: ClaimRequirement | Test, options?: GuardOptions): Guard
export function requireClaim(
  claim: ClaimPath | ((claims: IdTokenClaims) => boolean),
  requirement?: ClaimRequirement | Test | GuardOptions,
  options: GuardOptions = {},
): Guard {
  if (typeof claim === 'function') {
    const message =
      'The claims do not meet the function that this route passes to requireClaim(). Check req.oidc.claims.'
    return claimsGuard(message, (claims) => claim(claims), readGuardOptions(requirement ?? {}, 'requireClaim'))
  }
  const guardOptions = readGuardOptions(options, 'requireClaim')
  const test = typeof requirement === 'function' ? requirement : parseClaimRequirement(requirement, isClaimValue)
  if (test !== undefined) return claimGuard(parseClaimPath(claim, 'requireClaim'), test, guardOptions)
  throw new ConfigError([
    'requireClaim takes a value, { anyOf: [ ... ] }, { allOf: [ ... ] } or a function. Values are strings, numbers or ' +
      `booleans. It got ${shown(requirement)}.`,
  ])
}

/** Where `requireGroup()` finds the groups, and its answer to a request without a login. */
export interface GroupOptions extends GuardOptions {
  /**
   * The claim with the groups, as a list or as a single string. Pass a list of names to reach a nested claim.
   * @default 'groups'
   */
  readonly claim?: ClaimPath
}

/**
 * Requires a login of a user in this group. A user who is not logged in is redirected to log in, as by `requireAuth()`. A
 * user who is not in the group gets `ERR_OIDC_INSUFFICIENT_CLAIM` (403), never a new login.
 *
 * Providers use different claims for groups, so set `claim` if yours does not use `groups`. Names are compared as a whole
 * and case-sensitively. They may contain spaces and colons.
 *
 * @throws {ConfigError} `ERR_OIDC_CONFIG` for an invalid group or claim name.
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
  const guardOptions = readGuardOptions(options, 'requireGroup', ['claim', 'otherwise'])
  const { claim = 'groups' } = options
  const path = parseClaimPath(claim, "requireGroup's option claim")
  const test = parseClaimRequirement(group, isNonEmptyString)
  if (test !== undefined) return claimGuard(path, test, guardOptions)
  throw new ConfigError([
    `requireGroup takes the name of a group, { anyOf: [ ... ] } or { allOf: [ ... ] }. It got ${shown(group)}.`,
  ])
}

/**
 * Requires a login with this authentication method, by the claim `amr` (OIDC Core 2). A user who is not logged in is
 * redirected to log in, as by `requireAuth()`. A login by other methods gets `ERR_OIDC_INSUFFICIENT_CLAIM` (403), never a
 * new login.
 *
 * RFC 8176 registers names such as `mfa` and `otp`. Many providers send names of their own, and some send no `amr`. Use
 * `requireAuth({ amr })` instead if a user without the method should log in again.
 *
 * @throws {ConfigError} `ERR_OIDC_CONFIG` for an invalid method.
 * @example
 * ```ts
 * app.get('/admin', requireAmr('mfa'), showAdmin)
 * app.get('/orders', requireAmr({ anyOf: ['hwk', 'swk', 'okta_verify'] }), showOrders)
 * app.get('/both', requireAmr({ allOf: ['pwd', 'otp'] }), showBoth)
 * ```
 */
export function requireAmr(method: ClaimRequirement<string>, options: GuardOptions = {}): Guard {
  const guardOptions = readGuardOptions(options, 'requireAmr')
  const test = parseClaimRequirement(method, isNonEmptyString)
  if (test !== undefined) return claimGuard(['amr'], test, guardOptions)
  throw new ConfigError([
    `requireAmr takes a method such as 'mfa', { anyOf: [ ... ] } or { allOf: [ ... ] }. It got ${shown(method)}.`,
  ])
}

/** Creates a guard from a test of one claim. The test gets `undefined` if the claim is missing. */
function claimGuard(path: readonly string[], test: Test, options: GuardOptions): Guard {
  const message =
    `The claim '${path.join('.')}' does not meet the requirement of this route. Check it in req.oidc.claims: the provider ` +
    'must send it, and the option sessionClaims must keep it.'
  return claimsGuard(message, (claims) => test(valueAt(claims, path)), options)
}

/** Creates a guard from a test of all claims. */
function claimsGuard(problem: string, test: (claims: IdTokenClaims) => boolean, options: GuardOptions): Guard {
  const denial: Denial = { code: 'ERR_OIDC_INSUFFICIENT_CLAIM', message: problem }
  // Only `true` passes: a function that forgets to return, or returns a promise, must deny.
  return createGuard(({ claims }) => (resultOf(test(claims)) === true ? undefined : denial), options)
}

/** Reads own members only, because every object inherits `constructor` and `__proto__`. */
function valueAt(claims: IdTokenClaims, path: readonly string[]): unknown {
  let value: unknown = claims
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = Object.getOwnPropertyDescriptor(value, name)?.value
  }
  return value
}

/** Returns the names that lead to a claim. Throws {@link ConfigError}, with `subject` in the message. */
function parseClaimPath(claim: unknown, subject: string): readonly string[] {
  const path = [claim].flat()
  if (path.length > 0 && path.every(isNonEmptyString)) return path.map(String)
  throw new ConfigError([
    `${subject} takes the name of a claim, or a list of names for a nested claim. It got ${shown(claim)}.`,
  ])
}

/** Returns the test for a requirement, or `undefined` if the requirement or one of its values is invalid. */
function parseClaimRequirement(requirement: unknown, isValue: (value: unknown) => boolean): Test | undefined {
  if (isValue(requirement)) return (value) => hasValue(value, requirement)
  const anyOf = valuesOf(requirement, 'anyOf', isValue)
  if (anyOf !== undefined) return (value) => anyOf.some((one) => hasValue(value, one))
  const allOf = valuesOf(requirement, 'allOf', isValue)
  return allOf && ((value) => allOf.every((one) => hasValue(value, one)))
}

function valuesOf(
  requirement: unknown,
  name: 'anyOf' | 'allOf',
  isValue: (value: unknown) => boolean,
): readonly unknown[] | undefined {
  // A second member would be ignored silently, so it is an error.
  if (typeof requirement !== 'object' || requirement === null || Object.keys(requirement).join() !== name)
    return undefined
  const values: unknown = Reflect.get(requirement, name)
  return Array.isArray(values) && values.length > 0 && values.every(isValue) ? [...values] : undefined
}

function isClaimValue(value: unknown): boolean {
  return ['string', 'number', 'boolean'].includes(typeof value)
}

function isNonEmptyString(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

function hasValue(claim: unknown, expected: unknown): boolean {
  return Array.isArray(claim) ? claim.includes(expected) : claim === expected
}
