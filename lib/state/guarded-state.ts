import { stateOperation } from './operation.ts'
import type { SharedState } from './shared-state.ts'

/**
 * The shared state of the application, which may be its own object: whatever its methods reject with becomes
 * `ERR_OIDC_SHARED_STATE`, also if they do not respond in time. `lock` stays as it is, because it rejects with what its work
 * rejects with.
 */
export function createGuardedState(state: SharedState): SharedState {
  return {
    add: (key, member, seconds) => stateOperation(async () => state.add(key, member, seconds)),
    remove: (key, member) => stateOperation(async () => state.remove(key, member)),
    members: (key) => stateOperation(async () => state.members(key)),
    take: (key) => stateOperation(async () => state.take(key)),
    once: (key, seconds) => stateOperation(async () => state.once(key, seconds)),
    seen: (key) => stateOperation(async () => state.seen(key)),
    lock: (key, seconds, work) => state.lock(key, seconds, work),
  }
}
