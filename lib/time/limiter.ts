/**
 * Runs at most `max` pieces of work at the same time. Others wait in line, in the order in which they came. Share one between
 * callers who together must not use up something that others need too, such as the connections of a pool.
 *
 * @example
 * ```ts
 * const limit = createLimiter(4)
 * const pages = await Promise.all(['/a', '/b'].map((path) => limit(() => fetch('https://example.com' + path))))
 * ```
 */
export function createLimiter(max: number): <Value>(work: () => Promise<Value>) => Promise<Value> {
  const waiting = new Set<() => void>()
  let running = 0

  return async function limit(work) {
    // Who leaves hands its place over, so that nobody who comes in between gets ahead of the line.
    if (running >= max) await new Promise<void>((resolve) => waiting.add(resolve))
    else running += 1
    try {
      return await work()
    } finally {
      const [next] = waiting
      if (next === undefined) running -= 1
      else {
        waiting.delete(next)
        next()
      }
    }
  }
}
