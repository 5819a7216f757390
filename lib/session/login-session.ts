import type { AppConfig } from '../options/config.ts'
import { getRecord, unlessAbsent } from '../state/store-record.ts'
import type { Login } from '../types.ts'
import type { SessionConfig } from './current-login.ts'
import { type SessionLike, type SessionRequest, storeOperation } from './express-session.ts'
import type { StoreWatch } from './store-watch.ts'
import { type OidcSession, readOidcSession, writeOidcSession } from './stored-session.ts'
import type { TokenRecords } from './token-record.ts'

type LoginConfig = SessionConfig & Pick<AppConfig, 'anonymousSession' | 'findsProviders'>

interface LoginServices {
  readonly config: LoginConfig
  readonly storeWatch: StoreWatch
  readonly tokenRecords: TokenRecords
}

/**
 * Prepares the session for a login: gives it a new session id, against session fixation. What the application stored in it is
 * kept for the same user, in part if the session was anonymous, and never if it was another user's. The login is not in it yet.
 *
 * @param startedAt When this login was started, in seconds since 1970.
 */
export async function regenerateSession(
  req: SessionRequest,
  { config, storeWatch, tokenRecords }: LoginServices,
  login: Login,
  startedAt: number,
): Promise<void> {
  const stored = readOidcSession(req.session, config)
  const previous = stored?.login
  if (previous !== undefined && isCompletedMeanwhile(config, previous, login, startedAt) && !storeWatch.isEnded(req))
    return storeWatch.unindex(req)
  const kept = dataToKeep(req.session, config, previous, login)
  const { sessionStore, sessionID, session } = req
  try {
    // In the order that store-watch.ts explains.
    if (stored !== undefined) {
      await storeWatch.markEnded(req)
      await tokenRecords.remove(sessionStore, stored.tokensId)
    }
    await storeOperation('regenerate', (done) => req.session.regenerate(unlessAbsent(done)))
  } catch (error) {
    storeWatch.unmarkEnded(sessionID)
    throw error
  }
  await storeWatch.unindex({ sessionStore, sessionID, session })
  Object.assign(req.session, kept)
}

/**
 * True if another tab has completed the login of the session while this login was in progress. The session id is new already,
 * and one more would end the session of that tab.
 */
function isCompletedMeanwhile(config: LoginConfig, previous: Login, login: Login, startedAt: number): boolean {
  return (
    isSameUser(config, previous, login) &&
    previous.claims.acr === login.claims.acr &&
    previous.loggedInAt >= Math.floor(startedAt)
  )
}

/** If a function finds the providers, each is a tenant: what a user has stored for one must not appear in another. */
function isSameUser({ findsProviders }: LoginConfig, one: Login, other: Login): boolean {
  const isSamePlace = !findsProviders || one.provider === other.provider
  return isSamePlace && one.claims.iss === other.claims.iss && one.claims.sub === other.claims.sub
}

/** Where CSRF protections keep their secret: csurf, lusca, csrf-sync, tiny-csrf and others. */
const CSRF_SECRETS: ReadonlySet<string> = new Set([
  ...['csrfSecret', 'csrfToken', '_csrf', '_csrfSecret', '_csrfToken', 'csrf', 'xsrfToken'],
])

/** What the application stored, for the same user. What a visitor brings may be planted: see decision 19. */
function dataToKeep(
  session: SessionLike,
  config: LoginConfig,
  previous: Login | undefined,
  login: Login,
): Record<string, unknown> {
  const { sessionKey, anonymousSession } = config
  const { cookie: _cookie, [sessionKey]: _login, ...data } = session
  if (previous !== undefined) return isSameUser(config, previous, login) ? data : {}
  if (anonymousSession === 'discard') return {}
  const isKept = ([name]: readonly [string, unknown]): boolean =>
    anonymousSession === 'keep-all' || !CSRF_SECRETS.has(name)
  return Object.fromEntries(Object.entries(data).filter(isKept))
}

/** Saves the login in the session. Call it before the redirect, or the next request may come before the session is stored. */
export async function saveLogin(
  req: SessionRequest,
  config: SessionConfig,
  storeWatch: StoreWatch,
  oidcSession: OidcSession,
): Promise<void> {
  writeOidcSession(req.session, config, oidcSession)
  await storeOperation('save', (done) => req.session.save(done))
  storeWatch.markSaved(req)
}

/** Replaces the login in the session. express-session saves it at the end of the request. */
export function writeLogin(req: SessionRequest, config: SessionConfig, login: Login): void {
  const oidcSession = readOidcSession(req.session, config)
  if (oidcSession !== undefined) writeOidcSession(req.session, config, { ...oidcSession, login })
}

/** Updates the login in this request's session if another request of this process has changed it. */
export function syncLoginWithOtherRequests(
  req: SessionRequest,
  config: SessionConfig,
  { loginChanges }: StoreWatch,
): void {
  const oidcSession = readOidcSession(req.session, config)
  if (oidcSession === undefined) return
  const latest = loginChanges.latest(oidcSession)
  if (latest !== oidcSession) writeOidcSession(req.session, config, latest)
}

/** False if the session is no longer in its store, for example because another node has ended it. */
export async function isStored(req: SessionRequest): Promise<boolean> {
  const data = await storeOperation('get', (done) => getRecord(req.sessionStore, req.sessionID, done))
  return data !== undefined
}
