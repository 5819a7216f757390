import { publish } from '../events.ts'
import { traced } from '../operations.ts'
import type { DocumentStatus } from '../status.ts'
import { nowInSeconds } from '../time/seconds.ts'
import { createFailureMemory } from './fetch-failures.ts'
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
  /** The state of the copy. Sends no request. */
  status(): DocumentStatus
  /** Ends the renewal in the background. `get` and `renew` still work. */
  stop(): void
}

/** Whose document it is, for events. */
export interface DocumentLabel {
  readonly document: 'metadata' | 'keys'
  readonly issuer: string
  /** The name of the provider; absent for an issuer that is no provider of `oidc()`. */
  readonly provider?: string | undefined
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
  /** After how many seconds it is renewed in the background. */
  readonly renewAfter: number
}

const BOUNDS: CacheBounds = { minimum: 60, maximum: 86_400, unstated: 3600, backoff: 30, stale: 604_800 }

/** What a fetch has returned. */
interface Fetched<T> {
  readonly value: T
  readonly headers: ResponseHeaders
}

interface CachedDocumentOptions<T> {
  readonly load: () => Promise<Fetched<T>>
  readonly isUseless?: (value: T, last: T | undefined) => boolean
  readonly bounds?: Partial<CacheBounds>
  /** False if a copy is renewed only when it has expired. Default: true. */
  readonly renewsInBackground?: boolean
  /** Publishes when an expired copy serves, if it is given. */
  readonly label?: DocumentLabel | undefined
}

/**
 * Caches what `load` returns, by a small part of RFC 9111. `get` and `renew` share one fetch at a time. If `isUseless` says
 * that a document is worse than the last good one, its fetch counts as failed: the last good copy stays.
 *
 * A copy that is in use is renewed before it expires, so that no login waits for it. Nothing is fetched for an application
 * that has not used it for an hour, or for its lifetime if that is longer: then the next use waits.
 */
export function createCachedDocument<T>(options: CachedDocumentOptions<T>): CachedDocument<T> {
  const { label, renewsInBackground = true } = options
  const bounds = { ...BOUNDS, ...options.bounds }
  const failures = createFailureMemory()
  const timer = createRenewalTimer(() => renewUsedCopy())
  let copy: Copy<T> | undefined
  let pending: Promise<T> | undefined
  let usedAt = Number.NEGATIVE_INFINITY
  let isStaleReported = false
  let isBackground = false
  /** Rejects with the last failure, or returns the last document if it was useless. */
  let lastOutcome: () => T

  function fetchDocument(): Promise<Fetched<T>> {
    if (label === undefined) return options.load()
    const { document, issuer, provider } = label
    const operation = document === 'keys' ? 'express-oidc:key-fetch' : 'express-oidc:metadata-fetch'
    const describe = () => ({ issuer, isBackground, ...(provider === undefined ? {} : { provider }) })
    return traced(operation, describe, options.load)
  }

  async function load(): Promise<T> {
    try {
      const { value, headers } = await fetchDocument()
      if (options.isUseless?.(value, usableCopy()?.value) === true) {
        failures.add(undefined)
        lastOutcome = () => value
        return value
      }
      copy = createCopy(value, lifetimeOf(headers, bounds))
      isStaleReported = false
      failures.clear()
      return value
    } catch (error) {
      failures.add(error)
      lastOutcome = () => {
        throw error
      }
      throw error
    } finally {
      scheduleRenewal()
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

  function scheduleRenewal(): void {
    const last = usableCopy()
    if (!renewsInBackground || last === undefined) return
    const untilDue = last.loadedAt + last.renewAfter - nowInSeconds()
    timer.start(failures.count() > 0 ? Math.max(bounds.backoff + 1, failures.retryAfterSeconds()) : untilDue)
  }

  function renewUsedCopy(): void {
    const last = usableCopy()
    if (last === undefined || !isWithin(Math.max(last.lifetime, MIN_IDLE_SECONDS), usedAt)) return
    renewNow()
  }

  function renewNow(): void {
    if (pending !== undefined || failures.isWithin(bounds.backoff)) return
    isBackground = true
    void renew().catch(() => undefined)
    isBackground = false
  }

  /** A first attempt is worth the wait, because the copy was not used for a long time. An outage keeps nobody waiting. */
  async function renewExpired(): Promise<void> {
    if (renewsInBackground && failures.count() > 0) renewNow()
    else if (!failures.isWithin(bounds.backoff)) await renew().catch(() => undefined)
  }

  async function get(): Promise<T> {
    usedAt = nowInSeconds()
    const last = usableCopy()
    if (last === undefined) return await renew()
    if (isWithin(last.lifetime, last.loadedAt)) {
      // The timer is late if the process was frozen.
      if (renewsInBackground && !isWithin(last.renewAfter, last.loadedAt)) renewNow()
      return last.value
    }
    await renewExpired()
    return serveExpired(usableCopy() ?? last)
  }

  function serveExpired(last: Copy<T>): T {
    const isExpired = !isWithin(last.lifetime, last.loadedAt)
    if (isExpired && !isStaleReported && label !== undefined) {
      isStaleReported = true
      publish['express-oidc:stale'](() => ({
        ...label,
        ageSeconds: Math.floor(nowInSeconds() - last.loadedAt),
        code: failures.last()?.code ?? 'unknown',
      }))
    }
    return last.value
  }

  function status(): DocumentStatus {
    const [last, lastError] = [usableCopy(), failures.last() ?? null]
    if (last === undefined) return { state: 'none', ageSeconds: null, expiresAt: null, lastError }
    const expired = failures.count() > 0 ? 'stale' : 'expired'
    return {
      state: isWithin(last.lifetime, last.loadedAt) ? 'fresh' : expired,
      ageSeconds: Math.max(0, Math.floor(nowInSeconds() - last.loadedAt)),
      expiresAt: Math.floor(last.loadedAt + last.lifetime),
      lastError,
    }
  }

  return { get, renew, status, stop: timer.stop }
}

/** A copy that is used less often than that, in seconds, or than its lifetime if that is longer, is not renewed by itself. */
const MIN_IDLE_SECONDS = 3600
/**
 * The part of its lifetime after which a copy is renewed. The shortest lifetime leaves 12 seconds, more than a request takes by
 * default. Less by chance, so that nodes that started together do not fetch together.
 */
const RENEW_AFTER = 0.8
const RENEW_SPREAD = 0.1

function createCopy<T>(value: T, lifetime: number): Copy<T> {
  const renewAfter = lifetime * (RENEW_AFTER - RENEW_SPREAD * Math.random())
  return { value, loadedAt: nowInSeconds(), lifetime, renewAfter }
}

/** One timer, which does not keep the process alive. */
function createRenewalTimer(run: () => void) {
  let timer: NodeJS.Timeout | undefined
  let isStopped = false
  return {
    start(seconds: number): void {
      clearTimeout(timer)
      if (isStopped) return
      timer = setTimeout(run, Math.max(0, seconds) * 1000)
      timer.unref()
    },
    stop(): void {
      isStopped = true
      clearTimeout(timer)
    },
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
