/** A document of the provider that is fetched when it is first needed, and kept for as long as its headers allow. */
export interface CachedDocument<T> {
  /** The copy at hand while it is fresh; else a new one; else, while none can be had, the last good one. */
  get(): Promise<T>
  /** A new copy, whatever the age of the one at hand. Fails where the fetch fails; the copy at hand stays. */
  renew(): Promise<T>
}

/** Limits on the life of a copy, in seconds. */
interface CacheBounds {
  /** A copy serves for this long even where the headers say `no-store`. */
  readonly minimum: number
  /** The longest life: Okta announces 45 days for keys that it may change at any time. */
  readonly maximum: number
  /** The life of a copy whose headers say nothing. */
  readonly unstated: number
  /** The pause between attempts while a copy that is too old cannot be replaced. */
  readonly backoff: number
  /** How old the last good copy may get while it cannot be replaced. */
  readonly stale: number
}

interface Copy<T> {
  readonly value: T
  readonly loadedAt: number
  /** In seconds. */
  readonly life: number
}

const BOUNDS: CacheBounds = { minimum: 60, maximum: 86_400, unstated: 3600, backoff: 30, stale: 604_800 }

/**
 * Caches what `load` brings (RFC 9111, as far as it serves here). One fetch is under way at a time, for `get` and
 * `renew` together; a failure is not kept.
 */
export function createCachedDocument<T>(options: {
  readonly load: () => Promise<{ readonly value: T; readonly headers: Headers }>
  readonly bounds?: Partial<CacheBounds>
}): CachedDocument<T> {
  const bounds = { ...BOUNDS, ...options.bounds }
  let copy: Copy<T> | undefined
  let pending: Promise<T> | undefined
  let failedAt = Number.NEGATIVE_INFINITY

  async function load(): Promise<T> {
    try {
      const { value, headers } = await options.load()
      copy = { value, loadedAt: now(), life: lifetime(headers, bounds) }
      failedAt = Number.NEGATIVE_INFINITY
      return value
    } catch (error) {
      failedAt = now()
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
    if (isWithin(last.life, last.loadedAt) || isWithin(bounds.backoff, failedAt)) return last.value
    return await renew().catch(() => last.value)
  }

  return { get, renew }
}

/** Whether less than so many seconds have gone by. A clock that was set back tells nothing: then they have. */
function isWithin(seconds: number, since: number): boolean {
  const age = now() - since
  return age >= 0 && age < seconds
}

function now(): number {
  return Date.now() / 1000
}

/** RFC 9111 4.2: `max-age` less `Age`. */
function lifetime(headers: Headers, { minimum, maximum, unstated }: CacheBounds): number {
  const directives = (headers.get('cache-control') ?? '')
    .toLowerCase()
    .split(',')
    .map((directive) => directive.trim())
  if (directives.some((directive) => /^no-(store|cache)\b/.test(directive))) return minimum
  const [, maxAge] = directives.map((directive) => /^max-age="?(\d+)"?$/.exec(directive)).find(Boolean) ?? []
  if (maxAge === undefined) return unstated
  const age = Number(/^\d+$/.exec(headers.get('age') ?? '')?.[0] ?? 0)
  return Math.min(Math.max(Number(maxAge) - age, minimum), maximum)
}

/** Takes one attempt from the budget; false where none is left at present. */
type TryRequest = () => boolean

/**
 * A budget for requests that strangers can provoke: so many at once, and one more after each `refillSeconds`. However
 * many are provoked, the provider sees no more than that.
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
