/*
 * How a login ends in this application: the login of the current request (`endLocalLogin`), and the logins that a provider
 * names (`ProviderLogouts`). What the provider must be told is in logout/logout.ts.
 *
 * Both take the same steps, in this order: mark the login as ended, delete its token record, destroy the session, remove it
 * from the index. So no refresh and no request in progress can bring the login back: store-watch.ts explains why, in every
 * order of the steps. Each step runs even if an earlier one has failed. A login stays in the index until its record and its
 * session are gone, so that a logout at the provider finds what is left.
 */
import { type Events, publish, publishError } from '../events.ts'
import type { Response } from '../http/request.ts'
import { type AppConfig, ONLY_PROVIDER } from '../options/config.ts'
import type { StoreLike } from '../state/shared-state.ts'
import { destroyRecord, getRecord, lifetimeUntil, recordKey, unlessAbsent } from '../state/store-record.ts'
import { nowInSeconds } from '../time/seconds.ts'
import type { IdTokenClaims, Login, TokenRecord } from '../types.ts'
import { expireSessionCookie, skipNewSession } from './cookies.ts'
import { readLastLogin, readTokensId, type SessionConfig } from './current-login.ts'
import { createSessionLimiter, endEach } from './end-each.ts'
import { type SessionRequest, storeOperation } from './express-session.ts'
import type { LoopBrake } from './login-attempts.ts'
import {
  type IndexEntry,
  keysOfLogin,
  keysOfTarget,
  type LogoutTarget,
  matchesTarget,
  type SessionIndex,
  userKeyOf,
} from './session-index.ts'
import type { StoreWatch } from './store-watch.ts'
import { readOidcSession } from './stored-session.ts'
import type { TokenRecords } from './token-record.ts'

/** The services of a relying party that have to know that a login ends. */
export interface LoginServices {
  readonly config: SessionConfig
  readonly storeWatch: StoreWatch
  readonly tokenRecords: TokenRecords
  readonly loopBrake: LoopBrake
}

type LogoutChannel = Events['express-oidc:logout']['how']

/**
 * Ends the session of this request with all that the application stored in it, for parallel requests too. Returns the tokens
 * of its login, so that the caller can revoke them. Rejects if the session could not be destroyed: its cookie stays, so that
 * the user can try again. Other failures are published.
 *
 * @param res Pass it to delete the browser's session cookie as well.
 * @param how Pass it to publish the logout, if there was a login.
 */
export async function endLocalLogin(
  { config, storeWatch, tokenRecords, loopBrake }: LoginServices,
  req: SessionRequest,
  res?: Response,
  how?: LogoutChannel,
): Promise<TokenRecord | undefined> {
  const [login, tokensId] = [readLastLogin(req, config), readTokensId(req, config)]
  // Without `res`, a login has failed halfway: its session may be saved already.
  if (res !== undefined && tokensId === undefined && skipNewSession(req)) {
    loopBrake.reset(res)
    return undefined
  }
  const { sessionID, session, sessionStore } = req
  const failures: unknown[] = []
  const report = (error: unknown): undefined => void failures.push(error)
  await storeWatch.markEnded(req)
  const tokens = tokensId === undefined ? undefined : await tokenRecords.read(sessionStore, tokensId).catch(report)
  if (tokensId !== undefined) await tokenRecords.remove(sessionStore, tokensId).catch(report)
  failures.forEach(publishError)
  try {
    await storeOperation('destroy', (done) => req.session.destroy(unlessAbsent(done)))
  } catch (error) {
    storeWatch.unmarkEnded(sessionID)
    throw error
  }
  if (failures.length === 0) await storeWatch.unindex({ sessionStore, sessionID, session })
  if (res !== undefined) {
    expireSessionCookie(req, res, sessionID, session.cookie)
    loopBrake.reset(res)
  }
  if (how !== undefined && login !== undefined) publishLogout(how, login)
  return tokens
}

/** Publishes that a login has ended. `claims` is undefined if there was no valid login. */
export function publishLogout(
  how: LogoutChannel,
  { provider = ONLY_PROVIDER, claims }: { readonly provider?: string; readonly claims: IdTokenClaims | undefined },
): void {
  publish['express-oidc:logout'](() => ({ provider, how, issuer: claims?.iss, sub: claims?.sub }))
}

