import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import type { Json } from '../types.ts'
import { isObject, type JsonObject } from './json-object.ts'
import { findJwsAlgorithm, isSameAlgorithm } from './jws-algorithms.ts'

/** A public key that may verify signatures, with what its JWK says of its use (RFC 7517 4). */
export interface PublicKey {
  readonly key: KeyObject
  readonly kty: string
  readonly crv: string | undefined
  readonly kid: string | undefined
  readonly alg: string | undefined
}

/** What the header of a token says of its key. */
export interface KeyHint {
  readonly alg: string
  readonly kid?: string | undefined
}

/** The members that make the public key (RFC 7518 6, RFC 8037 2). No other is handed to OpenSSL. */
const MEMBERS: ReadonlyMap<Json | undefined, readonly string[]> = new Map([
  ['RSA', ['kty', 'n', 'e']],
  ['EC', ['kty', 'crv', 'x', 'y']],
  ['OKP', ['kty', 'crv', 'x']],
])

const CURVES: readonly (Json | undefined)[] = ['P-256', 'P-384', 'P-521', 'Ed25519']

/** Base64url of 16384 bits: the most that OpenSSL takes for an RSA modulus. */
const MAX_MEMBER_LENGTH = 2731

/**
 * Reads a member of a key set. `undefined` for what is no public key for signatures of a kind that we verify: one for
 * encryption, a private or symmetric one, another curve, a weak or a broken one. Such are no fault of the set.
 */
export function importPublicKey(jwk: Json): PublicKey | undefined {
  if (!isObject(jwk) || !mayVerify(jwk) || Object.hasOwn(jwk, 'd')) return undefined
  const { kty, crv, kid, alg } = jwk
  if (!isOptionalString(kid) || !isOptionalString(alg) || !isOptionalString(crv)) return undefined
  const key = importMembers(jwk)
  return key === undefined ? undefined : { key, kty: String(kty), crv, kid, alg }
}

/** Whether the key is one that the header can mean: by `kid`, key type, curve and `alg` together (RFC 7517 4.5). */
export function fits({ kty, crv, kid, alg }: PublicKey, hint: KeyHint): boolean {
  const algorithm = findJwsAlgorithm(hint.alg)
  if (algorithm === undefined || algorithm.kty !== kty || algorithm.crv !== crv) return false
  return (hint.kid === undefined || hint.kid === kid) && (alg === undefined || isSameAlgorithm(alg, hint.alg))
}

/** RFC 7517 4.2 and 4.3. */
function mayVerify({ use, key_ops: operations }: JsonObject): boolean {
  if (use !== undefined && use !== 'sig') return false
  return operations === undefined || (Array.isArray(operations) && operations.includes('verify'))
}

function importMembers(jwk: JsonObject): KeyObject | undefined {
  const members = (MEMBERS.get(jwk['kty']) ?? []).map((name) => [name, jwk[name]] as const)
  if (members.length === 0 || (jwk['kty'] !== 'RSA' && !CURVES.includes(jwk['crv']))) return undefined
  if (members.some(([, value]) => typeof value !== 'string' || value.length > MAX_MEMBER_LENGTH)) return undefined
  try {
    const key = createPublicKey({ key: Object.fromEntries(members) as JsonWebKey, format: 'jwk' })
    return jwk['kty'] === 'RSA' && !isStrong(key) ? undefined : key
  } catch {
    return undefined
  }
}

/** RFC 7518 3.3: 2048 bits or more. With an exponent of 1 every message would be its own signature. */
function isStrong(key: KeyObject): boolean {
  const { modulusLength = 0, publicExponent = 0n } = { ...key.asymmetricKeyDetails }
  return modulusLength >= 2048 && publicExponent > 2n && publicExponent % 2n === 1n && publicExponent < 2n ** 64n
}

function isOptionalString(value: Json | undefined): value is string | undefined {
  return value === undefined || typeof value === 'string'
}
