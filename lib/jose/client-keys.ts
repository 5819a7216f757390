import { createHash, createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'

/** A private key of the client. */
interface ClientKey {
  readonly key: KeyObject
  /** Its identifier, as the provider has it: that of the JWK, else the thumbprint (RFC 7638). */
  readonly kid: string
  /** The one algorithm that it is bound to, where its JWK names one. */
  readonly alg: string | undefined
}

/** What the header of a JWE says of the key that it was encrypted to. */
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

/** What a JWK says of itself (RFC 7517 4, RFC 7518 6). */
export type JwkMembers = Readonly<Record<string, unknown>>

/** To sign, or to decrypt (RFC 7517 4.2). */
export type KeyPurpose = 'sig' | 'enc'

/** A kind of key that a client may have of its own. */
interface ClientKeyKind {
  /** The members of the public key, in the order of RFC 7638 3.2. Whatever else a JWK has is private, or says of its use. */
  readonly publicMembers: readonly string[]
  /** The algorithms that it can sign with (RFC 7518 3.1, RFC 8037 3.1, RFC 9864 2.2). */
  readonly signs: readonly string[]
  /** The algorithms that it can decrypt by (RFC 7518 4.1, RFC 8037 3.2). RSA1_5 is not among them: RFC 8725 3.2. */
  readonly decrypts: readonly string[]
}

const AGREEMENT = ['ECDH-ES', 'ECDH-ES+A128KW', 'ECDH-ES+A192KW', 'ECDH-ES+A256KW']
const EDWARDS = ['EdDSA', 'Ed25519']

const KINDS: ReadonlyMap<string, ClientKeyKind> = new Map([
  [
    'RSA',
    {
      publicMembers: ['e', 'kty', 'n'],
      signs: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
      decrypts: ['RSA-OAEP', 'RSA-OAEP-256', 'RSA-OAEP-384', 'RSA-OAEP-512'],
    },
  ],
  ['EC P-256', { publicMembers: ['crv', 'kty', 'x', 'y'], signs: ['ES256'], decrypts: AGREEMENT }],
  ['EC P-384', { publicMembers: ['crv', 'kty', 'x', 'y'], signs: ['ES384'], decrypts: AGREEMENT }],
  ['EC P-521', { publicMembers: ['crv', 'kty', 'x', 'y'], signs: ['ES512'], decrypts: AGREEMENT }],
  ['OKP Ed25519', { publicMembers: ['crv', 'kty', 'x'], signs: EDWARDS, decrypts: [] }],
  ['OKP X25519', { publicMembers: ['crv', 'kty', 'x'], signs: [], decrypts: AGREEMENT }],
])

/** The operations of `key_ops` that allow a key to be used so (RFC 7517 4.3). */
const OPERATIONS: Readonly<Record<KeyPurpose, readonly unknown[]>> = {
  sig: ['sign'],
  enc: ['decrypt', 'unwrapKey', 'deriveKey', 'deriveBits'],
}

/** The kind of a key by `kty` and `crv`; `undefined` for a symmetric one and whatever else is not in the table. */
export function findClientKeyKind({ kty, crv }: JwkMembers): ClientKeyKind | undefined {
  return KINDS.get(kty === 'RSA' ? 'RSA' : `${kty} ${crv}`)
}

/** The algorithms that this key may serve one end with: those of its kind that `use`, `key_ops` and `alg` leave. */
export function algorithmsOf(jwk: JwkMembers, purpose: KeyPurpose): readonly string[] {
  const kind = findClientKeyKind(jwk)
  if (kind === undefined || !mayServe(jwk, purpose)) return []
  const names = purpose === 'sig' ? kind.signs : kind.decrypts
  return names.filter((name) => jwk['alg'] === undefined || isSameName(jwk['alg'], name))
}

/**
 * The private key. Only what it is made of is handed to OpenSSL.
 *
 * @throws whatever `node:crypto` does, for members that are no key.
 */
export function importPrivateKey(jwk: JwkMembers): KeyObject {
  const members = [...(findClientKeyKind(jwk)?.publicMembers ?? []), 'd', 'p', 'q', 'dp', 'dq', 'qi']
  const given = members.map((name) => [name, jwk[name]]).filter(([, value]) => value !== undefined)
  return createPrivateKey({ key: Object.fromEntries(given) as JsonWebKey, format: 'jwk' })
}

/** The public key that belongs to a private one, made from the private one: its members, and no other. */
export function publicMembersOf(key: KeyObject): JsonWebKey {
  return createPublicKey(key).export({ format: 'jwk' })
}

/** The identifier of a key: its own, or its thumbprint (RFC 7638 3). */
export function keyIdOf(jwk: JwkMembers, publicMembers: JwkMembers): string {
  if (typeof jwk['kid'] === 'string') return jwk['kid']
  const names = findClientKeyKind(jwk)?.publicMembers ?? []
  const hashed = JSON.stringify(Object.fromEntries(names.map((name) => [name, publicMembers[name]])))
  return createHash('sha256').update(hashed).digest('base64url')
}

function mayServe({ use, key_ops: operations }: JwkMembers, purpose: KeyPurpose): boolean {
  if (use !== undefined && use !== purpose) return false
  if (operations === undefined) return true
  return Array.isArray(operations) && operations.some((operation) => OPERATIONS[purpose].includes(operation))
}

/** RFC 9864 3.1.1: the older name of Ed25519 is EdDSA. */
function isSameName(alg: unknown, name: string): boolean {
  return alg === name || (EDWARDS.includes(String(alg)) && EDWARDS.includes(name))
}
