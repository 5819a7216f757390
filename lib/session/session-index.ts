import type { AppConfig } from '../config/config.ts'
import type { SharedState } from '../shared-state.ts'
import type { StoreLike } from './express-session.ts'
import type { OidcSession } from './held-session.ts'
import { fingerprintOf, keysOfLogin } from './logout-target.ts'

/** A login that is in the index. */
export interface IndexEntry {
  readonly sessionId: string
  readonly tokensId: string
}

/**
 * Which sessions hold logins of which person, and of which session at the provider, so that any node can end them (OIDC
 * Back-Channel Logout 2.7); and which logins have ended while a request of theirs may still be under way somewhere. It is
 * in the shared state, or in the session store itself.
 */
export interface SessionIndex {
  /** Tells under which session id a login is in the index, for {@link OidcSession.indexed}. */
  fingerprint(sessionId: string, held: OidcSession): string
  add(store: StoreLike, sessionId: string, held: OidcSession): Promise<void>
  remove(store: StoreLike, sessionId: string, held: OidcSession): Promise<void>
  /** The logins under these keys. They stay until each is dropped, so that whoever fails half way can start again. */
  find(store: StoreLike, keys: readonly string[]): Promise<readonly IndexEntry[]>
  drop(store: StoreLike, keys: readonly string[], entry: IndexEntry): Promise<void>
  /** No request may bring this login back, on whatever node it is. */
  markEnded(store: StoreLike, tokensId: string): Promise<void>
  hasEnded(store: StoreLike, tokensId: string): Promise<boolean>
}

/** How long a request may last, in seconds. */
const LONGEST_REQUEST = 600

export function createSessionIndex(
  config: Pick<AppConfig, 'origin' | 'basePath' | 'sessionKey' | 'clientIds' | 'loginLifetime'>,
  stateOf: (store: StoreLike) => SharedState,
): SessionIndex {
  return {
    fingerprint: (sessionId, { login }) => fingerprintOf(config, login, sessionId),
    async add(store, sessionId, held) {
      const member = memberOf({ sessionId, tokensId: held.tokensId })
      const { expiresAt, loggedInAt } = held.login
      // A refresh may put its end off, up to what any login lasts.
      const endsAt = Math.max(expiresAt, loggedInAt + config.loginLifetime)
      const seconds = Math.max(1, Math.ceil(endsAt - Date.now() / 1000))
      await Promise.all(keysOfLogin(config, held.login).map((key) => stateOf(store).add(key, member, seconds)))
    },
    async remove(store, sessionId, held) {
      const member = memberOf({ sessionId, tokensId: held.tokensId })
      await Promise.all(keysOfLogin(config, held.login).map((key) => stateOf(store).remove(key, member)))
    },
    async find(store, keys) {
      const found = await Promise.all(keys.map((key) => stateOf(store).members(key)))
      return [...new Set(found.flat())].map(entryOf)
    },
    async drop(store, keys, entry) {
      await Promise.all(keys.map((key) => stateOf(store).remove(key, memberOf(entry))))
    },
    async markEnded(store, tokensId) {
      await stateOf(store).once(endedKey(tokensId), LONGEST_REQUEST)
    },
    hasEnded: (store, tokensId) => stateOf(store).seen(endedKey(tokensId)),
  }
}

function endedKey(tokensId: string): string {
  return `ended:${tokensId}`
}

/** A session id may hold any character, the id of tokens no space. */
function memberOf({ sessionId, tokensId }: IndexEntry): string {
  return `${tokensId} ${sessionId}`
}

function entryOf(member: string): IndexEntry {
  const end = member.indexOf(' ')
  return { tokensId: member.slice(0, end), sessionId: member.slice(end + 1) }
}
