import {
  constants,
  createHash,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  type KeyPairKeyObjectResult,
  randomBytes,
  sign,
} from 'node:crypto'
import { createRsaKeyPair } from './rsa-keys.ts'

/** One key of a provider. */
export interface SigningKey {
  readonly kid: string
  readonly privateKey: KeyObject
  /** The public key as the provider publishes it: with `kid` and `use`, and where it signs without `alg`. */
  readonly jwk: JsonWebKey & { readonly kid: string; readonly use: string }
}

/** The signing keys of a provider. The last is one that no algorithm of ours can use: a client has to cope with it. */
export interface SigningKeys {
  readonly rsa: SigningKey
  readonly p256: SigningKey
  readonly p384: SigningKey
  readonly p521: SigningKey
  readonly ed25519: SigningKey
  readonly secp256k1: SigningKey
}

/** Keys that others encrypt to. Each says in its JWK what it is for. */
export interface EncryptionKeys {
  readonly rsa: SigningKey
  readonly p256: SigningKey
}

/** A set as it is published (RFC 7517 5). */
export interface KeySet {
  readonly keys: readonly JsonWebKey[]
}

/** Makes new keys. `kid`s are random. */
export function createSigningKeys(): SigningKeys {
  return {
    rsa: generateKeyPairOf('rsa'),
    p256: generateKeyPairOf('P-256'),
    p384: generateKeyPairOf('P-384'),
    p521: generateKeyPairOf('P-521'),
    ed25519: generateKeyPairOf('ed25519'),
    secp256k1: generateKeyPairOf('secp256k1'),
  }
}

/** A second key of the kinds that have one in the conformance suite's set. */
export function createSecondKeys(): Pick<SigningKeys, 'rsa' | 'p256'> {
  return { rsa: generateKeyPairOf('rsa'), p256: generateKeyPairOf('P-256') }
}

/** What a provider publishes to have request objects encrypted to. */
export function createEncryptionKeys(): EncryptionKeys {
  return {
    rsa: generateKeyPairOf('rsa', { use: 'enc', alg: 'RSA-OAEP-256' }),
    p256: generateKeyPairOf('P-256', { use: 'enc', alg: 'ECDH-ES' }),
  }
}

/** Private keys of a client, as JWKs: one of each kind to sign, and to decrypt. None says an `alg`. */
export function createClientKeys(): readonly JsonWebKey[] {
  const enc = { use: 'enc' }
  const { secp256k1: _ofNobody, ...signing } = createSigningKeys()
  const decrypting = [generateKeyPairOf('rsa', enc), generateKeyPairOf('P-256', enc), generateKeyPairOf('x25519', enc)]
  return [...Object.values(signing), ...decrypting].map(({ privateKey, jwk: { kid, use } }) => ({
    ...privateKey.export({ format: 'jwk' }),
    kid,
    use,
  }))
}

/** The public parts of private keys, as a client publishes them. */
export function publicKeySet(privateJwks: readonly JsonWebKey[]): KeySet {
  const keys = privateJwks.map((jwk) => {
    const { kty: _, crv: __, n, e, x, y, d, p, q, dp, dq, qi, ...named } = jwk
    return { ...createPublicKey({ key: jwk, format: 'jwk' }).export({ format: 'jwk' }), ...named }
  })
  return { keys }
}

type Kind = 'rsa' | 'ed25519' | 'x25519' | 'P-256' | 'P-384' | 'P-521' | 'secp256k1'

function generateKeyPairOf(kind: Kind, named: { use: string; alg?: string } = { use: 'sig' }): SigningKey {
  const { publicKey, privateKey } = generatePairOf(kind)
  const kid = randomBytes(8).toString('hex')
  return { kid, privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid, ...named } }
}

function generatePairOf(kind: Kind): KeyPairKeyObjectResult {
  switch (kind) {
    case 'rsa':
      return createRsaKeyPair()
    case 'ed25519':
      return generateKeyPairSync('ed25519')
    case 'x25519':
      return generateKeyPairSync('x25519')
    default:
      return generateKeyPairSync('ec', { namedCurve: kind })
  }
}

/** The key that an algorithm signs with. */
export function keyForAlg(keys: SigningKeys, alg: string): SigningKey {
  if (alg.startsWith('ES')) return alg === 'ES512' ? keys.p521 : alg === 'ES384' ? keys.p384 : keys.p256
  return alg.startsWith('Ed') ? keys.ed25519 : keys.rsa
}

/** The hash that `at_hash` and `c_hash` are made with (OIDC Core 3.1.3.6); EdDSA's is SHA-512. */
export function tokenHash(alg: string, token: string): string {
  const bits = alg.startsWith('Ed') ? '512' : alg.slice(2)
  const hash = createHash(`sha${bits}`).update(token, 'ascii').digest()
  return hash.subarray(0, hash.length / 2).toString('base64url')
}

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/**
 * A compact JWS over any header and payload. What signs is told by `alg`, not by the header, so that a test can change
 * the header and nothing else. Algorithms beginning with HS take a secret instead of a key.
 */
export function signJws(alg: string, key: KeyObject | string | Buffer, header: object, payload: object): string {
  const content = `${encode(header)}.${encode(payload)}`
  return `${content}.${signature(alg, key, content).toString('base64url')}`
}

function signature(alg: string, key: KeyObject | string | Buffer, content: string): Buffer {
  if (alg === 'none') return Buffer.alloc(0)
  const hash = `sha${alg.slice(2)}`
  if (alg.startsWith('HS')) return createHmac(hash, key).update(content).digest()
  if (typeof key === 'string' || Buffer.isBuffer(key)) throw new TypeError('an asymmetric algorithm needs a key')
  const data = Buffer.from(content)
  if (alg.startsWith('Ed')) return sign(null, data, key)
  if (alg.startsWith('ES')) return sign(hash, data, { key, dsaEncoding: 'ieee-p1363' })
  if (alg.startsWith('RS')) return sign(hash, data, key)
  const { RSA_PKCS1_PSS_PADDING: padding, RSA_PSS_SALTLEN_DIGEST: saltLength } = constants
  return sign(hash, data, { key, padding, saltLength })
}