/** Logouts that the provider starts. They name the logins to end; the user's browser is not needed. */
export interface ProviderLogouts {
  /**
   * Records the logout for as long as a login can last, so that a login that is in progress does not complete, and a session
   * that the index has lost ends with its next request (see index-check.ts). Call it before `endSessions`, and only when the
   * provider has proved that the logout comes from it: each call writes to the store.
   *
   * @param exceptTokensId The login with these tokens stays. An earlier exception ends: this logout means that login too.
   */
  recordLogout(store: StoreLike, target: LogoutTarget, exceptTokensId?: string): Promise<void>
  /**
   * Ends all sessions that match, started on any node, with their tokens. Publishes and returns their logins. If it rejects,
   * some sessions may have ended; call it again for the others.
   */
  endSessions(
    store: StoreLike,
    target: LogoutTarget,
    how: LogoutChannel,
    options?: EndOptions,
  ): Promise<readonly Login[]>
  /** Ends one session, if its login matches. Rejects if it cannot be ended. */
  endSession(
    store: StoreLike,
    entry: IndexEntry,
    target: LogoutTarget,
    how: LogoutChannel,
    options?: EndOptions,
  ): Promise<Login | undefined>
  /**
   * True if a logout was recorded for this login since that time (in seconds since 1970). Such a login must not have a
   * session. Call it after the session is in the index: a logout at that moment may have looked for the session too early.
   */
  wasLoggedOutSince(store: StoreLike, login: Login, startedAt: number, tokensId?: string): Promise<boolean>
}

/** What a logout leaves, and what else it does. */
export interface EndOptions {
  /** The session with this id stays. */
  readonly exceptSessionId?: string | undefined
  /** Called with the tokens of each login that has ended, if they could be read. It must not reject. */
  readonly onEnded?: (login: Login, tokens: TokenRecord) => Promise<void>
}

type ProviderLogoutConfig = Pick<AppConfig, 'origin' | 'basePath' | 'sessionKey' | 'clientIds'> &
  Partial<Pick<AppConfig, 'signalling' | 'routes'>> &
  LifetimeConfig

type LifetimeConfig = Pick<AppConfig, 'loginLifetime' | 'transactionLifetime'>

/** How long a logout is recorded. A session that must end, or a login that must not complete, can be as old. */
export function logoutRecordSeconds({ loginLifetime, transactionLifetime }: LifetimeConfig): number {
  return Math.max(loginLifetime, transactionLifetime)
}

interface ProviderLogoutServices extends Pick<LoginServices, 'storeWatch' | 'tokenRecords'> {
  readonly index: SessionIndex
}

export function createProviderLogouts(config: ProviderLogoutConfig, services: ProviderLogoutServices): ProviderLogouts {
  const { index } = services
  const limitOfProcess = createSessionLimiter()
  return {
    async recordLogout(store, target, exceptTokensId) {
      const keys = keysOfTarget(config, target)
      const { startedUpTo } = target
      if (startedUpTo !== undefined) {
        const end = { startedUpTo, userKey: userKeyOf(config, target) }
        return await index.recordEnd(store, keys, end, logoutRecordSeconds(config))
      }
      const logout = { at: nowInSeconds(), exceptTokensId }
      await Promise.all(keys.map((key) => writeLogout(store, key, logout, logoutRecordSeconds(config))))
    },
    async endSession(store, entry, target, how, options) {
      return (await endIndexedSession(config, services, store, entry, { target, how, ...options })).login
    },
    async endSessions(store, target, how, options = {}) {
      const keys = keysOfTarget(config, target)
      const found = await index.find(store, keys)
      const entries = found.filter(({ sessionId }) => sessionId !== options.exceptSessionId)
      const results = await endEach(limitOfProcess, entries, async (entry) => {
        const { login, keptKeys } = await endIndexedSession(config, services, store, entry, { target, how, ...options })
        const droppedKeys = keys.filter((key) => !keptKeys.includes(key))
        await index.drop(store, droppedKeys, entry)
        return login
      })
      // A failure with one session must not keep the others alive, so it is thrown only now.
      for (const result of results) if (result.status === 'rejected') throw result.reason
      return results.flatMap((result) => (result.status === 'fulfilled' ? (result.value ?? []) : []))
    },
    async wasLoggedOutSince(store, login, startedAt, tokensId) {
      const keys = keysOfLogin(config, login)
      const logouts = await Promise.all(keys.map((key) => readLogout(store, key)))
      const isExcepted = ({ exceptTokensId }: RecordedLogout): boolean =>
        tokensId !== undefined && exceptTokensId === tokensId
      if (logouts.some((logout) => startedAt <= logout.at && !isExcepted(logout))) return true
      if (config.signalling?.has(login.provider ?? ONLY_PROVIDER) !== true) return false
      const ends = await index.recordedEnds(store, keys)
      return ends.some(
        ({ startedUpTo, userKey }) =>
          Math.floor(login.startedAt ?? startedAt) <= startedUpTo && (userKey === undefined || keys.includes(userKey)),
      )
    },
  }
}

