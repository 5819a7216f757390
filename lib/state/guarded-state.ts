import { OidcError } from '../errors.ts'
import { traced } from '../operations.ts'
import type { OutcomeMemory } from '../time/outcome-memory.ts'
import { stateOperation } from './operation.ts'
import type { SharedState } from './shared-state.ts'

/**
 * The shared state of the application, which may be its own object: whatever its methods reject with becomes
 * `ERR_OIDC_SHARED_STATE`, also if they do not respond in time. `lock` stays as it is, because it rejects with what its work
 * rejects with. `outcomes` remembers whether the state can be reached.
 */
export function createGuardedState(state: SharedState, outcomes?: OutcomeMemory): SharedState {
  async function guarded<T>(operation: string, run: () => Promise<T>): Promise<T> {
    try {
      const value = await traced(
        'express-oidc:shared-state',
        () => ({ operation }),
        () => stateOperation(run),
      )
      outcomes?.succeeded()
      return value
    } catch (error) {
      outcomes?.failed(error instanceof OidcError ? error.code : 'unknown')
      throw error
    }
  }

  return {
    add: (key, member, seconds) => guarded('add', async () => state.add(key, member, seconds)),
    remove: (key, member) => guarded('remove', async () => state.remove(key, member)),
    members: (key) => guarded('members', async () => state.members(key)),
    take: (key) => guarded('take', async () => state.take(key)),
    once: (key, seconds) => guarded('once', async () => state.once(key, seconds)),
    seen: (key) => guarded('seen', async () => state.seen(key)),
    lock: withTracedWait(state).lock,
  }
}

/** The state, whose locks publish how long a caller waits for them. What is done under a lock is no part of the wait. */
export function withTracedWait(state: SharedState): SharedState {
  return {
    ...state,
    lock(key, seconds, work) {
      let onAcquired = (): void => undefined
      const acquired = new Promise<void>((resolve) => {
        onAcquired = resolve
      })
      const result = state.lock(key, seconds, (lease) => {
        onAcquired()
        return work(lease)
      })
      // The caller gets the failure of the lock, so here it only ends the wait.
      const wait = (): Promise<unknown> => Promise.race([acquired, result])
      void traced('express-oidc:lock', () => ({}), wait).catch(() => undefined)
      return result
    },
  }
}
