/*
 * The watch on the application's session store: it replaces the store's `set`.
 *
 * Why. express-session writes a session at the end of each request that changed it. A request that started before a logout
 * and finishes after it would write the login back, and the user would be logged in again. Only the store sees all these
 * writes: express-session has no hook for them.
 *
 * What it does. The new `set`
 *   1. does not write a session that has ended in this process,
 *   2. writes the login as it is now, if a refresh has changed it since the request read it (for example, a lost group),
 *   3. adds the login to the session index first, under whatever session id, so that a logout at the provider finds it,
 *   4. destroys the session again if the login is over,
 *   5. skips the second write of a login: express-session does not notice a save after `regenerate()`, and saves again at the
 *      end of the request.
 * All other methods of the store stay as they are, and so does a write of a session without a login.
 *
 * When a login is over. The fact is that its token record is gone, however long ago that happened. A logout L marks the login
 * in the shared state, deletes the record, then destroys the session. A write W sets the session, then reads the record. A
 * refresh R replaces the record, then looks for the mark. In every order of these steps nothing of the login remains:
 *   - W reads the record before L deletes it: W has set the session by then, and L destroys it afterwards.
 *   - W reads the record after L deleted it: W destroys the session itself.
 *   - R replaces the record before L deletes it: L deletes the new record.
 *   - R replaces the record after L deleted it: L has set the mark by then. R finds it, deletes the record and then destroys
 *     the session, so a W that has read the new record is undone too.
 * So only a refresh needs the mark, and the mark need not last longer than a refresh.
 *
 * What it costs. A request that writes nothing: one comparison. A write of a login: one read of the session store, and two
 * writes to the shared state if the login or its session id is new.
 */
import { publishError } from '../events.ts'
import type { AppConfig } from '../options/config.ts'
import type { StoreLike } from '../state/shared-state.ts'
import { asPromise, destroyRecord } from '../state/store-record.ts'
import { nowInSeconds } from '../time/seconds.ts'
import { type SessionRequest, storeOf } from './express-session.ts'
import { createLoginChanges, type LoginChanges } from './login-changes.ts'
import type { SessionIndex } from './session-index.ts'
import { type OidcSession, readOidcSession, writeOidcSession } from './stored-session.ts'
import type { TokenRecords } from './token-record.ts'

/** Knows which sessions have ended, and keeps requests in progress from writing them back. */
export interface StoreWatch {
  /** Starts to watch the store of this request, if it is not watched yet. */
  watch(req: object): void
  /** The store of the latest request; `undefined` before the first one. */
  readonly latestStore: StoreLike | undefined
  /**
   * Marks the session of this request as ended, in this process, and its login on all nodes. Never rejects: if the other
   * nodes cannot be reached, the session must end here all the same, and the error is published.
   */
  markEnded(req: SessionRequest): Promise<void>
  /**
   * Call it if the session of {@link markEnded} could not be ended. Its writes count again: whether the login is over is for its
   * token record to say.
   */
  unmarkEnded(sessionId: string): void
  /** Marks a session as ended in this process only. */
  markIdEnded(store: StoreLike, sessionId: string): void
  /** True if a logout on any node has marked the login with these tokens. Call it after its token record is replaced. */
  isMarkedEnded(store: StoreLike, tokensId: string): Promise<boolean>
  /** Call it when the session has been saved. Until it changes, it is not written again. */
  markSaved(req: SessionRequest): void
  /** True if another request of this process has ended the session of this request. */
  isEnded(req: SessionRequest): boolean
  /** Removes the login of a session from the index, because it has ended or a new login replaces it. Never rejects. */
  unindex(session: StoredSession): Promise<void>
  /** Logins that were changed or replaced while requests with the old ones may still be in progress. */
  readonly loginChanges: LoginChanges
}

/** A session and its place in the store, as a request has them. */
type StoredSession = Pick<SessionRequest, 'sessionStore' | 'sessionID' | 'session'>

/** How far the clock of the store may be ahead, in seconds. The store then removes records of ours too early. */
const MAX_CLOCK_DIFFERENCE = 60

/** How long an ended session is remembered, in milliseconds: longer than a request takes. */
const MEMORY_MILLISECONDS = 600_000
const MAX_ENDED_SESSIONS = 10_000

