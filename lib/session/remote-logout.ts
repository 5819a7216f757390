import type { AppConfig } from '../config/config.ts'
import type { Login } from '../types.ts'
import type { EndedSessions } from './ended-sessions.ts'
import { type StoreLike, storeOperation } from './express-session.ts'
import { heldSession } from './held-session.ts'
import { isMeant, keysOfLogin, keysOfTarget, type LogoutTarget } from './logout-target.ts'
import type { IndexEntry, SessionIndex } from './session-index.ts'
import { lifetimeUntil, type TokenRecords } from './token-record.ts'

/** Logouts that come from the provider, not with the browser of the person. */
export interface RemoteLogouts {
  /**
   * Remembers that these logins are to end, also those that are on their way. Before `end`, and only on the provider's word:
   * it writes into the store for whoever asks.
   */
  announce(store: StoreLike, target: LogoutTarget): Promise<void>
  /**
   * Ends all sessions that are meant, on whatever node they were begun, with their tokens; gives their logins. Where it
   * rejects, it can be called again.
   */
  end(store: StoreLike, target: LogoutTarget): Promise<readonly Login[]>
  /**
   * Whether such a logout was announced for this login since it was started, in seconds since 1970. It must then leave no
   * session: ask when that is saved, for a logout in the same moment may have looked for it too early.
   */
  hasReached(store: StoreLike, login: Login, startedAt: number): Promise<boolean>
}

/** What the logouts need of the session services. */
interface Services {
  readonly index: SessionIndex
  readonly ended: EndedSessions
  readonly tokenRecords: TokenRecords
}

type RemoteConfig = Pick<AppConfig, 'origin' | 'basePath' | 'sessionKey' | 'clientIds' | 'transactionLifetime'>

export function createRemoteLogouts(config: RemoteConfig, services: Services): RemoteLogouts {
  const { index } = services
  return {
    async announce(store, target) {
      const now = Date.now() / 1000
      const keys = keysOfTarget(config, target)
      await Promise.all(keys.map((key) => writeTime(store, key, now, config.transactionLifetime)))
    },
    async end(store, target) {
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
    async hasReached(store, login, startedAt) {
      const times = await Promise.all(keysOfLogin(config, login).map((key) => readTime(store, key)))
      return times.some((time) => startedAt <= time)
    },
  }
}

async function endEntry(
  config: RemoteConfig,
  { index, ended, tokenRecords }: Services,
  store: StoreLike,
  { sessionId, tokensId }: IndexEntry,
  target: LogoutTarget,
): Promise<Login | undefined> {
  const data = await readRecord(store, sessionId)
  const held = heldSession(data, config)
  if (held !== undefined && !isMeant(held.login, target)) return undefined
  const tokenIds = [...new Set([tokensId, held?.tokensId ?? tokensId])]
  await Promise.all(tokenIds.map((id) => index.markEnded(store, id)))
  // What the application has kept for nobody in particular, after it took the login out itself, stays.
  if (held !== undefined || data === undefined) {
    ended.remember(store, sessionId)
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
