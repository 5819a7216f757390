/** One row of the table of signature algorithms (RFC 7518 3.1, RFC 8037 3.1, RFC 9864 2.2). */
interface JwsAlgorithm {
  /** The key type that it takes (`oct` is a shared secret). No other is ever tried with it (RFC 8725 3.1). */
  readonly kty: 'RSA' | 'EC' | 'OKP' | 'oct'
  /** The curve that it takes, where it takes one. */
  readonly crv: string | undefined
  /** The hash of the signature, and of `at_hash` (OIDC Core 3.1.3.6). */
  readonly digest: string
}

const ed25519: JwsAlgorithm = { kty: 'OKP', crv: 'Ed25519', digest: 'sha512' }

const ALGORITHMS: ReadonlyMap<string, JwsAlgorithm> = new Map([
  ['RS256', { kty: 'RSA', crv: undefined, digest: 'sha256' }],
  ['RS384', { kty: 'RSA', crv: undefined, digest: 'sha384' }],
  ['RS512', { kty: 'RSA', crv: undefined, digest: 'sha512' }],
  ['PS256', { kty: 'RSA', crv: undefined, digest: 'sha256' }],
  ['PS384', { kty: 'RSA', crv: undefined, digest: 'sha384' }],
  ['PS512', { kty: 'RSA', crv: undefined, digest: 'sha512' }],
  ['ES256', { kty: 'EC', crv: 'P-256', digest: 'sha256' }],
  ['ES384', { kty: 'EC', crv: 'P-384', digest: 'sha384' }],
  ['ES512', { kty: 'EC', crv: 'P-521', digest: 'sha512' }],
  ['EdDSA', ed25519],
  ['Ed25519', ed25519],
  ['HS256', { kty: 'oct', crv: undefined, digest: 'sha256' }],
  ['HS384', { kty: 'oct', crv: undefined, digest: 'sha384' }],
  ['HS512', { kty: 'oct', crv: undefined, digest: 'sha512' }],
])

/** The row of an algorithm; `undefined` for `none` and whatever else is not in the table. */
export function findJwsAlgorithm(alg: string): JwsAlgorithm | undefined {
  return ALGORITHMS.get(alg)
}

/** Whether two names mean one algorithm: `EdDSA` with an Ed25519 key is `Ed25519` (RFC 9864 3.1.1). */
export function isSameAlgorithm(alg: string, other: string): boolean {
  return ALGORITHMS.has(alg) && ALGORITHMS.get(alg) === ALGORITHMS.get(other)
}

/** One row of the table of key management algorithms (RFC 7518 4.1, RFC 8037 3.2). */
interface KeyManagement {
  /** The key type that it takes; `EC` stands for X25519 too, `oct` for a key made of the client secret. */
  readonly kty: 'RSA' | 'EC' | 'oct'
  /** How long a key of the client secret must be, in bits; absent for `dir`, where the content encryption tells. */
  readonly bits?: number
}

/**
 * RSA1_5 is left out for the oracle that it is (RFC 8725 3.2), the PBES2 kin since the sender says how much work they make
 * (`p2c`, RFC 7518 4.8.1.2).
 */
const KEY_MANAGEMENT: ReadonlyMap<string, KeyManagement> = new Map<string, KeyManagement>([
  ['RSA-OAEP', { kty: 'RSA' }],
  ['RSA-OAEP-256', { kty: 'RSA' }],
  ['RSA-OAEP-384', { kty: 'RSA' }],
  ['RSA-OAEP-512', { kty: 'RSA' }],
  ['ECDH-ES', { kty: 'EC' }],
  ['ECDH-ES+A128KW', { kty: 'EC' }],
  ['ECDH-ES+A192KW', { kty: 'EC' }],
  ['ECDH-ES+A256KW', { kty: 'EC' }],
  ['dir', { kty: 'oct' }],
  ['A128KW', { kty: 'oct', bits: 128 }],
  ['A192KW', { kty: 'oct', bits: 192 }],
  ['A256KW', { kty: 'oct', bits: 256 }],
  ['A128GCMKW', { kty: 'oct', bits: 128 }],
  ['A192GCMKW', { kty: 'oct', bits: 192 }],
  ['A256GCMKW', { kty: 'oct', bits: 256 }],
])

/** The length of the content encryption's key, in bits (RFC 7518 5.1). */
const CONTENT_ENCRYPTION: ReadonlyMap<string, number> = new Map([
  ['A128GCM', 128],
  ['A192GCM', 192],
  ['A256GCM', 256],
  ['A128CBC-HS256', 256],
  ['A192CBC-HS384', 384],
  ['A256CBC-HS512', 512],
])

/** The row of a key management algorithm; `undefined` for what is not in the table. */
export function findKeyManagement(alg: string): KeyManagement | undefined {
  return KEY_MANAGEMENT.get(alg)
}

/** How long the key of a content encryption is, in bits; `undefined` for what is not in the table. */
export function contentKeyBits(enc: string): number | undefined {
  return CONTENT_ENCRYPTION.get(enc)
}

/** Whether what is signed or encrypted by this algorithm takes the client secret, and no pair of keys. */
export function isBySecret(alg: string | undefined): boolean {
  return alg !== undefined && [findJwsAlgorithm(alg)?.kty, findKeyManagement(alg)?.kty].includes('oct')
}
