import { constants, createPublicKey, type VerifyKeyObjectInput } from 'node:crypto'
import {
  ED25519,
  type KeyKind,
  type KeyUse,
  ML_DSA_44,
  ML_DSA_65,
  ML_DSA_87,
  P256,
  P384,
  P521,
  RSA,
  X25519,
} from './jwk.ts'

/** A signature algorithm with a key pair (RFC 7518 3.1, RFC 8037, RFC 9864, RFC 9964). */
export type AsymmetricSignatureAlgorithm =
  | `${'RS' | 'PS' | 'ES'}${256 | 384 | 512}`
  | ('EdDSA' | 'Ed25519' | 'ML-DSA-44' | 'ML-DSA-65' | 'ML-DSA-87')

/** A signature algorithm. Those that begin with HS use the client secret as their key. */
export type SignatureAlgorithm = AsymmetricSignatureAlgorithm | `HS${256 | 384 | 512}`

/** A key management algorithm of encrypted messages (RFC 7518 4.1). Those without RSA and ECDH use the client secret. */
export type EncryptionAlgorithm =
  | ('RSA-OAEP' | `RSA-OAEP-${256 | 384 | 512}` | 'ECDH-ES' | `ECDH-ES+A${128 | 192 | 256}KW`)
  | ('dir' | `A${128 | 192 | 256}${'KW' | 'GCMKW'}`)

/** A content encryption (RFC 7518 5.1). */
export type ContentEncryption = `A${128 | 192 | 256}GCM` | 'A128CBC-HS256' | 'A192CBC-HS384' | 'A256CBC-HS512'

/** How `node:crypto` verifies a signature. */
type SignatureScheme = Omit<VerifyKeyObjectInput, 'key'>

/** One row of the table of algorithms. */
interface Algorithm {
  /** Signatures (JWS), or the encryption of a message's key (JWE). */
  readonly use: KeyUse
  /** The kinds of key pairs that it takes. No other kind is ever tried with it (RFC 8725 3.1). Empty: a secret. */
  readonly keyKinds: readonly KeyKind[]
  /** True if the key is made of the client secret. */
  readonly usesClientSecret: boolean
  /** The hash of the signature, and so of `at_hash` (OIDC Core 3.1.3.6): its name and, for SHAKE, its length. */
  readonly hash?: readonly [name: string, options?: { readonly outputLength: number }]
  /** Set for signatures with a key pair. */
  readonly scheme?: SignatureScheme
  /** Set if the scheme hashes the message itself. */
  readonly hashesItself?: true
  /** The length of the key that is made of the client secret, in bits. Not set for `dir`: see {@link contentKeyBits}. */
  readonly secretBits?: number
  /** The first Node that has it, if not every supported Node does. */
  readonly minNode?: string
}

function signature(kind: KeyKind, hash: string, scheme: SignatureScheme): Algorithm {
  return { use: 'sig', keyKinds: [kind], usesClientSecret: false, hash: [hash], scheme }
}

function mac(hash: string): Algorithm {
  return { use: 'sig', keyKinds: [], usesClientSecret: true, hash: [hash] }
}

/** No standard says which hash `at_hash` takes with ML-DSA. 512 bits of SHAKE256 are what oauth4webapi takes. */
function mlDsa(kind: KeyKind): Algorithm {
  const hash = ['shake256', { outputLength: 64 }] as const
  return {
    use: 'sig',
    keyKinds: [kind],
    usesClientSecret: false,
    hash,
    scheme: {},
    hashesItself: true,
    minNode: '24.7',
  }
}

function keyEncryption(...keyKinds: readonly KeyKind[]): Algorithm {
  return { use: 'enc', keyKinds, usesClientSecret: false }
}

function keyWrap(secretBits: number): Algorithm {
  return { use: 'enc', keyKinds: [], usesClientSecret: true, secretBits }
}

const PKCS1: SignatureScheme = { padding: constants.RSA_PKCS1_PADDING }
/** The salt is as long as the hash (RFC 7518 3.5). */
const PSS: SignatureScheme = {
  padding: constants.RSA_PKCS1_PSS_PADDING,
  saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
}
/** R and S one after the other, not as DER (RFC 7518 3.4). */
const ECDSA: SignatureScheme = { dsaEncoding: 'ieee-p1363' }

const ed25519: Algorithm = { ...signature(ED25519, 'sha512', {}), hashesItself: true }
const keyAgreement = keyEncryption(P256, P384, P521, X25519)

