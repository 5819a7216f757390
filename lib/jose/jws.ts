import { createSecretKey, type KeyObject } from 'node:crypto'
import { type OidcError, shown } from '../errors.ts'
import type { Json } from '../types.ts'
import { isSameAlgorithm, usesClientSecret } from './algorithms.ts'
import {
  type CompactJws,
  isJwe,
  parseCompactJws,
  requireCompact,
  type TokenErrorFactory,
  type TokenErrorName,
  type TokenKind,
  type TokenProblem,
  tokenErrors,
} from './compact-token.ts'
import { type JsonObject, parseJsonObject } from './json.ts'
import { decryptToken, type EncryptionExpectations } from './jwe.ts'
import { isSignedBy } from './signature.ts'

/** What a token of the provider must be signed and encrypted with. */
export interface SignatureExpectations {
  /** The only signature algorithm that is accepted. */
  readonly alg: string
  /** The key for HS256, HS384 and HS512, and for `dir` and the AES key wraps. No other algorithm uses it. */
  readonly clientSecret?: string | undefined
  /** If set, a token must be encrypted; if not, it must not be (OIDC Core 3.1.3.7 (1)). */
  readonly encryption?: EncryptionExpectations | undefined
  /** True: a key that names an issuer verifies only the tokens of that issuer. For providers with many tenants. */
  readonly matchKeyIssuer?: boolean
  /** The HTTP status of errors, if not the usual one of their codes. */
  readonly errorStatus?: number | undefined
}

/** A token whose signature has been verified. */
export interface VerifiedToken {
  /** Deeply frozen. Not checked yet. */
  readonly claims: JsonObject
  /** The signed token. If it came encrypted: what was inside. */
  readonly token: string
  /** What it is signed with. */
  readonly alg: string
}

/** What a token says about the key that it is signed with. */
export interface KeyHint {
  readonly alg: string
  readonly kid?: string | undefined
  /** The unverified claims. Set if a key verifies only the tokens of its own issuer. */
  readonly claims?: JsonObject | undefined
}

/** A member of a published key that forbids a use, and its value (RFC 7517 4.2, 4.3). */
export interface KeyRestriction {
  readonly name: 'use' | 'key_ops'
  readonly value: Json | undefined
}

/** The public keys of one provider. */
export interface VerificationKeys {
  /** Where they come from, for messages. */
  readonly jwksUri: string
  /**
   * The keys that may have signed a token with this header, at most 16. If there are none, the keys are fetched again at
   * once, because providers rotate keys unannounced (OIDC Core 10.1.1). Rejects only if the keys were never fetched.
   */
  keysFor(hint: KeyHint): Promise<readonly KeyObject[]>
  /**
   * Fetches the keys again, for a signature that no key verifies: a key may have changed under its `kid`. Resolves to false
   * if the keys cannot be fetched or were fetched too often.
   */
  renew(): Promise<boolean>
  /** Returns the member of a fitting key that was fetched last, `use` or `key_ops`, that forbids it to verify. For messages. */
  restrictionOf(hint: KeyHint): KeyRestriction | undefined
}

/**
 * Verifies a token that the provider has signed: form, encryption, header and signature, but not its claims. Throws
 * {@link OidcError}s with the codes of this kind, and the errors of fetching the keys.
 */
export async function verifyJws(
  kind: TokenKind,
  token: unknown,
  keys: VerificationKeys,
  expected: SignatureExpectations,
): Promise<VerifiedToken> {
  const { encryption, clientSecret, alg, errorStatus } = expected
  const tokenError = tokenErrors(kind, errorStatus)
  // The configuration decides whether a token is encrypted, never the token itself.
  const signed = encryption === undefined ? token : await decryptToken(token, encryption, clientSecret, tokenError)
  const jws = parseToken(signed, tokenError)
  checkHeader(jws.header, { alg, kind }, tokenError)
  if (usesClientSecret(alg)) verifyWithSecret(jws, alg, clientSecret, tokenError)
  else await verifyWithKeys(jws, keys, expected, tokenError)
  const claims = parseJsonObject(jws.payload)
  if (claims === undefined) throw tokenError('MALFORMED', 'has claims that are not a JSON object.')
  return { claims, token: jws.token, alg }
}

