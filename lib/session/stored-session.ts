import { isAuthorizationDetails } from '../claims.ts'
import type { AppConfig } from '../options/config.ts'
import type { IdTokenClaims, Login } from '../types.ts'

/** What the session holds of ours: the login that guards check, and the id of its token record. */
export interface OidcSession {
  readonly login: Login
  /** The id of the token record of this login: see `token-record.ts`. No other login ever has this id. */
  readonly tokensId: string
  /** When the login was last used, roughly, in seconds since 1970. Only with `idleTimeout`. */
  readonly seenAt?: number
  /** When a recheck at the provider last failed to say whether the user is still logged in, in seconds since 1970. */
  readonly checkedAt?: number
  /** Shows in which epoch of the shared state and under which session id this login was added to `session-index.ts`. */
  readonly indexId?: string
}

/**
 * The value of `req.session[sessionKey]`. express-session parses, hashes and writes the whole session several times for each
 * request, so names are short and the most common values are left out. What a member that is left out means is fixed here: if
 * it depended on the options, a login could gain scopes or time by a change of the options.
 */
interface StoredLogin {
  readonly claims: IdTokenClaims
  /** `loggedInAt`. */
  readonly at: number
  /** `tokensId`. */
  readonly id: string
  /** `indexId`. */
  readonly index?: string
  readonly provider?: string
  /** Left out: {@link COMMON_SCOPE}. */
  readonly scope?: string
  /** `authorizationDetails`. */
  readonly details?: Login['authorizationDetails']
  /** `expiresAt`. Left out: {@link COMMON_LIFETIME} after `at`. */
  readonly end?: number
  /** `startedAt`. */
  readonly start?: number
  readonly seenAt?: number
  readonly checkedAt?: number
}

const COMMON_SCOPE = 'openid profile email'
/** In seconds. */
const COMMON_LIFETIME = 86_400

/** Returns what a session holds of ours, or `undefined` if it holds no login. Also takes the data that a store returns. */
export function readOidcSession(
  session: unknown,
  { sessionKey }: Pick<AppConfig, 'sessionKey'>,
): OidcSession | undefined {
  const value = isRecord(session) ? session[sessionKey] : undefined
  if (!isRecord(value)) return undefined
  const oidcSession = 'login' in value ? value : fromStored(value)
  return isOidcSession(oidcSession) ? oidcSession : undefined
}

/**
 * The `indexId` of the login in a session: `''` if it has none, and `undefined` without a login. It does not read the rest,
 * because it is called for every request.
 */
export function readIndexId(session: unknown, { sessionKey }: Pick<AppConfig, 'sessionKey'>): string | undefined {
  const value = isRecord(session) ? session[sessionKey] : undefined
  if (!isRecord(value)) return undefined
  const indexId = 'login' in value ? value['indexId'] : value['index']
  return typeof indexId === 'string' ? indexId : ''
}

/** Puts the login into a session, or into the data that a store will write. */
export function writeOidcSession(
  session: object,
  { sessionKey }: Pick<AppConfig, 'sessionKey'>,
  oidcSession: OidcSession,
): void {
  Object.assign(session, { [sessionKey]: toStored(oidcSession) })
}

function toStored({ login, tokensId, indexId, seenAt, checkedAt }: OidcSession): StoredLogin {
  const { claims, provider, scope, authorizationDetails: details, loggedInAt, expiresAt, startedAt } = login
  return {
    claims,
    at: loggedInAt,
    id: tokensId,
    ...(indexId === undefined ? {} : { index: indexId }),
    ...(provider === undefined ? {} : { provider }),
    ...(scope === COMMON_SCOPE ? {} : { scope }),
    ...(details === undefined ? {} : { details }),
    ...(expiresAt === loggedInAt + COMMON_LIFETIME ? {} : { end: expiresAt }),
    ...(startedAt === undefined ? {} : { start: startedAt }),
    ...(seenAt === undefined ? {} : { seenAt }),
    ...(checkedAt === undefined ? {} : { checkedAt }),
  }
}

/** Version 0.2.0 stored an {@link OidcSession} as it is. Such sessions go on. */
function fromStored(stored: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { claims, at, id, index, provider, scope = COMMON_SCOPE, details, end, start, seenAt, checkedAt } = stored
  const expiresAt = end === undefined && typeof at === 'number' ? at + COMMON_LIFETIME : end
  return {
    // In one order: logins are compared as JSON (see store-watch.ts).
    login: {
      ...(provider === undefined ? {} : { provider }),
      ...{ claims, scope },
      ...(details === undefined ? {} : { authorizationDetails: details }),
      ...{ loggedInAt: at, expiresAt },
      ...(start === undefined ? {} : { startedAt: start }),
    },
    tokensId: id,
    ...(index === undefined ? {} : { indexId: index }),
    ...(seenAt === undefined ? {} : { seenAt }),
    ...(checkedAt === undefined ? {} : { checkedAt }),
  }
}

/** The application can write to the session too, so every member that a guard relies on is checked. */
function isOidcSession(value: unknown): value is OidcSession {
  return isRecord(value) && isLogin(value['login']) && typeof value['tokensId'] === 'string' && hasTimes(value)
}

/** A time that is no number would compare as false, and the login would never be idle. */
function hasTimes({ seenAt, checkedAt }: Readonly<Record<string, unknown>>): boolean {
  return [seenAt, checkedAt].every((time) => time === undefined || typeof time === 'number')
}

function isLogin(value: unknown): value is Login {
  if (!isRecord(value) || !hasUser(value['claims'])) return false
  const { scope, authorizationDetails: details = [], loggedInAt, expiresAt, startedAt = 0 } = value
  const times = [loggedInAt, expiresAt, startedAt]
  return typeof scope === 'string' && isAuthorizationDetails(details) && times.every((time) => typeof time === 'number')
}

function hasUser(claims: unknown): boolean {
  return (
    isRecord(claims) && typeof claims['iss'] === 'string' && typeof claims['sub'] === 'string' && claims['sub'] !== ''
  )
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
