import type { AppConfig } from '../config/config.ts'
import type { Login } from '../types.ts'

/** What is kept in `req.session[sessionKey]`: what guards need, and the way to the tokens. */
export interface OidcSession {
  readonly login: Login
  /** Where the tokens of this login are kept: see `token-record.ts`. No other login ever has this id. */
  readonly tokensId: string
  /** When the login was last used, roughly, in seconds since 1970: kept where there is an `idleTimeout`. */
  readonly seenAt?: number
  /** When the provider was last asked in vain whether the person is still logged in there, in seconds since 1970. */
  readonly checkedAt?: number
  /** What tells under which session id this login is in the index: see `session-index.ts`. */
  readonly indexed?: string
}

/** What a session, or the record of one in a store, holds of ours; `undefined` where it holds no login. */
export function heldSession(session: unknown, { sessionKey }: Pick<AppConfig, 'sessionKey'>): OidcSession | undefined {
  const held = isRecord(session) ? session[sessionKey] : undefined
  return isOidcSession(held) ? held : undefined
}

/** A store gives back what was put into it, but sessions are shared with the application: a guard reads no surprises. */
function isOidcSession(value: unknown): value is OidcSession {
  return isRecord(value) && isLogin(value['login']) && typeof value['tokensId'] === 'string'
}

function isLogin(value: unknown): value is Login {
  return isRecord(value) && isPerson(value['claims']) && hasTerms(value)
}

function isPerson(claims: unknown): boolean {
  return (
    isRecord(claims) && typeof claims['iss'] === 'string' && typeof claims['sub'] === 'string' && claims['sub'] !== ''
  )
}

function hasTerms({ scope, loggedInAt, expiresAt }: Readonly<Record<string, unknown>>): boolean {
  return typeof scope === 'string' && typeof loggedInAt === 'number' && typeof expiresAt === 'number'
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
