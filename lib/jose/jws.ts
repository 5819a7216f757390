import { createSecretKey, type KeyObject } from 'node:crypto'
import { compactVerify } from 'jose'
import type { OidcError } from '../errors.ts'
import { findJwsAlgorithm, isSameAlgorithm } from './algorithms.ts'
import {
  type CompactJws,
  isJwe,
  parseCompactJws,
  requireCompact,
  type TokenErrorFactory,
  type TokenErrorName,
  type TokenKind,
  tokenErrors,
} from './compact-token.ts'
import { type JsonObject, parseJsonObject } from './json.ts'
import { decryptToken, type EncryptionExpectations } from './jwe.ts'

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
interface VerifiedToken {
  /** Deeply frozen. Nobody has looked at them yet. */
  readonly claims: JsonObject
  /** The signed token itself: where it came encrypted, what was inside. */
  readonly token: string
}

/** What a token says of its key. */
export interface KeyHint {
  readonly alg: string
  readonly kid?: string | undefined
  /** The claims, which nobody has verified yet, where a key is good for the tokens of its own issuer alone. */
  readonly claims?: JsonObject | undefined
}

/** The public keys that signatures are verified with: those of one provider. */
export interface VerificationKeys {
  /**
   * The keys that a token with this header may have been signed with, at most 16. Where none fits, the keys are fetched
   * again at once: providers rotate unannounced (OIDC Core 10.1.1). Rejects only while no key set was ever had.
   */
  keysFor(hint: KeyHint): Promise<readonly KeyObject[]>
  /**
   * Fetches the keys again, for a signature that no key has verified: the key may have changed under its `kid`. False
   * where they cannot be had, or were asked for too often.
   */
  renew(): Promise<boolean>
}

/**
 * Verifies a token that the provider has signed: form, encryption, header, signature. Every failure is an
 * {@link OidcError} with a code of the kind, but those of fetching the keys.
 */
export async function verifyJws(
  kind: TokenKind,
  token: unknown,
  keys: VerificationKeys,
  expected: SignatureExpectations,
): Promise<VerifiedToken> {
  const fault = tokenErrors(kind)
  // What was agreed on tells which it is, never the token: an encrypted one has not become a signed one by its form.
  const { encryption, clientSecret } = expected
  const signed = encryption === undefined ? token : await decryptToken(token, encryption, clientSecret, fault)
  const jws = parseToken(signed, fault)
  const failedRule = HEADER_RULES.find(({ isValid }) => !isValid(jws.header, { alg: expected.alg, kind }))
  if (failedRule !== undefined) throw fault(failedRule.name, failedRule.message)
  if (findJwsAlgorithm(expected.alg)?.kty === 'oct') await verifyBySecret(jws, clientSecret, fault)
  else await verifyByKeys(jws, keys, expected, fault)
  const claims = parseJsonObject(jws.payload)
  if (claims === undefined) throw fault('MALFORMED', 'has claims that are not a JSON object.')
  return { claims, token: jws.token }
}

function parseToken(token: unknown, fault: TokenErrorFactory): CompactJws {
  const compact = requireCompact(token, fault)
  // A JWE within a JWE is no more asked for than a JWE where a JWS was agreed on.
  if (isJwe(compact)) throw fault('ENCRYPTED', 'is encrypted, which was not asked for.')
  const jws = parseCompactJws(compact)
  if (jws === undefined) throw fault('MALFORMED', 'is not a JWS in compact form.')
  return jws
}

/** OIDC Core 10.1: the key is the octets of the client secret. Keys of the provider have no part in it. */
async function verifyBySecret(
  jws: CompactJws,
  clientSecret: string | undefined,
  fault: TokenErrorFactory,
): Promise<void> {
  if (clientSecret === undefined || clientSecret === '') {
    throw fault('KEY', 'is signed with a client secret, and none is configured.')
  }
  if (!(await isSigned(jws, [createSecretKey(clientSecret, 'utf8')]))) throw badSignature(fault)
}

async function verifyByKeys(
  jws: CompactJws,
  keys: VerificationKeys,
  { keyIssuers }: Pick<SignatureExpectations, 'keyIssuers'>,
  fault: TokenErrorFactory,
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

function badSignature(fault: TokenErrorFactory): OidcError {
  return fault('SIGNATURE', 'does not have the signature of the provider.')
}

/** One rule about the header of a token that the provider has signed. */
interface HeaderRule {
  readonly name: TokenErrorName
  /** How the sentence about the token goes on. */
  readonly message: string
  readonly isValid: (header: JsonObject, expected: { readonly alg: string; readonly kind: TokenKind }) => boolean
}

const PLAIN_JWT = /^(application\/)?jwt$/i
/** Types of tokens that are something else (RFC 9068 2.1, OIDC Back-Channel Logout 2.4, RFC 9101 10.8 ...). */
const OTHER_TYPE =
  /^(application\/)?(at|logout|dpop|secevent|oauth-authz-req|client-authentication|token-introspection|entity-statement)\+jwt$/i

/** What `typ` may be, where there is one. */
const TYPES: Readonly<Record<TokenKind, (typ: string) => boolean>> = {
  ID_TOKEN: (typ) => PLAIN_JWT.test(typ),
  RESPONSE_JWT: (typ) => PLAIN_JWT.test(typ),
  // OIDC Core 5.3.2 names no type for it, and providers choose their own.
  USERINFO_JWT: (typ) => !OTHER_TYPE.test(typ),
  // OIDC Back-Channel Logout 2.4: recommended, and many providers leave it out. The events tell it from an ID Token.
  // Global Token Revocation 3: always there, as the rule below sees to.
  REVOCATION_JWT: (typ) => /^(application\/)?global-token-revocation\+jwt$/i.test(typ),
  LOGOUT_TOKEN: (typ) => PLAIN_JWT.test(typ) || /^(application\/)?logout\+jwt$/i.test(typ),
}

/**
 * What the header must fulfil, in this order. `jku`, `x5u`, `jwk` and `x5c` are looked at by nobody: a token does not
 * choose its own key (RFC 8725 3.10).
 */
const HEADER_RULES: readonly HeaderRule[] = [
  {
    // OIDC Core 3.1.3.7 (7), RFC 8725 3.1. `none` is not in the table of algorithms, so it equals nothing.
    name: 'ALG',
    message: 'is not signed with the algorithm that the configuration names.',
    isValid: ({ alg }, expected) => typeof alg === 'string' && isSameAlgorithm(alg, expected.alg),
  },
  {
    // RFC 7515 4.1.11: we understand no extension. RFC 7797 6: `b64` comes with `crit` only.
    name: 'CRIT',
    message: 'demands an extension that is not understood.',
    isValid: (header) => !Object.hasOwn(header, 'crit') && !Object.hasOwn(header, 'b64'),
  },
  {
    // RFC 8725 3.11: most providers leave it out, but a logout token or an access token is no ID Token.
    name: 'TYPE',
    message: 'is a token of another type.',
    isValid: ({ typ }, { kind }) => {
      return typ === undefined ? kind !== 'REVOCATION_JWT' : typeof typ === 'string' && TYPES[kind](typ)
    },
  },
  {
    name: 'MALFORMED',
    message: 'has a key identifier that is not a string.',
    isValid: ({ kid }) => kid === undefined || typeof kid === 'string',
  },
]
