import { ConfigError } from '../errors.ts'
import type { Request } from '../http/request.ts'
import { type AppConfig, ONLY_PROVIDER } from '../options/config.ts'
import { isIssuedBy } from '../options/issuer.ts'
import type { Login } from '../types.ts'
import { type SessionRequest, storeOperation } from './express-session.ts'

/** What is kept in `req.session[sessionKey]`: what guards need, and the way to the tokens. */
export interface OidcSession {
  readonly login: Login
  /** Where the tokens of this login are kept: see `token-record.ts`. No other login ever has this id. */
  readonly tokensId: string
  /** When the login was last used, roughly, in seconds since 1970: kept where there is an `idleTimeout`. */
  readonly seenAt?: number
  /** When the provider was last asked in vain whether the person is still logged in there, in seconds since 1970. */
  readonly checkedAt?: number
  /** What tells under which session id this login is in the index: see `session-index.ts`. */
  readonly indexId?: string
}

/** What a session, or the record of one in a store, holds of ours; `undefined` where it holds no login. */
export function readOidcSession(
  session: unknown,
  { sessionKey }: Pick<AppConfig, 'sessionKey'>,
): OidcSession | undefined {
  const oidcSession = isRecord(session) ? session[sessionKey] : undefined
  return isOidcSession(oidcSession) ? oidcSession : undefined
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

type IdleConfig = Pick<AppConfig, 'sessionKey' | 'idleTimeout'>

/** A session is not written for every request: once in a twentieth of the time is exact enough. */
const WRITE_FRACTION = 20

/** Whether nobody has used a login for longer than it may be left alone. */
function isIdle({ login, seenAt }: OidcSession, { idleTimeout }: Pick<AppConfig, 'idleTimeout'>): boolean {
  if (idleTimeout === undefined) return false
  return (seenAt ?? login.loggedInAt) + idleTimeout <= Date.now() / 1000
}

/** Remembers that the login of this request is in use. The session is saved at the end of the request, where it has to be. */
export function recordActivity(req: Request, config: IdleConfig): void {
  const { idleTimeout, sessionKey } = config
  const held = idleTimeout === undefined ? undefined : readOidcSession(req.session, config)
  if (idleTimeout === undefined || held === undefined || isIdle(held, config)) return
  const now = Math.floor(Date.now() / 1000)
  if (now - (held.seenAt ?? held.login.loggedInAt) < idleTimeout / WRITE_FRACTION) return
  Object.assign(Object(req.session), { [sessionKey]: { ...held, seenAt: now } })
}

type RecheckConfig = Pick<AppConfig, 'sessionKey'>

/** Whether the login of this session was last held against the provider's session less than so many seconds ago. */
export function isCheckedWithin(seconds: number, req: Request, config: RecheckConfig): boolean {
  const held = readOidcSession(req.session, config)
  return held !== undefined && Math.max(held.login.loggedInAt, held.checkedAt ?? 0) + seconds > Date.now() / 1000
}

/** Whether the provider was asked in vain less than so many seconds ago. */
export function checkFailedWithin(seconds: number, req: Request, config: RecheckConfig): boolean {
  const checkedAt = readOidcSession(req.session, config)?.checkedAt
  return checkedAt !== undefined && checkedAt + seconds > Date.now() / 1000
}

/**
 * Remembers that the provider was asked and has not told whether the person is logged in there: or the next page would ask
 * again, and send the browser round for ever. A login that goes on is a new one, and needs no such mark.
 */
export async function recordFailedCheck(req: SessionRequest, { sessionKey }: RecheckConfig): Promise<void> {
  const held = readOidcSession(req.session, { sessionKey })
  if (held === undefined) return
  req.session[sessionKey] = { ...held, checkedAt: Math.floor(Date.now() / 1000) }
  await storeOperation((done) => req.session.save(done))
}

export type SessionConfig = Pick<AppConfig, 'sessionKey' | 'issuers' | 'idleTimeout'>

/**
 * The login that this session holds, or `undefined` where there is none, it has ended, or it is another issuer's. Reads
 * plain data: no store is asked and nothing is checked twice. A request without a session is a request without a login.
 */
export function readLogin(req: Request, config: SessionConfig): Login | undefined {
  const login = readLastLogin(req, config)
  if (login === undefined || login.expiresAt <= Date.now() / 1000) return undefined
  const held = config.idleTimeout === undefined ? undefined : readOidcSession(req.session, config)
  return held !== undefined && isIdle(held, config) ? undefined : login
}

/** The same, but also a login whose time is over: the provider may still have its own session of it. */
export function readLastLogin(req: Request, config: SessionConfig): Login | undefined {
  const login = readOidcSession(req.session, config)?.login
  if (login === undefined) return undefined
  // One of a provider that the options have no longer, or of another issuer under its name, is no login here.
  return isIssuedBy(config.issuers.get(login.provider ?? ONLY_PROVIDER), login.claims) ? login : undefined
}

/** Where the tokens of the login that this session holds, or has held, are kept. */
export function readTokensId(req: SessionRequest, config: SessionConfig): string | undefined {
  return readOidcSession(req.session, config)?.tokensId
}

/** Nobody is to be sent away more often than that, in seconds: two servers' clocks may differ by some. */
const MIN_INTERVAL_SECONDS = 10

/** How often a session is checked, in seconds. Anything that is no number would check it at every page, without an end. */
export function checkInterval(given: unknown): number {
  if (typeof given === 'number' && Number.isInteger(given) && given >= MIN_INTERVAL_SECONDS) return given
  throw new ConfigError([
    `A session is checked every so many whole seconds, at least ${MIN_INTERVAL_SECONDS}: checkSession({ every: 300 }).`,
  ])
}
