import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'

/** The members of a JSON Web Key (RFC 7517 4, RFC 7518 6). Nothing about them is checked yet. */
export type JwkMembers = Readonly<Record<string, unknown>>

/**
 * The members of a public JSON Web Key. Declarations of this package name this type, because `JsonWebKey` of `node:crypto` is not in
 * every version of `@types/node`.
 */
export interface PublicJwk extends JwkMembers {
  readonly crv?: string | undefined
  readonly x?: string | undefined
}

/** What a key is for: signatures or encryption (RFC 7517 4.2). */
export type KeyUse = 'sig' | 'enc'

/** A kind of key pair. */
export interface KeyKind {
  readonly kty: 'RSA' | 'EC' | 'OKP' | 'AKP'
  /** The curve, if keys of this type have one. */
  readonly crv?: string
  /** The algorithm, if keys of this type are made for one algorithm (RFC 9964 3). */
  readonly alg?: string
  /** What `node:crypto` calls keys of this kind. */
  readonly keyType: string
  /** What `node:crypto` calls the curve, if it is not in the type. */
  readonly namedCurve?: string
  /** The members of the public key, in the order of its thumbprint (RFC 7638 3.2). */
  readonly publicMembers: readonly string[]
  /** The members that only the owner may know. */
  readonly privateMembers: readonly string[]
}

export const RSA: KeyKind = {
  kty: 'RSA',
  keyType: 'rsa',
  publicMembers: ['e', 'kty', 'n'],
  privateMembers: ['d', 'p', 'q', 'dp', 'dq', 'qi'],
}
export const P256: KeyKind = ellipticCurve('P-256', 'prime256v1')
export const P384: KeyKind = ellipticCurve('P-384', 'secp384r1')
export const P521: KeyKind = ellipticCurve('P-521', 'secp521r1')
export const ED25519: KeyKind = octetKeyPair('Ed25519')
export const X25519: KeyKind = octetKeyPair('X25519')
export const ML_DSA_44: KeyKind = algorithmKeyPair('ML-DSA-44')
export const ML_DSA_65: KeyKind = algorithmKeyPair('ML-DSA-65')
export const ML_DSA_87: KeyKind = algorithmKeyPair('ML-DSA-87')

const KEY_KINDS: readonly KeyKind[] = [RSA, P256, P384, P521, ED25519, X25519, ML_DSA_44, ML_DSA_65, ML_DSA_87]

/** RFC 7518 6.2. */
function ellipticCurve(crv: string, namedCurve: string): KeyKind {
  return { kty: 'EC', crv, keyType: 'ec', namedCurve, publicMembers: ['crv', 'kty', 'x', 'y'], privateMembers: ['d'] }
}

/** RFC 8037 2. */
function octetKeyPair(crv: string): KeyKind {
  return { kty: 'OKP', crv, keyType: crv.toLowerCase(), publicMembers: ['crv', 'kty', 'x'], privateMembers: ['d'] }
}

/** RFC 9964 3. */
function algorithmKeyPair(alg: string): KeyKind {
  return { kty: 'AKP', alg, keyType: alg.toLowerCase(), publicMembers: ['alg', 'kty', 'pub'], privateMembers: ['priv'] }
}

/** The smallest RSA modulus, in bits (RFC 7518 3.3 and 4.3). */
export const MIN_RSA_BITS = 2048

/** The shortest client secret that may serve as a key, in characters: 32 cannot be guessed (OIDC Core 16.19). */
export const MIN_SECRET_LENGTH = 32

/** All members that may hold private or secret key material (RFC 7518 6.2.2, 6.3.2, 6.4; RFC 9964 3). */
export const PRIVATE_MEMBERS: readonly string[] = [
  ...new Set(KEY_KINDS.flatMap(({ privateMembers }) => privateMembers)),
  ...['oth', 'k'],
]

/** The kind of a key; `undefined` for a symmetric key and for any kind that is not in the table. */
export function findKeyKind({ kty, crv, alg }: JwkMembers): KeyKind | undefined {
  return KEY_KINDS.find(
    (kind) =>
      kind.kty === kty && (kind.crv === undefined || kind.crv === crv) && (kind.alg === undefined || kind.alg === alg),
  )
}

/** True if this is the public key of a pair of this kind. */
export function isPublicKeyOf({ keyType, namedCurve }: KeyKind, key: KeyObject): boolean {
  if (key.type !== 'public' || key.asymmetricKeyType !== keyType) return false
  return namedCurve === undefined || key.asymmetricKeyDetails?.namedCurve === namedCurve
}

/** The operations in `key_ops` that a use needs one of, for a private and for a public key (RFC 7517 4.3). */
const OPERATIONS: Readonly<Record<'private' | 'public', Readonly<Record<KeyUse, readonly unknown[]>>>> = {
  private: { sig: ['sign'], enc: ['decrypt', 'unwrapKey', 'deriveKey', 'deriveBits'] },
  public: { sig: ['verify'], enc: ['encrypt', 'wrapKey', 'deriveKey', 'deriveBits'] },
}

/** True if `use` and `key_ops` of a key allow this use, or say nothing (RFC 7517 4.2, 4.3). */
export function allowsUse(
  { use, key_ops: operations }: JwkMembers,
  intended: KeyUse,
  part: 'private' | 'public',
): boolean {
  if (use !== undefined && use !== intended) return false
  if (operations === undefined) return true
  return Array.isArray(operations) && operations.some((operation) => OPERATIONS[part][intended].includes(operation))
}

/** 16384 bits in base64url: OpenSSL refuses a longer RSA modulus. */
const MAX_MEMBER_LENGTH = 2731
/** 2592 bytes in base64url: the public key of ML-DSA-87 (FIPS 204 4). */
const MAX_ML_DSA_LENGTH = 3456

/**
 * Imports a public key. Only the members of the public key reach OpenSSL (RFC 7518 6, RFC 8037 2, RFC 9964 3). Returns
 * `undefined` if they are no key.
 */
export function importPublicJwk(jwk: JwkMembers, kind: KeyKind): KeyObject | undefined {
  const members = kind.publicMembers.map((name) => [name, jwk[name]] as const)
  const maxLength = kind.kty === 'AKP' ? MAX_ML_DSA_LENGTH : MAX_MEMBER_LENGTH
  if (members.some(([, value]) => typeof value !== 'string' || value.length > maxLength)) return undefined
  try {
    return createPublicKey({ key: Object.fromEntries(members) as JsonWebKey, format: 'jwk' })
  } catch {
    return undefined
  }
}

/** An RSA key needs 2048 bits or more. With an exponent of 1, every message would be its own signature. */
export function isStrongRsaKey({ asymmetricKeyDetails }: KeyObject): boolean {
  const { modulusLength = 0, publicExponent = 0n } = { ...asymmetricKeyDetails }
  const isSafeExponent = publicExponent > 2n && publicExponent % 2n === 1n && publicExponent < 2n ** 64n
  return modulusLength >= MIN_RSA_BITS && isSafeExponent
}
