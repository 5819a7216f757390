import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

/** Encrypts and authenticates short texts under a purpose of their own. */
interface Seal {
  /** Seals a text for one place, such as the name of a cookie: elsewhere it does not open. */
  seal(text: string, boundTo: string): string
  /** The text, or `undefined` where it was not sealed by us, for this place and purpose. */
  open(sealed: string, boundTo: string): string | undefined
}

const CIPHER = 'aes-256-gcm'
const IV_BYTES = 12
const TAG_BYTES = 16

/**
 * A seal for one purpose. Each purpose has a key of its own (HKDF, RFC 5869), so a value sealed for one can never pass
 * for another. The newest secret seals, each of them opens: that is how a secret is rotated.
 */
export function createSeal(secrets: readonly string[], purpose: string): Seal {
  const keys = secrets.map((secret) => Buffer.from(hkdfSync('sha256', secret, '', `express-oidc ${purpose}`, 32)))
  return {
    seal: (text, boundTo) => sealWith(keys[0] ?? missingKey(), text, boundTo),
    open: (sealed, boundTo) => {
      const bytes = Buffer.from(sealed, 'base64url')
      for (const key of keys) {
        const text = openWith(key, bytes, boundTo)
        if (text !== undefined) return text
      }
      return undefined
    },
  }
}

function sealWith(key: Buffer, text: string, boundTo: string): string {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv(CIPHER, key, iv, { authTagLength: TAG_BYTES }).setAAD(Buffer.from(boundTo))
  return Buffer.concat([iv, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64url')
}

function openWith(key: Buffer, bytes: Buffer, boundTo: string): string | undefined {
  if (bytes.length < IV_BYTES + TAG_BYTES) return undefined
  const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES })
  decipher.setAAD(Buffer.from(boundTo)).setAuthTag(bytes.subarray(-TAG_BYTES))
  try {
    return decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8')
  } catch {
    return undefined
  }
}

function missingKey(): never {
  throw new TypeError('A seal needs at least one secret.')
}
