import { parseAuthorizationParams, type WireParams } from '../config/authorization-params.ts'
import type { RelyingParty } from '../relying-party.ts'

/**
 * What of the login route's query goes on to the provider: the parameters that the options name, where they are sound. A link
 * with anything else in it is a link without it.
 */
export function passedParams({ config }: RelyingParty, query: URLSearchParams): WireParams {
  const given = config.passthroughParams.map((name) => soundParam(name, query.getAll(name)))
  return Object.assign({}, ...given)
}

/** Whoever makes a link may demand more of a login than the options do, never less: both are held against what comes back. */
export function strictestOf(passed: WireParams, { max_age: age, claims }: WireParams): WireParams {
  const isOlder = age !== undefined && Number(passed['max_age'] ?? age) >= Number(age)
  return { ...passed, ...(isOlder ? { max_age: age } : {}), ...(claims === undefined ? {} : { claims }) }
}

/** Of one that came twice the first counts; only `resource` may come several times (RFC 8707 2). */
function soundParam(name: string, values: readonly string[]): WireParams {
  const [first] = values
  if (first === undefined) return {}
  try {
    return parseAuthorizationParams({ [name]: name === 'resource' ? values : first })
  } catch {
    return {}
  }
}
