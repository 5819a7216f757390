import type { AccessToken, TokenRecord } from '../types.ts'

/** An access token that is handed out lives for at least so long, in seconds. */
const MIN_REMAINING_SECONDS = 60

/** Tokens for APIs of their own that one login keeps. */
const MOST_TOKENS = 20

/** What one caller wants of an access token. */
export interface AccessTokenQuery {
  readonly scope?: string | undefined
  readonly resource?: string | undefined
  /** Not this one, whatever its life: an API has refused it. */
  readonly rejectedToken?: string | undefined
}

/** What a refresh has brought. */
interface Refreshed {
  readonly response: {
    readonly access_token: string
    readonly token_type: string
    readonly refresh_token?: string
    readonly expires_in?: number
  }
  readonly idToken: { readonly token: string } | undefined
  readonly askedAt: number
}

/**
 * The token that is meant, where it lives on for long enough: a minute, or half of its whole life where that is short. One
 * that the provider told no end of is used until an API refuses it.
 */
export function usableToken(tokens: TokenRecord, query: AccessTokenQuery): AccessToken | undefined {
  const found = tokenFor(tokens, query)
  if (found === undefined || found.accessToken === query.rejectedToken) return undefined
  const { expiresAt = Number.POSITIVE_INFINITY, issuedAt = 0 } = found
  const lastsLongEnough = expiresAt - Date.now() / 1000 > Math.min(MIN_REMAINING_SECONDS, (expiresAt - issuedAt) / 2)
  // Some tokens never live that long: whoever has no way to another gets what there is.
  const cannotBeRefreshed = tokens.refreshToken === undefined && expiresAt > Date.now() / 1000
  return lastsLongEnough || cannotBeRefreshed ? found : undefined
}

/** The token of the record that is meant, whatever its age. */
export function tokenFor(tokens: TokenRecord, query: AccessTokenQuery): AccessToken | undefined {
  const name = nameOf(query)
  if (name !== undefined) return Object.hasOwn({ ...tokens.others }, name) ? tokens.others?.[name] : undefined
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

/** Under what a token for an API of its own is kept; nothing for that of the login. */
function nameOf({ scope, resource }: AccessTokenQuery): string | undefined {
  return scope === undefined && resource === undefined ? undefined : JSON.stringify([scope ?? null, resource ?? null])
}

/** What the answer does not bring stays: the refresh token (RFC 6749 6), and the ID Token (OIDC Core 12.2). */
export function updatedRecord(
  tokens: TokenRecord,
  { response, idToken, askedAt }: Refreshed,
  query: AccessTokenQuery,
): TokenRecord {
  const { access_token: accessToken, token_type: tokenType, expires_in: expiresIn } = response
  const token: AccessToken = {
    accessToken,
    tokenType,
    ...(expiresIn === undefined ? {} : { expiresAt: askedAt + expiresIn, issuedAt: askedAt }),
    ...(tokenType === 'DPoP' && tokens.dpopKey !== undefined ? { dpopKey: tokens.dpopKey } : {}),
  }
  const kept = {
    ...tokens,
    ...(response.refresh_token === undefined ? {} : { refreshToken: response.refresh_token }),
    ...(idToken === undefined ? {} : { idToken: idToken.token }),
  }
  const name = nameOf(query)
  if (name !== undefined) return { ...kept, others: withToken(tokens.others, name, token) }
  const { expiresAt: _end, issuedAt: _start, ...lasting } = kept
  return { ...lasting, ...token }
}

/** A token that has ended is of no use to anybody. */
function withToken(
  others: TokenRecord['others'],
  name: string,
  token: AccessToken,
): NonNullable<TokenRecord['others']> {
  const now = Date.now() / 1000
  const lasting = Object.entries({ ...others }).filter(
    ([, { expiresAt }]) => expiresAt === undefined || expiresAt > now,
  )
  return Object.fromEntries([...lasting, [name, token] as const].slice(-MOST_TOKENS))
}
