import { createHash } from 'node:crypto'
import { type AppConfig, ONLY_PROVIDER } from '../options/config.ts'
import type { SharedState, StoreLike } from '../state/shared-state.ts'
import type { Login } from '../types.ts'
import type { OidcSession } from './current-login.ts'

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
  /** Tells under which session id a login is in the index, for {@link OidcSession.indexId}. */
  indexIdOf(sessionId: string, held: OidcSession): string
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
    indexIdOf: (sessionId, { login }) => indexIdOf(config, login, sessionId),
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

/** Whose sessions a logout at the provider is about: a session there (`sid`), or else all of a person (`sub`). */
export interface LogoutTarget {
  /** The name of the provider. */
  readonly provider: string
  readonly issuer: string
  readonly sub?: string | undefined
  readonly sid?: string | undefined
}

type AppNamespace = Pick<AppConfig, 'origin' | 'basePath' | 'sessionKey' | 'clientIds'>

/** What tells this application from others that share its state, and one provider of it from the others. */
function appNamespaceOf(
  { origin, basePath, sessionKey, clientIds }: AppNamespace,
  provider: string,
): readonly string[] {
  return [sessionKey, provider, clientIds.get(provider) || origin + basePath]
}

/** Tells under which session id a login is in the index. Two applications may share a session. */
export function indexIdOf(appNamespace: AppNamespace, { provider = ONLY_PROVIDER }: Login, sessionId: string): string {
  return hashOf([...appNamespaceOf(appNamespace, provider), sessionId]).slice(0, 12)
}

/** Under which keys a login is found again: the person's, and the one of the session at the provider. */
export function keysOfLogin(appNamespace: AppNamespace, login: Login): readonly string[] {
  const { provider = ONLY_PROVIDER, claims } = login
  const at = { provider, issuer: claims.iss }
  const sid = sidOf(login)
  return [
    keyOf(appNamespace, at, 'person', claims.sub),
    // A provider that names its sessions in logout tokens alone leaves no more to go by than the person.
    sid === undefined
      ? keyOf(appNamespace, at, 'person without sid', claims.sub)
      : keyOf(appNamespace, at, 'session', sid),
  ]
}

/** Under which keys the logins that are to end are found. A `sid` names one session, whatever is said beside it. */
export function keysOfTarget(appNamespace: AppNamespace, target: LogoutTarget): readonly string[] {
  const { sub, sid } = target
  if (sid === undefined) return sub === undefined ? [] : [keyOf(appNamespace, target, 'person', sub)]
  const unnamed = sub === undefined ? [] : [keyOf(appNamespace, target, 'person without sid', sub)]
  return [keyOf(appNamespace, target, 'session', sid), ...unnamed]
}

/** Whether a login is one that is to end: what an index says may have been true of a session once. */
export function matchesTarget(login: Login, { provider, issuer, sub, sid }: LogoutTarget): boolean {
  const { claims } = login
  if ((login.provider ?? ONLY_PROVIDER) !== provider || claims.iss !== issuer) return false
  const own = sidOf(login)
  return sid === undefined || own === undefined ? claims.sub === sub : own === sid
}

function sidOf({ claims }: Login): string | undefined {
  return typeof claims.sid === 'string' && claims.sid !== '' ? claims.sid : undefined
}

type Kind = 'person' | 'person without sid' | 'session'

function keyOf(appNamespace: AppNamespace, { provider, issuer }: LogoutTarget, kind: Kind, name: string): string {
  return hashOf([...appNamespaceOf(appNamespace, provider), issuer, kind, name])
}

/** Of one length, and without the name of anybody. */
function hashOf(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url')
}
