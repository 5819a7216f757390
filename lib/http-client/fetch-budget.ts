/** Takes one attempt from the budget; false where none is left at present. */
export type TakeAttempt = () => boolean

/**
 * A budget for requests that strangers can provoke: so many at once, and one more after each `refillSeconds`. However
 * many are provoked, the provider sees no more than that.
 */
export function createFetchBudget({
  capacity,
  refillSeconds,
}: Record<'capacity' | 'refillSeconds', number>): TakeAttempt {
  let left = capacity
  let countedAt = Date.now()

  return () => {
    const gained = Math.max(0, Date.now() - countedAt) / (refillSeconds * 1000)
    left = Math.min(capacity, left + gained)
    countedAt = Date.now()
    if (left < 1) return false
    left -= 1
    return true
  }
}
