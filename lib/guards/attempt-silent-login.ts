import { OidcError } from '../errors.ts'
import { type Handler, redirect } from '../http.ts'
import { hasContext } from './guard.ts'

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