function parseToken(token: unknown, tokenError: TokenErrorFactory): CompactJws {
  const compact = requireCompact(token, tokenError)
  // This refuses a JWE inside a JWE, too.
  if (isJwe(compact)) throw tokenError('ENCRYPTED', `is encrypted, but ${tokenError.options.encryptionAlg} is not set.`)
  const jws = parseCompactJws(compact)
  if (jws === undefined) throw tokenError('MALFORMED', 'is not a JWS in compact form.')
  return jws
}

/** OIDC Core 10.1: the key is the bytes of the client secret. The keys of the provider play no part. */
function verifyWithSecret(
  jws: CompactJws,
  alg: string,
  clientSecret: string | undefined,
  tokenError: TokenErrorFactory,
): void {
  if (clientSecret === undefined || clientSecret === '') {
    throw tokenError('KEY', 'is signed with a client secret, but clientSecret is not set.')
  }
  if (isSignedBy(jws, alg, createSecretKey(clientSecret, 'utf8'))) return
  throw tokenError('SIGNATURE', 'has a signature that was not made with our clientSecret. Check clientSecret.')
}

async function verifyWithKeys(
  jws: CompactJws,
  keys: VerificationKeys,
  { alg, matchKeyIssuer }: SignatureExpectations,
  tokenError: TokenErrorFactory,
): Promise<void> {
  const { kid } = jws.header
  const claims = matchKeyIssuer === true ? (parseJsonObject(jws.payload) ?? {}) : undefined
  const isSigned = (key: KeyObject): boolean => isSignedBy(jws, alg, key)
  const hint = { alg: String(jws.header['alg']), kid: kid === undefined ? undefined : String(kid), claims }
  const candidates = await keys.keysFor(hint)
  if (candidates.length === 0) throw unusableKey(hint, keys, tokenError)
  if (candidates.some(isSigned)) return
  // The key may have been replaced under its kid, or the token has no kid (OIDC Core 10.1.1).
  if ((await keys.renew()) && (await keys.keysFor(hint)).some(isSigned)) return
  throw tokenError('SIGNATURE', `has a signature that no key at ${keys.jwksUri} verifies. Check the option issuer.`)
}

function unusableKey(hint: KeyHint, keys: VerificationKeys, tokenError: TokenErrorFactory): OidcError {
  const { alg, kid, claims } = hint
  const named = kid === undefined ? `a ${alg} key` : `the ${alg} key with the kid ${shown(kid)}`
  const restriction = keys.restrictionOf(hint)
  if (restriction !== undefined) {
    const { name, value } = restriction
    const remedy = `The provider must allow it there, or leave ${name} out (RFC 7517 4.2, 4.3).`
    return tokenError(
      'KEY',
      `is signed with a key that must not verify signatures, says its ${name} at ${keys.jwksUri}. ${remedy}`,
      `is signed with ${named}, which must not verify signatures: ${keys.jwksUri} publishes it with ${name} ${shown(value)}. ${remedy}`,
    )
  }
  const forThese = claims === undefined ? '' : ' for tokens of this issuer'
  const missing = `which ${keys.jwksUri} does not publish${forThese}. Check the option issuer.`
  return tokenError('KEY', `is signed with a key ${missing}`, `is signed with ${named}, ${missing}`)
}

interface HeaderExpectations {
  readonly alg: string
  readonly kind: TokenKind
}

/** One rule for the header of a token. */
interface HeaderRule {
  readonly name: TokenErrorName
  readonly isValid: (header: JsonObject, expected: HeaderExpectations) => boolean
  readonly problem: (header: JsonObject, expected: HeaderExpectations, signatureAlg: string) => TokenProblem
}

const PLAIN_JWT = /^(application\/)?jwt$/i
/** The types of tokens that are not meant for us (RFC 9068 2.1, OIDC Back-Channel Logout 2.4, RFC 9101 10.8 and others). */
const OTHER_TYPE =
  /^(application\/)?(at|logout|dpop|secevent|oauth-authz-req|client-authentication|token-introspection|entity-statement)\+jwt$/i

