import type { Config } from '../config/config.ts'
import type { Request } from '../http.ts'
import type { Login } from '../types.ts'
import type { EndedSessions } from './ended-sessions.ts'
import { type SessionLike, type SessionRequest, storeOperation } from './express-session.ts'

type SessionConfig = Pick<Config, 'sessionKey' | 'issuer'>

/** What is kept in `req.session[sessionKey]`: what guards need, and the way to the tokens. */
interface OidcSession {
  readonly login: Login
  /** Where the tokens of this login are kept: see `token-record.ts`. */
  readonly tokensId: string
}

/**
 * The login that this session holds, or `undefined` where there is none, it has ended, or it is another issuer's. Reads
 * plain data: no store is asked and nothing is checked twice. A request without a session is a request without a login.
 */
export function readLogin(req: Request, config: SessionConfig): Login | undefined {
  const login = isRecord(req.session) ? heldSession(req.session, config)?.login : undefined
  if (login === undefined || login.claims.iss !== config.issuer) return undefined
  return login.expiresAt > Date.now() / 1000 ? login : undefined
}

/** Where the tokens of the login that this session holds, or has held, are kept. */
export function readTokensId(req: SessionRequest, config: SessionConfig): string | undefined {
  return heldSession(req.session, config)?.tokensId
}

function heldSession(session: Readonly<Record<string, unknown>>, config: SessionConfig): OidcSession | undefined {
  const held = session[config.sessionKey]
  return isOidcSession(held) ? held : undefined
}

/** A store gives back what was put into it, but sessions are shared with the application: a guard reads no surprises. */
function isOidcSession(value: unknown): value is OidcSession {
  return isRecord(value) && isLogin(value['login']) && typeof value['tokensId'] === 'string'
}

function isLogin(value: unknown): value is Login {
  return isRecord(value) && isPerson(value['claims']) && hasTerms(value)
}

function isPerson(claims: unknown): boolean {
  return (
    isRecord(claims) && typeof claims['iss'] === 'string' && typeof claims['sub'] === 'string' && claims['sub'] !== ''
  )
}

function hasTerms({ scope, loggedInAt, expiresAt }: Readonly<Record<string, unknown>>): boolean {
  return typeof scope === 'string' && typeof loggedInAt === 'number' && typeof expiresAt === 'number'
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
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
  if (previous !== undefined && isSameEvent(previous, login, startedAt) && !ended.has(req)) return
  const kept = previous === undefined || isSamePerson(previous, login) ? applicationData(req.session, config) : {}
  if (previous !== undefined) ended.add(req)
  await storeOperation((done) => req.session.regenerate(done))
  Object.assign(req.session, kept)
}

/**
 * Whether the session's login was completed while this one was under way: several tabs of one browser are logging in
 * together. The session id is new already, and another one would end the session under the tabs that came first.
 */
function isSameEvent(previous: Login, login: Login, startedAt: number): boolean {
  return isSamePerson(previous, login) && previous.claims.acr === login.claims.acr && previous.loggedInAt >= startedAt
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

/** Ends the session, with all that the application kept in it, also for requests that are still under way. */
export async function endSession(req: SessionRequest, ended: EndedSessions): Promise<void> {
  ended.add(req)
  await destroySession(req)
}

/** Drops a session that nobody has logged in with. */
export async function destroySession(req: SessionRequest): Promise<void> {
  await storeOperation((done) => req.session.destroy(done))
}
