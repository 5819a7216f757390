import { memoryState } from '../../../lib/state/memory-state.ts'
import type { SharedState } from '../../../lib/state/shared-state.ts'

/** A shared state that can lose what it holds, and that can be out of reach. It counts its operations. */
export interface MortalState extends SharedState {
  lose(): void
  isDown: boolean
  operations: number
  /** Runs before something is added. */
  beforeAdd: (key: string) => Promise<void>
}

export function createMortalState(): MortalState {
  let inner = memoryState()
  const pass = async <Value>(run: (state: SharedState) => Promise<Value>): Promise<Value> => {
    state.operations += 1
    if (state.isDown) throw new Error('down')
    return run(inner)
  }
  const state: MortalState = {
    isDown: false,
    operations: 0,
    beforeAdd: async () => undefined,
    lose: () => {
      inner = memoryState()
    },
    async add(...args) {
      await state.beforeAdd(args[0])
      await pass((to) => to.add(...args))
    },
    remove: (...args) => pass((to) => to.remove(...args)),
    members: (...args) => pass((to) => to.members(...args)),
    take: (...args) => pass((to) => to.take(...args)),
    once: (...args) => pass((to) => to.once(...args)),
    seen: (...args) => pass((to) => to.seen(...args)),
    lock: (...args) => pass((to) => to.lock(...args)),
  }
  return state
}
