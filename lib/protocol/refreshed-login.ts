import type { AccessToken, Login, TokenRecord } from '../types.ts'
import type { RefreshedTokens } from './refresh-grant.ts'
import type { TokenResponse } from './token-endpoint.ts'

/**
 * Returns the record after a refresh. What the response leaves out stays: the refresh token (RFC 6749 6) and the ID Token
 * (OIDC Core 12.2).
 *
 * @param add Adds the new access token. By default it is that of the login.
 */
export function refreshedRecord(
  tokens: TokenRecord,
  { response, idToken, requestedAt }: RefreshedTokens,
  add: (record: TokenRecord, token: AccessToken) => TokenRecord = replaceAccessToken,
): TokenRecord {
  const { access_token: accessToken, token_type: tokenType, expires_in: expiresIn } = response
  const kept = {
    ...tokens,
    ...(response.refresh_token === undefined ? {} : { refreshToken: response.refresh_token }),
    ...(idToken === undefined ? {} : { idToken: idToken.token }),
  }
  if (accessToken === undefined) return kept
  return add(kept, {
    accessToken,
    tokenType,
    ...(expiresIn === undefined ? {} : { expiresAt: requestedAt + expiresIn, issuedAt: requestedAt }),
    ...(tokenType === 'DPoP' && tokens.dpopKey !== undefined ? { dpopKey: tokens.dpopKey } : {}),
  })
}

function replaceAccessToken(record: TokenRecord, token: AccessToken): TokenRecord {
  const { expiresAt: _expiresAt, issuedAt: _issuedAt, ...rest } = record
  return { ...rest, ...token }
}

type Grant = Pick<Login, 'scope' | 'authorizationDetails'>

/** What is granted after a refresh: it may be less than the login was granted, never more (RFC 6749 6, RFC 9396 7). */
export function narrowedGrant(
  { scope: before, authorizationDetails: detailsBefore }: Grant,
  { scope, authorization_details: details }: Pick<TokenResponse, 'scope' | 'authorization_details'>,
): Grant {
  return {
    scope: scope === undefined ? before : intersectScopes(before, scope),
    ...(detailsBefore === undefined ? {} : { authorizationDetails: narrowedDetails(detailsBefore, details) }),
  }
}

type Details = NonNullable<Login['authorizationDetails']>

/** Without types that the login was not granted. */
function narrowedDetails(before: Details, now: Details | undefined): Details {
  if (now === undefined) return before
  return now.filter(({ type }) => before.some((one) => one.type === type))
}

/** The scopes of a login that are still granted. */
function intersectScopes(scope: string, granted: string): string {
  const names = new Set(granted.split(' '))
  return scope
    .split(' ')
    .filter((name) => names.has(name))
    .join(' ')
}
