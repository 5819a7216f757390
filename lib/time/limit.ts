/** What the work under a time limit is given. The limit stops when the time is over or the work has failed. */
export interface TimeLimit {
  readonly isStopped: boolean
  /** Calls the function when the limit stops, or now if it has stopped already: the work may have left something running. */
  onStop(stop: (error: unknown) => void): void
  /** Aborts when the limit stops. Prefer {@link onStop} if both will do: creating a signal costs more than most work. */
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
  const limit = new StoppableLimit()
  let timer: NodeJS.Timeout | undefined
  const timeIsOver = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(timeoutError()), seconds * 1000)
  })
  try {
    return await Promise.race([Promise.resolve(limit).then(work), timeIsOver])
  } catch (error) {
    limit.stop(error)
    throw error
  } finally {
    clearTimeout(timer)
  }
}

/** A class: an object with getters costs several times as much to create, and most work never reads the signal. */
class StoppableLimit implements TimeLimit {
  #listeners: ((error: unknown) => void)[] | undefined
  #controller: AbortController | undefined
  #stopped: { readonly error: unknown } | undefined

  get isStopped(): boolean {
    return this.#stopped !== undefined
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = new AbortController()
      this.#controller = controller
      this.onStop((error) => controller.abort(error))
    }
    return this.#controller.signal
  }

  onStop(listener: (error: unknown) => void): void {
    this.#listeners ??= []
    if (this.#stopped === undefined) this.#listeners.push(listener)
    else listener(this.#stopped.error)
  }

  stop(error: unknown): void {
    this.#stopped = { error }
    for (const listener of this.#listeners ?? []) listener(error)
  }
}
