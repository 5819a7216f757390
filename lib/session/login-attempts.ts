import { createHash } from 'node:crypto'
import { AccessDeniedError, OidcError } from '../errors.ts'
import { headerOf, isPageVisit, type Request, type Response } from '../http/request.ts'
import type { AppConfig } from '../options/config.ts'
import { createCookieWriter, readCookies } from './cookies.ts'

/**
 * Stops the endless loop of a browser that logs in, but never sends its session back. A short-lived cookie counts completed
 * logins, and notes when the browser has sent the session of one. If a login starts without a session after two logins whose
 * session never came back, it is stopped. So an application may end a session itself, as often as it likes. A page whose
 * requirement three logins did not meet is stopped too.
 */
export interface LoopBrake {
  /** Counts a completed login. */
  countLogin(req: Request, res: Response): void
  /** Notes that the browser has sent the session of a login. Cheap: does nothing ten seconds after a login. */
  noteSession(req: Request, res: Response, isLoggedIn: () => boolean): void
  reset(res: Response): void
  /** Throws `ERR_OIDC_SESSION_NOT_KEPT` after two logins in a row without a session. The next attempt is possible again. */
  stopLoginLoop(req: Request, res: Response): void
  /**
   * Throws `ERR_OIDC_INSUFFICIENT_AUTHENTICATION` after three logins in a row, each of which met its requirement, if the page
   * still requires another one. The next attempt is possible again.
   */
  stopStepUpLoop(req: Request, res: Response): void
}

type BrowserConfig = Pick<AppConfig, 'origin' | 'basePath' | 'issuers' | 'clientIds' | 'sessionKey'>

const LOOP_WINDOW_SECONDS = 10

export function createLoopBrake(config: BrowserConfig): LoopBrake {
  const cookies = createCookieWriter(config.origin)
  const name = cookies.name(`oidc-landed.${appHash(config)}`)
  const read = (req: Request): { count: number; isKept: boolean } => {
    const [, count = 0, kept] = /^([1-9])(k?)$/.exec(readCookies(req).get(name) ?? '') ?? []
    return { count: Number(count), isKept: kept === 'k' }
  }
  const count = (req: Request): number => read(req).count
  return {
    countLogin: (req, res) => cookies.set(res, name, String(Math.min(count(req) + 1, 9)), LOOP_WINDOW_SECONDS),
    noteSession(req, res, isLoggedIn) {
      if (headerOf(req, 'cookie')?.includes(`${name}=`) !== true) return
      const attempts = read(req)
      if (attempts.count === 0 || attempts.isKept || !isLoggedIn()) return
      cookies.set(res, name, `${attempts.count}k`, LOOP_WINDOW_SECONDS)
    },
    reset: (res) => cookies.clear(res, name),
    stopLoginLoop(req, res) {
      const attempts = read(req)
      if (attempts.count < 2 || attempts.isKept) return
      cookies.clear(res, name)
      throw sessionNotKept()
    },
    stopStepUpLoop(req, res) {
      if (count(req) < 3) return
      cookies.clear(res, name)
      throw requirementNotMet()
    },
  }
}

function sessionNotKept(): OidcError {
  return new OidcError(
    'ERR_OIDC_SESSION_NOT_KEPT',
    'Two logins in a row were completed, but the browser sent no session with the next request. Check the session cookie ' +
      "(it is secure and 'trust proxy' is not set, or its domain or path does not cover this page), baseUrl (it names " +
      'another host than the browser uses), and the session store (the nodes do not share it).',
  )
}

function requirementNotMet(): AccessDeniedError {
  return new AccessDeniedError(
    'ERR_OIDC_INSUFFICIENT_AUTHENTICATION',
    'Three logins in a row were completed, and each met the requirement that it was started with, but this page requires ' +
      'another one. Check its guards: no single login can meet all their requirements (acr, amr, maxAge, scope).',
  )
}

/**
 * Decides which visitors get a silent login. Each browser gets one attempt an hour, which a cookie records. A user who has
 * just logged out gets none for an hour.
 */
export interface SilentLogins {
  /** True for a page that the user opens in a browser that has not tried a silent login yet. */
  shouldTry(req: Request): boolean
  /** Records an attempt. */
  rememberAttempt(res: Response): void
  /** True if the browser has recorded an attempt. */
  wasTried(req: Request): boolean
  /** Keeps a silent login from undoing a logout. Sets no cookie if the application does not use silent logins. */
  pauseAfterLogout(res: Response): void
}

const ATTEMPT_SECONDS = 3600

export function createSilentLogins(config: BrowserConfig & Pick<AppConfig, 'silentLogin'>): SilentLogins {
  const cookies = createCookieWriter(config.origin)
  const name = cookies.name(`oidc-silent.${appHash(config)}`)
  const wasTried = (req: Request): boolean => readCookies(req).has(name)
  const rememberAttempt = (res: Response): void => cookies.set(res, name, '1', ATTEMPT_SECONDS)
  // A page can also try one without the option, by attemptSilentLogin() or silentLoginUrl().
  let isSilentLoginUsed = config.silentLogin
  return {
    shouldTry(req) {
      isSilentLoginUsed = true
      return isPageVisit(req) && !wasTried(req)
    },
    rememberAttempt,
    wasTried,
    pauseAfterLogout(res) {
      if (isSilentLoginUsed) rememberAttempt(res)
    },
  }
}

/** Part of a cookie's name: all applications on a host share its cookies, on all its ports. */
function appHash({ origin, issuers, clientIds, basePath, sessionKey }: BrowserConfig): string {
  const appNamespace = [origin, ...issuers.values(), ...clientIds.values(), basePath, sessionKey].join('\n')
  return createHash('sha256').update(appNamespace).digest('base64url').slice(0, 8)
}
