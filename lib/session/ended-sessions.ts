import type { SessionRequest, StoreLike } from './express-session.ts'

/**
 * Sessions that were ended while requests of theirs may still be under way. express-session writes a session back at the
 * end of each request that changed it, and so would bring an ended one back to life, login and all. The store's `set` is
 * made to pass over these, for as long as a request can last. Each process does so for its own requests.
 */
export interface EndedSessions {
  /** The current session has ended, whoever may still hold it. */
  add(req: SessionRequest): void
  /** Whether the current session was ended by another request in the meantime. */
  has(req: SessionRequest): boolean
}

const MILLISECONDS = 600_000
const MOST = 10_000

export function createEndedSessions(): EndedSessions {
  const endedAt = new Map<string, number>()
  const guarded = new WeakSet<StoreLike>()

  function forgetOld(): void {
    for (const [id, at] of endedAt) {
      if (endedAt.size <= MOST && Date.now() - at < MILLISECONDS) return
      endedAt.delete(id)
    }
  }

  function guard(store: StoreLike): void {
    if (guarded.has(store)) return
    guarded.add(store)
    const set = store.set
    store.set = function setUnlessEnded(id, data, done) {
      if (endedAt.has(id)) process.nextTick(done)
      else set.call(store, id, data, done)
    }
  }

  return {
    add(req) {
      guard(req.sessionStore)
      endedAt.set(req.sessionID, Date.now())
      forgetOld()
    },
    has: (req) => endedAt.has(req.sessionID),
  }
}
