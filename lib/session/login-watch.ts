import type { AppConfig } from '../options/config.ts'
import type { StoreLike } from '../state/shared-state.ts'
import { getRecord } from '../state/store-record.ts'
import { createLimiter } from '../time/limiter.ts'
import { nowInSeconds } from '../time/seconds.ts'
import { endOfStoredLogin, type SessionConfig } from './current-login.ts'
import { storeOperation } from './express-session.ts'
import type { TokenRecords } from './token-record.ts'

/** Why a login has ended: the user was logged out, here or by the provider, or its time is over. */
export type LoginEnd = 'logout' | 'expired'

/** A login that something longer than a request depends on, such as a WebSocket. */
export interface WatchedLogin {
  /** When it expires at the latest, in seconds since 1970. */
  readonly expiresAt: number
  /** Where it is stored. Absent for an access token, which only expires. */
  readonly session?: { readonly store: StoreLike; readonly sessionId: string; readonly tokensId: string }
}

/** Tells when logins end, on whatever node that happens. */
export interface LoginWatch {
  /** Calls `onEnd` once when this login has ended, within two seconds. Returns a function that stops the watch. */
  watch(login: WatchedLogin, onEnd: (why: LoginEnd) => void): () => void
}

/** How often the logins are looked up, in milliseconds. Any node can end them, and not every store can tell. */
const INTERVAL = 1000

/** The pool of the store is there for other users too. */
const MAX_PARALLEL_READS = 8

interface Watched extends WatchedLogin {
  /** A refresh can move it. */
  expiresAt: number
  readonly onEnd: (why: LoginEnd) => void
}

/**
 * Looks the watched logins up in the store once a second, each once for all of its watchers, while there are any. A lookup that
 * fails says nothing about the login: it goes on until it expires.
 */
export function createLoginWatch(
  config: SessionConfig & Pick<AppConfig, 'sessionKey'>,
  tokenRecords: Pick<TokenRecords, 'has'>,
): LoginWatch {
  const watched = new Set<Watched>()
  const inProgress = new Set<string>()
  const limit = createLimiter(MAX_PARALLEL_READS)
  let timer: NodeJS.Timeout | undefined

  function check(): void {
    for (const one of watched) if (one.expiresAt <= nowInSeconds()) end(one, 'expired')
    const stored = [...watched].flatMap(({ session }) => (session === undefined ? [] : [session]))
    const byLogin = new Map(stored.map((session) => [session.tokensId, session]))
    for (const session of byLogin.values()) lookUp(session)
  }

  function lookUp({ store, sessionId, tokensId }: NonNullable<WatchedLogin['session']>): void {
    // A slow store must not collect lookups.
    if (inProgress.has(tokensId)) return
    inProgress.add(tokensId)
    limit(() => endIn(store, sessionId, tokensId))
      .then((expiresAt) => apply(tokensId, expiresAt))
      .catch(() => undefined)
      .finally(() => inProgress.delete(tokensId))
  }

  /** The token record first: without it the login is over, whatever a session says (see store-watch.ts). */
  async function endIn(store: StoreLike, sessionId: string, tokensId: string): Promise<number | undefined> {
    if (!(await tokenRecords.has(store, tokensId))) return undefined
    const data = await storeOperation('get', (done) => getRecord(store, sessionId, done))
    return endOfStoredLogin(data, tokensId, config)
  }

  function apply(tokensId: string, expiresAt: number | undefined): void {
    for (const one of [...watched].filter(({ session }) => session?.tokensId === tokensId)) {
      // A store removes what has expired itself.
      const isExpired = (expiresAt ?? one.expiresAt) <= nowInSeconds()
      if (isExpired || expiresAt === undefined) end(one, isExpired ? 'expired' : 'logout')
      else one.expiresAt = expiresAt
    }
  }

  function end(one: Watched, why: LoginEnd): void {
    if (stop(one)) one.onEnd(why)
  }

  function stop(one: Watched): boolean {
    const wasWatched = watched.delete(one)
    if (watched.size === 0) {
      clearInterval(timer)
      timer = undefined
    }
    return wasWatched
  }

  return {
    watch(login, onEnd) {
      const one = { ...login, onEnd }
      watched.add(one)
      // The watch does not keep the process running.
      timer ??= setInterval(check, INTERVAL).unref()
      return () => void stop(one)
    },
  }
}
