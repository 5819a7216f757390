import { createHash, timingSafeEqual } from 'node:crypto'
import { type ErrorCode, OidcError } from '../errors.ts'
import { findJwsAlgorithm } from '../jose/algorithms.ts'
import type { JsonObject } from '../jose/json.ts'
import { type SignatureExpectations, verifyJws } from '../jose/jws.ts'
import { isIssuedBy } from '../options/issuer.ts'
import type { KeyStore } from '../provider/keys.ts'
import { isInstant } from '../time/seconds.ts'
import type { IdTokenClaims, Json } from '../types.ts'

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
  const failedRule = CLAIM_RULES.find(({ holds: isValid }) => !isValid(claims, context))
  if (failedRule !== undefined) throw new OidcError(failedRule.code, failedRule.message)
  // The rules have seen to `iss` and `sub`; what else a provider says of a person is as it says.
  return { claims: claims as IdTokenClaims, token }
}

/** What an ID Token's claims are held against. */
interface ClaimExpectations {
  /** Compared character by character, the tenant put in where it has one. */
  readonly issuer: string
  readonly clientId: string
  /** In seconds. */
  readonly clockTolerance: number
  /** The one of the transaction. */
  readonly nonce: string | undefined
  /** It came by a refresh, where a nonce need not be (OIDC Core 12.2). */
  readonly isRefreshed?: boolean
  /** The access token that came along. */
  readonly accessToken?: string | undefined
  /** The code that was redeemed. */
  readonly code?: string | undefined
  /** The state of the transaction. */
  readonly state?: string | undefined
  /** Hashes that must be there, since the browser brought the token and what it is to be bound to. */
  readonly requiredHashes?: readonly ('at_hash' | 'c_hash')[] | undefined
  /** The `max_age` that was asked for, in seconds. */
  readonly maxAge?: number | undefined
  /** The hash of the signature's algorithm. */
  readonly digest: string | undefined
  /** Seconds since 1970. */
  readonly now: number
}

/** One rule about the claims of an ID Token. */
interface ClaimRule {
  readonly code: ErrorCode
  readonly message: string
  readonly holds: (claims: JsonObject, expected: ClaimExpectations) => boolean
}

/** How long ago an ID Token may have been issued, in seconds: it comes straight from the token endpoint. */
const MAX_AGE_OF_TOKEN = 86_400

/** What the claims must fulfil (OIDC Core 2 and 3.1.3.7), in this order. */
const CLAIM_RULES: readonly ClaimRule[] = [
  {
    // OIDC Core 3.1.3.7 (2).
    code: 'ERR_OIDC_ID_TOKEN_ISSUER',
    message: 'The ID Token is of another issuer.',
    holds: (claims, { issuer }) => isIssuedBy(issuer, claims),
  },
  {
    // OIDC Core 2.
    code: 'ERR_OIDC_ID_TOKEN_SUBJECT',
    message: 'The ID Token names nobody: sub must be 1 to 255 ASCII characters.',
    holds: ({ sub }) => typeof sub === 'string' && /^[\x20-\x7e]{1,255}$/.test(sub),
  },
  {
    // OIDC Core 3.1.3.7 (3): we know of no other audience, and trust one only where the token was issued to us.
    code: 'ERR_OIDC_ID_TOKEN_AUDIENCE',
    message: 'The ID Token is for another audience.',
    holds: ({ aud, azp }, { clientId }) => {
      const audiences = typeof aud === 'string' ? [aud] : aud
      if (!isStrings(audiences) || !audiences.includes(clientId)) return false
      return azp === clientId || audiences.every((audience) => audience === clientId)
    },
  },
  {
    // OIDC Core 3.1.3.7 (4, 5).
    code: 'ERR_OIDC_ID_TOKEN_AUTHORIZED_PARTY',
    message: 'The ID Token was issued to another client.',
    holds: ({ azp }, { clientId }) => azp === undefined || azp === clientId,
  },
  {
    // OIDC Core 3.1.3.7 (9).
    code: 'ERR_OIDC_ID_TOKEN_EXPIRED',
    message: 'The ID Token has expired, or does not say when it does. Are the clocks right?',
    holds: ({ exp }, { now, clockTolerance }) => isInstant(exp) && now < exp + clockTolerance,
  },
  {
    // OIDC Core 3.1.3.7 (10).
    code: 'ERR_OIDC_ID_TOKEN_ISSUED_AT',
    message: 'The ID Token was issued in the future, more than a day ago, or does not say when. Are the clocks right?',
    holds: ({ iat }, { now, clockTolerance }) =>
      isInstant(iat) && iat <= now + clockTolerance && now - iat <= MAX_AGE_OF_TOKEN + clockTolerance,
  },
  {
    // RFC 7519 4.1.5.
    code: 'ERR_OIDC_ID_TOKEN_NOT_BEFORE',
    message: 'The ID Token is not valid yet. Are the clocks right?',
    holds: ({ nbf }, { now, clockTolerance }) => nbf === undefined || (isInstant(nbf) && nbf <= now + clockTolerance),
  },
  {
    // OIDC Core 3.1.3.7 (11), 15.5.2: a nonce that was never sent is equal to none.
    code: 'ERR_OIDC_ID_TOKEN_NONCE',
    message: 'The ID Token does not belong to this login: its nonce is another.',
    holds: ({ nonce }, expected) => {
      if (nonce === undefined) return expected.isRefreshed === true
      return typeof nonce === 'string' && nonce !== '' && isSame(nonce, expected.nonce ?? '')
    },
  },
  {
    // OIDC Core 3.1.3.7 (13): what was asked for is checked.
    code: 'ERR_OIDC_ID_TOKEN_AUTH_TIME',
    message: 'The ID Token does not show that the person has proved who they are within max_age.',
    holds: ({ auth_time: authTime }, { now, clockTolerance, maxAge }) => {
      if (maxAge === undefined) return authTime === undefined || isInstant(authTime)
      return isInstant(authTime) && authTime <= now + clockTolerance && now - authTime <= maxAge + clockTolerance
    },
  },
  // OIDC Core 3.1.3.6, 3.3.2.10; FAPI 1.0 Part 2 5.1.
  hashRule(
    'at_hash',
    'accessToken',
    'ERR_OIDC_ID_TOKEN_ACCESS_TOKEN_HASH',
    'The ID Token came with another access token.',
  ),
  hashRule('c_hash', 'code', 'ERR_OIDC_ID_TOKEN_CODE_HASH', 'The ID Token was issued for another code.'),
  hashRule('s_hash', 'state', 'ERR_OIDC_ID_TOKEN_STATE_HASH', 'The ID Token was issued for another state.'),
]

/** A hash that is there must be that of the value that came along, and there must be such a value. */
function hashRule(claim: string, of: 'accessToken' | 'code' | 'state', code: ErrorCode, message: string): ClaimRule {
  return {
    code,
    message,
    holds: (claims, { digest, requiredHashes, [of]: value }) =>
      claims[claim] === undefined
        ? requiredHashes?.some((name) => name === claim) !== true
        : digest !== undefined && value !== undefined && claims[claim] === leftHalf(value, digest),
  }
}

function isStrings(value: Json | undefined): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

function isSame(given: string, expected: string): boolean {
  const [left, right] = [Buffer.from(given), Buffer.from(expected)]
  return left.byteLength === right.byteLength && timingSafeEqual(left, right)
}

function leftHalf(token: string, digest: string): string {
  const hash = createHash(digest).update(token).digest()
  return hash.subarray(0, hash.byteLength / 2).toString('base64url')
}
