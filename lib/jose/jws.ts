import { createSecretKey, type KeyObject } from 'node:crypto'
import { compactVerify } from 'jose'
import type { OidcError } from '../errors.ts'
import { type JsonObject, parseJsonObject } from '../json-object.ts'
import { type CompactJws, isJwe, parseCompactJws, requireCompact } from './compact-jws.ts'
import { decryptToken, type EncryptionExpectations } from './jwe.ts'
import { findJwsAlgorithm } from './jws-algorithms.ts'
import { HEADER_RULES } from './jws-header.ts'
import type { KeyStore } from './key-store.ts'
import { faultsOf, type TokenFault, type TokenKind } from './token-kind.ts'

/** What a token of the provider is held against. */
export interface SignatureExpectations {
  /** The only algorithm that it may be signed with. */
  readonly alg: string
  /** The key of HS256, HS384 and HS512, and of `dir` and the AES key wraps; of nothing else. */
  readonly clientSecret?: string | undefined
  /** Where it is there, a plain token is refused; where not, an encrypted one (OIDC Core 3.1.3.7 (1)). */
  readonly encryption?: EncryptionExpectations | undefined
  /** `compared`: a key that names an issuer is good for the tokens of that issuer alone. Only providers with tenants do. */
  readonly keyIssuers?: 'compared' | undefined
}

/** A token whose signature is good. */
export interface VerifiedToken {
  /** Deeply frozen. Nobody has looked at them yet. */
  readonly claims: JsonObject
  /** The signed token itself: where it came encrypted, what was inside. */
  readonly token: string
}

/**
 * Verifies a token that the provider has signed: form, encryption, header, signature. Every failure is an
 * {@link OidcError} with a code of the kind, but those of fetching the keys.
 */
export async function verifyJws(
  kind: TokenKind,
  token: unknown,
  keys: KeyStore,
  expected: SignatureExpectations,
): Promise<VerifiedToken> {
  const fault = faultsOf(kind)
  // What was agreed on tells which it is, never the token: an encrypted one has not become a signed one by its form.
  const { encryption, clientSecret } = expected
  const signed = encryption === undefined ? token : await decryptToken(token, encryption, clientSecret, fault)
  const jws = parseToken(signed, fault)
  const broken = HEADER_RULES.find(({ holds }) => !holds(jws.header, { alg: expected.alg, kind }))
  if (broken !== undefined) throw fault(broken.name, broken.message)
  if (findJwsAlgorithm(expected.alg)?.kty === 'oct') await verifyBySecret(jws, clientSecret, fault)
  else await verifyByKeys(jws, keys, expected, fault)
  const claims = parseJsonObject(jws.payload)
  if (claims === undefined) throw fault('MALFORMED', 'has claims that are not a JSON object.')
  return { claims, token: jws.token }
}

function parseToken(token: unknown, fault: TokenFault): CompactJws {
  const compact = requireCompact(token, fault)
  // A JWE within a JWE is no more asked for than a JWE where a JWS was agreed on.
  if (isJwe(compact)) throw fault('ENCRYPTED', 'is encrypted, which was not asked for.')
  const jws = parseCompactJws(compact)
  if (jws === undefined) throw fault('MALFORMED', 'is not a JWS in compact form.')
  return jws
}

/** OIDC Core 10.1: the key is the octets of the client secret. Keys of the provider have no part in it. */
async function verifyBySecret(jws: CompactJws, clientSecret: string | undefined, fault: TokenFault): Promise<void> {
  if (clientSecret === undefined || clientSecret === '') {
    throw fault('KEY', 'is signed with a client secret, and none is configured.')
  }
  if (!(await isSigned(jws, [createSecretKey(clientSecret, 'utf8')]))) throw badSignature(fault)
}

async function verifyByKeys(
  jws: CompactJws,
  keys: KeyStore,
  { keyIssuers }: Pick<SignatureExpectations, 'keyIssuers'>,
  fault: TokenFault,
): Promise<void> {
  const { alg, kid } = jws.header
  const claims = keyIssuers === undefined ? undefined : (parseJsonObject(jws.payload) ?? {})
  const hint = { alg: String(alg), kid: kid === undefined ? undefined : String(kid), claims }
  const candidates = await keys.keysFor(hint)
  if (candidates.length === 0) {
    const whose = claims === undefined ? '' : ' for tokens of this issuer'
    throw fault('KEY', `is signed with a key that the provider does not publish${whose}.`)
  }
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

function badSignature(fault: TokenFault): OidcError {
  return fault('SIGNATURE', 'does not have the signature of the provider.')
}
