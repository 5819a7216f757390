import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { isOfIssuer } from '../issuer.ts'
import type { Json } from '../json-object.ts'
import { isObject, type JsonObject } from '../json-object.ts'
import { findKeyManagement } from './jwe-algorithms.ts'
import { findJwsAlgorithm, isSameAlgorithm } from './jws-algorithms.ts'

/** What a public key is for: to verify what the provider signs, to encrypt what it gets (RFC 7517 4.2). */
export type KeyUse = 'sig' | 'enc'

/** A public key of the provider, with what its JWK says of it (RFC 7517 4). */
export interface PublicKey {
  readonly key: KeyObject
  /** Both, where the JWK does not tell. */
  readonly uses: readonly KeyUse[]
  readonly kty: string
  readonly crv: string | undefined
  readonly kid: string | undefined
  readonly alg: string | undefined
  /** Whose tokens it signs, where a provider with many tenants says so (Entra ID): with a place for the tenant, or without. */
  readonly issuer: Json | undefined
}

/** What a token says of its key. */
export interface KeyHint {
  readonly alg: string
  readonly kid?: string | undefined
  /** The claims, which nobody has verified yet, where a key is good for the tokens of its own issuer alone. */
  readonly claims?: JsonObject | undefined
}

/** The members that make the public key (RFC 7518 6, RFC 8037 2). No other is handed to OpenSSL. */
const MEMBERS: ReadonlyMap<Json | undefined, readonly string[]> = new Map([
  ['RSA', ['kty', 'n', 'e']],
  ['EC', ['kty', 'crv', 'x', 'y']],
  ['OKP', ['kty', 'crv', 'x']],
])

const CURVES: readonly (Json | undefined)[] = ['P-256', 'P-384', 'P-521', 'Ed25519', 'X25519']

/** The operations of `key_ops` that allow a public key to be used so (RFC 7517 4.3). */
const OPERATIONS: Readonly<Record<KeyUse, readonly Json[]>> = {
  sig: ['verify'],
  enc: ['encrypt', 'wrapKey', 'deriveKey', 'deriveBits'],
}

/** Base64url of 16384 bits: the most that OpenSSL takes for an RSA modulus. */
const MAX_MEMBER_LENGTH = 2731

/**
 * Reads a member of a key set. `undefined` for what is no public key of a kind that we use: a private or symmetric one, one
 * for something else, another curve, a weak or a broken one. Such are no fault of the set.
 */
export function importPublicKey(jwk: Json): PublicKey | undefined {
  if (!isObject(jwk) || Object.hasOwn(jwk, 'd')) return undefined
  const uses = (['sig', 'enc'] as const).filter((use) => mayServe(jwk, use))
  if (uses.length === 0) return undefined
  const { kty, crv, kid, alg, issuer } = jwk
  if (!isOptionalString(kid) || !isOptionalString(alg) || !isOptionalString(crv)) return undefined
  const key = importMembers(jwk)
  return key === undefined ? undefined : { key, uses, kty: String(kty), crv, kid, alg, issuer }
}

/** Whether the key is one that the token can mean: by `kid`, key type, curve and `alg` together (RFC 7517 4.5). */
export function fits({ uses, kty, crv, kid, alg, issuer }: PublicKey, hint: KeyHint): boolean {
  const algorithm = findJwsAlgorithm(hint.alg)
  // Entra ID has keys for one tenant alone among those of all: no other tenant's token is signed with them.
  if (hint.claims !== undefined && issuer !== undefined && !isOfIssuer(issuer, hint.claims)) return false
  if (!uses.includes('sig') || algorithm === undefined || algorithm.kty !== kty || algorithm.crv !== crv) return false
  return (hint.kid === undefined || hint.kid === kid) && (alg === undefined || isSameAlgorithm(alg, hint.alg))
}

/** Whether a message can be encrypted to the key with this algorithm (RFC 7518 4.1): by use, key type and `alg` together. */
export function fitsEncryption({ uses, kty, crv, alg }: PublicKey, wanted: string): boolean {
  if (!uses.includes('enc') || (alg !== undefined && alg !== wanted)) return false
  // RFC 8037 3.2: X25519 agrees on keys as the curves of EC do.
  return findKeyManagement(wanted)?.kty === (crv === 'X25519' ? 'EC' : kty)
}

/** RFC 7517 4.2 and 4.3. */
function mayServe({ use, key_ops: operations }: JsonObject, purpose: KeyUse): boolean {
  if (use !== undefined && use !== purpose) return false
  if (operations === undefined) return true
  return Array.isArray(operations) && operations.some((operation) => OPERATIONS[purpose].includes(operation))
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
