import type { Handler } from '../http/request.ts'
import { requireContext } from './guard.ts'

/**
 * Keeps a posted form if a guard after it sends the user to log in, and posts it again after the login. Without it the form is
 * lost: a login ends with a GET. Use it for forms that take the user time, and put it in front of the guards of the route.
 *
 * The form is encrypted in a cookie of the browser, for at most `transactionLifetime`. It is posted once, after this login, and
 * only for the same user if one was logged in before. A form that a page of another origin has posted is not kept.
 *
 * Passes `ERR_OIDC_FORM_NOT_KEPT` to `next` for a form with files (415), and for one that is too large for a cookie (413).
 *
 * @example
 * ```ts
 * app.post('/orders', keepForm(), requireAuth(), (req, res) => res.send('Thank you'))
 * ```
 */
export function keepForm(): Handler {
  return (req, _res, next) => {
    if (!requireContext(req, next)) return
    req.oidc.keepForm?.()
    next()
  }
}
