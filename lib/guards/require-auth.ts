import { createGuard, type Guard } from './guard.ts'

/**
 * Lets only people through who are logged in. A page is sent to log in and comes back; anything else gets a 401.
 *
 * @example
 * ```ts
 * app.get('/profile', requireAuth(), (req, res) => res.json(req.oidc.claims))
 * ```
 */
export function requireAuth(): Guard {
  return createGuard(() => undefined)
}
