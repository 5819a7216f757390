import type { JsonObject } from '../json-object.ts'
import { contentKeyBits, findKeyManagement } from './jwe-algorithms.ts'
import type { TokenFaultName } from './token-kind.ts'

/** What the client is registered with. */
export interface RegisteredEncryption {
  readonly alg: string
  readonly enc: string
}

/** One rule about the header of an encrypted token. Nobody has signed it: it is a hint, and grants nothing. */
export interface EncryptionHeaderRule {
  readonly name: TokenFaultName
  /** How the sentence about the token goes on. */
  readonly message: string
  readonly holds: (header: JsonObject, registered: RegisteredEncryption) => boolean
}

/** What the header must fulfil, in this order, before any key is touched. */
export const ENCRYPTION_HEADER_RULES: readonly EncryptionHeaderRule[] = [
  {
    // OIDC Core 3.1.3.7 (1), RFC 8725 3.1. What is not in the tables equals nothing.
    name: 'ENCRYPTION_ALG',
    message: 'is not encrypted with the algorithms that the configuration names.',
    holds: ({ alg, enc }, registered) =>
      alg === registered.alg &&
      enc === registered.enc &&
      findKeyManagement(registered.alg) !== undefined &&
      contentKeyBits(registered.enc) !== undefined,
  },
  {
    // RFC 7516 4.1.13: we understand no extension. RFC 8725 3.6: nor is anything inflated, whose size nobody knows before.
    name: 'CRIT',
    message: 'demands an extension that is not understood.',
    holds: (header) => !Object.hasOwn(header, 'crit') && !Object.hasOwn(header, 'zip'),
  },
  {
    // RFC 7519 5.2: what is inside is a JWT. Some providers do not say so.
    name: 'TYPE',
    message: 'is said to hold something else than a JWT.',
    holds: ({ cty }) => cty === undefined || (typeof cty === 'string' && /^(application\/)?jwt$/i.test(cty)),
  },
  {
    name: 'MALFORMED',
    message: 'has a key identifier that is not a string.',
    holds: ({ kid }) => kid === undefined || typeof kid === 'string',
  },
]
