import { createHash } from 'node:crypto'
import { AccessDeniedError, OidcError } from '../errors.ts'
import { isPageVisit, type Request, type Response } from '../http/request.ts'
import type { AppConfig } from '../options/config.ts'
import { createCookieWriter, readCookies } from './cookies.ts'

/**
 * Breaks the endless loop of a browser that logs in but whose session does not come back. Each completed login leaves a
 * mark for a few seconds, and a login that finds two of them, but no session, is stopped: once may be chance (a session
 * that the application ended itself), twice is a loop. So is a page for which three logins were not strong enough.
 */
export interface LoopBrake {
  /** A login was completed. */
  countLogin(req: Request, res: Response): void
  reset(res: Response): void
  /** Throws `ERR_OIDC_SESSION_NOT_KEPT` where two logins in a row have left no session. Trying again is possible. */
  stopLoginLoop(req: Request, res: Response): void
  /**
   * Throws `ERR_OIDC_INSUFFICIENT_AUTHENTICATION` where three logins in a row were not strong enough, although each was
   * as strong as it was asked to be. Trying again is possible.
   */
  stopStepUpLoop(req: Request, res: Response): void
}

const LOOP_WINDOW_SECONDS = 10

export function createLoopBrake(config: Pick<AppConfig, 'origin' | 'basePath' | 'issuers' | 'sessionKey'>): LoopBrake {
  const cookies = createCookieWriter(config.origin)
  // Cookies are shared by all applications of a host.
  const appNamespace = [...config.issuers.values(), config.basePath, config.sessionKey].join('\n')
  const name = cookies.name(`oidc-landed.${createHash('sha256').update(appNamespace).digest('base64url').slice(0, 8)}`)
  const count = (req: Request): number => Number(/^[1-9]$/.exec(readCookies(req).get(name) ?? '')?.[0] ?? 0)
  return {
    countLogin: (req, res) => cookies.set(res, name, String(Math.min(count(req) + 1, 9)), LOOP_WINDOW_SECONDS),
    reset: (res) => cookies.clear(res, name),
    stopLoginLoop(req, res) {
      if (count(req) < 2) return
      cookies.clear(res, name)
      throw new OidcError(
        'ERR_OIDC_SESSION_NOT_KEPT',
        'Two logins were completed one after the other, but no session came back with the next request. Usual causes: ' +
          "the session cookie is secure and 'trust proxy' is not set, its domain or path does not cover this page, " +
          'baseUrl names another host than the browser uses, or nodes do not share the session store.',
      )
    },
    stopStepUpLoop(req, res) {
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

/**
 * Which visitors may be logged in without a question. Each is tried once, and the browser keeps a mark of it: whoever has
 * no session at the provider, or has just logged out, is left alone for an hour.
 */
export interface SilentLogins {
  /** Whether it makes sense to try: for a page that a person opens in a browser, where it was not tried before. */
  shouldTry(req: Request): boolean
  /** It is being tried. */
  rememberAttempt(res: Response): void
  /** Whether the browser has kept the mark of it. */
  wasTried(req: Request): boolean
  /** The person has logged out, which a silent login must not undo. Nothing is kept where none was ever thought of. */
  pauseAfterLogout(res: Response): void
}

const ATTEMPT_SECONDS = 3600

export function createSilentLogins(
  config: Pick<AppConfig, 'origin' | 'basePath' | 'issuers' | 'sessionKey' | 'silentLogin'>,
): SilentLogins {
  const cookies = createCookieWriter(config.origin)
  // Cookies are shared by all applications of a host.
  const place = [...config.issuers.values(), config.basePath, config.sessionKey].join('\n')
  const name = cookies.name(`oidc-silent.${createHash('sha256').update(place).digest('base64url').slice(0, 8)}`)
  const isMarked = (req: Request): boolean => readCookies(req).has(name)
  const mark = (res: Response): void => cookies.set(res, name, '1', ATTEMPT_SECONDS)
  // A page may ask for them by itself, which no option tells.
  let isSilentLoginUsed = config.silentLogin
  return {
    shouldTry(req) {
      isSilentLoginUsed = true
      return isPageVisit(req) && !isMarked(req)
    },
    rememberAttempt: mark,
    wasTried: isMarked,
    pauseAfterLogout(res) {
      if (isSilentLoginUsed) mark(res)
    },
  }
}
