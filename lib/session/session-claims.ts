import { ConfigError, OidcError, shown } from '../errors.ts'
import type { AppConfig, Config } from '../options/config.ts'
import { resultOf } from '../options/rule.ts'
import type { IdTokenClaims } from '../types.ts'

/** Needed to identify the user, to find the session at a logout of the provider, to check a step-up, and to expire the login. */
const REQUIRED_CLAIMS: readonly string[] = ['iss', 'sub', 'sid', 'auth_time', 'acr', 'amr', 'tid', 'session_expiry']
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
  const returned: unknown = sessionClaims(claims)
  const selected = resultOf(returned)
  if (typeof selected === 'object' && selected !== null) return { ...selected }
  const type = Object.prototype.toString.call(returned).slice(8, -1)
  throw new ConfigError([
    `sessionClaims must be a function that returns an object of claims, and not async. It returned: ${type}.`,
  ])
}

function pick(claims: IdTokenClaims, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(claims).filter(([name]) => names.includes(name)))
}

/** What says when a login expires. */
type ExpiryConfig = Pick<Config, 'loginLifetime' | 'loginExpiry' | 'profile' | 'dangerouslyIgnoreSessionExpiry'>

/** The claims of an ID Token that can end a login. */
export interface ExpiryClaims {
  readonly iss: string
  readonly exp?: number | undefined
  readonly session_expiry?: number | undefined
}

/**
 * Returns when a login expires at the latest, in seconds since 1970: after `loginLifetime`, at the provider's claim
 * `session_expiry` if the ID Token has it (OpenID Connect Enterprise Extensions 3.1), or at `exp` with `loginExpiry: 'id_token'`.
 * Throws `ERR_OIDC_ID_TOKEN_SESSION_EXPIRY` if the ID Token lacks a claim that the options need, or has an unusable one.
 */
export function endOfLogin(config: ExpiryConfig, claims: ExpiryClaims, loggedInAt: number): number {
  const latest = loggedInAt + config.loginLifetime
  return Math.min(latest, ...namedExpiries(config, claims).map(({ expiresAt }) => expiresAt))
}

/**
 * When a login that begins now expires. Throws `ERR_OIDC_LOGIN_EXPIRED` if that is in the past: the browser would come back
 * logged out, log in again, and so on.
 */
export function endOfNewLogin(config: ExpiryConfig, claims: ExpiryClaims, loggedInAt: number): number {
  const past = namedExpiries(config, claims).find(({ expiresAt }) => expiresAt <= loggedInAt)
  if (past === undefined) return endOfLogin(config, claims, loggedInAt)
  throw new OidcError(
    'ERR_OIDC_LOGIN_EXPIRED',
    `The login has expired already: the claim ${past.claim} of its ID Token is in the past. Log in again, check the clocks ` +
      'of both servers, or check what the provider means by this claim.',
  )
}

/** A claim that ends a login, and the time that it names. */
interface NamedExpiry {
  readonly claim: 'exp' | 'session_expiry'
  readonly expiresAt: number
}

function namedExpiries(config: ExpiryConfig, { iss, exp, session_expiry: end }: ExpiryClaims): readonly NamedExpiry[] {
  if (config.loginExpiry === 'id_token') {
    const expiry = { claim: 'exp', expiresAt: secondsOf(exp, 'exp', iss) } as const
    return [expiry, ...namedExpiries({ ...config, loginExpiry: 'lifetime' }, { iss, session_expiry: end })]
  }
  const isRequired = config.loginExpiry === 'session_expiry' || config.profile === 'ipsie-sl1'
  if (config.dangerouslyIgnoreSessionExpiry || (end === undefined && !isRequired)) return []
  return [{ claim: 'session_expiry', expiresAt: secondsOf(end, 'session_expiry', iss) }]
}

/** The year 5138. In milliseconds it is 1973, so a time in milliseconds is recognized: it would expire no login. */
const MAX_SECONDS = 1e11

/** Rounds down, because the claim is an integer: a login must not last longer than the provider says. */
function secondsOf(value: unknown, claim: NamedExpiry['claim'], issuer: string): number {
  if (typeof value === 'number' && value >= 0 && value <= MAX_SECONDS) return Math.floor(value)
  throw new OidcError(
    'ERR_OIDC_ID_TOKEN_SESSION_EXPIRY',
    `The ID Token of ${shown(issuer)} must have a claim ${claim} in seconds since 1970. Received ${shown(value)}. Have the ` +
      'provider send seconds, or check loginExpiry and profile.',
  )
}
