import { createSecretKey, type KeyObject } from 'node:crypto'
import { compactVerify } from 'jose'
import { type ErrorCode, OidcError } from '../errors.ts'
import type { IdTokenClaims } from '../types.ts'
import { type CompactJws, parseCompactJws } from './compact-jws.ts'
import { CLAIM_RULES, type ClaimExpectations } from './id-token-claims.ts'
import { HEADER_RULES } from './id-token-header.ts'
import { parseJsonObject } from './json-object.ts'
import { findJwsAlgorithm } from './jws-algorithms.ts'
import type { KeyStore } from './key-store.ts'

/** What an ID Token is held against. */
export interface IdTokenExpectations extends Omit<ClaimExpectations, 'digest' | 'now'> {
  /** The key of HS256, HS384 and HS512, and of nothing else. */
  readonly clientSecret?: string | undefined
  /** The only algorithm that is accepted. */
  readonly alg: string
}

/** An ID Token with some thousand groups stays below this. */
const MAX_LENGTH = 65_536

/**
 * Verifies an ID Token in full (OIDC Core 3.1.3.7): form, header, signature, then claims. It is always verified,
 * whatever channel it came by. The claims are deeply frozen. Every failure is an {@link OidcError} with a code
 * `ERR_OIDC_ID_TOKEN_...`, but those of fetching the keys.
 */
export async function verifyIdToken(
  idToken: unknown,
  keys: KeyStore,
  expected: IdTokenExpectations,
): Promise<IdTokenClaims> {
  const jws = parseIdToken(idToken)
  const algorithm = findJwsAlgorithm(expected.alg)
  if (algorithm === undefined) throw fault('ALG', 'The algorithm of idTokenSignedResponseAlg is not known.')
  const broken = HEADER_RULES.find(({ holds }) => !holds(jws.header, expected.alg))
  if (broken !== undefined) throw new OidcError(broken.code, broken.message)
  if (algorithm.kty === 'oct') await verifyBySecret(jws, expected.clientSecret)
  else await verifyByKeys(jws, keys)
  return readClaims(jws.payload, { ...expected, digest: algorithm.digest, now: Date.now() / 1000 })
}

function parseIdToken(idToken: unknown): CompactJws {
  if (idToken === undefined || idToken === '') throw fault('MISSING', 'The provider sent no ID Token.')
  if (typeof idToken !== 'string') throw fault('MALFORMED', 'The ID Token is not a string.')
  if (idToken.length > MAX_LENGTH) throw fault('TOO_LARGE', 'The ID Token is larger than 64 KiB.')
  // RFC 7516 9: five parts are a JWE.
  if (idToken.split('.', 6).length === 5)
    throw fault('ENCRYPTED', 'The ID Token is encrypted, which was not asked for.')
  const jws = parseCompactJws(idToken)
  if (jws === undefined) throw fault('MALFORMED', 'The ID Token is not a JWS in compact form.')
  return jws
}

/** OIDC Core 10.1: the key is the octets of the client secret. Keys of the provider have no part in it. */
async function verifyBySecret(jws: CompactJws, clientSecret: string | undefined): Promise<void> {
  if (clientSecret === undefined || clientSecret === '') {
    throw fault('KEY', 'The ID Token is signed with a client secret, and none is configured.')
  }
  if (!(await isSigned(jws, [createSecretKey(clientSecret, 'utf8')]))) throw badSignature()
}

async function verifyByKeys(jws: CompactJws, keys: KeyStore): Promise<void> {
  const { alg, kid } = jws.header
  const hint = { alg: String(alg), kid: kid === undefined ? undefined : String(kid) }
  const candidates = await keys.keysFor(hint)
  if (candidates.length === 0) throw fault('KEY', 'The provider publishes no key that fits the ID Token.')
  if (await isSigned(jws, candidates)) return
  // The key may have been replaced under its kid, or there is no kid (OIDC Core 10.1.1).
  if ((await keys.renew()) && (await isSigned(jws, await keys.keysFor(hint)))) return
  throw badSignature()
}

async function isSigned(jws: CompactJws, keys: readonly KeyObject[]): Promise<boolean> {
  for (const key of keys) {
    if (await isSignedBy(jws, key)) return true
  }
  return false
}

/** jose has the last word on the header too: whatever it does not like, the token is not signed by that key. */
async function isSignedBy({ token, header }: CompactJws, key: KeyObject): Promise<boolean> {
  try {
    await compactVerify(token, key, { algorithms: [String(header['alg'])] })
    return true
  } catch {
    return false
  }
}

function readClaims(payload: Uint8Array, expected: ClaimExpectations): IdTokenClaims {
  const claims = parseJsonObject(payload)
  if (claims === undefined) throw fault('MALFORMED', 'The claims of the ID Token are not a JSON object.')
  const broken = CLAIM_RULES.find(({ holds }) => !holds(claims, expected))
  if (broken !== undefined) throw new OidcError(broken.code, broken.message)
  // The rules have seen to `iss` and `sub`; what else a provider says of a person is as it says.
  return claims as IdTokenClaims
}

type Fault = ErrorCode extends infer Code ? (Code extends `ERR_OIDC_ID_TOKEN_${infer Name}` ? Name : never) : never

function fault(name: Fault, message: string): OidcError {
  return new OidcError(`ERR_OIDC_ID_TOKEN_${name}`, message)
}

function badSignature(): OidcError {
  return fault('SIGNATURE', 'The signature of the ID Token is not that of the provider.')
}
