import { hash } from 'node:crypto'
import { type AppConfig, ONLY_PROVIDER } from '../options/config.ts'
import { STORE_EPOCH, type StateEpoch } from '../state/epoch.ts'
import type { SharedState, StoreLike } from '../state/shared-state.ts'
import { nowInSeconds } from '../time/seconds.ts'
import type { Login } from '../types.ts'
import type { OidcSession } from './stored-session.ts'

/**
 * Finds the sessions of a user, and of a session at the provider, so that any node can end them (OIDC Back-Channel Logout
 * 2.7). Also marks logins as ended, for refreshes that are in progress on some node. It is kept in the shared state.
 */
export interface SessionIndex {
  /** True if the session was added under this session id, whatever the epoch was. Otherwise add it (again). */
  wasAdded(sessionId: string, oidcSession: OidcSession): boolean
  /**
   * Adds a session. Returns the value of {@link OidcSession.indexId} for it, with the epoch that the session has already, or
   * else with the latest one: only {@link IndexCheck} may give a session another epoch.
   */
  add(store: StoreLike, sessionId: string, oidcSession: OidcSession): Promise<string>
  remove(store: StoreLike, sessionId: string, oidcSession: OidcSession): Promise<void>
  /** Returns the entries under these keys. They stay until each is dropped, so that a logout that fails can be retried. */
  find(store: StoreLike, keys: readonly string[]): Promise<readonly IndexEntry[]>
  drop(store: StoreLike, keys: readonly string[], entry: IndexEntry): Promise<void>
  /** Marks a login as ended on all nodes: no refresh in progress may keep its tokens. See store-watch.ts. */
  markEnded(store: StoreLike, tokensId: string): Promise<void>
  hasEnded(store: StoreLike, tokensId: string): Promise<boolean>
  /** Records that logins under these keys have ended which began up to some time. */
  recordEnd(store: StoreLike, keys: readonly string[], end: RecordedEnd, seconds: number): Promise<void>
  /** Returns what `recordEnd` has recorded under these keys. */
  recordedEnds(store: StoreLike, keys: readonly string[]): Promise<readonly RecordedEnd[]>
}

/** The end of logins that began up to a second. */
export interface RecordedEnd {
  /** In seconds since 1970. */
  readonly startedUpTo: number
  /** The key of the user that a login must have too; absent: any. */
  readonly userKey?: string | undefined
}

/** A session in the index. */
export interface IndexEntry {
  readonly sessionId: string
  readonly tokensId: string
}

/** How long a request may take, in seconds. */
const MAX_REQUEST_SECONDS = 600

export function createSessionIndex(
  config: AppNamespace & Pick<AppConfig, 'loginLifetime'>,
  stateOf: (store: StoreLike) => SharedState,
  epoch: Pick<StateEpoch, 'latest' | 'read' | 'leaveMark'> = STORE_EPOCH,
): SessionIndex {
  return {
    wasAdded: (sessionId, { login, indexId = '' }) => indexId.endsWith(indexIdOf(config, login, sessionId)),
    async add(store, sessionId, { tokensId, login, indexId }) {
      const member = memberOf({ sessionId, tokensId })
      // Known before the first addition: if the state loses the additions now, it has another epoch afterwards.
      const addedIn = indexId === undefined ? (epoch.latest ?? (await epoch.read())) : epochOf(indexId)
      // With loginExpiry 'id_token' a refresh can extend the login, up to loginLifetime.
      const latestExpiry = Math.max(login.expiresAt, login.loggedInAt + config.loginLifetime)
      const seconds = Math.max(1, Math.ceil(latestExpiry - nowInSeconds()))
      await Promise.all(keysOfLogin(config, login).map((key) => stateOf(store).add(key, member, seconds)))
      epoch.leaveMark()
      return addedIn + indexIdOf(config, login, sessionId)
    },
    async remove(store, sessionId, { tokensId, login }) {
      const member = memberOf({ sessionId, tokensId })
      await Promise.all(keysOfLogin(config, login).map((key) => stateOf(store).remove(key, member)))
    },
    async find(store, keys) {
      // If the state has lost its sessions, this process knows it before the provider has its response.
      const [found] = await Promise.all([Promise.all(keys.map((key) => stateOf(store).members(key))), epoch.read()])
      return [...new Set(found.flat())].map(entryOf)
    },
    async drop(store, keys, entry) {
      await Promise.all(keys.map((key) => stateOf(store).remove(key, memberOf(entry))))
    },
    async markEnded(store, tokensId) {
      await stateOf(store).once(endedKey(tokensId), MAX_REQUEST_SECONDS)
    },
    hasEnded: (store, tokensId) => stateOf(store).seen(endedKey(tokensId)),
    async recordEnd(store, keys, { startedUpTo, userKey = '' }, seconds) {
      // Each end is a member of its own, so that an earlier one does not replace a later one.
      const member = `${startedUpTo} ${userKey}`
      await Promise.all(keys.map((key) => stateOf(store).add(`end:${key}`, member, seconds)))
    },
    async recordedEnds(store, keys) {
      const found = await Promise.all(keys.map((key) => stateOf(store).members(`end:${key}`)))
      return found.flat().map((member) => {
        const [startedUpTo, userKey = ''] = member.split(' ')
        return { startedUpTo: Number(startedUpTo), userKey: userKey === '' ? undefined : userKey }
      })
    },
  }
}

