import { compactVerify, createLocalJWKSet, errors, type JSONWebKeySet } from 'jose'
import type { KeySet } from '../app/signing-keys.ts'
import type { JsonObject } from './changes.ts'

/** What a client has signed. */
export interface VerifiedJws {
  readonly header: JsonObject
  readonly claims: JsonObject
}

export const ASYMMETRIC_ALGS: readonly string[] = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
]

export const SYMMETRIC_ALGS: readonly string[] = ['HS256', 'HS384', 'HS512']

/** Verifies what a client has signed with a key of its own, or with its secret; or tells why not. */
export async function verifyClientJws(
  jws: string,
  algorithms: readonly string[],
  key: KeySet | string,
): Promise<VerifiedJws | string> {
  // jose takes every form of a key, and its types want them one by one.
  const options = { algorithms: [...algorithms] }
  try {
    const { protectedHeader, payload } =
      typeof key === 'string'
        ? await compactVerify(jws, Buffer.from(key), options)
        : await compactVerify(jws, createLocalJWKSet(key as JSONWebKeySet), options)
    const claims: unknown = JSON.parse(Buffer.from(payload).toString())
    return { header: { ...protectedHeader }, claims: Object(claims) }
  } catch (error) {
    return error instanceof errors.JOSEError ? error.code : String(error)
  }
}

/** The parts of an unsigned JWS (RFC 7515 A.5): `none`, and nothing after the last dot. */
export function readUnsignedJws(jws: string): VerifiedJws | string {
  const [header = '', payload = '', signature, ...more] = jws.split('.')
  if (signature !== '' || more.length > 0) return 'it is not unsigned'
  try {
    const read = (part: string): JsonObject => Object(JSON.parse(Buffer.from(part, 'base64url').toString()))
    const parts = { header: read(header), claims: read(payload) }
    return parts.header['alg'] === 'none' ? parts : 'it is not unsigned'
  } catch {
    return 'it is no JSON'
  }
}
