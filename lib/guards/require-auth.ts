import { type AuthRequirement, parseRequirement } from '../authentication-requirement.ts'
import { createGuard, type Denial, type Guard } from './guard.ts'

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