function endedKey(tokensId: string): string {
  return `ended:${tokensId}`
}

/** A session id may hold any character, the id of a token record no space. */
function memberOf({ sessionId, tokensId }: IndexEntry): string {
  return `${tokensId} ${sessionId}`
}

function entryOf(member: string): IndexEntry {
  const end = member.indexOf(' ')
  return { tokensId: member.slice(0, end), sessionId: member.slice(end + 1) }
}

/** What a logout at the provider names: a session there (`sid`), or without it all sessions of a user (`sub`). */
export interface LogoutTarget {
  /** The name of the provider in the options. */
  readonly provider: string
  readonly issuer: string
  readonly sub?: string | undefined
  readonly sid?: string | undefined
  /** The user's e-mail address in lower case. It needs `sharedSignals` or `routes.tokenRevocation`. */
  readonly email?: string | undefined
  /** Only logins that began up to this second are meant, in seconds since 1970. Without it: all. */
  readonly startedUpTo?: number
  /** True if `sub`, `email` and `sid` must all match. By default, a `sid` decides alone. */
  readonly isWhole?: boolean
}

/** The keys under which a login is in the index: its user's, and its session's at the provider. */
export function keysOfLogin(appNamespace: AppNamespace, login: Login): readonly string[] {
  const { provider = ONLY_PROVIDER, claims } = login
  const source = { provider, issuer: claims.iss }
  const sid = sidOf(login)
  const email = findsByEmail(appNamespace, provider) ? emailOf(login) : undefined
  return [
    ...(email === undefined ? [] : [keyOf(appNamespace, source, 'email', email)]),
    keyOf(appNamespace, source, 'person', claims.sub),
    // Some providers send a sid in logout tokens only. Then such a token finds this login by its user.
    sid === undefined
      ? keyOf(appNamespace, source, 'person without sid', claims.sub)
      : keyOf(appNamespace, source, 'session', sid),
  ]
}

/** Security events and global token revocations can name a user by e-mail address. Nothing else does. */
function findsByEmail({ signalling, routes }: AppNamespace, provider: string): boolean {
  return signalling?.has(provider) === true || routes?.tokenRevocation !== undefined
}

/** The key of the user whom a logout names beside a session, if both must match. */
export function userKeyOf(appNamespace: AppNamespace, target: LogoutTarget): string | undefined {
  return target.isWhole === true && target.sid !== undefined ? userKeysOf(appNamespace, target)[0] : undefined
}

