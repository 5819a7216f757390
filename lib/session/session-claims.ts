import { ConfigError, OidcError, shown } from '../errors.ts'
import type { AppConfig } from '../options/config.ts'
import type { IdTokenClaims } from '../types.ts'

/** Needed to identify the user, to find the session at a logout of the provider, and to check a step-up. */
const REQUIRED_CLAIMS: readonly string[] = ['iss', 'sub', 'sid', 'auth_time', 'acr', 'amr', 'tid']
/** Used for a check that is done. `_claim_sources` can hold access tokens (OIDC Core 5.6.2). */
const EXCLUDED_CLAIMS: ReadonlySet<string> = new Set(['nonce', 'jti', 'at_hash', 'c_hash', 's_hash', '_claim_sources'])

/** Returns the claims for the session: those that `sessionClaims` selects, and those that every session needs. */
export function chooseSessionClaims(claims: IdTokenClaims, config: Pick<AppConfig, 'sessionClaims'>): IdTokenClaims {
  const { sessionClaims } = config
  const { iss, sub } = claims
  const chosen =
    sessionClaims === undefined
      ? claims
      : { ...select(claims, sessionClaims), ...pick(claims, REQUIRED_CLAIMS), iss, sub }
  return Object.fromEntries(Object.entries(chosen).filter(([name]) => !EXCLUDED_CLAIMS.has(name))) as IdTokenClaims
}

function select(
  claims: IdTokenClaims,
  sessionClaims: NonNullable<AppConfig['sessionClaims']>,
): Readonly<Record<string, unknown>> {
  if (typeof sessionClaims !== 'function') return pick(claims, sessionClaims)
  const selected: unknown = sessionClaims(claims)
  if (typeof selected === 'object' && selected !== null && !isPromise(selected)) return { ...selected }
  const type = Object.prototype.toString.call(selected).slice(8, -1)
  throw new ConfigError([
    `sessionClaims must be a function that returns an object of claims, and not async. It returned: ${type}.`,
  ])
}

function pick(claims: IdTokenClaims, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(claims).filter(([name]) => names.includes(name)))
}

/** Only a function named `then` makes a promise: a claim may have that name too. */
function isPromise(value: object): boolean {
  return 'then' in value && typeof value.then === 'function'
}

/**
 * Returns when a login expires at the latest, in seconds since 1970: after `loginLifetime`, or earlier with `loginExpiry`.
 * Throws `ERR_OIDC_ID_TOKEN_SESSION_EXPIRY` if the ID Token lacks the claim that `loginExpiry` needs.
 */
export function endOfLogin(
  { loginLifetime, loginExpiry }: Pick<AppConfig, 'loginLifetime' | 'loginExpiry'>,
  claims: IdTokenClaims,
  loggedInAt: number,
): number {
  const latest = loggedInAt + loginLifetime
  if (loginExpiry === 'lifetime') return latest
  const claim = loginExpiry === 'id_token' ? 'exp' : 'session_expiry'
  const expiry = claims[claim]
  if (typeof expiry === 'number' && Number.isFinite(expiry)) return Math.min(latest, Math.floor(expiry))
  throw new OidcError(
    'ERR_OIDC_ID_TOKEN_SESSION_EXPIRY',
    `The ID Token of ${shown(claims.iss)} has no claim ${claim} with a number, which loginExpiry '${loginExpiry}' needs. ` +
      "Let the provider send it, or set loginExpiry to 'lifetime'.",
  )
}

/**
 * When a login that begins now expires. Throws `ERR_OIDC_LOGIN_EXPIRED` if that is in the past: the browser would come back
 * logged out, log in again, and so on.
 */
export function endOfNewLogin(
  config: Pick<AppConfig, 'loginLifetime' | 'loginExpiry'>,
  claims: IdTokenClaims,
  loggedInAt: number,
): number {
  const expiresAt = endOfLogin(config, claims, loggedInAt)
  if (expiresAt > loggedInAt) return expiresAt
  const claim = config.loginExpiry === 'id_token' ? 'exp' : 'session_expiry'
  throw new OidcError(
    'ERR_OIDC_LOGIN_EXPIRED',
    `The login has expired already: the claim ${claim} of its ID Token, which the option loginExpiry names, is in ` +
      "the past. Log in again, check the clocks of both servers, or set loginExpiry to 'lifetime'.",
  )
}