/** The table. `none` is not in it, so no token may ever be unsigned. */
const ALL: ReadonlyMap<string, Algorithm> = new Map<SignatureAlgorithm | EncryptionAlgorithm, Algorithm>([
  // RFC 7518 3.1.
  ['RS256', signature(RSA, 'sha256', PKCS1)],
  ['RS384', signature(RSA, 'sha384', PKCS1)],
  ['RS512', signature(RSA, 'sha512', PKCS1)],
  ['PS256', signature(RSA, 'sha256', PSS)],
  ['PS384', signature(RSA, 'sha384', PSS)],
  ['PS512', signature(RSA, 'sha512', PSS)],
  ['ES256', signature(P256, 'sha256', ECDSA)],
  ['ES384', signature(P384, 'sha384', ECDSA)],
  ['ES512', signature(P521, 'sha512', ECDSA)],
  // RFC 9864 3.1.1: EdDSA with an Ed25519 key is Ed25519. One row, two names.
  ['EdDSA', ed25519],
  ['Ed25519', ed25519],
  // RFC 9964 3.
  ['ML-DSA-44', mlDsa(ML_DSA_44)],
  ['ML-DSA-65', mlDsa(ML_DSA_65)],
  ['ML-DSA-87', mlDsa(ML_DSA_87)],
  ['HS256', mac('sha256')],
  ['HS384', mac('sha384')],
  ['HS512', mac('sha512')],
  // RFC 7518 4.1, RFC 8037 3.2. Left out: RSA1_5, which is a decryption oracle (RFC 8725 3.2), and PBES2, where the sender
  // decides how much work a decryption costs (`p2c`, RFC 7518 4.8.1.2).
  ['RSA-OAEP', keyEncryption(RSA)],
  ['RSA-OAEP-256', keyEncryption(RSA)],
  ['RSA-OAEP-384', keyEncryption(RSA)],
  ['RSA-OAEP-512', keyEncryption(RSA)],
  ['ECDH-ES', keyAgreement],
  ['ECDH-ES+A128KW', keyAgreement],
  ['ECDH-ES+A192KW', keyAgreement],
  ['ECDH-ES+A256KW', keyAgreement],
  ['dir', { use: 'enc', keyKinds: [], usesClientSecret: true }],
  ['A128KW', keyWrap(128)],
  ['A192KW', keyWrap(192)],
  ['A256KW', keyWrap(256)],
  ['A128GCMKW', keyWrap(128)],
  ['A192GCMKW', keyWrap(192)],
  ['A256GCMKW', keyWrap(256)],
])

/** The length of each content encryption's key, in bits (RFC 7518 5.1). */
const CONTENT_ENCRYPTION: ReadonlyMap<string, number> = new Map<ContentEncryption, number>([
  ['A128GCM', 128],
  ['A192GCM', 192],
  ['A256GCM', 256],
  ['A128CBC-HS256', 256],
  ['A192CBC-HS384', 384],
  ['A256CBC-HS512', 512],
])

/** Tried, not read from the version: it depends on the OpenSSL that this Node was built with. */
const hasMlDsa = canReadMlDsaKey()

const AVAILABLE: ReadonlyMap<string, Algorithm> = new Map(
  [...ALL].filter(([, { minNode }]) => minNode === undefined || hasMlDsa),
)

/** The names of the signature algorithms that this Node has. */
export const SIGNATURE_ALGORITHMS: readonly string[] = namesOf('sig')

/** The names of the algorithms that encrypt a message's key. */
export const ENCRYPTION_ALGORITHMS: readonly string[] = namesOf('enc')

/** The names of the content encryptions. */
export const CONTENT_ENCRYPTIONS: readonly string[] = [...CONTENT_ENCRYPTION.keys()]

/** The row of a signature algorithm; `undefined` for `none` and for any other name that is not in the table. */
export function findJwsAlgorithm(alg: string): Algorithm | undefined {
  return find(alg, 'sig')
}

/** The row of a key management algorithm; `undefined` for a name that is not in the table. */
export function findJweAlgorithm(alg: string): Algorithm | undefined {
  return find(alg, 'enc')
}

/** The length of a content encryption's key, in bits; `undefined` for a name that is not in the table. */
export function contentKeyBits(enc: string): number | undefined {
  return CONTENT_ENCRYPTION.get(enc)
}

/** True if this algorithm takes a key that is made of the client secret. */
export function usesClientSecret(alg: string | undefined): boolean {
  return AVAILABLE.get(alg ?? '')?.usesClientSecret === true
}

/** True if two names mean the same signature algorithm: they are equal, or `EdDSA` and `Ed25519`. */
export function isSameAlgorithm(alg: string, other: string): boolean {
  const row = findJwsAlgorithm(alg)
  return row !== undefined && row === findJwsAlgorithm(other)
}

/** The names of the algorithms that keys of this kind are for. */
export function algorithmsOfKind(kind: KeyKind, use: KeyUse): readonly string[] {
  return namesOf(use).filter((name) => AVAILABLE.get(name)?.keyKinds.includes(kind))
}

/**
 * For an algorithm that other versions of Node have and this one lacks: a sentence about it. `undefined` for all others.
 *
 * @example
 * ```ts
 * adviseOnNode('ML-DSA-44') // 'ML-DSA-44 needs Node 24.7 or later, and this is Node 20.20.2.'
 * ```
 */
export function adviseOnNode(alg: unknown): string | undefined {
  const minNode = typeof alg === 'string' && !AVAILABLE.has(alg) ? ALL.get(alg)?.minNode : undefined
  return minNode && `${alg} needs Node ${minNode} or later, and this is Node ${process.versions.node}.`
}

function find(alg: string, use: KeyUse): Algorithm | undefined {
  const row = AVAILABLE.get(alg)
  return row?.use === use ? row : undefined
}

function namesOf(use: KeyUse): readonly string[] {
  return [...AVAILABLE].filter(([, row]) => row.use === use).map(([name]) => name)
}

function canReadMlDsaKey(): boolean {
  const pub = Buffer.alloc(1312).toString('base64url')
  try {
    return createPublicKey({ key: { kty: 'AKP', alg: 'ML-DSA-44', pub }, format: 'jwk' }).type === 'public'
  } catch {
    return false
  }
}
