import { createHmac, type KeyObject, timingSafeEqual, verify } from 'node:crypto'
import { findJwsAlgorithm } from './algorithms.ts'
import type { CompactJws } from './compact-token.ts'
import { isPublicKeyOf } from './jwk.ts'

/**
 * True if this key has signed the token with this algorithm (RFC 7515 5.2). The header of the token plays no part. A key
 * of another kind than the algorithm takes verifies nothing (RFC 8725 3.1).
 *
 * @param alg The algorithm that the configuration names.
 */
export function isSignedBy(
  { token, signature }: Pick<CompactJws, 'token' | 'signature'>,
  alg: string,
  key: KeyObject,
): boolean {
  const row = findJwsAlgorithm(alg)
  const [hash] = row?.hash ?? []
  if (row === undefined || hash === undefined) return false
  const signed = Buffer.from(token.slice(0, token.lastIndexOf('.')), 'latin1')
  if (row.usesClientSecret) return key.type === 'secret' && isEqual(hmac(hash, key, signed), signature)
  if (row.scheme === undefined || !row.keyKinds.some((kind) => isPublicKeyOf(kind, key))) return false
  if (key.asymmetricKeyType === 'rsa' && signature.byteLength !== modulusBytes(key)) return false
  try {
    return verify(row.hashesItself ? null : hash, signed, { key, ...row.scheme }, signature)
  } catch {
    // OpenSSL throws for some signatures of a wrong length.
    return false
  }
}

/** OpenSSL takes an RSA signature without its leading zero bytes. It must have the length of the modulus (RFC 8017 8.1.2). */
function modulusBytes(key: KeyObject): number {
  return Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8)
}

function hmac(hash: string, key: KeyObject, signed: Uint8Array): Uint8Array {
  return createHmac(hash, key).update(signed).digest()
}

/** In constant time: an attacker who can measure it must not learn how many bytes were right. */
function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  return one.byteLength === other.byteLength && timingSafeEqual(one, other)
}
