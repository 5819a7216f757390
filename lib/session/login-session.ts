import type { AppConfig } from '../config/config.ts'
import { ONLY_PROVIDER } from '../config/config.ts'
import type { Request } from '../http.ts'
import { isOfIssuer } from '../issuer.ts'
import type { Login } from '../types.ts'
import type { EndedSessions } from './ended-sessions.ts'
import { type SessionLike, type SessionRequest, storeOperation } from './express-session.ts'
import { heldSession, type OidcSession } from './held-session.ts'
import { isIdle } from './idle-timeout.ts'

type SessionConfig = Pick<AppConfig, 'sessionKey' | 'issuers' | 'idleTimeout'>

/**
 * The login that this session holds, or `undefined` where there is none, it has ended, or it is another issuer's. Reads
 * plain data: no store is asked and nothing is checked twice. A request without a session is a request without a login.
 */
export function readLogin(req: Request, config: SessionConfig): Login | undefined {
  const login = readLastLogin(req, config)
  if (login === undefined || login.expiresAt <= Date.now() / 1000) return undefined
  const held = config.idleTimeout === undefined ? undefined : heldSession(req.session, config)
  return held !== undefined && isIdle(held, config) ? undefined : login
}

/** The same, but also a login whose time is over: the provider may still have its own session of it. */
export function readLastLogin(req: Request, config: SessionConfig): Login | undefined {
  const login = heldSession(req.session, config)?.login
  if (login === undefined) return undefined
  // One of a provider that the options have no longer, or of another issuer under its name, is no login here.
  return isOfIssuer(config.issuers.get(login.provider ?? ONLY_PROVIDER), login.claims) ? login : undefined
}

/** Where the tokens of the login that this session holds, or has held, are kept. */
export function readTokensId(req: SessionRequest, config: SessionConfig): string | undefined {
  return heldSession(req.session, config)?.tokensId
}

/**
 * Makes ready the session for a login, under a new session id (session fixation). What the application had stored is
 * carried over from an anonymous session or one of the same person, never from another's. The login is not in it yet.
 *
 * @param startedAt When this login was started, in seconds since 1970.
 */
export async function startSession(
  req: SessionRequest,
  config: SessionConfig,
  ended: EndedSessions,
  login: Login,
  startedAt: number,
): Promise<void> {
  const previous = heldSession(req.session, config)?.login
  if (previous !== undefined && isSameEvent(previous, login, startedAt) && !ended.has(req)) return ended.release(req)
  const kept = previous === undefined || isSamePerson(previous, login) ? applicationData(req.session, config) : {}
  if (previous !== undefined) await ended.add(req)
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
  const held = heldSession(req.session, config)
  if (held !== undefined) req.session[config.sessionKey] = { ...held, login }
}

/** Puts the login into the session as another request of this process has left it. */
export function takeNewestLogin(req: SessionRequest, config: SessionConfig, { superseded }: EndedSessions): void {
  const held = heldSession(req.session, config)
  const newest = held && superseded.newest(held)
  if (newest !== held) req.session[config.sessionKey] = newest
}

/** Ends the session, with all that the application kept in it, also for requests that are still under way. */
export async function endSession(req: SessionRequest, ended: EndedSessions): Promise<void> {
  await ended.add(req)
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
