export { type MemoryStateOptions, memoryState } from './state/memory-state.ts'
export type { Lease, SharedState } from './state/shared-state.ts'
