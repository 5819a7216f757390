/** One row of the table of key management algorithms (RFC 7518 4.1, RFC 8037 3.2). */
export interface KeyManagement {
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
