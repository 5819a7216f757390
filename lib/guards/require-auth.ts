import { ConfigError, shown } from '../errors.ts'
import type { Denial } from '../http/denial.ts'
import { hasScopes, parseRequirement } from '../protocol/step-up.ts'
import type { AuthRequirement } from '../types.ts'
import { type Check, createGuard, type Guard, type GuardOptions, readGuardOptions } from './guard.ts'

/** What `requireAuth()` takes: how the login must be, and the answer to a request without one. All is optional. */
export interface AuthOptions extends AuthRequirement, GuardOptions {}

/**
 * Requires a login. A page without one is redirected to the login route, and the user comes back to it. Any other request
 * gets 401 and the login URL as JSON.
 *
 * With a requirement, a login that is too weak or too old (RFC 9470) or lacks a scope does not suffice. A page is redirected
 * to log in again, with `acr_values`, `max_age` and the scopes. Any other request gets 401 and a `WWW-Authenticate`
 * challenge. The response of the provider is checked: if it does not meet the requirement, the login fails with
 * `ERR_OIDC_INSUFFICIENT_AUTHENTICATION` or `ERR_OIDC_INSUFFICIENT_SCOPE` (403), and the login that was there before stays.
 *
 * @throws {ConfigError} `ERR_OIDC_CONFIG` for an invalid requirement or `otherwise`. So `app.get(path, requireAuth, handler)` without
 * parentheses fails at its first request.
 * @example
 * ```ts
 * app.get('/profile', requireAuth(), (req, res) => res.json(req.oidc.claims))
 * app.get('/payments', requireAuth({ acr: 'urn:okta:loa:2fa:any', maxAge: 300 }), showPayments)
 * app.get('/calendar', requireAuth({ scope: 'calendar.read' }), showCalendar)
 * app.get('/staff', requireAuth({ otherwise: 404 }), showStaff)
 * ```
 */
export function requireAuth(options?: AuthOptions): Guard {
  if (options === undefined) return createGuard(() => undefined)
  if (isRequest(options)) {
    throw new ConfigError([
      'requireAuth() was used without its parentheses, so it got a request. Write app.get(path, requireAuth(), handler).',
    ])
  }
  const { otherwise, ...required }: AuthOptions = Object(options)
  const guardOptions = 'otherwise' in Object(options) ? readGuardOptions({ otherwise }, 'requireAuth') : {}
  if (otherwise !== undefined && Object.keys(required).length === 0) return createGuard(() => undefined, guardOptions)
  const requirement = parseRequirement(required)
  const { scope = [], ...strength } = requirement
  const tooWeak: Denial = {
    code: 'ERR_OIDC_INSUFFICIENT_AUTHENTICATION',
    message: `This page requires a stronger or more recent login (${Object.keys(strength).join(', ')}). Log in again.`,
    requirement,
  }
  const lacksScope: Denial = {
    code: 'ERR_OIDC_INSUFFICIENT_SCOPE',
    message: `This page requires a login with all of the scopes ${scope.join(', ')}. Log in again to grant them.`,
    requirement,
    scope,
  }
  const isStrongEnough = requirementTest(strength)
  return createGuard(
    (login) => {
      if (!isStrongEnough(login)) return tooWeak
      return hasScopes(login.scope, scope) ? undefined : lacksScope
    },
    { ...guardOptions, requirement },
  )
}

/** A requirement without members is met by every login. */
function requirementTest(strength: AuthRequirement): (login: Parameters<Check>[0]) => boolean {
  return Object.keys(strength).length === 0 ? () => true : (login) => login.meets(strength)
}

function isRequest(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'headers' in value && 'method' in value
}

/** One scope, a list of scopes that are all required, or `{ anyOf }` with scopes of which one suffices. */
export type ScopeRequirement = string | readonly string[] | { readonly anyOf: readonly string[] }

/**
 * Requires a login with these scopes. A user who is not logged in is redirected to log in, as by `requireAuth()`. A login
 * without the scopes gets `ERR_OIDC_INSUFFICIENT_SCOPE` (403), never a new login: use `requireAuth({ scope })` if the user
 * should be sent to the provider to grant them.
 *
 * @throws {ConfigError} `ERR_OIDC_CONFIG` for an empty list, or a scope that cannot exist (RFC 6749 3.3).
 * @example
 * ```ts
 * app.get('/reports', requireScope('reports:read'), showReports)
 * app.get('/orders', requireScope({ anyOf: ['orders:read', 'orders:write'] }), showOrders)
 * app.get('/admin', requireScope('admin', { otherwise: 404 }), showAdmin)
 * ```
 */
export function requireScope(required: ScopeRequirement, options: GuardOptions = {}): Guard {
  const isAny = isAnyOf(required)
  const scopes = parseScopes(isAny ? required.anyOf : [required].flat())
  const check: Check = ({ scope }) => {
    const granted = new Set(scope.split(' '))
    const isGranted = (one: string): boolean => granted.has(one)
    return (isAny ? scopes.some(isGranted) : scopes.every(isGranted)) ? undefined : denialFor(scope)
  }
  const denialFor = (granted: string): Denial => ({
    code: 'ERR_OIDC_INSUFFICIENT_SCOPE',
    message:
      `This route requires the scope ${scopes.map((one) => `'${one}'`).join(isAny ? ' or ' : ' and ')}, but the login has ` +
      `${shown(granted)}. Add it to the option scope, and allow it at the provider.`,
    scope: scopes,
  })
  return createGuard(check, readGuardOptions(options, 'requireScope'))
}

function isAnyOf(required: ScopeRequirement): required is { readonly anyOf: readonly string[] } {
  return typeof required === 'object' && required !== null && 'anyOf' in required
}

/** RFC 6749 3.3. */
const SCOPE_TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]+$/

/** An empty list would let every user through, and a scope with a space none. Both are mistakes. */
function parseScopes(scopes: unknown): readonly string[] {
  const isList = Array.isArray(scopes) && scopes.length > 0
  if (isList && scopes.every((scope) => typeof scope === 'string' && SCOPE_TOKEN.test(scope))) return [...scopes]
  throw new ConfigError([
    "requireScope takes a scope, a list of scopes, or { anyOf: [ ... ] }, and a scope has no spaces: requireScope(['a', 'b']). " +
      `It got ${shown(scopes)}.`,
  ])
}
