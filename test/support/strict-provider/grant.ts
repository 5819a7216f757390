import { randomBytes } from 'node:crypto'
import type { StrictClient } from './client.ts'
import { type AccessTokenRecord, type AuthorizationGrant, now, type StrictContext } from './context.ts'
import { type AuthorizationRequest, readJson } from './request.ts'

/** How long an access token is good for, in seconds. */
export const ACCESS_TOKEN_LIFE = 3600

/** What a right request is granted: all that it asks for. */
export function createGrant(
  context: StrictContext,
  client: StrictClient,
  { params, dpopJkt }: AuthorizationRequest,
): AuthorizationGrant {
  const claims = readClaims(params.get('claims'))
  const details = readJson(params.get('authorization_details'), undefined)
  return {
    client,
    redirectUri: params.get('redirect_uri') ?? '',
    scope: params.get('scope') ?? '',
    nonce: params.get('nonce') ?? '',
    codeChallenge: params.get('code_challenge') ?? '',
    dpopJkt: dpopJkt ?? params.get('dpop_jkt') ?? undefined,
    acr: acrOf(params),
    asksAuthTime: params.has('max_age') || claims.idToken.includes('auth_time'),
    authTime: context.authTime ?? now(),
    claims,
    authorizationDetails: Array.isArray(details) ? details : undefined,
    account: context.account,
    sid: randomBytes(8).toString('hex'),
    isRedeemed: false,
    isRevoked: false,
  }
}

function readClaims(text: string | null): AuthorizationGrant['claims'] {
  const asked = Object(readJson(text, {}))
  return { idToken: Object.keys(Object(asked.id_token)), userinfo: Object.keys(Object(asked.userinfo)) }
}

/** The first that is asked for, one by one (OIDC Core 5.5.1.1) or in a list (3.1.2.1). */
function acrOf(params: URLSearchParams): string | undefined {
  const { acr } = Object(Object(readJson(params.get('claims'), {})).id_token)
  const [asked] = [Object(acr).value, Object(acr).values].flat().filter((value) => typeof value === 'string')
  const [first] = (params.get('acr_values') ?? '').split(' ').filter((value) => value !== '')
  return asked ?? first
}

/** What an access token is bound to. */
export interface TokenBinding {
  readonly jkt?: string | undefined
  readonly thumbprint?: string | undefined
}

/** A new access token, which UserInfo will know again. */
export function createAccessToken(
  context: StrictContext,
  grant: AuthorizationGrant,
  scope: string,
  { jkt, thumbprint }: TokenBinding = {},
): string {
  const accessToken = randomBytes(24).toString('base64url')
  const expiresAt = now() + ACCESS_TOKEN_LIFE
  const record: AccessTokenRecord = { grant, scope, jkt, thumbprint, expiresAt, isRevoked: false }
  context.accessTokens.set(accessToken, record)
  return accessToken
}
