import type { JsonObject } from '../json-object.ts'
import { isSameAlgorithm } from './jws-algorithms.ts'
import type { TokenFaultName, TokenKind } from './token-kind.ts'

/** One rule about the header of a token that the provider has signed. */
export interface HeaderRule {
  readonly name: TokenFaultName
  /** How the sentence about the token goes on. */
  readonly message: string
  readonly holds: (header: JsonObject, expected: { readonly alg: string; readonly kind: TokenKind }) => boolean
}

const PLAIN_JWT = /^(application\/)?jwt$/i
/** Types of tokens that are something else (RFC 9068 2.1, OIDC Back-Channel Logout 2.4, RFC 9101 10.8 ...). */
const OTHER_TYPE =
  /^(application\/)?(at|logout|dpop|secevent|oauth-authz-req|client-authentication|token-introspection|entity-statement)\+jwt$/i

/** What `typ` may be, where there is one. */
const TYPES: Readonly<Record<TokenKind, (typ: string) => boolean>> = {
  ID_TOKEN: (typ) => PLAIN_JWT.test(typ),
  RESPONSE_JWT: (typ) => PLAIN_JWT.test(typ),
  // OIDC Core 5.3.2 names no type for it, and providers choose their own.
  USERINFO_JWT: (typ) => !OTHER_TYPE.test(typ),
  // OIDC Back-Channel Logout 2.4: recommended, and many providers leave it out. The events tell it from an ID Token.
  // Global Token Revocation 3: always there, as the rule below sees to.
  REVOCATION_JWT: (typ) => /^(application\/)?global-token-revocation\+jwt$/i.test(typ),
  LOGOUT_TOKEN: (typ) => PLAIN_JWT.test(typ) || /^(application\/)?logout\+jwt$/i.test(typ),
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
    holds: ({ alg }, expected) => typeof alg === 'string' && isSameAlgorithm(alg, expected.alg),
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
    holds: ({ typ }, { kind }) => {
      return typ === undefined ? kind !== 'REVOCATION_JWT' : typeof typ === 'string' && TYPES[kind](typ)
    },
  },
  {
    name: 'MALFORMED',
    message: 'has a key identifier that is not a string.',
    holds: ({ kid }) => kid === undefined || typeof kid === 'string',
  },
]
