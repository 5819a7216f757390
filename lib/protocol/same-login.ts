import { isDeepStrictEqual } from 'node:util'
import type { IdTokenClaims } from '../claims.ts'
import { OidcError } from '../errors.ts'

/**
 * What both ID Tokens of a hybrid answer may say differently: when each was made, what it is bound to, and what Entra ID
 * marks each of its tokens with.
 */
const OF_EACH_TOKEN: ReadonlySet<string> = new Set([
  ...['iat', 'exp', 'nbf', 'jti', 'at_hash', 'c_hash', 's_hash', 'rt_hash'],
  ...['uti', 'aio', 'rh'],
])

/**
 * Both ID Tokens of a hybrid answer are about one person's one login, so what both say must be the same (OIDC Core
 * 3.3.3.6). Throws `ERR_OIDC_ID_TOKENS_DIFFER`.
 */
export function checkSameLogin(inFront: IdTokenClaims, atTokenEndpoint: IdTokenClaims): void {
  const differs = Object.keys(inFront)
    .filter((name) => Object.hasOwn(atTokenEndpoint, name) && !OF_EACH_TOKEN.has(name))
    .some((name) => !isDeepStrictEqual(inFront[name], atTokenEndpoint[name]))
  if (differs)
    throw new OidcError('ERR_OIDC_ID_TOKENS_DIFFER', 'The two ID Tokens of the answer contradict each other.')
}
