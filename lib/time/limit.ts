/** What the work under a time limit is given. */
export interface TimeLimit {
  /**
   * Aborts when the time is over, or when the work has failed and may have left something running. It is created when it
   * is first read, because creating one costs more than most work.
   */
  readonly signal: AbortSignal
}

/**
 * Runs work that must finish within so many seconds. When the time is over it rejects with `timeoutError()` at once, even
 * if the work ignores the signal. Whatever the work does afterwards changes nothing, and its late failure is not reported.
 *
 * @example
 * ```ts
 * const keys = await withTimeLimit(5, ({ signal }) => fetch(jwksUri, { signal }), () => new Error('No answer in 5 seconds.'))
 * ```
 */
export async function withTimeLimit<Value>(
  seconds: number,
  work: (limit: TimeLimit) => Value | Promise<Value>,
  timeoutError: () => Error,
): Promise<Value> {
  let controller: AbortController | undefined
  let failure: unknown
  const limit: TimeLimit = {
    get signal() {
      controller ??= new AbortController()
      // Work that goes on after its time is over may read the signal only now.
      if (failure !== undefined) controller.abort(failure)
      return controller.signal
    },
  }
  let timer: NodeJS.Timeout | undefined
  const timeIsOver = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(timeoutError()), seconds * 1000)
  })
  try {
    return await Promise.race([Promise.resolve(limit).then(work), timeIsOver])
  } catch (error) {
    failure = error
    controller?.abort(error)
    throw error
  } finally {
    clearTimeout(timer)
  }
}
