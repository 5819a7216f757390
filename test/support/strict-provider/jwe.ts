import {
  constants,
  createCipheriv,
  createHash,
  createHmac,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  publicEncrypt,
  randomBytes,
} from 'node:crypto'
import type { JsonObject } from './changes.ts'

/** What a JWE is made with, whatever its header says. */
export interface JweSettings {
  readonly alg: string
  readonly enc: string
  /** A public key, or the shared secret of `dir` and the `A...KW` kinds. */
  readonly key: KeyObject | Buffer
  readonly header?: JsonObject
  readonly change?: ((header: JsonObject) => JsonObject) | undefined
}

/** The key of the content, as it travels, and what the header has to say of it. */
interface WrappedKey {
  readonly contentKey: Buffer
  readonly encryptedKey: Buffer
  readonly header: JsonObject
}

/** The length of a content encryption key in bytes (RFC 7518 5.1). */
const CONTENT_KEY_LENGTHS: Readonly<Record<string, number>> = {
  A128GCM: 16,
  A192GCM: 24,
  A256GCM: 32,
  'A128CBC-HS256': 32,
  'A192CBC-HS384': 48,
  'A256CBC-HS512': 64,
}

/** How long a shared secret must be for an algorithm, in bytes: `dir` uses it for the content itself. */
export function secretKeyLength(alg: string, enc: string): number {
  return alg === 'dir' ? contentKeyLength(enc) : Number(alg.slice(1, 4)) / 8
}

/**
 * A compact JWE (RFC 7516 7.1). What encrypts is told by `alg` and `enc`, not by the header, so that a test can change the
 * header and nothing else.
 */
export function encryptJwe(text: string, { alg, enc, key, header, change }: JweSettings): string {
  const wrapped = wrapKey(alg, enc, key)
  const good = { alg, enc, ...header, ...wrapped.header }
  const protectedHeader = encode(JSON.stringify(change?.(good) ?? good))
  const sealed = seal(enc, wrapped.contentKey, Buffer.from(text), Buffer.from(protectedHeader, 'ascii'))
  return [protectedHeader, ...[wrapped.encryptedKey, ...sealed].map(encode)].join('.')
}

function encode(part: string | Buffer): string {
  return Buffer.from(part).toString('base64url')
}

function contentKeyLength(enc: string): number {
  const length = CONTENT_KEY_LENGTHS[enc]
  if (length === undefined) throw new TypeError(`${enc} is no content encryption`)
  return length
}

function wrapKey(alg: string, enc: string, key: KeyObject | Buffer): WrappedKey {
  const length = contentKeyLength(enc)
  if (Buffer.isBuffer(key)) {
    if (alg === 'dir') return { contentKey: key, encryptedKey: Buffer.alloc(0), header: {} }
    return wrapBySecret(alg, key, randomBytes(length))
  }
  if (alg.startsWith('ECDH-ES')) return agree(alg, enc, length, key)
  const contentKey = randomBytes(length)
  return { contentKey, encryptedKey: encryptForRsa(alg, key, contentKey), header: {} }
}

/** RFC 7518 4.2 and 4.3. */
function encryptForRsa(alg: string, key: KeyObject, contentKey: Buffer): Buffer {
  if (alg === 'RSA1_5') return publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, contentKey)
  const oaepHash = alg === 'RSA-OAEP' ? 'sha1' : `sha${alg.slice('RSA-OAEP-'.length)}`
  return publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, contentKey)
}

/** RFC 7518 4.4 and 4.7: `A128KW`, `A128GCMKW`, and their longer kin. */
function wrapBySecret(alg: string, secret: Buffer, contentKey: Buffer): WrappedKey {
  if (!alg.endsWith('GCMKW')) return { contentKey, encryptedKey: keyWrap(secret, contentKey), header: {} }
  const [iv, encryptedKey, tag] = sealByGcm(secret, contentKey, Buffer.alloc(0))
  return { contentKey, encryptedKey, header: { iv: encode(iv), tag: encode(tag) } }
}

