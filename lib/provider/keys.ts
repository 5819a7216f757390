import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { ProviderError } from '../errors.ts'
import { findJwsAlgorithm, findKeyManagement, isSameAlgorithm } from '../jose/algorithms.ts'
import { isObject, type JsonObject } from '../jose/json.ts'
import type { KeyHint, VerificationKeys } from '../jose/jws.ts'
import { isIssuedBy } from '../options/issuer.ts'
import type { Json } from '../types.ts'
import { createCachedDocument, createFetchBudget } from './cached-document.ts'
import type { HttpClient } from './http-client.ts'

/** The public keys of one provider (OIDC Core 10.1), fetched when first needed. */
export interface KeyStore extends VerificationKeys {
  /**
   * The key to encrypt a message to the provider with (OIDC Core 10.2): one that is for encryption rather than one that does
   * not tell. Where none fits, the keys are fetched again as for {@link VerificationKeys.keysFor}.
   */
  encryptionKeyFor(alg: string): Promise<EncryptionKey | undefined>
}

/** A public key of the provider to encrypt to. */
export interface EncryptionKey {
  readonly key: KeyObject
  /** What the header of the message names it by (RFC 7516 4.1.6). */
  readonly kid: string | undefined
}

/** A key set has one to three keys as a rule, some dozens where tenants share one. */
const MAX_KEYS = 100
/** How many signatures one token may cost us. */
const MAX_CANDIDATES = 16

/** The store of the keys at one `jwks_uri`. Tokens with made-up `kid`s cost the provider five fetches, then two a minute. */
export function createKeyStore(http: Pick<HttpClient, 'getJson'>, jwksUri: string): KeyStore {
  const keySet = createCachedDocument({
    load: async () => {
      const { json, headers } = await http.getJson(jwksUri)
      return { value: readKeySet(json), headers }
    },
  })
  const tryRequest = createFetchBudget({ capacity: 5, refillSeconds: 30 })
  let renewing: Promise<boolean> | undefined

  async function select(hint: KeyHint): Promise<readonly KeyObject[]> {
    const fitting = (await keySet.get()).filter((key) => canVerify(key, hint))
    return fitting.slice(0, MAX_CANDIDATES).map(({ key }) => key)
  }

  async function keysFor(hint: KeyHint): Promise<readonly KeyObject[]> {
    const candidates = await select(hint)
    if (candidates.length > 0) return candidates
    return (await renew()) ? await select(hint) : candidates
  }

  async function selectForEncryption(alg: string): Promise<EncryptionKey | undefined> {
    const fitting = (await keySet.get()).filter((key) => canEncryptFor(key, alg))
    return fitting.find(({ uses }) => uses.length === 1) ?? fitting[0]
  }

  async function encryptionKeyFor(alg: string): Promise<EncryptionKey | undefined> {
    const found = await selectForEncryption(alg)
    return found ?? ((await renew()) ? await selectForEncryption(alg) : undefined)
  }

  async function renew(): Promise<boolean> {
    if (renewing === undefined && !tryRequest()) return false
    renewing ??= keySet
      .renew()
      .then(
        () => true,
        () => false,
      )
      .finally(() => {
        renewing = undefined
      })
    return await renewing
  }

  return { keysFor, renew, encryptionKeyFor }
}

/** RFC 7517 5: what is not understood in a set is ignored; that nothing is left shows when a key is looked for. */
function readKeySet(json: JsonObject): readonly PublicKey[] {
  const { keys } = json
  if (!Array.isArray(keys)) {
    throw new ProviderError('ERR_OIDC_KEYS_INVALID', "The provider's key set has no list of keys.")
  }
  return keys
    .slice(0, MAX_KEYS)
    .map(importPublicKey)
    .filter((key) => key !== undefined)
}

/** What a public key is for: to verify what the provider signs, to encrypt what it gets (RFC 7517 4.2). */
type KeyUse = 'sig' | 'enc'

/** A public key of the provider, with what its JWK says of it (RFC 7517 4). */
interface PublicKey {
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
function importPublicKey(jwk: Json): PublicKey | undefined {
  if (!isObject(jwk) || Object.hasOwn(jwk, 'd')) return undefined
  const uses = (['sig', 'enc'] as const).filter((use) => allowsUse(jwk, use))
  if (uses.length === 0) return undefined
  const { kty, crv, kid, alg, issuer } = jwk
  if (!isOptionalString(kid) || !isOptionalString(alg) || !isOptionalString(crv)) return undefined
  const key = importMembers(jwk)
  return key === undefined ? undefined : { key, uses, kty: String(kty), crv, kid, alg, issuer }
}

/** Whether the key is one that the token can mean: by `kid`, key type, curve and `alg` together (RFC 7517 4.5). */
function canVerify({ uses, kty, crv, kid, alg, issuer }: PublicKey, hint: KeyHint): boolean {
  const algorithm = findJwsAlgorithm(hint.alg)
  // Entra ID has keys for one tenant alone among those of all: no other tenant's token is signed with them.
  if (hint.claims !== undefined && issuer !== undefined && !isIssuedBy(issuer, hint.claims)) return false
  if (!uses.includes('sig') || algorithm === undefined || algorithm.kty !== kty || algorithm.crv !== crv) return false
  return (hint.kid === undefined || hint.kid === kid) && (alg === undefined || isSameAlgorithm(alg, hint.alg))
}

/** Whether a message can be encrypted to the key with this algorithm (RFC 7518 4.1): by use, key type and `alg` together. */
function canEncryptFor({ uses, kty, crv, alg }: PublicKey, wanted: string): boolean {
  if (!uses.includes('enc') || (alg !== undefined && alg !== wanted)) return false
  // RFC 8037 3.2: X25519 agrees on keys as the curves of EC do.
  return findKeyManagement(wanted)?.kty === (crv === 'X25519' ? 'EC' : kty)
}

/** RFC 7517 4.2 and 4.3. */
function allowsUse({ use, key_ops: operations }: JsonObject, purpose: KeyUse): boolean {
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
