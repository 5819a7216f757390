import { ConfigError } from '../errors.ts'
import type { IdTokenClaims } from '../types.ts'
import { createGuard, type Guard } from './guard.ts'

type Value = string | number | boolean

/** What a claim must be: a value that it equals or, being a list, includes; or one of several; or all of several. */
export type ClaimRequirement = Value | { readonly anyOf: readonly Value[] } | { readonly allOf: readonly Value[] }

/** The name of a claim, or the way to a nested one: `['address', 'country']`. */
export type ClaimPath = string | readonly string[]

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
  const path = parsePath(claim)
  const test = parseRequirement(requirement)
  return claimGuard(`The claim ${path.join('.')} is not as required.`, (claims) => test(valueAt(claims, path)))
}

function claimGuard(message: string, isEnough: (claims: IdTokenClaims) => boolean): Guard {
  // Only `true` lets through: a predicate that forgets to return, or returns a promise, refuses.
  return createGuard(({ claims }) =>
    isEnough(claims) === true ? undefined : { code: 'ERR_OIDC_INSUFFICIENT_CLAIM', message },
  )
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

function parsePath(claim: unknown): readonly string[] {
  const path = [claim].flat()
  if (path.length > 0 && path.every((name) => typeof name === 'string' && name !== '')) return path.map(String)
  throw new ConfigError(['requireClaim takes the name of a claim, or a list of names for a nested one.'])
}

function parseRequirement(requirement: unknown): Test {
  if (typeof requirement === 'function') return (value) => requirement(value)
  if (isValue(requirement)) return (value) => holds(value, requirement)
  const anyOf = valuesOf(requirement, 'anyOf')
  if (anyOf !== undefined) return (value) => anyOf.some((one) => holds(value, one))
  const allOf = valuesOf(requirement, 'allOf')
  if (allOf !== undefined) return (value) => allOf.every((one) => holds(value, one))
  throw new ConfigError([
    'requireClaim takes a value, { anyOf: [ ... ] }, { allOf: [ ... ] } or a function, with values that are text, numbers or booleans.',
  ])
}

function isValue(value: unknown): value is Value {
  return ['string', 'number', 'boolean'].includes(typeof value)
}

function valuesOf(requirement: unknown, name: 'anyOf' | 'allOf'): readonly Value[] | undefined {
  // The one member that is looked for, and none beside it that would be dropped in silence.
  if (typeof requirement !== 'object' || requirement === null || Object.keys(requirement).join() !== name)
    return undefined
  const values: unknown = Reflect.get(requirement, name)
  return Array.isArray(values) && values.length > 0 && values.every(isValue) ? [...values] : undefined
}

function holds(value: unknown, expected: Value): boolean {
  return Array.isArray(value) ? value.includes(expected) : value === expected
}
