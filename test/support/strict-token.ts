import { createHash, randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import {
  type AuthorizationGrant,
  type Demand,
  findFault,
  hasDuplicates,
  type JsonObject,
  type StrictContext,
  type StrictRequest,
  sendChanged,
} from './strict-context.ts'
import { issueIdToken } from './strict-id-token.ts'

/** OIDC Core 3.1.3 and 12. */
export async function answerToken(context: StrictContext, request: StrictRequest, res: ServerResponse): Promise<void> {
  const grant = grantOf(context, request)
  const fault = findFault(context, '/token', [
    ...requestDemands(request),
    ...clientDemands(context, request),
    ...(request.form.get('grant_type') === 'refresh_token'
      ? [[!grant, 'invalid_grant', 'refresh_token is not known'] as const]
      : codeDemands(grant, request)),
  ])
  if (fault || !grant) {
    const answer = { error: fault?.error, error_description: fault?.fault }
    const isUnknownClient = fault?.error === 'invalid_client'
    const headers: Record<string, string> = isUnknownClient ? { 'WWW-Authenticate': 'Basic realm="token"' } : {}
    sendChanged(res, answer, context.change.tokenResponse, { status: isUnknownClient ? 401 : 400, headers })
    return
  }
  grant.isRedeemed = true
  sendChanged(res, await issueTokens(context, grant), context.change.tokenResponse)
}

function grantOf(context: StrictContext, { form }: StrictRequest): AuthorizationGrant | undefined {
  if (form.get('grant_type') !== 'refresh_token') return context.codes.get(form.get('code') ?? '')
  const refreshToken = form.get('refresh_token') ?? ''
  const grant = context.refreshTokens.get(refreshToken)
  context.refreshTokens.delete(refreshToken)
  return grant
}

function requestDemands({ method, headers, query, form }: StrictRequest): readonly Demand[] {
  const type = headers['content-type'] ?? ''
  return [
    [method !== 'POST', 'invalid_request', 'the method is not POST'],
    [!/^application\/x-www-form-urlencoded(;|$)/.test(type), 'invalid_request', 'the body is not a form'],
    [[...query].length > 0, 'invalid_request', 'there are parameters in the query'],
    [hasDuplicates(form), 'invalid_request', 'a parameter is repeated'],
    [
      !/^(authorization_code|refresh_token)$/.test(form.get('grant_type') ?? ''),
      'unsupported_grant_type',
      'grant_type is not known',
    ],
  ]
}

function codeDemands(grant: AuthorizationGrant | undefined, { form }: StrictRequest): readonly Demand[] {
  const verifier = form.get('code_verifier') ?? ''
  const challenge = createHash('sha256').update(verifier).digest('base64url')
  if (!grant) return [[true, 'invalid_grant', 'code is not known']]
  return [
    [grant.isRedeemed, 'invalid_grant', 'code was used before'],
    [form.get('redirect_uri') !== grant.redirectUri, 'invalid_grant', 'redirect_uri is another one'],
    [!/^[\w.~-]{43,128}$/.test(verifier), 'invalid_grant', 'code_verifier is missing or malformed'],
    [challenge !== grant.codeChallenge, 'invalid_grant', 'code_verifier does not match'],
  ]
}

/** OAuth 2.0 2.3.1: one method, and exactly the one that is registered. */
function clientDemands(context: StrictContext, { headers, form }: StrictRequest): readonly Demand[] {
  const { tokenEndpointAuthMethod: method, clientId, clientSecret } = context
  const authorization = headers.authorization
  const isBasic = method === 'client_secret_basic'
  const isPost = method === 'client_secret_post'
  const wrongSecret = isPost ? form.get('client_secret') !== clientSecret : form.has('client_secret')
  return [
    [isBasic && !isBasicOf(authorization, clientId, clientSecret), 'invalid_client', 'Basic credentials are wrong'],
    [!isBasic && authorization !== undefined, 'invalid_client', 'an Authorization header was sent'],
    [!isBasic && form.get('client_id') !== clientId, 'invalid_client', 'client_id is wrong'],
    [isBasic && form.has('client_id'), 'invalid_request', 'client_id was sent beside the Authorization header'],
    [wrongSecret, 'invalid_client', 'client_secret is wrong, or does not belong into the body'],
  ]
}

/**
 * Base64 in its one canonical form, then `:` once, then both halves as `application/x-www-form-urlencoded` writes them:
 * no character encoded that need not be, since many providers never decode.
 */
function isBasicOf(header: string | undefined, clientId: string, clientSecret: string): boolean {
  const [scheme, encoded = '', ...more] = (header ?? '').split(' ')
  const decoded = Buffer.from(encoded, 'base64')
  if (scheme !== 'Basic' || more.length > 0 || decoded.toString('base64') !== encoded) return false
  return decoded.toString('utf8') === `${formEncode(clientId)}:${formEncode(clientSecret)}`
}

function formEncode(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1)
}

async function issueTokens(context: StrictContext, grant: AuthorizationGrant): Promise<JsonObject> {
  const { idTokenHeader: header, idTokenClaims: claims, idToken: jwt } = context.change
  const accessToken = randomBytes(24).toString('base64url')
  context.accessTokens.set(accessToken, grant)
  const refreshToken = randomBytes(24).toString('base64url')
  const hasRefreshToken = grant.scope.split(' ').includes('offline_access')
  if (hasRefreshToken) context.refreshTokens.set(refreshToken, grant)
  return {
    access_token: accessToken,
    token_type: 'Bearer',
    expires_in: 3600,
    scope: grant.scope,
    id_token: await issueIdToken(context, grant, { accessToken }, { header, claims, jwt }),
    ...(hasRefreshToken ? { refresh_token: refreshToken } : {}),
  }
}
