import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

/** Encrypts and authenticates short texts for one purpose. */
interface Seal {
  /** Encrypts a text. It can be decrypted only with the same `boundTo`, such as the name of its cookie. */
  seal(text: string, boundTo: string): string
  /** Decrypts a text. Returns `undefined` if it was not encrypted by us, for this purpose and `boundTo`. */
  open(sealed: string, boundTo: string): string | undefined
}

const CIPHER = 'aes-256-gcm'
const IV_BYTES = 12
const TAG_BYTES = 16

/**
 * Each purpose has a key of its own (HKDF, RFC 5869), so that a value for one purpose cannot be used for another. The first
 * secret encrypts and any can decrypt, so that a secret can be rotated.
 */
export function createSeal(secrets: readonly string[], purpose: string): Seal {
  const keys = secrets.map((secret) => Buffer.from(hkdfSync('sha256', secret, '', `express-oidc ${purpose}`, 32)))
  return {
    seal: (text, boundTo) => encrypt(keys[0] ?? missingSecret(), text, boundTo),
    open: (sealed, boundTo) => {
      const bytes = Buffer.from(sealed, 'base64url')
      for (const key of keys) {
        const text = decrypt(key, bytes, boundTo)
        if (text !== undefined) return text
      }
      return undefined
    },
  }
}

function encrypt(key: Buffer, text: string, boundTo: string): string {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv(CIPHER, key, iv, { authTagLength: TAG_BYTES }).setAAD(Buffer.from(boundTo))
  return Buffer.concat([iv, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64url')
}

function decrypt(key: Buffer, bytes: Buffer, boundTo: string): string | undefined {
  if (bytes.length < IV_BYTES + TAG_BYTES) return undefined
  const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES })
  decipher.setAAD(Buffer.from(boundTo)).setAuthTag(bytes.subarray(-TAG_BYTES))
  try {
    return decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8')
  } catch {
    return undefined
  }
}

function missingSecret(): never {
  throw new TypeError('createSeal() needs at least one secret.')
}
