import { createLimiter } from '../time/limiter.ts'
import { nowInSeconds } from '../time/seconds.ts'
import type { IndexEntry } from './session-index.ts'

/** Each takes some store operations at a time. The pool of the store is there for other users too. */
const MAX_PARALLEL_SESSIONS = 4
/** How long a logout goes on while every session fails, in seconds. */
const MAX_FAILING_SECONDS = 10

type Limiter = ReturnType<typeof createLimiter>

/** What all logouts of a process share. */
export function createSessionLimiter(): Limiter {
  return createLimiter(MAX_PARALLEL_SESSIONS)
}

/**
 * Ends sessions, a few at a time. A user, or a monitor, can have thousands. Logouts take turns: none waits until a larger one
 * is done. If nothing but failures comes back, the store is down: then the others fail too, without a request to it.
 */
export function endEach<Value>(
  limitOfProcess: Limiter,
  entries: readonly IndexEntry[],
  end: (entry: IndexEntry) => Promise<Value>,
): Promise<PromiseSettledResult<Value>[]> {
  const limit = createLimiter(MAX_PARALLEL_SESSIONS)
  let failure: { readonly error: unknown; readonly since: number } | undefined
  const endOne = async (entry: IndexEntry): Promise<Value> => {
    if (failure !== undefined && nowInSeconds() - failure.since > MAX_FAILING_SECONDS) throw failure.error
    try {
      const result = await limitOfProcess(() => end(entry))
      failure = undefined
      return result
    } catch (error) {
      failure ??= { error, since: nowInSeconds() }
      throw error
    }
  }
  return Promise.allSettled(entries.map((entry) => limit(() => endOne(entry))))
}
