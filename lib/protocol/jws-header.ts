import type { JsonObject } from './json-object.ts'
import { isSameAlgorithm } from './jws-algorithms.ts'

/** One rule about the header of a token that the provider has signed. */
export interface HeaderRule {
  /** The end of the error code. */
  readonly name: 'ALG' | 'CRIT' | 'TYPE' | 'MALFORMED'
  /** How the sentence about the token goes on. */
  readonly message: string
  readonly holds: (header: JsonObject, alg: string) => boolean
}

/**
 * What the header must fulfil, in this order. `jku`, `x5u`, `jwk` and `x5c` are looked at by nobody: a token does not
 * choose its own key (RFC 8725 3.10).
 */
export const HEADER_RULES: readonly HeaderRule[] = [
  {
    // OIDC Core 3.1.3.7 (7), RFC 8725 3.1. `none` is not in the table of algorithms, so it equals nothing.
    name: 'ALG',
    message: 'is not signed with the algorithm that the configuration names.',
    holds: ({ alg }, expected) => typeof alg === 'string' && isSameAlgorithm(alg, expected),
  },
  {
    // RFC 7515 4.1.11: we understand no extension. RFC 7797 6: `b64` comes with `crit` only.
    name: 'CRIT',
    message: 'demands an extension that is not understood.',
    holds: (header) => !Object.hasOwn(header, 'crit') && !Object.hasOwn(header, 'b64'),
  },
  {
    // RFC 8725 3.11: most providers leave it out, but a logout token or an access token is no ID Token.
    name: 'TYPE',
    message: 'is a token of another type.',
    holds: ({ typ }) => typ === undefined || (typeof typ === 'string' && /^(application\/)?jwt$/i.test(typ)),
  },
  {
    name: 'MALFORMED',
    message: 'has a key identifier that is not a string.',
    holds: ({ kid }) => kid === undefined || typeof kid === 'string',
  },
]
