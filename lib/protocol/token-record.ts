import type { DpopKey, TokenRecord } from '../types.ts'

/** What a login or a refresh has brought. */
interface Tokens {
  /** The signed ID Token, verified. */
  readonly idToken: string
  readonly accessToken?: string | undefined
  readonly tokenType: string
  readonly refreshToken?: string | undefined
  /** In seconds. */
  readonly expiresIn?: number | undefined
  readonly dpopKey?: DpopKey | undefined
  readonly nonce?: string | undefined
  readonly sessionState?: string | undefined
  /** When the tokens were asked for, in seconds since 1970: their life counts from then, or they would seem to live on. */
  readonly askedAt: number
}

/** The record of the tokens, without what is not there. */
export function createTokenRecord(tokens: Tokens): TokenRecord {
  const { idToken, accessToken, tokenType, refreshToken, expiresIn, dpopKey, nonce, sessionState, askedAt } = tokens
  return {
    idToken,
    ...(accessToken === undefined ? {} : { accessToken, tokenType }),
    ...(refreshToken === undefined ? {} : { refreshToken }),
    ...(expiresIn === undefined ? {} : { expiresAt: askedAt + expiresIn, issuedAt: askedAt }),
    ...(dpopKey === undefined ? {} : { dpopKey }),
    ...(sessionState === undefined ? {} : { sessionState }),
    // Of no use but to a refresh.
    ...(nonce === undefined || refreshToken === undefined ? {} : { nonce }),
  }
}
