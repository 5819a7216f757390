import type { ErrorCode } from '../errors.ts'
import type { JsonObject } from './json-object.ts'
import { isSameAlgorithm } from './jws-algorithms.ts'

/** One rule about the header of an ID Token. */
export interface HeaderRule {
  readonly code: ErrorCode
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
    code: 'ERR_OIDC_ID_TOKEN_ALG',
    message: 'The ID Token is not signed with the algorithm that idTokenSignedResponseAlg names.',
    holds: ({ alg }, expected) => typeof alg === 'string' && isSameAlgorithm(alg, expected),
  },
  {
    // RFC 7515 4.1.11: we understand no extension. RFC 7797 6: `b64` comes with `crit` only.
    code: 'ERR_OIDC_ID_TOKEN_CRIT',
    message: 'The ID Token demands an extension that is not understood.',
    holds: (header) => !Object.hasOwn(header, 'crit') && !Object.hasOwn(header, 'b64'),
  },
  {
    // RFC 8725 3.11: most providers leave it out, but a logout token or an access token is no ID Token.
    code: 'ERR_OIDC_ID_TOKEN_TYPE',
    message: 'The token is of another type than an ID Token.',
    holds: ({ typ }) => typ === undefined || (typeof typ === 'string' && /^(application\/)?jwt$/i.test(typ)),
  },
  {
    code: 'ERR_OIDC_ID_TOKEN_MALFORMED',
    message: "The ID Token's key identifier is not a string.",
    holds: ({ kid }) => kid === undefined || typeof kid === 'string',
  },
]