/** RFC 3394 2.2.1. */
function keyWrap(secret: Buffer, contentKey: Buffer): Buffer {
  const cipher = createCipheriv(`id-aes${secret.length * 8}-wrap`, secret, Buffer.alloc(8, 0xa6))
  return Buffer.concat([cipher.update(contentKey), cipher.final()])
}

/** RFC 7518 4.6. */
function agree(alg: string, enc: string, length: number, publicKey: KeyObject): WrappedKey {
  const ephemeral = generateLike(publicKey)
  const shared = diffieHellman({ privateKey: ephemeral.privateKey, publicKey })
  const header = { epk: ephemeral.publicKey.export({ format: 'jwk' }) }
  if (alg === 'ECDH-ES') {
    return { contentKey: concatKdf(shared, enc, length), encryptedKey: Buffer.alloc(0), header }
  }
  const contentKey = randomBytes(length)
  const wrapping = alg.slice('ECDH-ES+'.length)
  const encryptedKey = keyWrap(concatKdf(shared, alg, secretKeyLength(wrapping, enc)), contentKey)
  return { contentKey, encryptedKey, header }
}

function generateLike(key: KeyObject): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  if (key.asymmetricKeyType === 'x25519') return generateKeyPairSync('x25519')
  return generateKeyPairSync('ec', { namedCurve: key.asymmetricKeyDetails?.namedCurve ?? 'P-256' })
}

/** RFC 7518 4.6.2, with neither PartyUInfo nor PartyVInfo. */
function concatKdf(shared: Buffer, algorithmId: string, length: number): Buffer {
  const number = (value: number): Buffer => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(value)
    return bytes
  }
  const info = Buffer.concat([
    ...[number(algorithmId.length), Buffer.from(algorithmId, 'ascii')],
    ...[number(0), number(0), number(length * 8)],
  ])
  const rounds = Array.from({ length: Math.ceil(length / 32) }, (_, index) =>
    createHash('sha256')
      .update(Buffer.concat([number(index + 1), shared, info]))
      .digest(),
  )
  return Buffer.concat(rounds).subarray(0, length)
}

/** Initialization vector, ciphertext and tag (RFC 7518 5.2 and 5.3). */
type Sealed = readonly [iv: Buffer, ciphertext: Buffer, tag: Buffer]

function seal(enc: string, key: Buffer, text: Buffer, additional: Buffer): Sealed {
  return enc.endsWith('GCM') ? sealByGcm(key, text, additional) : sealByCbc(key, text, additional)
}

function sealByGcm(key: Buffer, text: Buffer, additional: Buffer): Sealed {
  const iv = randomBytes(12)
  const cipher = createCipheriv(
    key.length === 32 ? 'aes-256-gcm' : key.length === 24 ? 'aes-192-gcm' : 'aes-128-gcm',
    key,
    iv,
  )
  cipher.setAAD(additional)
  const ciphertext = Buffer.concat([cipher.update(text), cipher.final()])
  return [iv, ciphertext, cipher.getAuthTag()]
}

/** RFC 7518 5.2.2.1: the first half of the key authenticates, the second encrypts. */
function sealByCbc(key: Buffer, text: Buffer, additional: Buffer): Sealed {
  const half = key.length / 2
  const iv = randomBytes(16)
  const cipher = createCipheriv(`aes-${half * 8}-cbc`, key.subarray(half), iv)
  const ciphertext = Buffer.concat([cipher.update(text), cipher.final()])
  const bits = Buffer.alloc(8)
  bits.writeBigUInt64BE(BigInt(additional.length * 8))
  const mac = createHmac(`sha${key.length * 8}`, key.subarray(0, half)).update(
    Buffer.concat([additional, iv, ciphertext, bits]),
  )
  return [iv, ciphertext, mac.digest().subarray(0, half)]
}
