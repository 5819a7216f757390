import { constants, createHmac, type KeyObject, timingSafeEqual, verify } from 'node:crypto'

/** One row of the table of signature algorithms (RFC 7518 3.1, RFC 8037 3.1, RFC 9864 2.2). */
export interface JwsAlgorithm {
  /** The key type that it takes (`oct` is a shared secret). No other is ever tried with it (RFC 8725 3.1). */
  readonly kty: 'RSA' | 'EC' | 'OKP' | 'oct'
  /** The curve that it takes, where it takes one. */
  readonly crv: string | undefined
  /** The hash of the signature, and of `at_hash` (OIDC Core 3.1.3.6). */
  readonly digest: string
  /** Whether the signature over the input was made by the owner of the key. */
  readonly verify: (key: KeyObject, input: Uint8Array, signature: Uint8Array) => boolean
}

const ed25519: JwsAlgorithm = {
  kty: 'OKP',
  crv: 'Ed25519',
  digest: 'sha512',
  verify: (key, input, signature) => verify(null, input, key, signature),
}

const ALGORITHMS: ReadonlyMap<string, JwsAlgorithm> = new Map([
  ['RS256', rsa('sha256')],
  ['RS384', rsa('sha384')],
  ['RS512', rsa('sha512')],
  ['PS256', rsaPss('sha256', 32)],
  ['PS384', rsaPss('sha384', 48)],
  ['PS512', rsaPss('sha512', 64)],
  ['ES256', ecdsa('P-256', 'sha256')],
  ['ES384', ecdsa('P-384', 'sha384')],
  ['ES512', ecdsa('P-521', 'sha512')],
  ['EdDSA', ed25519],
  ['Ed25519', ed25519],
  ['HS256', hmac('sha256')],
  ['HS384', hmac('sha384')],
  ['HS512', hmac('sha512')],
])

/** The row of an algorithm; `undefined` for `none` and whatever else is not in the table. */
export function findJwsAlgorithm(alg: string): JwsAlgorithm | undefined {
  return ALGORITHMS.get(alg)
}

/** Whether two names mean one algorithm: `EdDSA` with an Ed25519 key is `Ed25519` (RFC 9864 3.1.1). */
export function isSameAlgorithm(alg: string, other: string): boolean {
  return ALGORITHMS.has(alg) && ALGORITHMS.get(alg) === ALGORITHMS.get(other)
}

function rsa(digest: string): JwsAlgorithm {
  return {
    kty: 'RSA',
    crv: undefined,
    digest,
    verify: (key, input, signature) => verify(digest, input, key, signature),
  }
}

function rsaPss(digest: string, saltLength: number): JwsAlgorithm {
  const padding = constants.RSA_PKCS1_PSS_PADDING
  return {
    kty: 'RSA',
    crv: undefined,
    digest,
    verify: (key, input, signature) => verify(digest, input, { key, padding, saltLength }, signature),
  }
}

function ecdsa(crv: string, digest: string): JwsAlgorithm {
  // RFC 7518 3.4: R and S as they are, one after the other, not in DER.
  const dsaEncoding = 'ieee-p1363'
  return {
    kty: 'EC',
    crv,
    digest,
    verify: (key, input, signature) => verify(digest, input, { key, dsaEncoding }, signature),
  }
}

function hmac(digest: string): JwsAlgorithm {
  return {
    kty: 'oct',
    crv: undefined,
    digest,
    verify: (key, input, signature) => {
      const expected = createHmac(digest, key).update(input).digest()
      return signature.byteLength === expected.byteLength && timingSafeEqual(expected, signature)
    },
  }
}
