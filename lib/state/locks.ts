import { randomUUID } from 'node:crypto'
import { leaseExpired, lockTimeout, toMilliseconds } from './operation.ts'
import type { Lease, SharedState } from './shared-state.ts'

/** A lock for the callers of this process. They get it in the order in which they called. */
export function createLocalLock(): SharedState['lock'] {
  /** The first of a queue holds the lock. */
  const queues = new Map<string, Set<Waiter>>()

  function leave(key: string, waiter: Waiter): void {
    clearTimeout(waiter.timer)
    const queue = queues.get(key)
    const [holder] = queue ?? []
    if (!queue?.delete(waiter)) return
    const [next] = queue
    if (next === undefined) queues.delete(key)
    else if (holder === waiter) next.start()
  }

  function enter(key: string, milliseconds: number): Promise<Waiter> {
    const queue = queues.get(key) ?? new Set()
    queues.set(key, queue)
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        start() {
          clearTimeout(waiter.timer)
          // A holder that takes too long loses the lock. This timer alone must not keep the process alive.
          waiter.timer = setTimeout(() => leave(key, waiter), milliseconds).unref()
          resolve(waiter)
        },
      }
      queue.add(waiter)
      if (queue.size === 1) return waiter.start()
      waiter.timer = setTimeout(() => {
        leave(key, waiter)
        reject(lockTimeout())
      }, milliseconds)
    })
  }

  return async function lock(key, seconds, work) {
    const waiter = await enter(key, Math.min(toMilliseconds(seconds), MAX_TIMER))
    try {
      return await work({
        assertHeld() {
          if (!queues.get(key)?.has(waiter)) throw leaseExpired()
        },
      })
    } finally {
      leave(key, waiter)
    }
  }
}

/** A caller that holds the lock or waits for it. */
interface Waiter {
  /** Gives the lock to this caller. */
  start(): void
  /** While waiting: gives up. While holding: takes the lock away. */
  timer?: NodeJS.Timeout
}

/** The longest delay of a Node timer, in milliseconds. */
const MAX_TIMER = 2 ** 31 - 1

/** The two operations that a server needs for a lock. */
interface LockServer {
  /** Takes the lock if it is free or this owner has it already. It expires by itself after these milliseconds. */
  acquire(key: string, owner: string, milliseconds: number): Promise<boolean>
  /** Releases the lock if this owner still has it. */
  release(key: string, owner: string): Promise<void>
}

/**
 * A lock on a server. Callers that wait try again at random intervals, so that none is always too late. The order in which
 * they get the lock is random, too.
 */
export function createPolledLock(server: LockServer): SharedState['lock'] {
  return async function lock(key, seconds, work) {
    const milliseconds = toMilliseconds(seconds)
    const owner = randomUUID()
    // A lock that cannot be released expires by itself, and the work is done: so a failure here does not matter.
    const release = (): Promise<void> => server.release(key, owner).catch(() => undefined)
    const lease = await acquire(server, key, owner, milliseconds).catch((error: unknown) => {
      // The server may have granted the lock although its response was lost.
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

async function acquire(server: LockServer, key: string, owner: string, milliseconds: number): Promise<Lease> {
  let giveUpAt = Number.POSITIVE_INFINITY
  for (;;) {
    const askedAt = performance.now()
    const lease = startLease(milliseconds)
    if (await server.acquire(key, owner, milliseconds)) return lease
    // Counted from the first response on: a holder that has died has lost the lock by then. A request sent before does not
    // count, however late its response: the lock may have become free meanwhile.
    giveUpAt = Math.min(giveUpAt, performance.now() + milliseconds)
    if (askedAt >= giveUpAt) throw lockTimeout()
    const left = Math.max(0, giveUpAt - performance.now())
    await new Promise((resolve) => setTimeout(resolve, Math.min(left, 25 + Math.random() * 50)))
  }
}

/** Starts before the request for the lock is sent, so that the lease ends here before it ends on the server. */
function startLease(milliseconds: number): Lease {
  const wall = Date.now()
  const steady = performance.now()
  return {
    assertHeld() {
      // Two clocks: one can be set back, and the other stops while the machine sleeps.
      if (Math.max(Date.now() - wall, performance.now() - steady) >= milliseconds) throw leaseExpired()
    },
  }
}
