import {
  constants,
  createHash,
  createHmac,
  generateKeyPair,
  type JsonWebKey,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto'
import { promisify } from 'node:util'

/** One signing key of a provider. */
export interface SigningKey {
  readonly kid: string
  readonly privateKey: KeyObject
  /** The public key as the provider publishes it: with `kid` and `use`, without `alg`. */
  readonly jwk: JsonWebKey & { readonly kid: string; readonly use: string }
}

/** The keys of a provider. The last is one that no algorithm of ours can use: a client has to cope with it. */
export interface SigningKeys {
  readonly rsa: SigningKey
  readonly p256: SigningKey
  readonly p384: SigningKey
  readonly p521: SigningKey
  readonly ed25519: SigningKey
  readonly secp256k1: SigningKey
}

const generate = promisify(generateKeyPair)

/** Makes new keys. `kid`s are random. */
export async function createSigningKeys(): Promise<SigningKeys> {
  const [rsa, p256, p384, p521, ed25519, secp256k1] = await Promise.all([
    generateKeyPairOf('rsa'),
    generateKeyPairOf('P-256'),
    generateKeyPairOf('P-384'),
    generateKeyPairOf('P-521'),
    generateKeyPairOf('ed25519'),
    generateKeyPairOf('secp256k1'),
  ])
  return { rsa, p256, p384, p521, ed25519, secp256k1 }
}

async function generateKeyPairOf(
  kind: 'rsa' | 'ed25519' | 'P-256' | 'P-384' | 'P-521' | 'secp256k1',
): Promise<SigningKey> {
  const pair =
    kind === 'rsa'
      ? await generate('rsa', { modulusLength: 2048 })
      : kind === 'ed25519'
        ? await generate('ed25519')
        : await generate('ec', { namedCurve: kind })
  const kid = randomBytes(8).toString('hex')
  return {
    kid,
    privateKey: pair.privateKey,
    jwk: { ...pair.publicKey.export({ format: 'jwk' }), kid, use: 'sig' },
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
