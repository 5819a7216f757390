import { ConfigError } from '../errors.ts'
import type { AuthenticationRequirement, IdTokenClaims } from '../types.ts'

/** When a login is looked at, and how exactly. */
interface AuthTimeContext {
  /** How far the provider's clock may be off, in seconds. */
  readonly clockTolerance: number
  /** When the login was completed, in seconds since 1970; absent: it is being completed. */
  readonly loggedInAt?: number
}

/**
 * How long a login that was recent enough when it arrived stays so, in seconds: until its page has been loaded. Without
 * it, a page that wants a login of the last second would send people away again and again.
 */
const PAGE_LOAD_SECONDS = 10

/**
 * Whether a login is as strong and as recent as required (RFC 9470 4, OIDC Core 5.5.1.1). Providers may ignore what they
 * were asked for, so what came back is looked at; a claim that is missing meets nothing.
 */
export function meetsRequirement(
  claims: Pick<IdTokenClaims, 'acr' | 'amr' | 'auth_time'>,
  { acr, amr, maxAge }: AuthenticationRequirement,
  viewing: AuthTimeContext,
): boolean {
  const methods: readonly unknown[] = Array.isArray(claims.amr) ? claims.amr : []
  if (acr !== undefined && !(typeof claims.acr === 'string' && acr.includes(claims.acr))) return false
  if (amr !== undefined && !amr.every((method) => methods.includes(method))) return false
  return maxAge === undefined || isRecent(claims.auth_time, maxAge, viewing)
}

function isRecent(authTime: unknown, maxAge: number, { clockTolerance, loggedInAt = 0 }: AuthTimeContext): boolean {
  const now = Date.now() / 1000
  const measuredAt = now - loggedInAt < PAGE_LOAD_SECONDS ? loggedInAt : now
  return (
    typeof authTime === 'number' && authTime <= now + clockTolerance && measuredAt - authTime <= maxAge + clockTolerance
  )
}

/** What stands for a value in a list of them: no space, no quote (RFC 6749 3.3, RFC 9470 3). */
const TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]{1,255}$/
const MOST_VALUES = 20

/**
 * Checks a requirement and makes lists of its values. What is left open is left out: an `undefined` in the place of a
 * value would demand less than was meant.
 *
 * @throws {ConfigError}
 */
export function parseRequirement(given: unknown): AuthenticationRequirement {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw notUsable()
  const { acr, maxAge, amr, ...rest }: Readonly<Record<string, unknown>> = { ...given }
  const values = Object.values(given)
  if (Object.keys(rest).length > 0 || values.length === 0 || values.includes(undefined)) throw notUsable()
  return {
    ...(acr === undefined ? {} : { acr: valuesOf(acr) }),
    ...(maxAge === undefined ? {} : { maxAge: ageOf(maxAge) }),
    ...(amr === undefined ? {} : { amr: valuesOf(amr) }),
  }
}

/** An empty list would let nobody through, or everybody. */
function valuesOf(given: unknown): readonly string[] {
  const values: readonly unknown[] = Array.isArray(given) ? given : [given]
  if (values.length === 0 || values.length > MOST_VALUES || !values.every(isRequirementValue)) throw notUsable()
  return values.map(String)
}

function ageOf(given: unknown): number {
  if (!Number.isInteger(given) || Number(given) < 1 || Number(given) >= 1e9) throw notUsable()
  return Number(given)
}

/** Whether this can be the name of an authentication context class or method. */
function isRequirementValue(value: unknown): value is string {
  return typeof value === 'string' && TOKEN.test(value)
}

function notUsable(): ConfigError {
  return new ConfigError([
    'What is required of a login is { acr, maxAge, amr }, or nothing at all, as in app.get(path, requireAuth(), handler): ' +
      'acr and amr a value or a list of values without spaces, maxAge whole seconds, at least 1.',
  ])
}

/**
 * The classes of which a login must reach one because the parameter `claims` has them as essential (OIDC Core 5.5.1.1);
 * `undefined` where it has none.
 */
export function essentialAcr(claims: unknown): readonly string[] | undefined {
  const { essential, value, values } = Object(Object(Object(jsonOf(claims))['id_token'])['acr'])
  const asked = [value, values].flat().filter((one) => typeof one === 'string')
  return essential === true && asked.length > 0 ? asked : undefined
}

/**
 * A requirement with the classes that the parameter `claims` has as essential: one must be good for both, and where none is,
 * no login will do. A page that is content with less must not make every other page content with it.
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
  try {
    return JSON.parse(String(text))
  } catch {
    return undefined
  }
}
