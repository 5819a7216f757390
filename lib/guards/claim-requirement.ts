import type { IdTokenClaims } from '../claims.ts'
import { ConfigError } from '../errors.ts'
import { createGuard, type Guard } from './guard.ts'

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
export function claimGuard(message: string, isEnough: (claims: IdTokenClaims) => boolean): Guard {
  // Only `true` lets through: a predicate that forgets to return, or returns a promise, refuses.
  return createGuard(({ claims }) =>
    isEnough(claims) === true ? undefined : { code: 'ERR_OIDC_INSUFFICIENT_CLAIM', message },
  )
}

/** Makes a guard of a test of the claim at this path. A claim that is missing is `undefined`. */
export function claimValueGuard(path: readonly string[], test: (value: unknown) => boolean): Guard {
  return claimGuard(`The claim ${path.join('.')} is not as required.`, (claims) => test(valueAt(claims, path)))
}

/**
 * The names on the way to a claim. Throws {@link ConfigError} where it is no name or list of names.
 *
 * @param guard What takes it: the message begins with its name.
 */
export function parseClaimPath(claim: unknown, guard: string): readonly string[] {
  const path = [claim].flat()
  if (path.length > 0 && path.every((name) => typeof name === 'string' && name !== '')) return path.map(String)
  throw new ConfigError([`${guard} takes the name of a claim, or a list of names for a nested one.`])
}

/**
 * The test that a requirement comes to; `undefined` where it is none, or where one of its values is not of the kind.
 * Text is compared whole: the names of groups may hold spaces.
 */
export function parseClaimRequirement(
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
