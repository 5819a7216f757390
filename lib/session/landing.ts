import { OidcError } from '../errors.ts'
import type { Request, Response } from '../http.ts'
import { createCookieWriter, readCookies } from './cookies.ts'

/**
 * Breaks the endless loop of a browser that logs in but whose session does not come back. A login leaves a mark for a few
 * seconds. A new login that finds the mark, but no session, makes a second mark, and one that finds that is stopped: once
 * may be chance (a session that the application ended itself), twice is a loop.
 */
export interface Landing {
  mark(req: Request, res: Response): void
  unmark(res: Response): void
  /** Throws `ERR_OIDC_SESSION_NOT_KEPT` at the second time in a row. Trying again later is possible. */
  check(req: Request, res: Response): void
}

const NAME = 'oidc-landed'
const SECONDS = 10

export function createLanding(origin: string): Landing {
  const cookies = createCookieWriter(origin)
  const name = cookies.name(NAME)
  return {
    mark: (req, res) => cookies.set(res, name, readCookies(req).get(name) === '2' ? '2' : '1', SECONDS),
    unmark: (res) => cookies.clear(res, name),
    check(req, res) {
      const mark = readCookies(req).get(name)
      if (mark === undefined) return
      if (mark !== '2') return cookies.set(res, name, '2', SECONDS)
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