export function createStoreWatch(
  config: Pick<AppConfig, 'sessionKey'>,
  index: SessionIndex,
  tokenRecords: Pick<TokenRecords, 'has'>,
): StoreWatch {
  const endedAt = new Map<string, number>()
  const watched = new WeakSet<StoreLike>()
  const saved = new WeakMap<object, string>()
  const loginChanges = createLoginChanges()
  let latest: StoreLike | undefined

  function watchStore(store: StoreLike): void {
    latest = store
    if (watched.has(store)) return
    watched.add(store)
    addWatcher(store, {
      isEnded: (id) => endedAt.has(id),
      isSaved: (session) => saved.has(session) && saved.get(session) === contentOf(session),
      hasLogin: (data) => readOidcSession(data, config) !== undefined,
      writeLogin: (id, data, write) => writeLogin(store, id, data, write),
    })
  }

  function markIdEnded(store: StoreLike, sessionId: string): void {
    watchStore(store)
    endedAt.set(sessionId, Date.now())
    for (const [id, at] of endedAt) {
      if (endedAt.size <= MAX_ENDED_SESSIONS && Date.now() - at < MEMORY_MILLISECONDS) return
      endedAt.delete(id)
    }
  }

  async function isOver(store: StoreLike, { login, tokensId }: OidcSession): Promise<boolean> {
    if (await tokenRecords.has(store, tokensId)) return false
    // The record of an expired login has expired with it. What the application stored in the session stays.
    return login.expiresAt > nowInSeconds() + MAX_CLOCK_DIFFERENCE || (await index.hasEnded(store, tokensId))
  }

  async function writeLogin(store: StoreLike, id: string, data: unknown, write: () => Promise<void>): Promise<void> {
    const stored = readOidcSession(data, config)
    if (stored === undefined) return write()
    const oidcSession = loginChanges.latest(stored)
    if (oidcSession !== stored) writeOidcSession(Object(data), config, oidcSession)
    if (!index.wasAdded(id, oidcSession)) {
      // Before the write, so that a logout at the provider at this very moment finds the session.
      const indexId = await index.add(store, id, oidcSession)
      writeOidcSession(Object(data), config, { ...oidcSession, indexId })
    }
    await write()
    if (!endedAt.has(id) && !(await isOver(store, oidcSession))) return
    markIdEnded(store, id)
    await asPromise((done) => destroyRecord(store, id, done))
    await index.remove(store, id, oidcSession)
  }

  return {
    watch(req) {
      const store = storeOf(req)
      if (store !== latest && store !== undefined) watchStore(store)
    },
    get latestStore() {
      return latest
    },
    async markEnded({ sessionStore: store, sessionID, session }) {
      markIdEnded(store, sessionID)
      const oidcSession = readOidcSession(session, config)
      if (oidcSession !== undefined) await index.markEnded(store, oidcSession.tokensId).catch(publishError)
    },
    unmarkEnded: (sessionId) => void endedAt.delete(sessionId),
    markIdEnded,
    isMarkedEnded: (store, tokensId) => index.hasEnded(store, tokensId),
    markSaved: ({ session }) => void saved.set(session, contentOf(session)),
    isEnded: ({ sessionID }) => endedAt.has(sessionID),
    async unindex({ sessionStore, sessionID, session }) {
      const oidcSession = readOidcSession(session, config)
      if (oidcSession !== undefined) await index.remove(sessionStore, sessionID, oidcSession).catch(publishError)
    },
    loginChanges,
  }
}

/** Without the cookie: express-session moves its expiry at each request. */
function contentOf(session: object): string {
  return JSON.stringify({ ...session, cookie: undefined })
}

/** The part of one `oidc()` call in the watch on a store. Other copies of this package call it: see {@link WATCHERS}. */
interface StoreWatcher {
  /** True if this session has ended and must not be written. */
  isEnded(sessionId: string): boolean
  /** True if this session was marked as saved, and has not changed since. */
  isSaved(session: object): boolean
  /** True if the session holds a login of this `oidc()` call. */
  hasLogin(data: unknown): boolean
  /** Writes a session that holds such a login. `write` passes it on to the other watchers, and then to the store. */
  writeLogin(sessionId: string, data: unknown, write: () => Promise<void>): Promise<void>
}

/**
 * Marks a watched store, and holds its watchers. Several `oidc()` calls can use one store, each with its own `sessionKey`:
 * all of them must watch, but `set` is replaced only once. The symbol is registered globally, so that other copies of this
 * package find it too. Change the number with {@link StoreWatcher}: an old copy then replaces `set` once more, which is safe.
 */
const WATCHERS = Symbol.for('express-oidc.store-watchers.1')

function addWatcher(store: StoreLike & { [WATCHERS]?: StoreWatcher[] }, watcher: StoreWatcher): void {
  // Not an inherited mark: a store that was made by Object.create(otherStore) has its own `set` to replace.
  if (Object.hasOwn(store, WATCHERS)) {
    store[WATCHERS]?.push(watcher)
    return
  }
  const watchers = [watcher]
  Object.defineProperty(store, WATCHERS, { value: watchers })
  const set = store.set
  store.set = function watchedSet(id, data, done) {
    if (watchers.some(({ isEnded, isSaved }) => isEnded(id) || isSaved(Object(data)))) return callLater(done)
    const concerned = watchers.filter(({ hasLogin }) => hasLogin(data))
    if (concerned.length === 0) return set.call(store, id, data, done)
    const write = concerned.reduce<() => Promise<void>>(
      (next, { writeLogin }) =>
        () =>
          writeLogin(id, data, next),
      async () => void (await asPromise((written) => set.call(store, id, data, written))),
    )
    write().then(
      () => callLater(done),
      (error: unknown) => callLater(done, error),
    )
  }
}

/** Like a store, which calls back after the caller has returned. An error is the store's own, unchanged. */
function callLater(done: ((error?: unknown) => void) | undefined, error?: unknown): void {
  if (done !== undefined) process.nextTick(done, error)
}
