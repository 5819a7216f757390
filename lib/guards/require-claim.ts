import { ConfigError } from '../errors.ts'
import type { IdTokenClaims } from '../types.ts'
import { createGuard, type Guard } from './guard.ts'

type Test = (value: unknown) => boolean

/**
 * Lets only people through whose claim is as required. Who is not logged in is asked to; who lacks the claim gets
 * `ERR_OIDC_INSUFFICIENT_CLAIM` (403), never a new login.
 *
 * @throws {ConfigError} for a requirement that is none
 * @example
 * ```ts
 * app.get('/admin', requireClaim('groups', 'admin'), showAdmin)
 * app.get('/dutch', requireClaim(['address', 'country'], { anyOf: ['NL', 'BE'] }), showDutch)
 * app.get('/verified', requireClaim('email', (email) => String(email).endsWith('@example.com')), showVerified)
 * app.get('/both', requireClaim((claims) => claims.email_verified === true), showBoth)
 * ```
 */
export function requireClaim(predicate: (claims: IdTokenClaims) => boolean): Guard
export function requireClaim(claim: ClaimPath, requirement: ClaimRequirement | Test): Guard
export function requireClaim(
  claim: ClaimPath | ((claims: IdTokenClaims) => boolean),
  requirement?: ClaimRequirement | Test,
): Guard {
  if (typeof claim === 'function') return claimGuard('The claims are not as required.', (claims) => claim(claims))
  return claimValueGuard(parseClaimPath(claim, 'requireClaim'), parseTest(requirement))
}

function parseTest(requirement: ClaimRequirement | Test | undefined): Test {
  if (typeof requirement === 'function') return (value) => requirement(value)
  const test = parseClaimRequirement(requirement, isValue)
  if (test !== undefined) return test
  throw new ConfigError([
    'requireClaim takes a value, { anyOf: [ ... ] }, { allOf: [ ... ] } or a function, with values that are text, numbers or booleans.',
  ])
}

function isValue(value: unknown): boolean {
  return ['string', 'number', 'boolean'].includes(typeof value)
}

/** What a claim can be compared with. */
export type ClaimValue = string | number | boolean

/** What a claim must be: a value that it equals or, being a list, includes; or one of several; or all of several. */
export type ClaimRequirement<Value extends ClaimValue = ClaimValue> =
  | Value
  | { readonly anyOf: readonly Value[] }
  | { readonly allOf: readonly Value[] }

/** The name of a claim, or the way to a nested one: `['address', 'country']`. */
export type ClaimPath = string | readonly string[]

/** Makes a guard of a predicate; the message is for the operator. */
function claimGuard(message: string, isEnough: (claims: IdTokenClaims) => boolean): Guard {
  // Only `true` lets through: a predicate that forgets to return, or returns a promise, refuses.
  return createGuard(({ claims }) =>
    isEnough(claims) === true ? undefined : { code: 'ERR_OIDC_INSUFFICIENT_CLAIM', message },
  )
}

/** Makes a guard of a test of the claim at this path. A claim that is missing is `undefined`. */
function claimValueGuard(path: readonly string[], test: (value: unknown) => boolean): Guard {
  return claimGuard(`The claim ${path.join('.')} is not as required.`, (claims) => test(valueAt(claims, path)))
}

/**
 * The names on the way to a claim. Throws {@link ConfigError} where it is no name or list of names.
 *
 * @param guard What takes it: the message begins with its name.
 */
function parseClaimPath(claim: unknown, guard: string): readonly string[] {
  const path = [claim].flat()
  if (path.length > 0 && path.every((name) => typeof name === 'string' && name !== '')) return path.map(String)
  throw new ConfigError([`${guard} takes the name of a claim, or a list of names for a nested one.`])
}

/**
 * The test that a requirement comes to; `undefined` where it is none, or where one of its values is not of the kind.
 * Text is compared whole: the names of groups may hold spaces.
 */
function parseClaimRequirement(
  requirement: unknown,
  isValue: (value: unknown) => boolean,
): ((value: unknown) => boolean) | undefined {
  if (isValue(requirement)) return (value) => holds(value, requirement)
  const anyOf = valuesOf(requirement, 'anyOf', isValue)
  if (anyOf !== undefined) return (value) => anyOf.some((one) => holds(value, one))
  const allOf = valuesOf(requirement, 'allOf', isValue)
  return allOf && ((value) => allOf.every((one) => holds(value, one)))
}

/** Own members only: `constructor` and `__proto__` are no claims unless somebody sent them. */
function valueAt(claims: IdTokenClaims, path: readonly string[]): unknown {
  let value: unknown = claims
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = Object.getOwnPropertyDescriptor(value, name)?.value
  }
  return value
}

function valuesOf(
  requirement: unknown,
  name: 'anyOf' | 'allOf',
  isValue: (value: unknown) => boolean,
): readonly unknown[] | undefined {
  // The one member that is looked for, and none beside it that would be dropped in silence.
  if (typeof requirement !== 'object' || requirement === null || Object.keys(requirement).join() !== name)
    return undefined
  const values: unknown = Reflect.get(requirement, name)
  return Array.isArray(values) && values.length > 0 && values.every(isValue) ? [...values] : undefined
}

function holds(value: unknown, expected: unknown): boolean {
  return Array.isArray(value) ? value.includes(expected) : value === expected
}

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

/**
 * Lets only people through who have proved who they are by such a method (`amr`, OIDC Core 2). The list of methods is
 * open: providers send names of their own beside those of RFC 8176, and many send none. Who is not logged in is asked
 * to; who has used another method gets `ERR_OIDC_INSUFFICIENT_CLAIM` (403), never a new login.
 *
 * @throws {ConfigError} for a method that is none
 * @example
 * ```ts
 * app.get('/admin', requireAmr('mfa'), showAdmin)
 * app.get('/orders', requireAmr({ anyOf: ['hwk', 'swk', 'okta_verify'] }), showOrders)
 * app.get('/both', requireAmr({ allOf: ['pwd', 'otp'] }), showBoth)
 * ```
 */
export function requireAmr(method: ClaimRequirement<string>): Guard {
  const test = parseClaimRequirement(method, isMethod)
  if (test !== undefined) return claimValueGuard(['amr'], test)
  throw new ConfigError(["requireAmr takes a method such as 'mfa', { anyOf: [ ... ] } or { allOf: [ ... ] }."])
}

function isMethod(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}
