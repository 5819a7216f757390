import type { SharedState } from '../shared-state.ts'
import { toMilliseconds } from './state-entry.ts'
import { leaseEnded, noTurn } from './state-failure.ts'

/** The longest that a timer of Node can wait, in milliseconds. */
const LONGEST = 2 ** 31 - 1

/** One who holds the lock, or waits for it. */
interface Place {
  /** It is this one's turn. */
  begin(): void
  /** Ends the turn of a holder, or the patience of another. */
  timer?: NodeJS.Timeout
}

/** A lock among the callers of this process, who get it in the order in which they came. */
export function createLocalLock(): SharedState['lock'] {
  /** The first in a line holds the lock. */
  const lines = new Map<string, Set<Place>>()

  function leave(key: string, place: Place): void {
    clearTimeout(place.timer)
    const line = lines.get(key)
    const [first] = line ?? []
    if (!line?.delete(place)) return
    const [next] = line
    if (next === undefined) lines.delete(key)
    else if (first === place) next.begin()
  }

  function enter(key: string, milliseconds: number): Promise<Place> {
    const line = lines.get(key) ?? new Set()
    lines.set(key, line)
    return new Promise((resolve, reject) => {
      const place: Place = {
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
        reject(noTurn())
      }, milliseconds)
    })
  }

  return async function lock(key, seconds, work) {
    const place = await enter(key, Math.min(toMilliseconds(seconds), LONGEST))
    try {
      return await work({
        assertHeld() {
          if (!lines.get(key)?.has(place)) throw leaseEnded()
        },
      })
    } finally {
      leave(key, place)
    }
  }
}
