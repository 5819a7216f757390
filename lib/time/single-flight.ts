/**
 * Lets callers who want the same thing at the same time share one run of it: while a run for a key is in flight, others
 * with that key get its promise, and with it its rejection. Nothing is remembered once it has settled.
 *
 * The key must hold all that the result depends on, or one caller gets what belongs to another. A `run` that awaits its
 * own key waits for ever.
 *
 * @example
 * ```ts
 * const fetchOnce = createSingleFlight<string, Keys>()
 * const keys = await fetchOnce(jwksUri, () => fetchKeys(jwksUri))
 * ```
 */
export function createSingleFlight<Key, Value>(): (key: Key, run: () => Promise<Value>) => Promise<Value> {
  const flights = new Map<Key, Promise<Value>>()
  return function share(key, run) {
    const pending = flights.get(key)
    if (pending !== undefined) return pending
    // `then` makes a rejection of a synchronous throw, and `finally` frees the key before anybody sees the outcome.
    const flight = Promise.resolve()
      .then(run)
      .finally(() => flights.delete(key))
    flights.set(key, flight)
    return flight
  }
}

/**
 * Loads a value at its first use and keeps it. A failure is not kept: the next call tries again. Use it for an `import()`
 * that requests need: importing a module that is already loaded still costs several microseconds.
 *
 * @example
 * ```ts
 * const loadCrypto = loadOnce(() => import('node:crypto'))
 * ```
 */
export function loadOnce<Value>(load: () => Promise<Value>): () => Promise<Value> {
  let loading: Promise<Value> | undefined
  return () => {
    loading ??= load().catch((error: unknown) => {
      loading = undefined
      throw error
    })
    return loading
  }
}
