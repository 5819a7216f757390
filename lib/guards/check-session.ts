import type { Handler } from '../http/request.ts'
import { redirect } from '../http/response.ts'
import { checkInterval } from '../session/current-login.ts'
import type { OidcContext } from '../types.ts'
import { requireContext } from './guard.ts'

/** How often `checkSession()` checks a login at the provider. */
export interface SessionCheckOptions {
  /** The interval in whole seconds, at least 10. */
  every: number
}

/**
 * Checks on a page whether the user still has a session at the provider. If the last check is longer ago than `every`
 * seconds, the browser goes to the provider and back, without a sign-in page (`prompt=none`, OIDC Session Management 2).
 *
 * - The user has a session: the login is renewed, with current claims.
 * - The user has logged out there: the login ends here too, and the guard after this one requests a new one.
 * - The provider is down or would have to show a page: nothing changes, and the page loads.
 *
 * Use it if a logout at the provider must end the login here, and the provider has no back-channel logout (Okta, for
 * example). It needs no third-party cookies. Mount it on pages, before their guards. It does not check requests of scripts.
 *
 * @throws {ConfigError} `ERR_OIDC_CONFIG` if `every` is not an integer of at least 10.
 * @example
 * ```ts
 * app.get('/account', checkSession({ every: 300 }), requireAuth(), showAccount)
 * ```
 */
export function checkSession(options: SessionCheckOptions): Handler {
  const every = checkInterval(Object(options).every)
  return redirectTo((oidc) => oidc.sessionCheckUrl(every))
}

/**
 * Logs visitors of a page in without a sign-in page if they have a session at the provider (`prompt=none`, OIDC Core
 * 3.1.2.1). It tries once for each browser. Visitors without a session at the provider see the page without a login.
 *
 * Use it on public pages that show more to users who are logged in. The option `silentLogin` does the same for all pages.
 *
 * @example
 * ```ts
 * app.get('/', attemptSilentLogin(), (req, res) => res.send(req.oidc.isAuthenticated ? 'Hello again' : 'Hello'))
 * ```
 */
export function attemptSilentLogin(): Handler {
  return redirectTo((oidc) => oidc.silentLoginUrl())
}

/** Redirects the browser to this URL, or passes the request on if there is none. */
function redirectTo(urlOf: (oidc: OidcContext) => string | undefined): Handler {
  return (req, res, next) => {
    if (!requireContext(req, next)) return
    const url = urlOf(req.oidc)
    if (url === undefined) next()
    else redirect(res, url)
  }
}
