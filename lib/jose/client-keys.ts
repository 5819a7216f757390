import { createHash, createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { algorithmsOfKind, isSameAlgorithm } from './algorithms.ts'
import { allowsUse, findKeyKind, type JwkMembers, type KeyUse, type PublicJwk } from './jwk.ts'

/** A private key of the client. */
interface ClientKey {
  readonly key: KeyObject
  /** The identifier that the provider knows it by: the `kid` of its JWK, else its thumbprint (RFC 7638). */
  readonly kid: string
  /** The one algorithm that it is for, if its JWK names one. */
  readonly alg: string | undefined
}

/** What the header of a JWE says about the key that it was encrypted to. */
interface DecryptionHint {
  readonly alg: string
  readonly kid?: string | undefined
  /** The curve of the ephemeral key (RFC 7518 4.6.1.1). */
  readonly crv?: string | undefined
}

/** The client's own keys (OIDC Core 10.1, 10.2). */
export interface ClientKeys {
  /** The first key that may sign with this algorithm. */
  signingKey(alg: string): ClientKey | undefined
  /**
   * The private keys that a JWE with this header may have been encrypted to, at most 16. Keys with its `kid` come first. The
   * others follow, because some providers name keys themselves. During a key rotation, the old key is still among them.
   */
  decryptionKeys(hint: DecryptionHint): readonly KeyObject[]
  /** The public keys, for the `jwks` route (RFC 7517 5). Deeply frozen. */
  readonly publicJwks: { readonly keys: readonly PublicJwk[] }
}

/** The most decryptions that one token may cost. */
const MAX_CANDIDATES = 16

/** A key with what it may be used for. */
interface UsableKey extends ClientKey {
  readonly signs: readonly string[]
  readonly decrypts: readonly string[]
  readonly crv: string | undefined
  readonly publicJwk: PublicJwk
}

/**
 * Imports private JWKs that `clientKeysRule` has accepted. The published JWKs are exported from the imported keys, so no
 * private member of the options can get into them.
 */
export function createClientKeys(jwks: readonly JwkMembers[]): ClientKeys {
  const keys = jwks.map(importClientKey)

  function decryptionKeys({ alg, kid, crv }: DecryptionHint): readonly KeyObject[] {
    const fitting = keys.filter((key) => key.decrypts.includes(alg) && (crv === undefined || key.crv === crv))
    const named = fitting.filter((key) => key.kid === kid)
    const others = fitting.filter((key) => key.kid !== kid)
    return [...named, ...others].slice(0, MAX_CANDIDATES).map(({ key }) => key)
  }

  return {
    signingKey: (alg) => keys.find(({ signs }) => signs.includes(alg)),
    decryptionKeys,
    publicJwks: Object.freeze({ keys: Object.freeze(keys.map(({ publicJwk }) => publicJwk)) }),
  }
}

function importClientKey(jwk: JwkMembers): UsableKey {
  const key = importPrivateKey(jwk)
  const publicMembers = publicMembersOf(key)
  const kid = keyIdOf(jwk, publicMembers)
  const { use, alg } = jwk
  return {
    key,
    kid,
    alg: typeof alg === 'string' ? alg : undefined,
    crv: publicMembers.crv,
    signs: algorithmsOf(jwk, 'sig'),
    decrypts: algorithmsOf(jwk, 'enc'),
    publicJwk: Object.freeze({
      ...publicMembers,
      kid,
      ...(typeof use === 'string' ? { use } : {}),
      ...(typeof alg === 'string' ? { alg } : {}),
    }),
  }
}

/** The algorithms that a private key may be used with: those of its kind that its `use`, `key_ops` and `alg` allow. */
export function algorithmsOf(jwk: JwkMembers, use: KeyUse): readonly string[] {
  const kind = findKeyKind(jwk)
  if (kind === undefined || !allowsUse(jwk, use, 'private')) return []
  const { alg } = jwk
  const names = algorithmsOfKind(kind, use)
  if (alg === undefined) return names
  return names.filter((name) => name === alg || (typeof alg === 'string' && isSameAlgorithm(alg, name)))
}

/**
 * Imports a private key. Only the members that its kind has reach OpenSSL.
 *
 * @throws what `node:crypto` throws for members that are not a key.
 */
export function importPrivateKey(jwk: JwkMembers): KeyObject {
  const { publicMembers = [], privateMembers = [] } = { ...findKeyKind(jwk) }
  const given = [...publicMembers, ...privateMembers].map((name) => [name, jwk[name]])
  const members = Object.fromEntries(given.filter(([, value]) => value !== undefined))
  return createPrivateKey({ key: members as JsonWebKey, format: 'jwk' })
}

/** The members of the public key that belongs to a private key, derived from the private key. */
export function publicMembersOf(key: KeyObject): PublicJwk {
  return createPublicKey(key).export({ format: 'jwk' })
}

/** The identifier of a key: its `kid`, or its thumbprint (RFC 7638 3). */
export function keyIdOf(jwk: JwkMembers, publicMembers: JwkMembers): string {
  if (typeof jwk['kid'] === 'string') return jwk['kid']
  const names = findKeyKind(jwk)?.publicMembers ?? []
  const hashed = JSON.stringify(Object.fromEntries(names.map((name) => [name, publicMembers[name]])))
  return createHash('sha256').update(hashed).digest('base64url')
}
