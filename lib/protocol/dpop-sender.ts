import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { type ErrorCode, OidcError } from '../errors.ts'
import { findJwsAlgorithm, isSameAlgorithm, SIGNATURE_ALGORITHMS, usesClientSecret } from '../jose/algorithms.ts'
import { decodeBase64url } from '../jose/compact-token.ts'
import { isObject, type JsonObject, parseJsonObject } from '../jose/json.ts'
import { allowsUse, findKeyKind, isStrongRsaKey, type KeyKind, PRIVATE_MEMBERS } from '../jose/jwk.ts'

/** Who may have made a DPoP proof. */
export interface SenderExpectations {
  /** The member `jkt` of its claim `cnf`: the thumbprint of the key that it is bound to. */
  readonly jkt: string
  /** The accepted algorithms: some of {@link DPOP_ALGORITHMS}. */
  readonly algs: readonly string[]
  /** If set, senders are remembered, and their keys imported once. */
  readonly keys?: DpopKeys | undefined
}

/**
 * The algorithms that a proof may have: asymmetric ones (RFC 9449 4.2). Those of ML-DSA are left out, because a proof with
 * such a key is longer than a header should be.
 */
export const DPOP_ALGORITHMS: readonly string[] = SIGNATURE_ALGORITHMS.filter(
  (alg) => !usesClientSecret(alg) && !alg.startsWith('ML-DSA'),
)

/** Who has signed a proof: the header, checked. */
export interface DpopSender {
  readonly alg: string
  /** The thumbprint of the key. */
  readonly jkt: string
  readonly key: KeyObject
}

/** The latest senders, by the encoded headers of their proofs. */
export interface DpopKeys {
  get(header: string): DpopSender | undefined
  set(header: string, sender: DpopSender): void
}

/**
 * Creates a memory of senders. A client writes the same header into each proof, and importing its key costs as much as a
 * verification. The oldest is forgotten.
 */
export function createDpopKeys(maxKeys: number = 1000): DpopKeys {
  const senders = new Map<string, DpopSender>()
  return {
    get: (header) => senders.get(header),
    set(header, sender) {
      senders.set(header, sender)
      for (const oldest of senders.keys()) {
        if (senders.size <= maxKeys) break
        senders.delete(oldest)
      }
    },
  }
}

export function proofError(code: ErrorCode, problem: string, headers: Record<string, string> = {}): OidcError {
  return new OidcError(code, `The DPoP proof ${problem}`, { headers })
}

export function malformedProof(): OidcError {
  return proofError('ERR_OIDC_DPOP_PROOF_MALFORMED', 'is not a JWT: a JWS in compact form.')
}

/** Longer headers are not remembered. That of an RSA key of 4096 bits has about 1200 characters. */
const MAX_KNOWN_LENGTH = 2048

/** RFC 9449 4.3 (4) to (7). What depends on the token is checked for a known header, too. */
export function readSender(encoded: string, expected: SenderExpectations): DpopSender {
  const known = expected.keys?.get(encoded)
  if (known !== undefined) {
    checkAlgorithm(known.alg, expected)
    checkBinding(known.jkt, expected)
    return known
  }
  const header = parseJsonObject(decodeBase64url(encoded) ?? new Uint8Array())
  if (header === undefined) throw malformedProof()
  const alg = checkHeader(header, expected)
  const jwk = readJwk(header)
  const jkt = thumbprintOf(jwk)
  checkBinding(jkt, expected)
  const sender = { alg, jkt, key: importKey(jwk) }
  if (encoded.length <= MAX_KNOWN_LENGTH) expected.keys?.set(encoded, sender)
  return sender
}

/** The key stands in `jwk` alone: `jku`, `x5u` and `x5c` are ignored. */
function checkHeader(header: JsonObject, expected: SenderExpectations): string {
  const { typ, alg } = header
  if (typ !== 'dpop+jwt') throw proofError('ERR_OIDC_DPOP_PROOF_TYPE', "does not have the typ 'dpop+jwt'.")
  checkAlgorithm(alg, expected)
  // RFC 7515 4.1.11, RFC 7797 6.
  if (Object.hasOwn(header, 'crit') || Object.hasOwn(header, 'b64')) {
    const problem = 'has a crit or b64 header. Extensions of JWS are not supported (RFC 7515 4.1.11).'
    throw proofError('ERR_OIDC_DPOP_PROOF_CRIT', problem)
  }
  return String(alg)
}

/** `none` and HMACs are not among the algorithms. */
function checkAlgorithm(alg: unknown, { algs }: SenderExpectations): void {
  const isAccepted = typeof alg === 'string' && DPOP_ALGORITHMS.includes(alg)
  if (isAccepted && algs.some((one) => isSameAlgorithm(one, alg))) return
  const problem = 'has an alg that this API does not accept. The challenge lists those that it does (algs).'
  throw proofError('ERR_OIDC_DPOP_PROOF_ALG', problem)
}

function checkBinding(jkt: string, expected: SenderExpectations): void {
  if (jkt === expected.jkt) return
  const problem = 'is made with another key than the access token is bound to (cnf.jkt).'
  throw proofError('ERR_OIDC_DPOP_PROOF_BINDING', problem)
}

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
    throw keyError('has a private or secret key in its header jwk. Anyone who has seen it can use it: replace the key.')
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

function importKey({ kind, members }: ProofJwk): KeyObject {
  const key = publicKeyOf(members)
  if (key === undefined) throw keyError('has a jwk that is not a valid key.')
  if (kind.kty === 'RSA' && !isStrongRsaKey(key))
    throw keyError('has an RSA jwk of less than 2048 bits, or a weak one.')
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
