import { AccessDeniedError, ConfigError, shown } from '../errors.ts'
import { nowInSeconds } from '../time/seconds.ts'
import type { AuthenticationRequirement, IdTokenClaims } from '../types.ts'

interface LoginContext {
  /** How far the clocks of the two servers may differ, in seconds. */
  readonly clockTolerance: number
  /** When the login was completed, in seconds since 1970. Absent during the login itself. */
  readonly loggedInAt?: number
  /** The granted scopes, separated by spaces. */
  readonly scope: string
}

/**
 * How long a login that was recent enough at the callback stays recent enough, in seconds: until its page has loaded. Without
 * this, a page with a `maxAge` of one second would send the user to log in again and again.
 */
const PAGE_LOAD_SECONDS = 10

/**
 * True if a login is as strong and as recent as required (RFC 9470 4, OIDC Core 5.5.1.1), and has the scopes. Providers may
 * ignore what was requested, so the claims and the granted scopes are compared. A missing claim never meets a requirement.
 */
export function meetsRequirement(
  claims: Pick<IdTokenClaims, 'acr' | 'amr' | 'auth_time'>,
  { acr, amr, maxAge, scope }: AuthenticationRequirement,
  context: LoginContext,
): boolean {
  if (scope !== undefined && !hasScopes(context.scope, scope)) return false
  const methods: readonly unknown[] = Array.isArray(claims.amr) ? claims.amr : []
  if (acr !== undefined && !(typeof claims.acr === 'string' && acr.includes(claims.acr))) return false
  if (amr !== undefined && !amr.every((method) => methods.includes(method))) return false
  return maxAge === undefined || isRecent(claims.auth_time, maxAge, context)
}

/**
 * Checks a completed login at the callback. Providers may ignore `acr_values` and `max_age`, and a user may decline a scope.
 * Throws `ERR_OIDC_INSUFFICIENT_SCOPE` or `ERR_OIDC_INSUFFICIENT_AUTHENTICATION` (403).
 */
export function checkRequirement(
  requirement: AuthenticationRequirement | undefined,
  claims: Pick<IdTokenClaims, 'acr' | 'amr' | 'auth_time'>,
  { issuer, clockTolerance, scope }: LoginContext & { readonly issuer: string },
): void {
  if (requirement === undefined || meetsRequirement(claims, requirement, { clockTolerance, scope })) return
  const { scope: required = [], ...strength } = requirement
  if (!hasScopes(scope, required)) {
    throw new AccessDeniedError(
      'ERR_OIDC_INSUFFICIENT_SCOPE',
      `${issuer} did not grant all scopes that this page requires: ${required.join(', ')}. The user may have declined, or the ` +
        'client is not allowed to request them. Compare the scope in the token response of the provider.',
    )
  }
  throw new AccessDeniedError(
    'ERR_OIDC_INSUFFICIENT_AUTHENTICATION',
    `${issuer} did not authenticate the user as strongly or as recently as this page requires ` +
      `(${Object.keys(strength).join(', ')}). Check that the provider supports the values that the guard names.`,
  )
}

/** True if all of these scopes are among the granted ones. */
export function hasScopes(granted: string, required: readonly string[]): boolean {
  const names = new Set(granted.split(' '))
  return required.every((one) => names.has(one))
}

function isRecent(authTime: unknown, maxAge: number, { clockTolerance, loggedInAt = 0 }: LoginContext): boolean {
  const now = nowInSeconds()
  const measuredAt = now - loggedInAt < PAGE_LOAD_SECONDS ? loggedInAt : now
  return (
    typeof authTime === 'number' && authTime <= now + clockTolerance && measuredAt - authTime <= maxAge + clockTolerance
  )
}

/** One value of a space-separated list in quotes (RFC 6749 3.3, RFC 9470 3). */
const LIST_VALUE = /^[\x21\x23-\x5b\x5d-\x7e]{1,255}$/
const MAX_VALUES = 20

