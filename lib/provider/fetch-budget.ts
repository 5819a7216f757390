import { publish } from '../events.ts'
import { createBudget } from '../time/budget.ts'
import type { DocumentLabel } from './cached-document.ts'

/** The budget of fetches that strangers can cause. */
export interface FetchBudget {
  /** Takes one request. Returns false if none is left at present. */
  tryRequest(): boolean
  /** How many requests are left now: a whole number. */
  left(): number
}

/** Creates a budget. `onUsedUp` is called once when no request is left, and again only after it was full in between. */
export function createFetchBudget({
  capacity,
  refillSeconds,
  onUsedUp,
}: {
  readonly capacity: number
  readonly refillSeconds: number
  readonly onUsedUp: () => void
}): FetchBudget {
  const budget = createBudget({ capacity, refillSeconds })
  let isReported = false

  function left(): number {
    let count = capacity
    while (count > 0 && budget.waitSeconds(count - 1) > 0) count -= 1
    return count
  }

  return {
    left,
    tryRequest() {
      if (isReported && left() === capacity) isReported = false
      if (budget.take()) return true
      if (!isReported) onUsedUp()
      isReported = true
      return false
    },
  }
}

/** Publishes that a budget is used up, if it is known whose it is. */
export function reportUsedUp(label: DocumentLabel | undefined): void {
  if (label !== undefined) publish['express-oidc:fetch-budget'](() => ({ ...label }))
}