/** The `typ` of each kind: the usual one for messages, and whether a given one is accepted. */
const TYPES: Readonly<Record<TokenKind, { readonly usual: string; readonly accepts: (typ: string) => boolean }>> = {
  ID_TOKEN: { usual: 'JWT', accepts: (typ) => PLAIN_JWT.test(typ) },
  RESPONSE_JWT: { usual: 'JWT', accepts: (typ) => PLAIN_JWT.test(typ) },
  // OIDC Core 5.3.2 names no type, and providers choose their own.
  USERINFO_JWT: { usual: 'JWT', accepts: (typ) => !OTHER_TYPE.test(typ) },
  // OIDC Back-Channel Logout 2.4 recommends logout+jwt; many providers omit it. The claim events tells it from an ID Token.
  LOGOUT_TOKEN: {
    usual: 'logout+jwt',
    accepts: (typ) => PLAIN_JWT.test(typ) || /^(application\/)?logout\+jwt$/i.test(typ),
  },
  // RFC 8417 2.3, SSF 4.1.1: required.
  SECURITY_EVENT: { usual: 'secevent+jwt', accepts: (typ) => /^(application\/)?secevent\+jwt$/i.test(typ) },
  // Global Token Revocation 3: required.
  REVOCATION_JWT: {
    usual: 'global-token-revocation+jwt',
    accepts: (typ) => /^(application\/)?global-token-revocation\+jwt$/i.test(typ),
  },
  // RFC 9701 5: required, so that no other token of the server passes for a response.
  INTROSPECTION_JWT: {
    usual: 'token-introspection+jwt',
    accepts: (typ) => /^(application\/)?token-introspection\+jwt$/i.test(typ),
  },
}

/** The kinds whose tokens must have a `typ`. */
const TYPED: ReadonlySet<TokenKind> = new Set(['REVOCATION_JWT', 'INTROSPECTION_JWT', 'SECURITY_EVENT'])

/** Checked in this order. `jku`, `x5u`, `jwk` and `x5c` are ignored: a token must not choose its key (RFC 8725 3.10). */
const HEADER_RULES: readonly HeaderRule[] = [
  {
    // OIDC Core 3.1.3.7 (7), RFC 8725 3.1. `none` is not in the table of algorithms, so it never matches.
    name: 'ALG',
    isValid: ({ alg }, expected) => typeof alg === 'string' && isSameAlgorithm(alg, expected.alg),
    problem: ({ alg }, expected, signatureAlg) => ({
      message: `is not signed with '${expected.alg}', the value of ${signatureAlg}.`,
      details: `is signed with ${shown(alg)}, but ${signatureAlg} is '${expected.alg}'.`,
    }),
  },
  {
    // RFC 7515 4.1.11. RFC 7797 6: `b64` must come with `crit`.
    name: 'CRIT',
    isValid: (header) => !Object.hasOwn(header, 'crit') && !Object.hasOwn(header, 'b64'),
    problem: () => ({ message: 'has a crit or b64 header. Extensions of JWS are not supported (RFC 7515 4.1.11).' }),
  },
  {
    // RFC 8725 3.11. Most providers omit typ, but a logout token or an access token must not pass for an ID Token.
    name: 'TYPE',
    isValid: ({ typ }, { kind }) =>
      typ === undefined ? !TYPED.has(kind) : typeof typ === 'string' && TYPES[kind].accepts(typ),
    problem: ({ typ }, { kind }) => ({
      message: `has another typ than '${TYPES[kind].usual}'.`,
      details: `has the typ ${shown(typ)}, expected '${TYPES[kind].usual}'.`,
    }),
  },
  {
    name: 'MALFORMED',
    isValid: ({ kid }) => kid === undefined || typeof kid === 'string',
    problem: () => ({ message: 'has a kid that is not a string.' }),
  },
]

function checkHeader(header: JsonObject, expected: HeaderExpectations, tokenError: TokenErrorFactory): void {
  const failedRule = HEADER_RULES.find(({ isValid }) => !isValid(header, expected))
  if (failedRule === undefined) return
  const { message, details } = failedRule.problem(header, expected, tokenError.options.signatureAlg)
  throw tokenError(failedRule.name, message, details)
}
