import { ConfigError, shown } from '../errors.ts'
import type { Request } from '../http/request.ts'
import { type AppConfig, ONLY_PROVIDER } from '../options/config.ts'
import { isIssuedBy } from '../options/issuer.ts'
import { nowInSeconds } from '../time/seconds.ts'
import type { Login } from '../types.ts'
import { type SessionRequest, storeOperation } from './express-session.ts'
import { type OidcSession, readOidcSession, writeOidcSession } from './stored-session.ts'

export type SessionConfig = Pick<AppConfig, 'sessionKey' | 'issuers' | 'idleTimeout'>

/**
 * Returns the login of this request, or `undefined` if there is none, it has expired, or it is of an issuer that is no longer
 * configured. It only reads the session, so it is fast. Without a session there is no login.
 */
export function readLogin(req: Request, config: SessionConfig): Login | undefined {
  const login = readLastLogin(req, config)
  if (login === undefined || login.expiresAt <= nowInSeconds()) return undefined
  const oidcSession = config.idleTimeout === undefined ? undefined : readOidcSession(req.session, config)
  return oidcSession !== undefined && isIdle(oidcSession, config) ? undefined : login
}

/** Like `readLogin`, but also returns an expired login: the provider may still have a session for it. */
export function readLastLogin(req: Request, config: SessionConfig): Login | undefined {
  const login = readOidcSession(req.session, config)?.login
  if (login === undefined) return undefined
  return isIssuedBy(config.issuers.get(login.provider ?? ONLY_PROVIDER), login.claims) ? login : undefined
}

/** The id of the token record of this session's login, even if the login has expired. */
export function readTokensId(req: SessionRequest, config: SessionConfig): string | undefined {
  return readOidcSession(req.session, config)?.tokensId
}

/** The session is not written at each request, but once in a twentieth of `idleTimeout`. */
const WRITE_FRACTION = 20

/** Records that the login of this request is in use. express-session saves it at the end of the request. */
export function recordActivity(req: Request, config: Pick<AppConfig, 'sessionKey' | 'idleTimeout'>): void {
  const { idleTimeout } = config
  const oidcSession = idleTimeout === undefined ? undefined : readOidcSession(req.session, config)
  if (idleTimeout === undefined || oidcSession === undefined || isIdle(oidcSession, config)) return
  const now = Math.floor(nowInSeconds())
  if (now - lastUsedAt(oidcSession) < idleTimeout / WRITE_FRACTION) return
  writeOidcSession(Object(req.session), config, { ...oidcSession, seenAt: now })
}

/** True if the login has expired because nobody used it. */
export function isIdle(oidcSession: OidcSession, { idleTimeout }: Pick<AppConfig, 'idleTimeout'>): boolean {
  return idleTimeout !== undefined && lastUsedAt(oidcSession) + idleTimeout <= nowInSeconds()
}

function lastUsedAt({ seenAt, login }: OidcSession): number {
  return seenAt ?? login.loggedInAt
}

/** When the login of this request expires if the user does nothing, in seconds since 1970. Absent without a login. */
export function readLoginEnd(req: Request, config: SessionConfig): number | undefined {
  const [login, oidcSession] = [readLogin(req, config), readOidcSession(req.session, config)]
  if (login === undefined || oidcSession === undefined) return undefined
  return Math.min(login.expiresAt, lastUsedAt(oidcSession) + (config.idleTimeout ?? Number.POSITIVE_INFINITY))
}

/**
 * Returns when this login expires at the latest, in seconds since 1970, as the data of its session in the store says. A login
 * that is idle has expired in the past. `undefined`: the session holds this login no longer.
 */
export function endOfStoredLogin(data: unknown, tokensId: string, config: SessionConfig): number | undefined {
  const oidcSession = readOidcSession(data, config)
  if (oidcSession?.tokensId !== tokensId) return undefined
  return isIdle(oidcSession, config) ? 0 : oidcSession.login.expiresAt
}

type RecheckConfig = Pick<AppConfig, 'sessionKey'>

/** True if the user logged in, or a recheck was tried, less than this many seconds ago. */
export function isCheckedWithin(seconds: number, req: Request, config: RecheckConfig): boolean {
  const oidcSession = readOidcSession(req.session, config)
  if (oidcSession === undefined) return false
  return Math.max(oidcSession.login.loggedInAt, oidcSession.checkedAt ?? 0) + seconds > nowInSeconds()
}

/** True if a recheck failed less than this many seconds ago. */
export function checkFailedWithin(seconds: number, req: Request, config: RecheckConfig): boolean {
  const checkedAt = readOidcSession(req.session, config)?.checkedAt
  return checkedAt !== undefined && checkedAt + seconds > nowInSeconds()
}

/**
 * Records that the provider did not say whether the user is still logged in. Without that, the next page would recheck again
 * and the browser would be redirected for ever. A recheck that succeeds creates a new login, which needs no record.
 */
export async function recordFailedCheck(req: SessionRequest, config: RecheckConfig): Promise<void> {
  const oidcSession = readOidcSession(req.session, config)
  if (oidcSession === undefined) return
  writeOidcSession(req.session, config, { ...oidcSession, checkedAt: Math.floor(nowInSeconds()) })
  await storeOperation('save', (done) => req.session.save(done))
}

/** A shorter interval could recheck at each page, because the clocks of two servers may differ by some seconds. */
const MIN_INTERVAL_SECONDS = 10

/** Returns the interval between two rechecks, in seconds. Throws a `ConfigError` if it is not a whole number from 10. */
export function checkInterval(given: unknown): number {
  if (typeof given === 'number' && Number.isInteger(given) && given >= MIN_INTERVAL_SECONDS) return given
  throw new ConfigError([
    `every must be a whole number of seconds from ${MIN_INTERVAL_SECONDS}, not ` +
      `${typeof given === 'number' ? given : shown(given)}: for example checkSession({ every: 300 }).`,
  ])
}
