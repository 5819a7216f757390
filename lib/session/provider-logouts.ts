import type { AppConfig } from '../options/config.ts'
import type { StoreLike } from '../state/shared-state.ts'
import type { Login } from '../types.ts'
import { readOidcSession } from './current-login.ts'
import { storeOperation } from './express-session.ts'
import {
  type IndexEntry,
  keysOfLogin,
  keysOfTarget,
  type LogoutTarget,
  matchesTarget,
  type SessionIndex,
} from './session-index.ts'
import type { StoreWatch } from './store-watch.ts'
import { lifetimeUntil, type TokenRecords } from './token-record.ts'

/** Logouts that come from the provider, not with the browser of the person. */
export interface ProviderLogouts {
  /**
   * Remembers that these logins are to end, also those that are on their way. Before `end`, and only on the provider's word:
   * it writes into the store for whoever asks.
   */
  recordLogout(store: StoreLike, target: LogoutTarget): Promise<void>
  /**
   * Ends all sessions that are meant, on whatever node they were begun, with their tokens; gives their logins. Where it
   * rejects, it can be called again.
   */
  endSessions(store: StoreLike, target: LogoutTarget): Promise<readonly Login[]>
  /**
   * Whether such a logout was announced for this login since it was started, in seconds since 1970. It must then leave no
   * session: ask when that is saved, for a logout in the same moment may have looked for it too early.
   */
  wasLoggedOutSince(store: StoreLike, login: Login, startedAt: number): Promise<boolean>
}

/** What the logouts need of the session services. */
interface Services {
  readonly index: SessionIndex
  readonly storeWatch: StoreWatch
  readonly tokenRecords: TokenRecords
}

type RemoteConfig = Pick<AppConfig, 'origin' | 'basePath' | 'sessionKey' | 'clientIds' | 'transactionLifetime'>

export function createProviderLogouts(config: RemoteConfig, services: Services): ProviderLogouts {
  const { index } = services
  return {
    async recordLogout(store, target) {
      const now = Date.now() / 1000
      const keys = keysOfTarget(config, target)
      await Promise.all(keys.map((key) => writeTime(store, key, now, config.transactionLifetime)))
    },
    async endSessions(store, target) {
      const keys = keysOfTarget(config, target)
      const entries = await index.find(store, keys)
      const results = await Promise.allSettled(
        entries.map(async (entry) => {
          const login = await endEntry(config, services, store, entry, target)
          await index.drop(store, keys, entry)
          return login
        }),
      )
      // One that fails keeps none of the others alive.
      for (const result of results) if (result.status === 'rejected') throw result.reason
      return results.flatMap((result) => (result.status === 'fulfilled' ? (result.value ?? []) : []))
    },
    async wasLoggedOutSince(store, login, startedAt) {
      const times = await Promise.all(keysOfLogin(config, login).map((key) => readTime(store, key)))
      return times.some((time) => startedAt <= time)
    },
  }
}

async function endEntry(
  config: RemoteConfig,
  { index, storeWatch, tokenRecords }: Services,
  store: StoreLike,
  { sessionId, tokensId }: IndexEntry,
  target: LogoutTarget,
): Promise<Login | undefined> {
  const data = await readRecord(store, sessionId)
  const held = readOidcSession(data, config)
  if (held !== undefined && !matchesTarget(held.login, target)) return undefined
  const tokenIds = [...new Set([tokensId, held?.tokensId ?? tokensId])]
  await Promise.all(tokenIds.map((id) => index.markEnded(store, id)))
  // What the application has kept for nobody in particular, after it took the login out itself, stays.
  if (held !== undefined || data === undefined) {
    storeWatch.markEnded(store, sessionId)
    await storeOperation((done) => store.destroy(sessionId, done))
  }
  await Promise.all(tokenIds.map((id) => tokenRecords.remove(store, id)))
  if (held !== undefined) await index.remove(store, sessionId, held)
  return held?.login
}

/** What cannot be read is ended all the same. */
async function readRecord(store: StoreLike, id: string): Promise<object | undefined> {
  const data = await storeOperation<unknown>((done) => store.get(id, done)).catch(() => undefined)
  return typeof data === 'object' && data !== null ? data : undefined
}

/** A record of its own in the session store, since the time matters, and nodes that share sessions share that store. */
async function writeTime(store: StoreLike, key: string, loggedOutAt: number, seconds: number): Promise<void> {
  const record = { cookie: lifetimeUntil(loggedOutAt + seconds), loggedOutAt }
  await storeOperation((done) => store.set(nameOf(key), record, done))
}

async function readTime(store: StoreLike, key: string): Promise<number> {
  const record = await storeOperation<unknown>((done) => {
    store.get(nameOf(key), (error, data) => done(Object(error).code === 'ENOENT' ? undefined : error, data))
  })
  const { loggedOutAt } = Object(record)
  return typeof loggedOutAt === 'number' ? loggedOutAt : Number.NEGATIVE_INFINITY
}

function nameOf(key: string): string {
  return `oidc-logout:${key}`
}
