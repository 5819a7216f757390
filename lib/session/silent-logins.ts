import { createHash } from 'node:crypto'
import type { AppConfig } from '../config/config.ts'
import { isPageVisit, type Request, type Response } from '../http.ts'
import { createCookieWriter, readCookies } from './cookies.ts'

/**
 * Which visitors may be logged in without a question. Each is tried once, and the browser keeps a mark of it: whoever has
 * no session at the provider, or has just logged out, is left alone for an hour.
 */
export interface SilentLogins {
  /** Whether it makes sense to try: for a page that a person opens in a browser, where it was not tried before. */
  mayTry(req: Request): boolean
  /** It is being tried. */
  mark(res: Response): void
  /** Whether the browser has kept the mark of it. */
  isMarked(req: Request): boolean
  /** The person has logged out, which a silent login must not undo. Nothing is kept where none was ever thought of. */
  markLogout(res: Response): void
}

const SECONDS = 3600

export function createSilentLogins(
  config: Pick<AppConfig, 'origin' | 'basePath' | 'issuers' | 'sessionKey' | 'silentLogin'>,
): SilentLogins {
  const cookies = createCookieWriter(config.origin)
  // Cookies are shared by all applications of a host.
  const place = [...config.issuers.values(), config.basePath, config.sessionKey].join('\n')
  const name = cookies.name(`oidc-silent.${createHash('sha256').update(place).digest('base64url').slice(0, 8)}`)
  const isMarked = (req: Request): boolean => readCookies(req).has(name)
  const mark = (res: Response): void => cookies.set(res, name, '1', SECONDS)
  // A page may ask for them by itself, which no option tells.
  let isInUse = config.silentLogin
  return {
    mayTry(req) {
      isInUse = true
      return isPageVisit(req) && !isMarked(req)
    },
    mark,
    isMarked,
    markLogout(res) {
      if (isInUse) mark(res)
    },
  }
}
