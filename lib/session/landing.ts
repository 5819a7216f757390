import { createHash } from 'node:crypto'
import type { AppConfig } from '../config/config.ts'
import { AccessDeniedError, OidcError } from '../errors.ts'
import type { Request, Response } from '../http.ts'
import { createCookieWriter, readCookies } from './cookies.ts'

/**
 * Breaks the endless loop of a browser that logs in but whose session does not come back. Each completed login leaves a
 * mark for a few seconds, and a login that finds two of them, but no session, is stopped: once may be chance (a session
 * that the application ended itself), twice is a loop. So is a page for which three logins were not strong enough.
 */
export interface Landing {
  /** A login was completed. */
  mark(req: Request, res: Response): void
  unmark(res: Response): void
  /** Throws `ERR_OIDC_SESSION_NOT_KEPT` where two logins in a row have left no session. Trying again is possible. */
  check(req: Request, res: Response): void
  /**
   * Throws `ERR_OIDC_INSUFFICIENT_AUTHENTICATION` where three logins in a row were not strong enough, although each was
   * as strong as it was asked to be. Trying again is possible.
   */
  checkStepUp(req: Request, res: Response): void
}

const SECONDS = 10

export function createLanding(config: Pick<AppConfig, 'origin' | 'basePath' | 'issuers' | 'sessionKey'>): Landing {
  const cookies = createCookieWriter(config.origin)
  // Cookies are shared by all applications of a host.
  const place = [...config.issuers.values(), config.basePath, config.sessionKey].join('\n')
  const name = cookies.name(`oidc-landed.${createHash('sha256').update(place).digest('base64url').slice(0, 8)}`)
  const count = (req: Request): number => Number(/^[1-9]$/.exec(readCookies(req).get(name) ?? '')?.[0] ?? 0)
  return {
    mark: (req, res) => cookies.set(res, name, String(Math.min(count(req) + 1, 9)), SECONDS),
    unmark: (res) => cookies.clear(res, name),
    check(req, res) {
      if (count(req) < 2) return
      cookies.clear(res, name)
      throw new OidcError(
        'ERR_OIDC_SESSION_NOT_KEPT',
        'Two logins were completed one after the other, but no session came back with the next request. Usual causes: ' +
          "the session cookie is secure and 'trust proxy' is not set, its domain or path does not cover this page, " +
          'baseUrl names another host than the browser uses, or nodes do not share the session store.',
      )
    },
    checkStepUp(req, res) {
      if (count(req) < 3) return
      cookies.clear(res, name)
      throw new AccessDeniedError(
        'ERR_OIDC_INSUFFICIENT_AUTHENTICATION',
        'Three logins were completed one after the other, each as strong as it was asked to be, and the page wants yet ' +
          'another: its guards demand what no one login is.',
      )
    },
  }
}
