import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { type ErrorCode, OidcError } from '../errors.ts'
import { findJwsAlgorithm, isSameAlgorithm, SIGNATURE_ALGORITHMS, usesClientSecret } from '../jose/algorithms.ts'
import { type CompactJws, decodeBase64url, parseCompactJws } from '../jose/compact-token.ts'
import { isObject, type JsonObject, parseJsonObject } from '../jose/json.ts'
import { allowsUse, findKeyKind, isStrongRsaKey, type KeyKind, PRIVATE_MEMBERS } from '../jose/jwk.ts'
import { isSignedBy } from '../jose/signature.ts'
import { isInstant } from '../time/seconds.ts'
import { isSameUrl } from './external-url.ts'
import type { ServerNonces } from './server-nonces.ts'

/** What a DPoP proof must be for, and what it may be signed with. */
export interface DpopExpectations {
  /** `req.method`. Methods are case-sensitive (RFC 9110 9.1). */
  readonly method: string
  /** The URL of the request as its sender writes it, from the configuration: see `externalUrl`. */
  readonly url: string | undefined
  /** The access token that came with the proof. Verify it first. */
  readonly accessToken: string
  /** The member `jkt` of its claim `cnf`: the thumbprint of the key that it is bound to. */
  readonly jkt: string
  /** The accepted algorithms: some of {@link DPOP_ALGORITHMS}. */
  readonly algs: readonly string[]
  /** How long ago the proof may have been made, in seconds. */
  readonly maxAge: number
  /** In seconds. */
  readonly clockTolerance: number
  /** Seconds since 1970. */
  readonly now: number
  /** If set, a proof must have one of these nonces. */
  readonly nonces?: ServerNonces | undefined
  /** If set, keys are imported once. */
  readonly keys?: DpopKeys | undefined
}

/** A proof that is right, but may have been used before: pass it to {@link spendDpopProof} before the request is handled. */
export interface JudgedDpopProof {
  readonly jkt: string
  readonly jti: string
  /** The nonce to send in `DPoP-Nonce` with the response (RFC 9449 8.2), if it is another one than that of the proof. */
  readonly nextNonce: string | undefined
  /** How long to remember it, in seconds: after that it is too old. */
  readonly rememberSeconds: number
}

/**
 * The algorithms that a proof may have: asymmetric ones (RFC 9449 4.2). Those of ML-DSA are left out, because a proof with
 * such a key is longer than a header should be.
 */
export const DPOP_ALGORITHMS: readonly string[] = SIGNATURE_ALGORITHMS.filter(
  (alg) => !usesClientSecret(alg) && !alg.startsWith('ML-DSA'),
)

/** A proof with an RSA key of 4096 bits has about 2.5 KiB, and Node accepts 16 KiB for all headers. */
const MAX_LENGTH = 8192
const MAX_JTI_LENGTH = 256

/**
 * Judges the DPoP proof of a request to an API (RFC 9449 4.3, 7.1): its form, key and signature, and that it is for this
 * request, this access token and this moment. The key is compared with that of the token before it is used, so only the owner of
 * a valid token can cause the work of a verification. Throws `ERR_OIDC_DPOP_PROOF_…`; `ERR_OIDC_DPOP_PROOF_NONCE` has the header
 * `DPoP-Nonce`.
 *
 * @param header The value of the header `DPoP`. Node joins two headers with a comma, which no proof has.
 */
export function judgeDpopProof(header: unknown, expected: DpopExpectations): JudgedDpopProof {
  const jws = parseProof(header)
  for (const { code, problem, isValid } of HEADER_RULES) {
    if (!isValid(jws.header, expected)) throw proofError(code, problem)
  }
  const jwk = readJwk(jws.header)
  if (thumbprintOf(jwk) !== expected.jkt) {
    throw proofError(
      'ERR_OIDC_DPOP_PROOF_BINDING',
      'is made with another key than the access token is bound to (cnf.jkt).',
    )
  }
  if (!isSignedBy(jws, String(jws.header['alg']), importKey(jwk, expected))) {
    throw proofError('ERR_OIDC_DPOP_PROOF_SIGNATURE', 'has a signature that the key in its header jwk does not verify.')
  }
  const claims = parseJsonObject(jws.payload)
  if (claims === undefined) throw proofError('ERR_OIDC_DPOP_PROOF_MALFORMED', 'has claims that are not a JSON object.')
  for (const { code, problem, isValid } of CLAIM_RULES) {
    if (!isValid(claims, expected)) throw proofError(code, problem)
  }
  return {
    jkt: expected.jkt,
    jti: String(claims['jti']),
    nextNonce: checkNonce(claims, expected),
    // From the earliest to the latest moment at which any node accepts it, and a minute for clocks that differ.
    rememberSeconds: expected.maxAge + 2 * expected.clockTolerance + 60,
  }
}

