import { OidcError } from '../errors.ts'
import type { RefreshedTokens } from '../protocol/refresh-grant.ts'
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

/**
 * Returns the record after a refresh. What the response leaves out stays: the refresh token (RFC 6749 6) and the ID Token
 * (OIDC Core 12.2).
 */
export function updatedRecord(
  tokens: TokenRecord,
  { response, idToken, requestedAt }: RefreshedTokens,
  query: AccessTokenQuery,
): TokenRecord {
  const { access_token: accessToken, token_type: tokenType, expires_in: expiresIn } = response
  const kept = {
    ...tokens,
    ...(response.refresh_token === undefined ? {} : { refreshToken: response.refresh_token }),
    ...(idToken === undefined ? {} : { idToken: idToken.token }),
  }
  if (accessToken === undefined) return kept
  const token: AccessToken = {
    accessToken,
    tokenType,
    ...(expiresIn === undefined ? {} : { expiresAt: requestedAt + expiresIn, issuedAt: requestedAt }),
    ...(tokenType === 'DPoP' && tokens.dpopKey !== undefined ? { dpopKey: tokens.dpopKey } : {}),
  }
  const key = keyOf(query)
  if (key !== undefined) return { ...kept, others: addToken(tokens.others, key, token) }
  const { expiresAt: _expiresAt, issuedAt: _issuedAt, ...rest } = kept
  return { ...rest, ...token }
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

/** What is granted now (RFC 9396 7), without types that the login was not granted. */
export function narrowedDetails(
  { authorizationDetails: before }: Login,
  details: Details,
): Pick<Login, 'authorizationDetails'> {
  const isGranted = ({ type }: Details[number]): boolean => before?.some((one) => one.type === type) ?? false
  return before === undefined ? {} : { authorizationDetails: details.filter(isGranted) }
}

type Details = NonNullable<Login['authorizationDetails']>

/** The scopes of a login that are still granted. */
export function intersectScopes(scope: string, granted: string): string {
  const names = new Set(granted.split(' '))
  return scope
    .split(' ')
    .filter((name) => names.has(name))
    .join(' ')
}
