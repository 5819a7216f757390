import { ConfigError } from '../errors.ts'
import { parseRequirement } from '../protocol/step-up.ts'
import type { AuthRequirement } from '../types.ts'
import { type Check, createGuard, type Denial, type Guard } from './guard.ts'

/**
 * Lets only people through who are logged in. A page is sent to log in and comes back; anything else gets a 401.
 *
 * With a requirement, a login that is too weak or too old is not enough: a page is sent to the provider to log in again,
 * with `acr_values` and `max_age`, and comes back; anything else gets the challenge of RFC 9470 3. What comes back is
 * checked: where the provider has not done as asked, it ends in `ERR_OIDC_INSUFFICIENT_AUTHENTICATION` (403).
 *
 * @throws {ConfigError} for a requirement that is none, which is what `app.get(path, requireAuth, handler)` comes to
 * @example
 * ```ts
 * app.get('/profile', requireAuth(), (req, res) => res.json(req.oidc.claims))
 * app.get('/payments', requireAuth({ acr: 'urn:okta:loa:2fa:any', maxAge: 300 }), showPayments)
 * ```
 */
export function requireAuth(required?: AuthRequirement): Guard {
  if (required === undefined) return createGuard(() => undefined)
  const requirement = parseRequirement(required)
  const tooWeak: Denial = {
    code: 'ERR_OIDC_INSUFFICIENT_AUTHENTICATION',
    message: 'This needs a stronger or more recent login.',
    requirement,
  }
  return createGuard((login) => (login.meets(requirement) ? undefined : tooWeak), requirement)
}

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
  const { scopes, isEnough } = parseScopeRequirement(required)
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

function parseScopeRequirement(required: ScopeRequirement): Requirement {
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
