import { ProviderError } from '../errors.ts'
import { nowInSeconds } from '../time/seconds.ts'
import type { ResponseHeaders } from './http-transport.ts'

/** A document of the provider. It is fetched when first needed, and cached for as long as its headers allow. */
export interface CachedDocument<T> {
  /**
   * The cached copy while it is fresh, else a new one. If none can be fetched, the last good copy. Without a copy, calls share
   * the last failure until the next attempt.
   */
  get(): Promise<T>
  /**
   * Fetches a new copy, however fresh the cached one is. If that fails it rejects, and the cached copy stays. It sends no
   * request before the time that the provider named in `Retry-After`, nor without a copy shortly after a failure.
   */
  renew(): Promise<T>
}

/** Limits for the lifetime of a copy, in seconds. */
interface CacheBounds {
  /** The shortest lifetime, even if the headers say `no-store`. */
  readonly minimum: number
  /** The longest lifetime. Okta announces 45 days for keys that it may change at any time. */
  readonly maximum: number
  /** The lifetime if the headers say nothing. */
  readonly unstated: number
  /** The pause between attempts to replace an expired copy. */
  readonly backoff: number
  /** The greatest age of a copy that cannot be replaced. */
  readonly stale: number
}

interface Copy<T> {
  readonly value: T
  readonly loadedAt: number
  /** In seconds. */
  readonly lifetime: number
}

const BOUNDS: CacheBounds = { minimum: 60, maximum: 86_400, unstated: 3600, backoff: 30, stale: 604_800 }

/**
 * The pauses after the first, second, … failed fetch in a row, in milliseconds. Most failures are single ones, so the first
 * retries come at once. The last pause is for all further failures: it bounds what an outage costs the provider, and how late
 * its end is noticed.
 */
const PAUSES = [0, 0, 250, 500, 1000, 2000]
/** The longest `Retry-After` that is obeyed, in seconds. A longer one would keep users out after the provider has recovered. */
const MAX_RETRY_AFTER = 60

/** What a fetch has returned. */
interface Fetched<T> {
  readonly value: T
  readonly headers: ResponseHeaders
}

/**
 * Caches what `load` returns, by a small part of RFC 9111. `get` and `renew` share one fetch at a time. If `isUseless` says
 * that a document is worse than the last good one, its fetch counts as failed: the last good copy stays.
 */
export function createCachedDocument<T>(options: {
  readonly load: () => Promise<Fetched<T>>
  readonly isUseless?: (value: T, last: T | undefined) => boolean
  readonly bounds?: Partial<CacheBounds>
}): CachedDocument<T> {
  const bounds = { ...BOUNDS, ...options.bounds }
  const failures = createFailureMemory()
  let copy: Copy<T> | undefined
  let pending: Promise<T> | undefined
  /** Rejects with the last failure, or returns the last document if it was useless. */
  let lastOutcome: () => T

  async function load(): Promise<T> {
    try {
      const { value, headers } = await options.load()
      if (options.isUseless?.(value, usableCopy()?.value) === true) {
        failures.add(undefined)
        lastOutcome = () => value
        return value
      }
      copy = { value, loadedAt: nowInSeconds(), lifetime: lifetimeOf(headers, bounds) }
      failures.clear()
      return value
    } catch (error) {
      failures.add(error)
      lastOutcome = () => {
        throw error
      }
      throw error
    }
  }

  async function renew(): Promise<T> {
    const mustWait = usableCopy() === undefined ? failures.isPaused() : failures.mustWait()
    if (pending === undefined && mustWait) return lastOutcome()
    pending ??= load().finally(() => {
      pending = undefined
    })
    return await pending
  }

  function usableCopy(): Copy<T> | undefined {
    return copy !== undefined && isWithin(bounds.stale, copy.loadedAt) ? copy : undefined
  }

  async function get(): Promise<T> {
    const last = usableCopy()
    if (last === undefined) return await renew()
    if (isWithin(last.lifetime, last.loadedAt) || failures.isWithin(bounds.backoff)) return last.value
    await renew().catch(() => undefined)
    return (usableCopy() ?? last).value
  }

  return { get, renew }
}

/** Remembers the failed fetches since the last good one. */
function createFailureMemory() {
  let count = 0
  let failedAt = Number.NEGATIVE_INFINITY
  /** In milliseconds. */
  let retryAfter = 0

  /** False if the clock was set back. */
  function isWithinMilliseconds(milliseconds: number): boolean {
    const age = Date.now() - failedAt
    return age >= 0 && age < milliseconds
  }

  return {
    add(error: unknown): void {
      count += 1
      failedAt = Date.now()
      const seconds = error instanceof ProviderError ? (error.retryAfter ?? 0) : 0
      // A single 503 often comes from one node behind a balancer.
      retryAfter = count === 1 ? 0 : Math.min(seconds, MAX_RETRY_AFTER) * 1000
    },
    clear(): void {
      count = 0
      failedAt = Number.NEGATIVE_INFINITY
      retryAfter = 0
    },
    /** True until the provider accepts requests again, by its own word (RFC 9110 10.2.3). */
    mustWait: () => isWithinMilliseconds(retryAfter),
    /** True until the next attempt without a copy. */
    isPaused: () => isWithinMilliseconds(Math.max(PAUSES[Math.min(count, PAUSES.length) - 1] ?? 0, retryAfter)),
    /** True if the last attempt failed less than so many seconds ago, or if the provider asked for a longer pause. */
    isWithin: (seconds: number) => isWithinMilliseconds(Math.max(seconds * 1000, retryAfter)),
  }
}

/** True if less than so many seconds have passed. False if the clock was set back. */
function isWithin(seconds: number, since: number): boolean {
  const age = nowInSeconds() - since
  return age >= 0 && age < seconds
}

/** RFC 9111 4.2: `max-age` minus `Age`. */
function lifetimeOf(headers: ResponseHeaders, { minimum, maximum, unstated }: CacheBounds): number {
  const directives = (headers.get('cache-control') ?? '')
    .toLowerCase()
    .split(',')
    .map((directive) => directive.trim())
  if (directives.some((directive) => /^no-(store|cache)\b/.test(directive))) return minimum
  const [, maxAge] = directives.map((directive) => /^max-age="?(\d+)"?$/.exec(directive)).find(Boolean) ?? []
  if (maxAge === undefined) return unstated
  const age = deltaSeconds(/^\d+$/.exec(headers.get('age') ?? '')?.[0] ?? '0')
  return Math.min(Math.max(deltaSeconds(maxAge) - age, minimum), maximum)
}

/** RFC 9111 1.2.2: a number that is too large counts as 2^31. Infinity minus Infinity would be no time at all. */
function deltaSeconds(digits: string): number {
  return Math.min(Number(digits), 2 ** 31)
}
