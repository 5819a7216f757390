import { ConfigError } from '../errors.ts'
import { createGuard, type Guard } from './guard.ts'

/**
 * Lets only people through who are logged in. A page is sent to log in and comes back; anything else gets a 401.
 *
 * @throws {ConfigError} for any argument, which is what `app.get(path, requireAuth, handler)` comes to
 * @example
 * ```ts
 * app.get('/profile', requireAuth(), (req, res) => res.json(req.oidc.claims))
 * ```
 */
export function requireAuth(none?: undefined): Guard {
  if (none !== undefined) throw new ConfigError(['requireAuth takes nothing: app.get(path, requireAuth(), handler).'])
  return createGuard(() => undefined)
}
