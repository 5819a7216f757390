import { OidcError } from '../errors.ts'
import type { OutcomeMemory } from '../time/outcome-memory.ts'
import { stateOperation } from './operation.ts'
import type { SharedState } from './shared-state.ts'

/**
 * The shared state of the application, which may be its own object: whatever its methods reject with becomes
 * `ERR_OIDC_SHARED_STATE`, also if they do not respond in time. `lock` stays as it is, because it rejects with what its work
 * rejects with. `outcomes` remembers whether the state can be reached.
 */
export function createGuardedState(state: SharedState, outcomes?: OutcomeMemory): SharedState {
  async function guarded<T>(run: () => Promise<T>): Promise<T> {
    try {
      const value = await stateOperation(run)
      outcomes?.succeeded()
      return value
    } catch (error) {
      outcomes?.failed(error instanceof OidcError ? error.code : 'unknown')
      throw error
    }
  }

  return {
    add: (key, member, seconds) => guarded(async () => state.add(key, member, seconds)),
    remove: (key, member) => guarded(async () => state.remove(key, member)),
    members: (key) => guarded(async () => state.members(key)),
    take: (key) => guarded(async () => state.take(key)),
    once: (key, seconds) => guarded(async () => state.once(key, seconds)),
    seen: (key) => guarded(async () => state.seen(key)),
    lock: (key, seconds, work) => state.lock(key, seconds, work),
  }
}
