import { OidcError } from '../errors.ts'
import type { Handler } from '../http/request.ts'
import { redirect } from '../http/response.ts'
import { checkInterval } from '../session/current-login.ts'
import { hasContext } from './guard.ts'

/** How often a login is held against the provider's session. */
export interface SessionCheckOptions {
  /** In seconds; at least 10. */
  every: number
}

/**
 * Asks the provider at a page, where it has not been asked for so long, whether the person is still logged in there
 * (`prompt=none`, OIDC Session Management 2): the browser goes there and back without a question. Who is not is logged out
 * here too; who is has a fresh login. It works with every provider, Okta among them, and needs no third-party cookie. While
 * the provider does not answer, or wants to ask the person something, everything stays as it is, and the page is there.
 *
 * Give it to pages, before their guards. Requests of scripts are never sent away, and so never checked.
 *
 * @throws {ConfigError} for a time that is none
 * @example
 * ```ts
 * app.get('/account', checkSession({ every: 300 }), requireAuth(), showAccount)
 * ```
 */
export function checkSession(options: SessionCheckOptions): Handler {
  const every = checkInterval(Object(options).every)
  return (req, res, next) => {
    if (!hasContext(req)) {
      next(new OidcError('ERR_OIDC_NOT_MOUNTED', 'req.oidc is missing: mount app.use(oidc({ ... })) before this.'))
      return
    }
    const url = req.oidc.sessionCheckUrl(every)
    if (url === undefined) next()
    else redirect(res, url)
  }
}

/**
 * Logs visitors of a page in without a question where they have a session at the provider (`prompt=none`, OIDC Core
 * 3.1.2.1). It is tried once for each browser, and lets everybody through who is not logged in there either.
 *
 * @example
 * ```ts
 * app.get('/', attemptSilentLogin(), (req, res) => res.send(req.oidc.isAuthenticated ? 'Hello again' : 'Hello'))
 * ```
 */
export function attemptSilentLogin(): Handler {
  return (req, res, next) => {
    if (!hasContext(req)) {
      next(new OidcError('ERR_OIDC_NOT_MOUNTED', 'req.oidc is missing: mount app.use(oidc({ ... })) before this.'))
      return
    }
    const url = req.oidc.silentLoginUrl()
    if (url === undefined) next()
    else redirect(res, url)
  }
}
