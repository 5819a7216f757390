import type { JsonWebKey, KeyObject } from 'node:crypto'
import {
  algorithmsOf,
  importPrivateKey,
  type JwkMembers,
  keyIdOf,
  publicMembersOf,
} from '../config/client-key-kinds.ts'

/** A private key of the client. */
export interface ClientKey {
  readonly key: KeyObject
  /** Its identifier, as the provider has it: that of the JWK, else the thumbprint (RFC 7638). */
  readonly kid: string
  /** The one algorithm that it is bound to, where its JWK names one. */
  readonly alg: string | undefined
}

/** What the header of a JWE says of the key that it was encrypted to. */
export interface DecryptionHint {
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
   * Private keys that a JWE with this header may have been encrypted to, at most 16: those with its `kid`, then the others,
   * for some providers name keys by themselves. While keys rotate, the old one is still here.
   */
  decryptionKeys(hint: DecryptionHint): readonly KeyObject[]
  /** The public parts only, for the `jwks` route (RFC 7517 5). Deeply frozen. */
  readonly publicJwks: { readonly keys: readonly JsonWebKey[] }
}

/** How many decryptions one token may cost us. */
const MAX_CANDIDATES = 16

/** A key with what it may be used for. */
interface UsableKey extends ClientKey {
  readonly signs: readonly string[]
  readonly decrypts: readonly string[]
  readonly crv: string | undefined
  readonly publicJwk: JsonWebKey
}

/**
 * Makes keys of private JWKs that have passed `clientKeysRule`. The private members stay inside of the key objects; what is
 * published is made from the keys, not copied from the JWKs.
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
