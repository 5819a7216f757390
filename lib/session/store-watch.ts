import { OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import type { AppConfig } from '../options/config.ts'
import type { StoreLike } from '../state/shared-state.ts'
import type { Login } from '../types.ts'
import { type OidcSession, readOidcSession } from './current-login.ts'
import { type SessionRequest, storeOf } from './express-session.ts'
import type { SessionIndex } from './session-index.ts'

/**
 * Sessions that were ended while requests of theirs may still be under way. express-session writes a session back at the
 * end of each request that changed it, and so would bring an ended one back to life, login and all. So the store's `set` is
 * watched: it passes over what has ended in this process, and what it writes of a login that has ended on another node it
 * destroys again. It also sees to it that every session with a login is in the index, under whatever id.
 */
export interface StoreWatch {
  /** Watches over the store of this request from now on. Of a request that writes nothing, it costs a comparison. */
  watch(req: object): void
  /**
   * The session of this request has ended, whoever may still hold it. Never rejects: that other nodes cannot be told must
   * not keep a session alive here, and is published as an error.
   */
  endSession(req: SessionRequest): Promise<void>
  /** The login of this session gives way to another of the same person, in the same session. Never rejects. */
  unindex(req: SessionRequest): Promise<void>
  /** A session has ended, in this process. */
  markEnded(store: StoreLike, sessionId: string): void
  /** Whether the current session was ended by another request of this process in the meantime. */
  isEnded(req: SessionRequest): boolean
  /** What is written of a login that was changed since it was read is written as it is now. */
  readonly loginChanges: LoginChanges
}

const MILLISECONDS = 600_000
const MAX_ENDED_SESSIONS = 10_000

type StoreSet = StoreLike['set']

export function createStoreWatch(config: Pick<AppConfig, 'sessionKey'>, index: SessionIndex): StoreWatch {
  const endedAt = new Map<string, number>()
  const watched = new WeakSet<StoreLike>()
  const loginChanges = createLoginChanges()
  let latest: StoreLike | undefined

  function markEnded(store: StoreLike, sessionId: string): void {
    watchStore(store)
    endedAt.set(sessionId, Date.now())
    for (const [id, at] of endedAt) {
      if (endedAt.size <= MAX_ENDED_SESSIONS && Date.now() - at < MILLISECONDS) return
      endedAt.delete(id)
    }
  }

  function watchStore(store: StoreLike): void {
    latest = store
    if (watched.has(store)) return
    watched.add(store)
    const set = store.set
    store.set = function setUnlessEnded(id, data, done) {
      const held = readOidcSession(data, config)
      if (endedAt.has(id)) return later(done)
      if (held === undefined) return set.call(store, id, data, done)
      const newest = loginChanges.latest(held)
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
    const indexId = index.indexIdOf(id, held)
    if (held.indexId !== indexId) {
      // First, so that a logout at the provider in this very moment finds it.
      await index.add(store, id, held)
      Object.assign(Object(data), { [config.sessionKey]: { ...held, indexId } })
    }
    await operation((done) => set.call(store, id, data, done))
    if (!endedAt.has(id) && !(await index.hasEnded(store, held.tokensId))) return
    markEnded(store, id)
    await operation((done) => store.destroy(id, done))
    await index.remove(store, id, held)
  }

  return {
    watch(req) {
      const store = storeOf(req)
      if (store !== latest && store !== undefined) watchStore(store)
    },
    async endSession({ sessionStore: store, sessionID, session }) {
      markEnded(store, sessionID)
      const held = readOidcSession(session, config)
      if (held === undefined) return
      await Promise.all([
        index.markEnded(store, held.tokensId).catch(report),
        index.remove(store, sessionID, held).catch(report),
      ])
    },
    async unindex({ sessionStore, sessionID, session }) {
      const held = readOidcSession(session, config)
      if (held !== undefined) await index.remove(sessionStore, sessionID, held).catch(report)
    },
    markEnded,
    isEnded: ({ sessionID }) => endedAt.has(sessionID),
    loginChanges,
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

/**
 * What logins were before a refresh changed them. A request that read its session before that may write it after, and
 * would bring back what the person has lost since, such as a group: express-session knows of no order.
 */
interface LoginChanges {
  /** A login is no longer what it was. Of this process alone. */
  add(tokensId: string, before: Login, after: Login): void
  /** A later login of the same session has taken the place of this one, for good. */
  replace(tokensId: string | undefined, replacedBy: OidcSession): void
  /** What a session holds, with its login as it is by now. */
  latest(held: OidcSession): OidcSession
}

interface Known {
  /** As JSON. */
  readonly earlier: readonly string[]
  readonly login: Login
  /** Where the tokens of that login are, if it is another one. */
  readonly replacedBy?: string
}

/** No request that is under way was outrun by so many refreshes of others, and none of its own by so many. */
const MAX_CHANGED_LOGINS = 2000
const MOST_OF_ONE = 8

export function createLoginChanges(): LoginChanges {
  const known = new Map<string, Known>()

  function remember(tokensId: string, what: Known): void {
    known.delete(tokensId)
    known.set(tokensId, what)
    const [oldest] = known.keys()
    if (known.size > MAX_CHANGED_LOGINS && oldest !== undefined) known.delete(oldest)
  }

  return {
    add(tokensId, before, login) {
      if (known.get(tokensId)?.replacedBy !== undefined) return
      // One that is as it was before is the newest all the same.
      const all = [...(known.get(tokensId)?.earlier ?? []), JSON.stringify(before)]
      const earlier = all.filter((one) => one !== JSON.stringify(login)).slice(-MOST_OF_ONE)
      remember(tokensId, { earlier, login })
    },
    replace(tokensId, replacedBy) {
      if (tokensId !== undefined)
        remember(tokensId, { earlier: [], login: replacedBy.login, replacedBy: replacedBy.tokensId })
    },
    latest(held) {
      const found = known.get(held.tokensId)
      if (found?.replacedBy !== undefined)
        return this.latest({ ...held, login: found.login, tokensId: found.replacedBy })
      return found?.earlier.includes(JSON.stringify(held.login)) === true ? { ...held, login: found.login } : held
    },
  }
}
