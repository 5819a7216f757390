import { AccessDeniedError, ConfigError } from '../errors.ts'
import { isPreflight, publishDenial } from '../http/denial.ts'
import { type Handler, headerOf, type Next, type Request } from '../http/request.ts'
import { objectOf, option } from '../options/option-row.ts'
import { booleanRule } from '../options/rule.ts'
import { origins } from '../options/urls.ts'
import { requireContext } from './guard.ts'

/** What `requireSameOrigin()` demands of a request. */
export interface SameOriginOptions {
  /**
   * Origins whose pages may send unsafe requests too: `['https://admin.example.com']`. They are added to those of the option
   * `trustedOrigins`.
   */
  trustedOrigins?: readonly string[]
  /**
   * Also require the header `X-CSRF: 1`, of every request but a CORS preflight. A form and an image cannot send it, and a
   * script of another origin only after a preflight. `fetch` of `express-oidc/browser` sends it.
   * @default false
   */
  header?: boolean
}

const sameOriginRule = objectOf({ trustedOrigins: option(origins), header: option(booleanRule) })

/**
 * Refuses unsafe requests that a page of another origin has sent, so that no other site can act in the user's name (CSRF).
 * All methods are unsafe but GET, HEAD and OPTIONS. `Sec-Fetch-Site` decides, or `Origin` if a browser does not send it;
 * the origin is that of `baseUrl`. Requests of programs, which send neither, pass.
 *
 * Guards do this for requests with a session already, unless the option `csrfProtection` is `false`. Use it for routes
 * without a guard, such as the form of a contact page, and for the compulsory header.
 *
 * Passes `ERR_OIDC_CROSS_ORIGIN_REQUEST` or `ERR_OIDC_CSRF_HEADER` (403) to `next`.
 *
 * @throws {ConfigError} `ERR_OIDC_CONFIG` if `trustedOrigins` holds something else than origins.
 * @example
 * ```ts
 * app.use('/api', requireSameOrigin({ header: true }))
 * ```
 */
export function requireSameOrigin(options: SameOriginOptions = {}): Handler {
  const problems = sameOriginRule(options, 'options')
  if (problems.length > 0) throw new ConfigError(problems)
  const { trustedOrigins = [], header = false } = options
  return (req, _res, next) => {
    if (!requireContext(req, next)) return
    const error = req.oidc.crossOriginError?.(trustedOrigins) ?? (header ? missingHeader(req) : undefined)
    if (error === undefined) next()
    else refuse(req, next, error)
  }
}

function missingHeader(req: Request): AccessDeniedError | undefined {
  if (headerOf(req, 'x-csrf') === '1' || isPreflight(req)) return undefined
  return new AccessDeniedError(
    'ERR_OIDC_CSRF_HEADER',
    'The request has no header X-CSRF: 1, which requireSameOrigin({ header: true }) requires. Send it with every request ' +
      'of a script, or use fetch of express-oidc/browser, which does.',
  )
}

function refuse(req: Request, next: Next, error: AccessDeniedError): void {
  publishDenial(req, error.code)
  next(error)
}
