import { randomBytes } from 'node:crypto'
import { type AuthorizationGrant, type Demand, now, type RefreshTokenRecord, type StrictContext } from './context.ts'
import type { TokenBinding } from './grant.ts'

/** Okta's usual leeway, in seconds: an answer may have been lost on its way. */
const LEEWAY = 30

/** A refresh that may be answered. */
export interface Refresh {
  readonly refreshToken: string
  readonly record: RefreshTokenRecord
  /** What is asked for now: part of what was granted. */
  readonly scope: string
}

/** RFC 6749 6. A token that was used before ends its whole family (RFC 9700 4.14.2). */
export function readRefresh(
  context: StrictContext,
  form: URLSearchParams,
  { jkt }: TokenBinding,
): { readonly refresh: Refresh | undefined; readonly demands: readonly Demand[] } {
  const refreshToken = form.get('refresh_token') ?? ''
  const record = context.refreshTokens.get(refreshToken)
  if (!record) return { refresh: undefined, demands: [[true, 'invalid_grant', 'refresh_token is not known']] }
  const { grant } = record
  const scope = form.get('scope') ?? grant.scope
  const isWider = scope.split(' ').some((name) => !grant.scope.split(' ').includes(name))
  const isReused = record.replacedAt !== undefined && !isWithinLeeway(context, record.replacedAt)
  const demands: readonly Demand[] = [
    [grant.isRevoked || record.isRevoked, 'invalid_grant', 'refresh_token was revoked'],
    [isReused, 'invalid_grant', 'refresh_token was used before'],
    [isWider, 'invalid_scope', 'scope is more than what was granted'],
    [record.jkt !== undefined && record.jkt !== jkt, 'invalid_dpop_proof', 'refresh_token is bound to another key'],
  ]
  if (isReused) grant.isRevoked = true
  return { refresh: { refreshToken, record, scope }, demands }
}

function isWithinLeeway({ refreshTokenRotation }: StrictContext, replacedAt: number): boolean {
  return refreshTokenRotation === 'reuse-leeway' && now() - replacedAt <= LEEWAY
}

/** The first refresh token of a grant, for those who asked for one (OIDC Core 11). */
export function startRefreshTokens(
  context: StrictContext,
  grant: AuthorizationGrant,
  binding: TokenBinding,
): string | undefined {
  return grant.scope.split(' ').includes('offline_access') ? createRefreshToken(context, grant, binding) : undefined
}

/** What a refresh answers in the place of the token that it has used; `undefined`: that one stays good. */
export function rotateRefreshToken(
  context: StrictContext,
  { refreshToken, record }: Refresh,
  binding: TokenBinding,
): string | undefined {
  if (context.refreshTokenRotation === 'absent') return undefined
  if (context.refreshTokenRotation === 'same') return refreshToken
  record.replacedAt ??= now()
  return createRefreshToken(context, record.grant, binding)
}

function createRefreshToken(context: StrictContext, grant: AuthorizationGrant, { jkt }: TokenBinding): string {
  const refreshToken = randomBytes(24).toString('base64url')
  context.refreshTokens.set(refreshToken, { grant, jkt, replacedAt: undefined, isRevoked: false })
  return refreshToken
}