/**
 * Marks a proof as used (RFC 9449 11.1). Throws `ERR_OIDC_DPOP_PROOF_REPLAYED` if a request of any node used it before. A `jti` is
 * one of its key: nobody can use up the proofs of others. Call it last, when nothing else can refuse the request.
 *
 * @param marks The shared state, or a memory of this process.
 */
export async function spendDpopProof(
  marks: { once(key: string, seconds: number): Promise<boolean> },
  { jkt, jti, rememberSeconds }: Pick<JudgedDpopProof, 'jkt' | 'jti' | 'rememberSeconds'>,
): Promise<void> {
  const digest = createHash('sha256')
    .update(JSON.stringify([jkt, jti]))
    .digest('base64url')
  if (await marks.once(`dpop-proof:${digest}`, rememberSeconds)) return
  throw proofError('ERR_OIDC_DPOP_PROOF_REPLAYED', 'was used before. Make a new one, with a new jti, for each request.')
}

/** The imported keys of the latest senders, by thumbprint. */
export interface DpopKeys {
  get(jkt: string): KeyObject | undefined
  set(jkt: string, key: KeyObject): void
}

/** Creates a memory of imported keys: importing one costs as much as a verification. The oldest is forgotten. */
export function createDpopKeys(maxKeys: number = 1000): DpopKeys {
  const keys = new Map<string, KeyObject>()
  return {
    get: (jkt) => keys.get(jkt),
    set(jkt, key) {
      keys.set(jkt, key)
      for (const oldest of keys.keys()) {
        if (keys.size <= maxKeys) break
        keys.delete(oldest)
      }
    },
  }
}

function proofError(code: ErrorCode, problem: string, headers: Record<string, string> = {}): OidcError {
  return new OidcError(code, `The DPoP proof ${problem}`, { headers })
}

function parseProof(header: unknown): CompactJws {
  const values = [header].flat()
  const [proof] = values
  if (proof === undefined || proof === '') {
    throw proofError('ERR_OIDC_DPOP_PROOF_MISSING', 'is missing: send it in the header DPoP.')
  }
  if (typeof proof !== 'string' || values.length > 1 || proof.includes(',')) {
    throw proofError('ERR_OIDC_DPOP_PROOF_MALFORMED', 'must be in exactly one header DPoP (RFC 9449 4.3).')
  }
  if (proof.length > MAX_LENGTH) {
    throw proofError('ERR_OIDC_DPOP_PROOF_TOO_LARGE', `is larger than ${MAX_LENGTH / 1024} KiB.`)
  }
  const jws = parseCompactJws(proof)
  if (jws !== undefined) return jws
  throw proofError('ERR_OIDC_DPOP_PROOF_MALFORMED', 'is not a JWT: a JWS in compact form.')
}

/** One rule for the header or the claims of a proof. `problem` continues the sentence "The DPoP proof …". */
interface ProofRule {
  readonly code: ErrorCode
  readonly problem: string
  readonly isValid: (members: JsonObject, expected: DpopExpectations) => boolean
}

/** RFC 9449 4.3 (4), (5). The key stands in `jwk` alone: `jku`, `x5u` and `x5c` are ignored. */
const HEADER_RULES: readonly ProofRule[] = [
  {
    code: 'ERR_OIDC_DPOP_PROOF_TYPE',
    problem: "does not have the typ 'dpop+jwt'.",
    isValid: ({ typ }) => typ === 'dpop+jwt',
  },
  {
    // `none` and HMACs are not among the algorithms.
    code: 'ERR_OIDC_DPOP_PROOF_ALG',
    problem: 'has an alg that this API does not accept. The challenge lists those that it does (algs).',
    isValid: ({ alg }, { algs }) =>
      typeof alg === 'string' && DPOP_ALGORITHMS.includes(alg) && algs.some((one) => isSameAlgorithm(one, alg)),
  },
  {
    // RFC 7515 4.1.11, RFC 7797 6.
    code: 'ERR_OIDC_DPOP_PROOF_CRIT',
    problem: 'has a crit or b64 header. Extensions of JWS are not supported (RFC 7515 4.1.11).',
    isValid: (header) => !Object.hasOwn(header, 'crit') && !Object.hasOwn(header, 'b64'),
  },
]

/** The public key of a proof. Its members are checked, its strength is not yet. */
interface ProofJwk {
  readonly kind: KeyKind
  /** The members of the public key, in the order of the thumbprint. */
  readonly members: Readonly<Record<string, string>>
}

