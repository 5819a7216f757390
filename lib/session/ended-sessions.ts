import type { AppConfig } from '../config/config.ts'
import { OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import { type SessionRequest, type StoreLike, storeOf } from './express-session.ts'
import { heldSession, type OidcSession } from './held-session.ts'
import type { SessionIndex } from './session-index.ts'
import { createSupersededLogins, type SupersededLogins } from './superseded-logins.ts'

/**
 * Sessions that were ended while requests of theirs may still be under way. express-session writes a session back at the
 * end of each request that changed it, and so would bring an ended one back to life, login and all. So the store's `set` is
 * watched: it passes over what has ended in this process, and what it writes of a login that has ended on another node it
 * destroys again. It also sees to it that every session with a login is in the index, under whatever id.
 */
export interface EndedSessions {
  /** Watches over the store of this request from now on. Of a request that writes nothing, it costs a comparison. */
  watch(req: object): void
  /**
   * The session of this request has ended, whoever may still hold it. Never rejects: that other nodes cannot be told must
   * not keep a session alive here, and is published as an error.
   */
  add(req: SessionRequest): Promise<void>
  /** The login of this session gives way to another of the same person, in the same session. Never rejects. */
  release(req: SessionRequest): Promise<void>
  /** A session has ended, in this process. */
  remember(store: StoreLike, sessionId: string): void
  /** Whether the current session was ended by another request of this process in the meantime. */
  has(req: SessionRequest): boolean
  /** What is written of a login that was changed since it was read is written as it is now. */
  readonly superseded: SupersededLogins
}

const MILLISECONDS = 600_000
const MOST = 10_000

type StoreSet = StoreLike['set']

export function createEndedSessions(config: Pick<AppConfig, 'sessionKey'>, index: SessionIndex): EndedSessions {
  const endedAt = new Map<string, number>()
  const watched = new WeakSet<StoreLike>()
  const superseded = createSupersededLogins()
  let latest: StoreLike | undefined

  function remember(store: StoreLike, sessionId: string): void {
    watchStore(store)
    endedAt.set(sessionId, Date.now())
    for (const [id, at] of endedAt) {
      if (endedAt.size <= MOST && Date.now() - at < MILLISECONDS) return
      endedAt.delete(id)
    }
  }

  function watchStore(store: StoreLike): void {
    latest = store
    if (watched.has(store)) return
    watched.add(store)
    const set = store.set
    store.set = function setUnlessEnded(id, data, done) {
      const held = heldSession(data, config)
      if (endedAt.has(id)) return later(done)
      if (held === undefined) return set.call(store, id, data, done)
      const newest = superseded.newest(held)
      if (newest !== held) Object.assign(Object(data), { [config.sessionKey]: newest })
      writeLogin(store, set, id, data, newest).then(
        () => later(done),
        (error: unknown) => later(done, error),
      )
    }
  }

  async function writeLogin(
    store: StoreLike,
    set: StoreSet,
    id: string,
    data: unknown,
    held: OidcSession,
  ): Promise<void> {
    const indexed = index.fingerprint(id, held)
    if (held.indexed !== indexed) {
      // First, so that a logout at the provider in this very moment finds it.
      await index.add(store, id, held)
      Object.assign(Object(data), { [config.sessionKey]: { ...held, indexed } })
    }
    await operation((done) => set.call(store, id, data, done))
    if (!endedAt.has(id) && !(await index.hasEnded(store, held.tokensId))) return
    remember(store, id)
    await operation((done) => store.destroy(id, done))
    await index.remove(store, id, held)
  }

  return {
    watch(req) {
      const store = storeOf(req)
      if (store !== latest && store !== undefined) watchStore(store)
    },
    async add({ sessionStore: store, sessionID, session }) {
      remember(store, sessionID)
      const held = heldSession(session, config)
      if (held === undefined) return
      await Promise.all([
        index.markEnded(store, held.tokensId).catch(report),
        index.remove(store, sessionID, held).catch(report),
      ])
    },
    async release({ sessionStore, sessionID, session }) {
      const held = heldSession(session, config)
      if (held !== undefined) await index.remove(sessionStore, sessionID, held).catch(report)
    },
    remember,
    has: ({ sessionID }) => endedAt.has(sessionID),
    superseded,
  }
}

/** Stores call back after the caller has gone on, and so do we. */
function later(done: ((error?: unknown) => void) | undefined, error?: unknown): void {
  if (done !== undefined) process.nextTick(done, error)
}

/** As the store has it: the application gets the store's own error. */
function operation(run: (done: (error?: unknown) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    run((error) => (error === undefined || error === null ? resolve() : reject(error)))
  })
}

function report(error: unknown): void {
  publish['express-oidc:error'](() => ({ code: error instanceof OidcError ? error.code : 'unknown', error }))
}
