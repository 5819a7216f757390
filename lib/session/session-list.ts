import { type AppConfig, ONLY_PROVIDER } from '../options/config.ts'
import type { StoreLike } from '../state/shared-state.ts'
import { getRecord } from '../state/store-record.ts'
import { createLimiter } from '../time/limiter.ts'
import { nowInSeconds } from '../time/seconds.ts'
import { isIdle } from './current-login.ts'
import { storeOperation } from './express-session.ts'
import { createSeal } from './seal.ts'
import { keysOfTarget, type LogoutTarget, matchesTarget, type SessionIndex } from './session-index.ts'
import { type OidcSession, readOidcSession } from './stored-session.ts'
import type { TokenRecords } from './token-record.ts'

/** Whose logins are meant. */
export interface SessionQuery {
  /** The user: the claim `sub`. */
  sub?: string
  /** The session at the provider: the claim `sid`. */
  sid?: string
  /** The name of the provider in the option `providers`. Required if there are several: each has its own users. */
  provider?: string
  /** The issuer (`claims.iss`). Required if the option `issuer` has `{tenantid}`. */
  issuer?: string
  /** The id of the current session (`req.sessionID`): `list()` marks it. */
  current?: string
  /**
   * The session store of the app. Needed in a process that has handled no request yet.
   * @default the store of the latest request
   */
  store?: StoreLike
}

/** Which logins to end. At least one of `sub`, `sid` and `sessionId` is required; a login must match all that are given. */
export interface SessionTarget extends Omit<SessionQuery, 'current'> {
  /** One session: the `sessionId` of `list()`, or the `req.sessionID` of express-session. */
  sessionId?: string
  /** A session to keep: `req.sessionID`, or the `sessionId` of `list()`. */
  except?: string
}

/** A login, as `list()` shows it. */
export interface SessionInfo {
  /** Names the session for `end()`. It is encrypted: it does not show the value of the cookie, and changes with each call. */
  readonly sessionId: string
  readonly provider: string
  readonly issuer: string
  readonly sub: string
  readonly sid: string | undefined
  /** In seconds since 1970, like the next two. */
  readonly loggedInAt: number
  /** When the login was last used, roughly. Known only with `idleTimeout`. */
  readonly seenAt: number | undefined
  readonly expiresAt: number
  /** True for the session that `current` names. */
  readonly isCurrent: boolean
}

/** A session with a login, as the store has it. */
export interface FoundSession {
  readonly sessionId: string
  readonly oidcSession: OidcSession
}

/** Reads the sessions of a user, and names them. */
export interface SessionList {
  /** All live sessions that match. Rejects if one cannot be read: a list that hides a session is wrong. */
  find(store: StoreLike, target: LogoutTarget): Promise<readonly FoundSession[]>
  /** The session with this id, if it has a login of ours, even an expired one. */
  read(store: StoreLike, sessionId: string): Promise<FoundSession | undefined>
  /** The id of a session for a page. */
  nameOf(sessionId: string): string
  /** The id of the session with this name. Anything else is an id itself. */
  idOf(name: string): string
}

/** Each takes some operations of the store at a time, whose pool serves others too. */
const MAX_PARALLEL_SESSIONS = 4

type SessionListConfig = Pick<AppConfig, 'origin' | 'basePath' | 'sessionKey' | 'clientIds' | 'idleTimeout' | 'secrets'>

export function createSessionList(
  config: SessionListConfig,
  { index, tokenRecords }: { readonly index: SessionIndex; readonly tokenRecords: TokenRecords },
): SessionList {
  const seal = createSeal(config.secrets, 'session name')
  const limit = createLimiter(MAX_PARALLEL_SESSIONS)

  async function read(store: StoreLike, sessionId: string): Promise<FoundSession | undefined> {
    const data = await storeOperation<object>('get', (done) => getRecord(store, sessionId, done))
    const oidcSession = readOidcSession(data, config)
    return oidcSession === undefined ? undefined : { sessionId, oidcSession }
  }

  async function readLive(store: StoreLike, sessionId: string, target: LogoutTarget): Promise<FoundSession[]> {
    const found = await read(store, sessionId)
    if (found === undefined || !matchesTarget(found.oidcSession.login, target)) return []
    const { oidcSession } = found
    if (oidcSession.login.expiresAt <= nowInSeconds() || isIdle(oidcSession, config)) return []
    // Without its token record the login is over: see store-watch.ts.
    return (await tokenRecords.has(store, oidcSession.tokensId)) ? [found] : []
  }

  return {
    async find(store, target) {
      const entries = await index.find(store, keysOfTarget(config, target))
      const ids = [...new Set(entries.map(({ sessionId }) => sessionId))]
      return (await Promise.all(ids.map((id) => limit(() => readLive(store, id, target))))).flat()
    },
    read,
    nameOf: (sessionId) => seal.seal(sessionId, config.sessionKey),
    idOf: (name) => seal.open(name, config.sessionKey) ?? name,
  }
}

/** What `list()` shows of a session: no token, no session id, and of the claims only those that name the login. */
export function describeSession(
  { sessionId, oidcSession }: FoundSession,
  list: Pick<SessionList, 'nameOf'>,
  currentId: string | undefined,
): SessionInfo {
  const { login, seenAt } = oidcSession
  const { provider = ONLY_PROVIDER, claims, loggedInAt, expiresAt } = login
  return {
    sessionId: list.nameOf(sessionId),
    provider,
    issuer: claims.iss,
    sub: claims.sub,
    sid: typeof claims.sid === 'string' ? claims.sid : undefined,
    loggedInAt,
    seenAt,
    expiresAt,
    isCurrent: sessionId === currentId,
  }
}
