import { OidcError, ProviderError } from '../errors.ts'
import type { LastError } from '../status.ts'
import { nowInSeconds } from '../time/seconds.ts'

/**
 * The pauses after the first, second, … failed fetch in a row, in milliseconds. Most failures are single ones, so the first
 * retries come at once. The last pause is for all further failures: it bounds what an outage costs the provider, and how late
 * its end is noticed.
 */
const PAUSES = [0, 0, 250, 500, 1000, 2000]
/** The longest `Retry-After` that is obeyed, in seconds. A longer one would keep users out after the provider has recovered. */
const MAX_RETRY_AFTER = 60

/** Remembers the failed fetches since the last good one. */
interface FailureMemory {
  add(error: unknown): void
  clear(): void
  /** How many fetches have failed since the last good one. */
  count(): number
  /** The last failure, even if a fetch has succeeded since. */
  last(): LastError | undefined
  retryAfterSeconds(): number
  /** True until the provider accepts requests again, by its own word (RFC 9110 10.2.3). */
  mustWait(): boolean
  /** True until the next attempt without a copy. */
  isPaused(): boolean
  /** True if the last attempt failed less than so many seconds ago, or if the provider asked for a longer pause. */
  isWithin(seconds: number): boolean
}

export function createFailureMemory(): FailureMemory {
  let count = 0
  let failedAt = Number.NEGATIVE_INFINITY
  /** In milliseconds. */
  let retryAfter = 0
  let last: LastError | undefined

  /** False if the clock was set back. */
  function isWithinMilliseconds(milliseconds: number): boolean {
    const age = Date.now() - failedAt
    return age >= 0 && age < milliseconds
  }

  return {
    add(error: unknown): void {
      count += 1
      failedAt = Date.now()
      last = { code: codeOf(error), at: Math.floor(nowInSeconds()) }
      const seconds = error instanceof ProviderError ? (error.retryAfter ?? 0) : 0
      // A single 503 often comes from one node behind a balancer.
      retryAfter = count === 1 ? 0 : Math.min(seconds, MAX_RETRY_AFTER) * 1000
    },
    clear(): void {
      count = 0
      failedAt = Number.NEGATIVE_INFINITY
      retryAfter = 0
    },
    count: () => count,
    last: () => last,
    retryAfterSeconds: () => retryAfter / 1000,
    mustWait: () => isWithinMilliseconds(retryAfter),
    isPaused: () => isWithinMilliseconds(Math.max(PAUSES[Math.min(count, PAUSES.length) - 1] ?? 0, retryAfter)),
    isWithin: (seconds: number) => isWithinMilliseconds(Math.max(seconds * 1000, retryAfter)),
  }
}

/** A document that was refused as useless has no error. */
function codeOf(error: unknown): string {
  if (error === undefined) return 'ERR_OIDC_KEYS_INVALID'
  return error instanceof OidcError ? error.code : 'unknown'
}