/** The keys under which the logins of a logout are found. With a `sid` they are of one session, even if `sub` is given too. */
export function keysOfTarget(appNamespace: AppNamespace, target: LogoutTarget): readonly string[] {
  const { sub, sid, email } = target
  if (sid === undefined) return userKeysOf(appNamespace, { ...target, sub, email })
  const withoutSid = sub === undefined ? [] : [keyOf(appNamespace, target, 'person without sid', sub)]
  return [keyOf(appNamespace, target, 'session', sid), ...withoutSid]
}

/** The keys of a user alone: by `sub` if it is known, else by e-mail address. */
function userKeysOf(appNamespace: AppNamespace, target: LogoutTarget): readonly string[] {
  const { sub, email } = target
  if (sub !== undefined) return [keyOf(appNamespace, target, 'person', sub)]
  return email === undefined ? [] : [keyOf(appNamespace, target, 'email', email)]
}

/** True if a logout names this login. The index alone does not prove that: the login of a session can have changed since. */
export function matchesTarget(login: Login, target: LogoutTarget): boolean {
  const { provider, issuer, sub, sid, startedUpTo = Number.POSITIVE_INFINITY } = target
  const { claims, loggedInAt, startedAt = loggedInAt } = login
  if ((login.provider ?? ONLY_PROVIDER) !== provider || claims.iss !== issuer || startedAt > startedUpTo) return false
  const loginSid = sidOf(login)
  if (target.isWhole === true) return matchesWhole(login, loginSid, target)
  return sid === undefined || loginSid === undefined ? claims.sub === sub : loginSid === sid
}

/** All that is given must match. A login without a `sid` may be of any session of its user. */
function matchesWhole(login: Login, loginSid: string | undefined, { sub, email, sid }: LogoutTarget): boolean {
  const hasUser = sub !== undefined || email !== undefined
  const isSession = sid === undefined || loginSid === sid || (loginSid === undefined && hasUser)
  return isSession && isUser(login, { sub, email })
}

function isUser(login: Login, { sub, email }: Pick<LogoutTarget, 'sub' | 'email'>): boolean {
  return (sub === undefined || login.claims.sub === sub) && (email === undefined || emailOf(login) === email)
}

function emailOf({ claims: { email } }: Login): string | undefined {
  return typeof email === 'string' && email !== '' ? email.toLowerCase() : undefined
}

function sidOf({ claims }: Login): string | undefined {
  return typeof claims.sid === 'string' && claims.sid !== '' ? claims.sid : undefined
}

/** 48 bits: each session id is compared with one other, the id under which its own login was added. */
const INDEX_ID_LENGTH = 8

/** The epoch of the shared state in which a session with this `indexId` was added to the index. */
export function epochOf(indexId: string): string {
  return indexId.slice(0, -INDEX_ID_LENGTH)
}

/** Identifies a session in the index of this application. Two applications may share a session. */
export function indexIdOf(appNamespace: AppNamespace, { provider = ONLY_PROVIDER }: Login, sessionId: string): string {
  return hashOf([...appNamespaceOf(appNamespace, provider), sessionId]).slice(0, INDEX_ID_LENGTH)
}

type AppNamespace = Pick<AppConfig, 'origin' | 'basePath' | 'sessionKey' | 'clientIds'> &
  Partial<Pick<AppConfig, 'signalling' | 'routes'>>

/** Separates this application from others with the same shared state, and its providers from one another. */
function appNamespaceOf(
  { origin, basePath, sessionKey, clientIds }: AppNamespace,
  provider: string,
): readonly string[] {
  return [sessionKey, provider, clientIds.get(provider) || origin + basePath]
}

/** These texts are part of stored keys: a change of one loses the sessions that are in the index. */
type KeyKind = 'person' | 'person without sid' | 'session' | 'email'

function keyOf(appNamespace: AppNamespace, { provider, issuer }: LogoutTarget, kind: KeyKind, name: string): string {
  return hashOf([...appNamespaceOf(appNamespace, provider), issuer, kind, name])
}

/** A hash has a fixed length and does not show whom it names. */
function hashOf(parts: readonly string[]): string {
  return hash('sha256', JSON.stringify(parts), 'base64url')
}