/** Which sessions a logout ends, and how. */
interface Logout extends EndOptions {
  readonly target: LogoutTarget
  readonly how: LogoutChannel
}

/** Ends a session if the logout means it. `keptKeys`: the keys under which it stays in the index. */
async function endIndexedSession(
  config: ProviderLogoutConfig,
  services: ProviderLogoutServices,
  store: StoreLike,
  entry: IndexEntry,
  { target, how, onEnded }: Logout,
): Promise<{ readonly login?: Login | undefined; readonly keptKeys: readonly string[] }> {
  const { sessionId, tokensId } = entry
  const data = await readSession(store, sessionId)
  const oidcSession = readOidcSession(data, config)
  if (oidcSession !== undefined && !matchesTarget(oidcSession.login, target)) {
    // A login that is not meant by this logout must be found by the next. An entry of an earlier login is not needed.
    return { keptKeys: oidcSession.tokensId === tokensId ? keysOfLogin(config, oidcSession.login) : [] }
  }
  const login = await endMatchingSession(
    { services, store, entry, data, oidcSession },
    { target, how, ...(onEnded && { onEnded }) },
  )
  return { login, keptKeys: [] }
}

/** A session that a logout means. */
interface MatchingSession {
  readonly services: ProviderLogoutServices
  readonly store: StoreLike
  readonly entry: IndexEntry
  /** `undefined`: it is not in the store, or cannot be read. */
  readonly data: object | undefined
  /** `undefined`: it has no login. */
  readonly oidcSession: ReturnType<typeof readOidcSession>
}

async function endMatchingSession(
  { services, store, entry: { sessionId, tokensId }, data, oidcSession }: MatchingSession,
  { how, onEnded }: Logout,
): Promise<Login | undefined> {
  const { index, storeWatch, tokenRecords } = services
  const tokens = await readTokens(tokenRecords, store, onEnded && oidcSession?.tokensId)
  const tokensIds = [...new Set([tokensId, oidcSession?.tokensId ?? tokensId])]
  const failures: unknown[] = []
  const step = async (run: () => Promise<unknown>): Promise<boolean> =>
    await run().then(
      () => true,
      (error: unknown) => failures.push(error) === 0,
    )
  await Promise.all(tokensIds.map((id) => step(() => index.markEnded(store, id))))
  await Promise.all(tokensIds.map((id) => step(() => tokenRecords.remove(store, id))))
  // A session without a login belongs to the application, which has removed the login itself: it stays.
  if (oidcSession !== undefined || data === undefined) {
    storeWatch.markIdEnded(store, sessionId)
    const isDestroyed = await step(() => storeOperation('destroy', (done) => destroyRecord(store, sessionId, done)))
    if (isDestroyed && oidcSession !== undefined) publishLogout(how, oidcSession.login)
  }
  // The session stays in the index, and the provider can try again.
  if (failures.length > 0) throw failures[0]
  if (oidcSession === undefined) return undefined
  await index.remove(store, sessionId, oidcSession)
  if (tokens !== undefined) await onEnded?.(oidcSession.login, tokens)
  return oidcSession.login
}

/** The login must end even if its tokens cannot be read. */
async function readTokens(records: TokenRecords, store: StoreLike, id?: string): Promise<TokenRecord | undefined> {
  if (id === undefined) return undefined
  return await records.read(store, id).catch((error: unknown) => void publishError(error))
}

/** A session that cannot be read is `undefined`, and is destroyed like one that matches. */
async function readSession(store: StoreLike, id: string): Promise<object | undefined> {
  return storeOperation<object>('get', (done) => getRecord(store, id, done)).catch(() => undefined)
}

interface RecordedLogout {
  /** In seconds since 1970. */
  readonly at: number
  readonly exceptTokensId?: unknown
}

/**
 * Records are in the session store and not in the shared state, whose marks hold no time. Nodes that share sessions share
 * the store.
 */
async function writeLogout(store: StoreLike, key: string, logout: RecordedLogout, seconds: number): Promise<void> {
  const { at, exceptTokensId } = logout
  const except = exceptTokensId === undefined ? {} : { exceptTokensId }
  const record = { cookie: lifetimeUntil(at + seconds), loggedOutAt: at, ...except }
  await storeOperation('set', (done) => store.set(recordKey('logout', key), record, done))
}

async function readLogout(store: StoreLike, key: string): Promise<RecordedLogout> {
  const record = await storeOperation('get', (done) => getRecord(store, recordKey('logout', key), done))
  const { loggedOutAt, exceptTokensId } = Object(record)
  return { at: typeof loggedOutAt === 'number' ? loggedOutAt : Number.NEGATIVE_INFINITY, exceptTokensId }
}
