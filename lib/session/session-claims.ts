import type { IdTokenClaims } from '../claims.ts'
import type { AppConfig } from '../config/config.ts'
import { ConfigError } from '../errors.ts'

/** Without these a session could not be told whose it is, ended from the provider's side, or asked for a stronger login. */
const ALWAYS: readonly string[] = ['iss', 'sub', 'sid', 'auth_time', 'acr', 'amr', 'tid']
/** Good for one check each, which was made before; or a place for access tokens of others (OIDC Core 5.6.2). */
const NEVER: ReadonlySet<string> = new Set(['nonce', 'jti', 'at_hash', 'c_hash', 's_hash', '_claim_sources'])

/** The claims that are kept in the session: what `sessionClaims` chooses, and those that every session needs. */
export function chooseSessionClaims(claims: IdTokenClaims, config: Pick<AppConfig, 'sessionClaims'>): IdTokenClaims {
  const chosen = { ...choose(claims, config.sessionClaims), ...pick(claims, ALWAYS), iss: claims.iss, sub: claims.sub }
  return Object.fromEntries(Object.entries(chosen).filter(([name]) => !NEVER.has(name))) as IdTokenClaims
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
