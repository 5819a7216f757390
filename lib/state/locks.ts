import { randomUUID } from 'node:crypto'
import { leaseExpired, lockTimeout, toMilliseconds } from './operation.ts'
import type { Lease, SharedState } from './shared-state.ts'

/** The longest that a timer of Node can wait, in milliseconds. */
const LONGEST = 2 ** 31 - 1

/** One who holds the lock, or waits for it. */
interface Waiter {
  /** It is this one's turn. */
  begin(): void
  /** Ends the turn of a holder, or the patience of another. */
  timer?: NodeJS.Timeout
}

/** A lock among the callers of this process, who get it in the order in which they came. */
export function createLocalLock(): SharedState['lock'] {
  /** The first in a line holds the lock. */
  const lines = new Map<string, Set<Waiter>>()

  function leave(key: string, place: Waiter): void {
    clearTimeout(place.timer)
    const line = lines.get(key)
    const [first] = line ?? []
    if (!line?.delete(place)) return
    const [next] = line
    if (next === undefined) lines.delete(key)
    else if (first === place) next.begin()
  }

  function enter(key: string, milliseconds: number): Promise<Waiter> {
    const line = lines.get(key) ?? new Set()
    lines.set(key, line)
    return new Promise((resolve, reject) => {
      const place: Waiter = {
        begin() {
          clearTimeout(place.timer)
          // Whoever holds it too long loses it; a process that has nothing else to do need not live on for that.
          place.timer = setTimeout(() => leave(key, place), milliseconds).unref()
          resolve(place)
        },
      }
      line.add(place)
      if (line.size === 1) return place.begin()
      place.timer = setTimeout(() => {
        leave(key, place)
        reject(lockTimeout())
      }, milliseconds)
    })
  }

  return async function lock(key, seconds, work) {
    const place = await enter(key, Math.min(toMilliseconds(seconds), LONGEST))
    try {
      return await work({
        assertHeld() {
          if (!lines.get(key)?.has(place)) throw leaseExpired()
        },
      })
    } finally {
      leave(key, place)
    }
  }
}

/** What a lock is made of, on a server. */
interface LockServer {
  /** Takes the lock for this owner where nobody has it, or this owner has. It ends by itself after these milliseconds. */
  acquire(key: string, owner: string, milliseconds: number): Promise<boolean>
  /** Gives the lock back, where this owner still has it. */
  release(key: string, owner: string): Promise<void>
}

/**
 * A lock on a server. Those who wait ask again and again, each at moments of its own, so that none is always too late; who
 * came first is not first served.
 */
export function createPolledLock(server: LockServer): SharedState['lock'] {
  return async function lock(key, seconds, work) {
    const milliseconds = toMilliseconds(seconds)
    const owner = randomUUID()
    // What cannot be given back ends by itself, and the work is done.
    const release = (): Promise<void> => server.release(key, owner).catch(() => undefined)
    const lease = await obtain(server, key, owner, milliseconds).catch((error: unknown) => {
      // The server may have granted what was not heard of.
      void release()
      throw error
    })
    try {
      return await work(lease)
    } finally {
      await release()
    }
  }
}

async function obtain(server: LockServer, key: string, owner: string, milliseconds: number): Promise<Lease> {
  let giveUpAt = Number.POSITIVE_INFINITY
  for (;;) {
    const lease = startLease(milliseconds)
    if (await server.acquire(key, owner, milliseconds)) return lease
    // From after the first answer on: whoever held the lock then has lost it by then, if it died.
    giveUpAt = Math.min(giveUpAt, performance.now() + milliseconds)
    const left = giveUpAt - performance.now()
    if (left <= 0) throw lockTimeout()
    await new Promise((resolve) => setTimeout(resolve, Math.min(left, 25 + Math.random() * 50)))
  }
}

/** Counts from before the lock is asked for, so it ends before the server's own count does. */
function startLease(milliseconds: number): Lease {
  const wall = Date.now()
  const steady = performance.now()
  return {
    assertHeld() {
      // One clock can be set back, the other stands still while a machine sleeps.
      if (Math.max(Date.now() - wall, performance.now() - steady) >= milliseconds) throw leaseExpired()
    },
  }
}
