/** One row of the table of signature algorithms (RFC 7518 3.1, RFC 8037 3.1, RFC 9864 2.2). */
export interface JwsAlgorithm {
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
