import { ConfigError } from '../errors.ts'
import { type Check, createGuard, type Guard } from './guard.ts'

/** One scope, several that are all needed, or several of which one will do. */
export type ScopeRequirement = string | readonly string[] | { readonly anyOf: readonly string[] }

/** RFC 6749 3.3. */
const SCOPE_TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]+$/

/**
 * Lets only people through whose login was granted the scopes. Who is not logged in is asked to; who lacks a scope gets
 * `ERR_OIDC_INSUFFICIENT_SCOPE` (403), never a new login.
 *
 * @throws {ConfigError} for a scope that can never be granted
 * @example
 * ```ts
 * app.get('/reports', requireScope('reports:read'), showReports)
 * app.get('/orders', requireScope({ anyOf: ['orders:read', 'orders:write'] }), showOrders)
 * ```
 */
export function requireScope(required: ScopeRequirement): Guard {
  const { scopes, isEnough } = parseRequirement(required)
  const check: Check = ({ scope }) => {
    const granted = scope.split(' ')
    if (isEnough((one) => granted.includes(one))) return undefined
    return { code: 'ERR_OIDC_INSUFFICIENT_SCOPE', message: `This needs the scope ${scopes.join(', ')}.` }
  }
  return createGuard(check)
}

interface Requirement {
  readonly scopes: readonly string[]
  readonly isEnough: (isGranted: (scope: string) => boolean) => boolean
}

function parseRequirement(required: ScopeRequirement): Requirement {
  if (isAnyOf(required)) {
    const scopes = checkScopes(required.anyOf)
    return { scopes, isEnough: (isGranted) => scopes.some(isGranted) }
  }
  const scopes = checkScopes([required].flat())
  return { scopes, isEnough: (isGranted) => scopes.every(isGranted) }
}

function isAnyOf(required: ScopeRequirement): required is { readonly anyOf: readonly string[] } {
  return typeof required === 'object' && required !== null && 'anyOf' in required
}

/** An empty list would let everybody through, and `'a b'` nobody: both are slips of the pen. */
function checkScopes(scopes: unknown): readonly string[] {
  const isList = Array.isArray(scopes) && scopes.length > 0
  if (isList && scopes.every((scope) => typeof scope === 'string' && SCOPE_TOKEN.test(scope))) return [...scopes]
  throw new ConfigError([
    "requireScope takes a scope, a list of scopes, or { anyOf: [ ... ] }: each without spaces, as in requireScope(['a', 'b']).",
  ])
}
