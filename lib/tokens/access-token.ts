import { OidcError } from '../errors.ts'
import type { RefreshedTokens } from '../protocol/refresh-grant.ts'
import { refreshedRecord } from '../protocol/refreshed-login.ts'
import { nowInSeconds } from '../time/seconds.ts'
import type { AccessToken, Login, TokenRecord } from '../types.ts'

/** Which access token of a login a caller needs. */
export interface AccessTokenQuery {
  readonly scope?: string | undefined
  readonly resource?: string | undefined
  /** The token that an API has rejected, or that the caller wants refreshed. It is not returned, even if it has not expired. */
  readonly rejectedToken?: string | undefined
  /** Names what is exchanged for the token. */
  readonly exchangeKey?: string | undefined
}

/** An access token must not expire within this time, in seconds. */
const MIN_REMAINING_SECONDS = 60

/**
 * Returns the requested access token if it can still be used. It must not expire within a minute, or within half of its
 * lifetime if that is shorter. A token without a known expiry is used until an API rejects it.
 */
export function usableToken(tokens: TokenRecord, query: AccessTokenQuery): AccessToken | undefined {
  const token = tokenFor(tokens, query)
  if (token === undefined || token.accessToken === query.rejectedToken) return undefined
  const { expiresAt = Number.POSITIVE_INFINITY, issuedAt = 0 } = token
  const remaining = expiresAt - nowInSeconds()
  const lastsLongEnough = remaining > Math.min(MIN_REMAINING_SECONDS, (expiresAt - issuedAt) / 2)
  // A token can be exchanged again without a refresh token.
  const cannotBeRefreshed = query.exchangeKey === undefined && tokens.refreshToken === undefined && remaining > 0
  return lastsLongEnough || cannotBeRefreshed ? token : undefined
}

/** Returns the requested access token of the record, whether or not it has expired. */
export function tokenFor(tokens: TokenRecord, query: AccessTokenQuery): AccessToken | undefined {
  const key = keyOf(query)
  if (key !== undefined) return Object.hasOwn({ ...tokens.others }, key) ? tokens.others?.[key] : undefined
  const { accessToken, tokenType = 'Bearer', expiresAt, issuedAt, dpopKey } = tokens
  if (accessToken === undefined) return undefined
  return {
    accessToken,
    tokenType,
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(issuedAt === undefined ? {} : { issuedAt }),
    ...(dpopKey === undefined ? {} : { dpopKey }),
  }
}

/** Returns the record after a refresh, or after another request for the token that is asked for. */
export function updatedRecord(tokens: TokenRecord, refreshed: RefreshedTokens, query: AccessTokenQuery): TokenRecord {
  const key = keyOf(query)
  if (key === undefined) return refreshedRecord(tokens, refreshed)
  return refreshedRecord(tokens, refreshed, (record, token) => ({
    ...record,
    others: addToken(tokens.others, key, token),
  }))
}

/** Returns the login, or throws `ERR_OIDC_TOKEN_UNAVAILABLE` if no user is logged in. */
export function requireLogin(login: Login | undefined): Login {
  return (
    login ?? tokenUnavailable('No user is logged in, so there is no access token. Guard the route with requireAuth().')
  )
}

export function tokenUnavailable(message: string): never {
  throw new OidcError('ERR_OIDC_TOKEN_UNAVAILABLE', message)
}

/** The key of an API's own token in `others`. The token of the login itself has none. */
function keyOf({ scope, resource, exchangeKey }: AccessTokenQuery): string | undefined {
  if (exchangeKey !== undefined) return exchangeKey
  return scope === undefined && resource === undefined ? undefined : JSON.stringify([scope ?? null, resource ?? null])
}

/** How many tokens for single APIs one login keeps. */
const MAX_API_TOKENS = 20

/** Adds a token and removes those that have expired. */
function addToken(others: TokenRecord['others'], key: string, token: AccessToken): NonNullable<TokenRecord['others']> {
  const now = nowInSeconds()
  const live = Object.entries({ ...others }).filter(([, { expiresAt }]) => expiresAt === undefined || expiresAt > now)
  return Object.fromEntries([...live, [key, token] as const].slice(-MAX_API_TOKENS))
}
