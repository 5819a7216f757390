import { createSecretKey, type KeyObject } from 'node:crypto'
import { compactVerify } from 'jose'
import { type ErrorCode, OidcError } from '../errors.ts'
import { type CompactJws, parseCompactJws } from './compact-jws.ts'
import { type JsonObject, parseJsonObject } from './json-object.ts'
import { findJwsAlgorithm } from './jws-algorithms.ts'
import { HEADER_RULES } from './jws-header.ts'
import type { KeyStore } from './key-store.ts'

/** What is signed. Each kind has error codes of its own. */
export type TokenKind = 'ID_TOKEN' | 'RESPONSE_JWT'

/** What a signature is held against. */
export interface SignatureExpectations {
  /** The only algorithm that is accepted. */
  readonly alg: string
  /** The key of HS256, HS384 and HS512, and of nothing else. */
  readonly clientSecret?: string | undefined
}

/** A token with some thousand groups stays below this. */
const MAX_LENGTH = 65_536

/** What a token is called in messages. */
const NOUNS: Readonly<Record<TokenKind, string>> = { ID_TOKEN: 'ID Token', RESPONSE_JWT: 'authorization response' }

/**
 * Verifies a token that the provider has signed: form, header, signature. Its claims are deeply frozen, and nobody has
 * looked at them yet. Every failure is an {@link OidcError} with a code of the kind, but those of fetching the keys.
 */
export async function verifyJws(
  kind: TokenKind,
  token: unknown,
  keys: KeyStore,
  expected: SignatureExpectations,
): Promise<JsonObject> {
  const fault: Fault = (name, message) => new OidcError(`ERR_OIDC_${kind}_${name}`, `The ${NOUNS[kind]} ${message}`)
  const jws = parseToken(token, fault)
  const broken = HEADER_RULES.find(({ holds }) => !holds(jws.header, expected.alg))
  if (broken !== undefined) throw fault(broken.name, broken.message)
  if (findJwsAlgorithm(expected.alg)?.kty === 'oct') await verifyBySecret(jws, expected.clientSecret, fault)
  else await verifyByKeys(jws, keys, fault)
  const claims = parseJsonObject(jws.payload)
  if (claims === undefined) throw fault('MALFORMED', 'has claims that are not a JSON object.')
  return claims
}

type FaultName = ErrorCode extends infer Code
  ? Code extends `ERR_OIDC_RESPONSE_JWT_${infer Name}`
    ? Name
    : never
  : never

type Fault = (name: Exclude<FaultName, 'ISSUER' | 'AUDIENCE' | 'EXPIRED'>, message: string) => OidcError

function parseToken(token: unknown, fault: Fault): CompactJws {
  if (token === undefined || token === '') throw fault('MISSING', 'is missing.')
  if (typeof token !== 'string') throw fault('MALFORMED', 'is not a string.')
  if (token.length > MAX_LENGTH) throw fault('TOO_LARGE', 'is larger than 64 KiB.')
  // RFC 7516 9: five parts are a JWE.
  if (token.split('.', 6).length === 5) throw fault('ENCRYPTED', 'is encrypted, which was not asked for.')
  const jws = parseCompactJws(token)
  if (jws === undefined) throw fault('MALFORMED', 'is not a JWS in compact form.')
  return jws
}

/** OIDC Core 10.1: the key is the octets of the client secret. Keys of the provider have no part in it. */
async function verifyBySecret(jws: CompactJws, clientSecret: string | undefined, fault: Fault): Promise<void> {
  if (clientSecret === undefined || clientSecret === '') {
    throw fault('KEY', 'is signed with a client secret, and none is configured.')
  }
  if (!(await isSigned(jws, [createSecretKey(clientSecret, 'utf8')]))) throw badSignature(fault)
}

async function verifyByKeys(jws: CompactJws, keys: KeyStore, fault: Fault): Promise<void> {
  const { alg, kid } = jws.header
  const hint = { alg: String(alg), kid: kid === undefined ? undefined : String(kid) }
  const candidates = await keys.keysFor(hint)
  if (candidates.length === 0) throw fault('KEY', 'is signed with a key that the provider does not publish.')
  if (await isSigned(jws, candidates)) return
  // The key may have been replaced under its kid, or there is no kid (OIDC Core 10.1.1).
  if ((await keys.renew()) && (await isSigned(jws, await keys.keysFor(hint)))) return
  throw badSignature(fault)
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

function badSignature(fault: Fault): OidcError {
  return fault('SIGNATURE', 'does not have the signature of the provider.')
}
