import { createHash } from 'node:crypto'
import type { Config } from '../config/config.ts'
import { OidcError } from '../errors.ts'
import type { Request, Response } from '../http.ts'
import { createCookieWriter, readCookies } from './cookies.ts'

/**
 * Breaks the endless loop of a browser that logs in but whose session does not come back. Each completed login leaves a
 * mark for a few seconds, and a login that finds two of them, but no session, is stopped: once may be chance (a session
 * that the application ended itself), twice is a loop.
 */
export interface Landing {
  /** A login was completed. */
  mark(req: Request, res: Response): void
  unmark(res: Response): void
  /** Throws `ERR_OIDC_SESSION_NOT_KEPT` where two logins in a row have left no session. Trying again is possible. */
  check(req: Request, res: Response): void
}

const SECONDS = 10

export function createLanding(config: Pick<Config, 'origin' | 'basePath' | 'clientId' | 'sessionKey'>): Landing {
  const cookies = createCookieWriter(config.origin)
  // Cookies are shared by all applications of a host.
  const place = [config.clientId, config.basePath, config.sessionKey].join('\n')
  const name = cookies.name(`oidc-landed.${createHash('sha256').update(place).digest('base64url').slice(0, 8)}`)
  return {
    mark: (req, res) => cookies.set(res, name, readCookies(req).has(name) ? '2' : '1', SECONDS),
    unmark: (res) => cookies.clear(res, name),
    check(req, res) {
      if (readCookies(req).get(name) !== '2') return
      cookies.clear(res, name)
      throw new OidcError(
        'ERR_OIDC_SESSION_NOT_KEPT',
        'Two logins were completed one after the other, but no session came back with the next request. Usual causes: ' +
          "the session cookie is secure and 'trust proxy' is not set, its domain or path does not cover this page, " +
          'baseUrl names another host than the browser uses, or nodes do not share the session store.',
      )
    },
  }
}
