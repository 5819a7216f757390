import type { IdTokenClaims } from './claims.ts'
import type { AppConfig } from './config/config.ts'
import { OidcError } from './errors.ts'

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
