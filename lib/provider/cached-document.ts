import { nowInSeconds } from '../time/seconds.ts'
import type { ResponseHeaders } from './http-transport.ts'

/** A document of the provider. It is fetched when first needed, and cached for as long as its headers allow. */
export interface CachedDocument<T> {
  /** The cached copy while it is fresh, else a new one. If none can be fetched, the last good copy. */
  get(): Promise<T>
  /** Fetches a new copy, however fresh the cached one is. If that fails it rejects, and the cached copy stays. */
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
 * Caches what `load` returns, by a small part of RFC 9111. `get` and `renew` share one fetch at a time. A failure is not
 * cached.
 */
export function createCachedDocument<T>(options: {
  readonly load: () => Promise<{ readonly value: T; readonly headers: ResponseHeaders }>
  readonly bounds?: Partial<CacheBounds>
}): CachedDocument<T> {
  const bounds = { ...BOUNDS, ...options.bounds }
  let copy: Copy<T> | undefined
  let pending: Promise<T> | undefined
  let failedAt = Number.NEGATIVE_INFINITY

  async function load(): Promise<T> {
    try {
      const { value, headers } = await options.load()
      copy = { value, loadedAt: nowInSeconds(), lifetime: lifetimeOf(headers, bounds) }
      failedAt = Number.NEGATIVE_INFINITY
      return value
    } catch (error) {
      failedAt = nowInSeconds()
      throw error
    }
  }

  function renew(): Promise<T> {
    pending ??= load().finally(() => {
      pending = undefined
    })
    return pending
  }

  async function get(): Promise<T> {
    const last = copy
    if (last === undefined || !isWithin(bounds.stale, last.loadedAt)) return await renew()
    if (isWithin(last.lifetime, last.loadedAt) || isWithin(bounds.backoff, failedAt)) return last.value
    return await renew().catch(() => last.value)
  }

  return { get, renew }
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

/** Takes one request from the budget. Returns false if none is left at present. */
type TryRequest = () => boolean

/**
 * Creates a budget for requests that strangers can cause: `capacity` at once, and one more after each `refillSeconds`. The
 * provider never receives more.
 */
export function createFetchBudget({
  capacity,
  refillSeconds,
}: Record<'capacity' | 'refillSeconds', number>): TryRequest {
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
