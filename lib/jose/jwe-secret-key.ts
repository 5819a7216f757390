import { createHash, createSecretKey, type KeyObject } from 'node:crypto'
import { contentKeyBits, findKeyManagement } from './jwe-algorithms.ts'

/**
 * The key that `dir`, the AES key wraps and their GCM kin take (OIDC Core 10.2): the left-most bits of a hash of the client
 * secret. For what is decrypted, and for requests that are encrypted. `undefined` for every other algorithm.
 */
export function encryptionKeyOfSecret(clientSecret: string, alg: string, enc: string): KeyObject | undefined {
  const management = findKeyManagement(alg)
  const bits = management?.kty === 'oct' ? (management.bits ?? contentKeyBits(enc)) : undefined
  if (bits === undefined || clientSecret === '') return undefined
  const digest = createHash(hashFor(bits)).update(clientSecret, 'utf8').digest()
  return createSecretKey(digest.subarray(0, bits / 8))
}

function hashFor(bits: number): string {
  if (bits <= 256) return 'sha256'
  return bits <= 384 ? 'sha384' : 'sha512'
}
