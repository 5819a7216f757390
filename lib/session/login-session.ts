import { type Events, publish } from '../events.ts'
import type { Response } from '../http/request.ts'
import { ONLY_PROVIDER } from '../options/config.ts'
import type { Login } from '../types.ts'
import { expireSessionCookie } from './cookies.ts'
import { type OidcSession, readLastLogin, readOidcSession, readTokensId, type SessionConfig } from './current-login.ts'
import { type SessionLike, type SessionRequest, storeOperation } from './express-session.ts'
import type { LoopBrake } from './login-attempts.ts'
import type { StoreWatch } from './store-watch.ts'
import type { TokenRecords } from './token-record.ts'

/**
 * Makes ready the session for a login, under a new session id (session fixation). What the application had stored is
 * carried over from an anonymous session or one of the same person, never from another's. The login is not in it yet.
 *
 * @param startedAt When this login was started, in seconds since 1970.
 */
export async function regenerateSession(
  req: SessionRequest,
  config: SessionConfig,
  storeWatch: StoreWatch,
  login: Login,
  startedAt: number,
): Promise<void> {
  const previous = readOidcSession(req.session, config)?.login
  if (previous !== undefined && isSameEvent(previous, login, startedAt) && !storeWatch.isEnded(req))
    return storeWatch.unindex(req)
  const kept = previous === undefined || isSamePerson(previous, login) ? applicationData(req.session, config) : {}
  if (previous !== undefined) await storeWatch.endSession(req)
  await storeOperation((done) => req.session.regenerate(done))
  Object.assign(req.session, kept)
}

/**
 * Whether the session's login was completed while this one was under way: several tabs of one browser are logging in
 * together. The session id is new already, and another one would end the session under the tabs that came first.
 */
function isSameEvent(previous: Login, login: Login, startedAt: number): boolean {
  return (
    isSamePerson(previous, login) &&
    previous.claims.acr === login.claims.acr &&
    previous.loggedInAt >= Math.floor(startedAt)
  )
}

function isSamePerson(one: Login, other: Login): boolean {
  return one.claims.iss === other.claims.iss && one.claims.sub === other.claims.sub
}

function applicationData(session: SessionLike, config: SessionConfig): Record<string, unknown> {
  const { cookie: _cookie, [config.sessionKey]: _login, ...kept } = session
  return kept
}

/** Puts the login into the session and writes it to its store: before the redirect, or the next request comes too early. */
export async function saveLogin(req: SessionRequest, config: SessionConfig, held: OidcSession): Promise<void> {
  req.session[config.sessionKey] = held
  await storeOperation((done) => req.session.save(done))
}

/** Puts a changed login into the session, in the place of its own. */
export function writeLogin(req: SessionRequest, config: SessionConfig, login: Login): void {
  const held = readOidcSession(req.session, config)
  if (held !== undefined) req.session[config.sessionKey] = { ...held, login }
}

/** Puts the login into the session as another request of this process has left it. */
export function syncLoginWithOtherRequests(
  req: SessionRequest,
  config: SessionConfig,
  { loginChanges: superseded }: StoreWatch,
): void {
  const held = readOidcSession(req.session, config)
  const newest = held && superseded.latest(held)
  if (newest !== held) req.session[config.sessionKey] = newest
}

/** Ends the session, with all that the application kept in it, also for requests that are still under way. */
export async function endSession(req: SessionRequest, storeWatch: StoreWatch): Promise<void> {
  await storeWatch.endSession(req)
  await destroySession(req)
}

/** Whether the session is in its store: one that another node has ended is not. */
export async function isStored(req: SessionRequest): Promise<boolean> {
  const data = await storeOperation<unknown>((done) => req.sessionStore.get(req.sessionID, done))
  return data !== undefined && data !== null
}

/** Drops a session that nobody has logged in with. */
export async function destroySession(req: SessionRequest): Promise<void> {
  await storeOperation((done) => req.session.destroy(done))
}

/** What has to be told when a login ends. */
interface LoginServices {
  readonly config: SessionConfig
  readonly storeWatch: StoreWatch
  readonly tokenRecords: TokenRecords
  readonly loopBrake: LoopBrake
}

/**
 * Ends the login of this browser because its end at the provider became known. The tokens are forgotten here, and never
 * revoked: nobody has proved to us that the person wants it.
 */
export async function endLocalLogin(
  { config, storeWatch, tokenRecords, loopBrake }: LoginServices,
  req: SessionRequest,
  res: Response,
  how: Events['express-oidc:logout']['how'],
): Promise<void> {
  const login = readLastLogin(req, config)
  if (login === undefined) return
  const { sessionID, session, sessionStore } = req
  const tokensId = readTokensId(req, config)
  await endSession(req, storeWatch)
  if (tokensId !== undefined) await tokenRecords.remove(sessionStore, tokensId)
  expireSessionCookie(req, res, sessionID, session.cookie)
  loopBrake.reset(res)
  const { provider = ONLY_PROVIDER, claims } = login
  publish['express-oidc:logout'](() => ({ provider, how, issuer: claims.iss, sub: claims.sub }))
}
