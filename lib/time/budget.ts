/** What strangers may cause: so much at once, and more as time passes. */
export interface Budget {
  /** Takes one piece. Returns false, and takes nothing, if there are not more than `reserve` left: others may need those. */
  take(reserve?: number): boolean
  /** Returns how many seconds it takes until {@link take} returns true. */
  waitSeconds(reserve?: number): number
}

/**
 * Creates a budget for work that strangers can cause, such as requests to a provider: `capacity` at once, and one more after
 * each `refillSeconds`. It is never exceeded.
 *
 * @example
 * ```ts
 * const budget = createBudget({ capacity: 5, refillSeconds: 2 })
 * if (!budget.take()) throw new Error(`Retry in ${budget.waitSeconds()} seconds.`)
 * ```
 */
export function createBudget({ capacity, refillSeconds }: Record<'capacity' | 'refillSeconds', number>): Budget {
  let left = capacity
  let countedAt = Date.now()

  function refill(): void {
    const gained = Math.max(0, Date.now() - countedAt) / (refillSeconds * 1000)
    left = Math.min(capacity, left + gained)
    countedAt = Date.now()
  }

  return {
    take(reserve = 0) {
      refill()
      if (left < 1 + reserve) return false
      left -= 1
      return true
    },
    waitSeconds(reserve = 0) {
      refill()
      return Math.max(0, 1 + reserve - left) * refillSeconds
    },
  }
}
