import { OidcError } from '../errors.ts'
import type { Request, Response } from '../http.ts'
import { createCookieWriter, readCookies } from './cookies.ts'

/**
 * Breaks the endless loop of a browser that logs in but whose session does not come back: a login leaves a mark for a
 * few seconds, and a new login that finds the mark, but no session, is stopped.
 */
export interface Landing {
  mark(res: Response): void
  unmark(res: Response): void
  /** Throws `ERR_OIDC_SESSION_NOT_KEPT`, once: trying again is possible. */
  check(req: Request, res: Response): void
}

const NAME = 'oidc-landed'
const SECONDS = 10

export function createLanding(origin: string): Landing {
  const cookies = createCookieWriter(origin)
  const name = cookies.name(NAME)
  return {
    mark: (res) => cookies.set(res, name, '1', SECONDS),
    unmark: (res) => cookies.clear(res, name),
    check(req, res) {
      if (!readCookies(req).has(name)) return
      cookies.clear(res, name)
      throw new OidcError(
        'ERR_OIDC_SESSION_NOT_KEPT',
        'A login was completed a moment ago, but its session did not come back with the next request. Usual causes: ' +
          "the session cookie is secure and 'trust proxy' is not set, its domain or path does not cover this page, " +
          'baseUrl names another host than the browser uses, or nodes do not share the session store.',
      )
    },
  }
}
