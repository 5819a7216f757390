import type { LastError, PartStatus } from '../status.ts'
import { nowInSeconds } from './seconds.ts'

/** Remembers how the last uses of a part of the system have ended. */
export interface OutcomeMemory {
  succeeded(): void
  failed(code: string): void
  status(): PartStatus
}

export function createOutcomeMemory(): OutcomeMemory {
  let isReachable: boolean | null = null
  let lastError: LastError | null = null
  return {
    succeeded() {
      isReachable = true
    },
    failed(code) {
      isReachable = false
      lastError = { code, at: Math.floor(nowInSeconds()) }
    },
    status: () => ({ isReachable, lastError }),
  }
}
