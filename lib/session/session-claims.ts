import { ConfigError, OidcError } from '../errors.ts'
import type { AppConfig } from '../options/config.ts'
import type { IdTokenClaims } from '../types.ts'

/** Without these a session could not be told whose it is, ended from the provider's side, or asked for a stronger login. */
const REQUIRED_CLAIMS: readonly string[] = ['iss', 'sub', 'sid', 'auth_time', 'acr', 'amr', 'tid']
/** Good for one check each, which was made before; or a place for access tokens of others (OIDC Core 5.6.2). */
const EXCLUDED_CLAIMS: ReadonlySet<string> = new Set(['nonce', 'jti', 'at_hash', 'c_hash', 's_hash', '_claim_sources'])

/** The claims that are kept in the session: what `sessionClaims` chooses, and those that every session needs. */
export function chooseSessionClaims(claims: IdTokenClaims, config: Pick<AppConfig, 'sessionClaims'>): IdTokenClaims {
  const chosen = {
    ...choose(claims, config.sessionClaims),
    ...pick(claims, REQUIRED_CLAIMS),
    iss: claims.iss,
    sub: claims.sub,
  }
  return Object.fromEntries(Object.entries(chosen).filter(([name]) => !EXCLUDED_CLAIMS.has(name))) as IdTokenClaims
}

function choose(claims: IdTokenClaims, choice: AppConfig['sessionClaims']): Readonly<Record<string, unknown>> {
  if (choice === undefined) return claims
  if (typeof choice !== 'function') return pick(claims, choice)
  const chosen: unknown = choice(claims)
  // A claim may be named `then`: it is what can be called that makes a promise.
  if (typeof chosen === 'object' && chosen !== null && !isPromise(chosen)) return { ...chosen }
  throw new ConfigError(['sessionClaims must be a function that returns an object of claims, and no promise.'])
}

function pick(claims: IdTokenClaims, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(claims).filter(([name]) => names.includes(name)))
}

function isPromise(value: object): boolean {
  return 'then' in value && typeof value.then === 'function'
}

/**
 * When a login ends at the latest, in seconds since 1970: after `loginLifetime`, or earlier where it is tied to its ID Token
 * or to the provider's own session. Throws `ERR_OIDC_ID_TOKEN_SESSION_EXPIRY` where it is tied to what is not there.
 */
export function endOfLogin(
  { loginLifetime, loginExpiry }: Pick<AppConfig, 'loginLifetime' | 'loginExpiry'>,
  claims: IdTokenClaims,
  loggedInAt: number,
): number {
  const latest = loggedInAt + loginLifetime
  if (loginExpiry === 'lifetime') return latest
  const end = loginExpiry === 'id_token' ? claims.exp : claims['session_expiry']
  if (typeof end === 'number' && Number.isFinite(end)) return Math.min(latest, Math.floor(end))
  throw new OidcError('ERR_OIDC_ID_TOKEN_SESSION_EXPIRY', 'The ID Token does not say when the session ends.')
}