/**
 * Validates a requirement and turns its values into arrays. A member that is `undefined` is an error, because it would require
 * less than the application meant.
 *
 * @throws {ConfigError}
 */
export function parseRequirement(given: unknown): AuthenticationRequirement {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw notUsable()
  const { acr, maxAge, amr, scope, ...rest }: Readonly<Record<string, unknown>> = { ...given }
  const values = Object.values(given)
  if (Object.keys(rest).length > 0 || values.length === 0 || values.includes(undefined)) throw notUsable()
  return {
    ...(acr === undefined ? {} : { acr: valuesOf(acr) }),
    ...(maxAge === undefined ? {} : { maxAge: ageOf(maxAge) }),
    ...(amr === undefined ? {} : { amr: valuesOf(amr) }),
    ...(scope === undefined ? {} : { scope: valuesOf(scope) }),
  }
}

/**
 * Reads the option `scope` of one login: scopes separated by single spaces (RFC 6749 3.3). None if it is not given.
 *
 * @throws {ConfigError}
 */
export function parseLoginScope(given: unknown): readonly string[] {
  if (given === undefined) return []
  const scopes: readonly unknown[] = typeof given === 'string' ? given.split(' ') : [given]
  if (scopes.length <= MAX_VALUES && scopes.every(isRequirementValue)) return scopes
  throw new ConfigError([
    `login({ scope }) takes at most ${MAX_VALUES} scopes, separated by single spaces: 'calendar.read contacts.read'. It got ` +
      `${shown(given)}.`,
  ])
}

/** An empty list is an error: it is unclear whether it means every user or none. */
function valuesOf(given: unknown): readonly string[] {
  const values: readonly unknown[] = Array.isArray(given) ? given : [given]
  if (!isRequirementList(values)) throw notUsable()
  return values.map(String)
}

/** True if a requirement can have these values. */
export function isRequirementList(values: readonly unknown[]): boolean {
  return values.length > 0 && values.length <= MAX_VALUES && values.every(isRequirementValue)
}

function ageOf(given: unknown): number {
  if (!Number.isInteger(given) || Number(given) < 1 || Number(given) >= 1e9) throw notUsable()
  return Number(given)
}

/** True if this can be the name of an authentication context class (acr), a method (amr) or a scope. */
function isRequirementValue(value: unknown): value is string {
  return typeof value === 'string' && LIST_VALUE.test(value)
}

function notUsable(): ConfigError {
  return new ConfigError([
    'The requirement for a login must be { acr, amr, maxAge, scope } or absent, as in app.get(path, requireAuth(), handler): ' +
      'acr, amr and scope a string or an array of strings without spaces, maxAge whole seconds, at least 1.',
  ])
}

/**
 * The values of `acr` that the parameter `claims` requests as essential (OIDC Core 5.5.1.1): a login must have one of them.
 * Returns `undefined` if there are none.
 */
export function essentialAcr(claims: unknown): readonly string[] | undefined {
  const { essential, value, values } = Object(Object(Object(jsonOf(claims))['id_token'])['acr'])
  const requested = [value, values].flat().filter((one) => typeof one === 'string')
  return essential === true && requested.length > 0 ? requested : undefined
}

/**
 * Adds the essential `acr` values of the parameter `claims` to a requirement. Only values that meet both remain. If there are
 * none, no login meets the requirement: a page that accepts less must not weaken the requirement of the application.
 */
export function withEssentialAcr(
  requirement: AuthenticationRequirement | undefined,
  claims: unknown,
): AuthenticationRequirement | undefined {
  const essential = essentialAcr(claims)
  if (essential === undefined) return requirement
  return { ...requirement, acr: essential.filter((one) => requirement?.acr?.includes(one) ?? true) }
}

function jsonOf(text: unknown): unknown {
  if (typeof text !== 'string') return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