/** RFC 9449 4.2, 4.3 (7): a public key, for signatures, of the kind that the algorithm takes. */
function readJwk({ jwk, alg }: JsonObject): ProofJwk {
  if (!isObject(jwk)) throw keyError('has no jwk in its header.')
  if (PRIVATE_MEMBERS.some((name) => Object.hasOwn(jwk, name))) {
    throw keyError('has a private or secret key in its header jwk. Whoever saw it can use it: replace the key.')
  }
  const kind = findKeyKind(jwk)
  if (kind === undefined || findJwsAlgorithm(String(alg))?.keyKinds.includes(kind) !== true) {
    throw keyError('has a jwk of another kind than its alg takes.')
  }
  const isForAlg =
    jwk['alg'] === undefined || (typeof jwk['alg'] === 'string' && isSameAlgorithm(jwk['alg'], String(alg)))
  if (!isForAlg || !allowsUse(jwk, 'sig', 'public')) {
    throw keyError('has a jwk whose use, key_ops or alg does not allow this signature.')
  }
  const members = kind.publicMembers.map((name) => [name, jwk[name]] as const)
  if (!members.every(([name, value]) => typeof value === 'string' && isMember(name, value))) {
    throw keyError('has a jwk with a member that is missing or is not base64url.')
  }
  return { kind, members: Object.fromEntries(members) as Record<string, string> }
}

/** Two spellings of one key would have two thumbprints, so each number has one. */
function isMember(name: string, value: string): boolean {
  return name === 'kty' || name === 'crv' || decodeBase64url(value) !== undefined
}

/** RFC 7638 3: the members of the public key alone, in alphabetical order. */
function thumbprintOf({ members }: ProofJwk): string {
  return createHash('sha256').update(JSON.stringify(members)).digest('base64url')
}

function importKey({ kind, members }: ProofJwk, { jkt, keys }: DpopExpectations): KeyObject {
  const known = keys?.get(jkt)
  if (known !== undefined) return known
  const key = publicKeyOf(members)
  if (key === undefined) throw keyError('has a jwk that is not a valid key.')
  if (kind.kty === 'RSA' && !isStrongRsaKey(key))
    throw keyError('has an RSA jwk of less than 2048 bits, or a weak one.')
  keys?.set(jkt, key)
  return key
}

function publicKeyOf(members: Readonly<Record<string, string>>): KeyObject | undefined {
  try {
    return createPublicKey({ key: members as JsonWebKey, format: 'jwk' })
  } catch {
    return undefined
  }
}

function keyError(problem: string): OidcError {
  return proofError('ERR_OIDC_DPOP_PROOF_KEY', problem)
}

/** RFC 9449 4.3 (3), (8) to (12). Checked in this order. */
const CLAIM_RULES: readonly ProofRule[] = [
  {
    code: 'ERR_OIDC_DPOP_PROOF_METHOD',
    problem: 'is for another method (htm).',
    isValid: ({ htm }, { method }) => htm === method,
  },
  {
    code: 'ERR_OIDC_DPOP_PROOF_URL',
    problem: 'is for another URL (htu). Behind a proxy, check baseUrl.',
    isValid: ({ htu }, { url }) => typeof htu === 'string' && url !== undefined && isSameUrl(htu, url),
  },
  {
    code: 'ERR_OIDC_DPOP_PROOF_ISSUED_AT',
    problem: 'was not made just now (iat). Make a new one for each request, and check the clocks of both sides.',
    isValid: ({ iat }, { now, maxAge, clockTolerance }) =>
      isInstant(iat) && iat <= now + clockTolerance && iat >= now - maxAge - clockTolerance,
  },
  {
    // RFC 7519 4.1.4, 4.1.5: no proof needs them, but a JWT that has them must be within them.
    code: 'ERR_OIDC_DPOP_PROOF_ISSUED_AT',
    problem: 'has expired or is not valid yet (exp, nbf).',
    isValid: ({ exp, nbf }, { now, clockTolerance }) =>
      (exp === undefined || (isInstant(exp) && now < exp + clockTolerance)) &&
      (nbf === undefined || (isInstant(nbf) && nbf <= now + clockTolerance)),
  },
  {
    code: 'ERR_OIDC_DPOP_PROOF_ID',
    problem: `has no jti, or one of more than ${MAX_JTI_LENGTH} characters.`,
    isValid: ({ jti }) => typeof jti === 'string' && jti !== '' && jti.length <= MAX_JTI_LENGTH,
  },
  {
    code: 'ERR_OIDC_DPOP_PROOF_ACCESS_TOKEN_HASH',
    problem: 'is not for this access token (ath).',
    isValid: ({ ath }, { accessToken }) =>
      ath === createHash('sha256').update(accessToken, 'latin1').digest('base64url'),
  },
]

/** RFC 9449 9. A client that gets the error makes another proof, with the nonce of its header. */
function checkNonce({ nonce }: JsonObject, { nonces, now }: DpopExpectations): string | undefined {
  if (nonces === undefined) return undefined
  const current = nonces.current(now)
  if (nonces.accepts(nonce, now)) return nonce === current ? undefined : current
  const problem = 'needs the nonce in the header DPoP-Nonce of this response (RFC 9449 9).'
  throw proofError('ERR_OIDC_DPOP_PROOF_NONCE', problem, { 'DPoP-Nonce': current })
}
