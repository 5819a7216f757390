import type { IdTokenClaims } from '../claims.ts'
import { OidcError } from '../errors.ts'
import { type SignatureExpectations, verifyJws } from '../jose/jws.ts'
import { findJwsAlgorithm } from '../jose/jws-algorithms.ts'
import type { KeyStore } from '../jose/key-store.ts'
import { CLAIM_RULES, type ClaimExpectations } from './id-token-claims.ts'

/** What an ID Token is held against. */
export type IdTokenExpectations = SignatureExpectations & Omit<ClaimExpectations, 'digest' | 'now'>

/** An ID Token that has been verified in full. */
export interface VerifiedIdToken {
  readonly claims: IdTokenClaims
  /** The signed token, never an encrypted one: what `id_token_hint` takes (OIDC Core 3.1.2.1). */
  readonly token: string
}

/**
 * Verifies an ID Token in full (OIDC Core 3.1.3.7): form, encryption, header, signature, then claims. It is always verified,
 * whatever channel it came by. The claims are deeply frozen. Every failure is an {@link OidcError} with a code
 * `ERR_OIDC_ID_TOKEN_...`, but those of fetching the keys.
 */
export async function verifyIdToken(
  idToken: unknown,
  keys: KeyStore,
  expected: IdTokenExpectations,
): Promise<VerifiedIdToken> {
  const { claims, token } = await verifyJws('ID_TOKEN', idToken, keys, expected)
  const digest = findJwsAlgorithm(expected.alg)?.digest
  const context = { ...expected, digest, now: Date.now() / 1000 }
  const broken = CLAIM_RULES.find(({ holds }) => !holds(claims, context))
  if (broken !== undefined) throw new OidcError(broken.code, broken.message)
  // The rules have seen to `iss` and `sub`; what else a provider says of a person is as it says.
  return { claims: claims as IdTokenClaims, token }
}
