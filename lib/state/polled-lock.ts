import { randomUUID } from 'node:crypto'
import type { Lease, SharedState } from '../shared-state.ts'
import { toMilliseconds } from './state-entry.ts'
import { leaseEnded, noTurn } from './state-failure.ts'

/** What a lock is made of, on a server. */
export interface LockServer {
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
    if (left <= 0) throw noTurn()
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
      if (Math.max(Date.now() - wall, performance.now() - steady) >= milliseconds) throw leaseEnded()
    },
  }
}
