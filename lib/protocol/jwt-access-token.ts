import type { KeyObject } from 'node:crypto'
import { type OidcError, shown } from '../errors.ts'
import { isSameAlgorithm } from '../jose/algorithms.ts'
import {
  type CompactJws,
  isJwe,
  type KnownHeaders,
  parseCompactJws,
  type TokenProblem,
  tokenProblemError,
} from '../jose/compact-token.ts'
import { type JsonObject, parseJsonObject } from '../jose/json.ts'
import type { KeyHint, VerificationKeys } from '../jose/jws.ts'
import { isSignedBy } from '../jose/signature.ts'
import { TENANT_PLACEHOLDER } from '../options/issuer.ts'

/** A JWT access token whose form and header are right. Its claims are not verified: they only choose the issuer. */
export interface ParsedAccessToken {
  readonly jws: CompactJws
  readonly alg: string
  readonly kid: string | undefined
  /** True if the header says that this is an access token (RFC 9068 2.1). If not, the claims have to show it. */
  readonly isTyped: boolean
  /** Deeply frozen. */
  readonly claims: JsonObject
}

/** How an access token can fail: the last part of the error code. */
export type AccessTokenErrorName =
  | ('REQUIRED' | 'REQUEST' | 'TOO_LARGE' | 'MALFORMED' | 'ENCRYPTED' | 'CRIT' | 'TYPE' | 'ALG' | 'KEY' | 'SIGNATURE')
  | ('ISSUER' | 'SUBJECT' | 'AUDIENCE' | 'EXPIRED' | 'ISSUED_AT' | 'NOT_BEFORE' | 'CLAIM' | 'CONFIRMATION')

/** How messages call this kind of token, as in "The access token has expired". */
export const ACCESS_TOKEN_NOUN = 'access token'

/** An error about an access token. The problem continues the sentence "The access token ...". */
export function accessTokenError(name: AccessTokenErrorName, problem: TokenProblem): OidcError {
  return tokenProblemError(ACCESS_TOKEN_NOUN, `ERR_OIDC_ACCESS_TOKEN_${name}`, problem)
}

/** Longer than a token with some hundred groups, and than the 16 KiB that Node accepts for all headers by default. */
export const MAX_ACCESS_TOKEN_LENGTH = 32_768

/**
 * Parses an access token that is a JWT (RFC 9068), before anything about it is verified. Throws
 * `ERR_OIDC_ACCESS_TOKEN_{TOO_LARGE,ENCRYPTED,MALFORMED,CRIT,TYPE}`.
 */
export function parseAccessToken(token: string, known?: KnownHeaders): ParsedAccessToken {
  checkTokenLength(token)
  const jws = parseCompactJws(token, known)
  if (jws === undefined && isJwe(token)) throw accessTokenError('ENCRYPTED', ENCRYPTED)
  if (jws === undefined) throw accessTokenError('MALFORMED', { message: 'is not a JWS in compact form.' })
  checkHeader(jws.header)
  const claims = parseJsonObject(jws.payload)
  if (claims === undefined) {
    throw accessTokenError('MALFORMED', { message: 'has claims that are not a JSON object in UTF-8.' })
  }
  const { alg, kid, typ } = jws.header
  return { jws, alg: String(alg), kid: kid === undefined ? undefined : String(kid), isTyped: isAccessType(typ), claims }
}

/** Throws `ERR_OIDC_ACCESS_TOKEN_TOO_LARGE` for a token of any kind that is too long to be looked at. */
export function checkTokenLength(token: string): void {
  if (token.length <= MAX_ACCESS_TOKEN_LENGTH) return
  throw accessTokenError('TOO_LARGE', { message: `is larger than ${MAX_ACCESS_TOKEN_LENGTH / 1024} KiB.` })
}

/** How to find the key that this token says it is signed with. */
export function keyHintOf(
  { alg, kid, claims }: Pick<ParsedAccessToken, 'alg' | 'kid' | 'claims'>,
  { issuer }: Pick<AccessTokenSignature, 'issuer'>,
): KeyHint {
  return { alg, kid, claims: issuer.includes(TENANT_PLACEHOLDER) ? claims : undefined }
}

/** Which signatures are accepted. */
export interface AccessTokenSignature {
  readonly issuer: string
  /** The only algorithms that are accepted. None of them takes a secret. */
  readonly algorithms: readonly string[]
}

/**
 * Verifies the signature with the keys of the issuer, and returns the key. Throws
 * `ERR_OIDC_ACCESS_TOKEN_{ALG,KEY,SIGNATURE}` and the errors of fetching the keys.
 */
export async function verifyAccessTokenSignature(
  parsed: ParsedAccessToken,
  keys: VerificationKeys,
  expectations: AccessTokenSignature,
): Promise<KeyObject> {
  const { jws, alg } = parsed
  const { algorithms } = expectations
  const expected = algorithms.find((one) => isSameAlgorithm(one, alg))
  if (expected === undefined) throw accessTokenError('ALG', { message: otherAlgorithm(algorithms) })
  const isSigned = (key: KeyObject): boolean => isSignedBy(jws, expected, key)
  const hint = keyHintOf(parsed, expectations)
  const candidates = await keys.keysFor(hint)
  if (candidates.length === 0) throw accessTokenError('KEY', { message: unknownKey(keys.jwksUri) })
  const found = candidates.find(isSigned)
  if (found !== undefined) return found
  // The key may have been replaced under its kid, or the token has no kid (OIDC Core 10.1.1).
  const renewed = (await keys.renew()) ? (await keys.keysFor(hint)).find(isSigned) : undefined
  if (renewed !== undefined) return renewed
  throw accessTokenError('SIGNATURE', { message: `has a signature that no key at ${keys.jwksUri} verifies.` })
}

const ENCRYPTED: TokenProblem = {
  message:
    'is encrypted (JWE). Encrypted access tokens are not supported: have the issuer sign the tokens of this API without ' +
    'encryption.',
}

function otherAlgorithm(algorithms: readonly string[]): string {
  return `is not signed with an algorithm of the option algorithms: ${shown(algorithms)}.`
}

function unknownKey(jwksUri: string): string {
  return `is signed with a key which ${jwksUri} does not publish. Check the option issuer.`
}

/** `jku`, `x5u`, `jwk` and `x5c` are ignored: a token must not choose its key (RFC 8725 3.10). */
function checkHeader(header: JsonObject): void {
  const { typ, kid, alg } = header
  // RFC 7515 4.1.11. RFC 7797 6: `b64` must come with `crit`.
  if (Object.hasOwn(header, 'crit') || Object.hasOwn(header, 'b64')) {
    throw accessTokenError('CRIT', {
      message: 'has a crit or b64 header. Extensions of JWS are not supported (RFC 7515 4.1.11).',
    })
  }
  if (typ !== undefined && !isAccessType(typ) && !isPlainType(typ)) {
    throw accessTokenError('TYPE', { message: "has another typ than 'at+jwt' or 'JWT' (RFC 9068 2.1)." })
  }
  if (typeof alg !== 'string') throw accessTokenError('ALG', { message: 'has an alg that is not a string.' })
  if (kid !== undefined && typeof kid !== 'string') {
    throw accessTokenError('MALFORMED', { message: 'has a kid that is not a string.' })
  }
}

function isAccessType(typ: unknown): boolean {
  return typeof typ === 'string' && /^(?:application\/)?at\+jwt$/i.test(typ)
}

function isPlainType(typ: unknown): boolean {
  return typeof typ === 'string' && /^(?:application\/)?jwt$/i.test(typ)
}
