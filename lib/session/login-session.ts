import type { Config } from '../config/config.ts'
import type { Request } from '../http.ts'
import type { Login } from '../types.ts'
import { type SessionLike, type SessionRequest, storeOperation } from './express-session.ts'

type SessionConfig = Pick<Config, 'sessionKey' | 'issuer'>

/**
 * The login that this session holds, or `undefined` where there is none, it has ended, or it is another issuer's. Reads
 * plain data: no store is asked and nothing is checked twice. A request without a session is a request without a login.
 */
export function readLogin(req: Request, config: SessionConfig): Login | undefined {
  const session: unknown = Reflect.get(req, 'session')
  const held = isRecord(session) ? session[config.sessionKey] : undefined
  const login = isRecord(held) ? held['login'] : undefined
  if (!isLogin(login) || login.claims.iss !== config.issuer) return undefined
  return login.expiresAt > Date.now() / 1000 ? login : undefined
}

function isLogin(value: unknown): value is Login {
  return isRecord(value) && isRecord(value['claims']) && typeof value['expiresAt'] === 'number'
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

/**
 * Begins a session for a login under a new session id (session fixation). What the application had stored is carried
 * over from an anonymous session or one of the same person, never from another's. The caller saves.
 */
export async function startSession(req: SessionRequest, config: SessionConfig, login: Login): Promise<void> {
  const kept = applicationData(req.session, config, login)
  await storeOperation((done) => req.session.regenerate(done))
  Object.assign(req.session, kept, { [config.sessionKey]: { login } })
}

function applicationData(session: SessionLike, config: SessionConfig, login: Login): Record<string, unknown> {
  const held = session[config.sessionKey]
  const previous = isRecord(held) && isLogin(held['login']) ? held['login'] : undefined
  const isSamePerson = previous?.claims.iss === login.claims.iss && previous.claims.sub === login.claims.sub
  if (previous !== undefined && !isSamePerson) return {}
  const { cookie: _cookie, [config.sessionKey]: _login, ...kept } = session
  return kept
}

/** Writes the session to its store: always before a redirect, or the next request may come too early to find it. */
export async function saveSession(req: SessionRequest): Promise<void> {
  await storeOperation((done) => req.session.save(done))
}

/** Ends the session, with all that the application kept in it. */
export async function destroySession(req: SessionRequest): Promise<void> {
  await storeOperation((done) => req.session.destroy(done))
}
