import { createHash } from 'node:crypto'
import { OidcError, ProviderError } from '../errors.ts'
import { nowInSeconds } from '../time/seconds.ts'
import { createSingleFlight } from '../time/single-flight.ts'
import type { AccessTokenGrant } from './access-token-claims.ts'

interface IntrospectionCacheSettings {
  /** How many bytes the memory may take. 0 turns it off. */
  readonly maxBytes: number
  /** How long the answer about an active token may be used again, in seconds. A revoked token is accepted for so long. */
  readonly maxAge: number
}

/** Introspects a token, or takes the answer of a moment ago. `introspect` sends the request, for this token. */
export type IntrospectionCache = (
  token: string,
  introspect: () => Promise<AccessTokenGrant>,
) => Promise<AccessTokenGrant>

/** A token may become active later, or be known to the server a moment later. So a refusal is kept for seconds only. */
const INACTIVE_SECONDS = 5
/** Of the memory, what refusals may take: anyone can send tokens that are not active. */
const INACTIVE_SHARE = 1 / 8
/** The most requests at a time. Anyone can cause one by an invented token. */
const MAX_REQUESTS = 200
/** The longest that a server which names a time is left alone, in seconds. */
const MAX_PAUSE = 60

/**
 * Creates a memory of introspected tokens, for one `bearer()` call and one issuer. It holds at most so many bytes, each answer
 * for at most `maxAge` seconds and never longer than its token is valid. Callers with the same token share one request. While
 * the server asks for a pause (`Retry-After`), no request is sent. Failures are not remembered. The keys are digests, so the
 * memory holds no token that it could lose.
 */
export function createIntrospectionCache({ maxBytes, maxAge }: IntrospectionCacheSettings): IntrospectionCache {
  const active = createMemory<AccessTokenGrant>(maxBytes * (1 - INACTIVE_SHARE))
  const inactive = createMemory<OidcError>(maxBytes * INACTIVE_SHARE)
  const share = createSingleFlight<string, AccessTokenGrant>()
  let pause: { readonly until: number; readonly error: ProviderError } | undefined
  let running = 0

  async function request(key: string, introspect: () => Promise<AccessTokenGrant>): Promise<AccessTokenGrant> {
    if (pause !== undefined && nowInSeconds() < pause.until) throw pause.error
    if (running >= MAX_REQUESTS) throw tooManyRequests()
    running += 1
    try {
      const grant = await introspect()
      active.set(key, grant, sizeOf(grant), Math.min(nowInSeconds() + maxAge, grant.expiresAt))
      return grant
    } catch (error) {
      noteFailure(key, error)
      throw error
    } finally {
      running -= 1
    }
  }

  function noteFailure(key: string, error: unknown): void {
    const now = nowInSeconds()
    if (isInactive(error)) inactive.set(key, error, ENTRY_BYTES, now + Math.min(INACTIVE_SECONDS, maxAge))
    if (!(error instanceof ProviderError)) return
    // Requests that were sent together may fail in different ways. None of them shortens the pause.
    const until = now + secondsToPause(error)
    if (until > (pause?.until ?? now)) pause = { until, error }
  }

  return async (token, introspect) => {
    const key = createHash('sha256').update(token).digest('base64')
    const grant = active.get(key)
    if (grant !== undefined) return grant
    const refusal = inactive.get(key)
    if (refusal !== undefined) throw refusal
    return await share(key, () => request(key, introspect))
  }
}

function isInactive(error: unknown): error is OidcError {
  return error instanceof OidcError && error.code === 'ERR_OIDC_ACCESS_TOKEN_INACTIVE'
}

/** Only what the server itself has asked for: after another failure, the next request may succeed. */
function secondsToPause({ code, cause }: ProviderError): number {
  if (code !== 'ERR_OIDC_INTROSPECTION_UNAVAILABLE' || !(cause instanceof ProviderError)) return 0
  return Math.min(cause.retryAfter ?? 0, MAX_PAUSE)
}

function tooManyRequests(): ProviderError {
  return new ProviderError(
    'ERR_OIDC_INTROSPECTION_UNAVAILABLE',
    `The authorization server has not answered ${MAX_REQUESTS} introspection requests yet, so no further one is sent.`,
    { retryAfter: 1 },
  )
}

/** What an entry takes beside its claims, and the claims as a multiple of their JSON, in bytes. */
const ENTRY_BYTES = 600
const CLAIMS_FACTOR = 4

function sizeOf({ claims }: AccessTokenGrant): number {
  return ENTRY_BYTES + CLAIMS_FACTOR * JSON.stringify(claims).length
}

interface Memory<Value> {
  get(key: string): Value | undefined
  set(key: string, value: Value, bytes: number, expiresAt: number): void
}

/** The entry that was not used for the longest time goes first. */
function createMemory<Value>(maxBytes: number): Memory<Value> {
  const entries = new Map<string, { readonly value: Value; readonly bytes: number; readonly expiresAt: number }>()
  let total = 0

  function remove(key: string): void {
    total -= entries.get(key)?.bytes ?? 0
    entries.delete(key)
  }

  return {
    get(key) {
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      entries.delete(key)
      entries.set(key, entry)
      if (nowInSeconds() < entry.expiresAt) return entry.value
      remove(key)
      return undefined
    },
    set(key, value, bytes, expiresAt) {
      remove(key)
      if (bytes > maxBytes || nowInSeconds() >= expiresAt) return
      entries.set(key, { value, bytes, expiresAt })
      total += bytes
      for (const oldest of entries.keys()) {
        if (total <= maxBytes) return
        remove(oldest)
      }
    },
  }
}
