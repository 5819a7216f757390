import { createHash, randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { sendOAuthError, sendOktaJson, tellUsualRateLimit } from './answers.ts'
import { authenticateOktaClient, isRefusal } from './client-auth.ts'
import {
  endpointAt,
  nowInSeconds,
  type OktaContext,
  type OktaFamily,
  type OktaGrant,
  type OktaRequest,
  serverOf,
} from './context.ts'
import type { JsonObject, OktaClient } from './directory.ts'
import { checkDpopProof } from './dpop.ts'
import { encryptFor } from './encryption.ts'
import { clientOf, issueOktaAccessToken, issueOktaIdToken } from './tokens.ts'

/** The absolute URL that was called. */
export function endpointOf({ url, serverId, endpoint }: OktaRequest): string {
  return endpointAt(url.origin, serverId, endpoint)
}

export async function answerToken(context: OktaContext, request: OktaRequest, res: ServerResponse): Promise<void> {
  const client = await authenticateOktaClient(context, request, endpointOf(request))
  if (isRefusal(client)) {
    if (request.headers.authorization) res.setHeader('WWW-Authenticate', 'Basic realm="Okta"')
    return sendOAuthError(res, client.status, client.error, client.text)
  }
  const jkt = await checkDpopProof(context, request, endpointOf(request), res)
  if (jkt === false) return
  if (client.dpop_bound_access_tokens && jkt === undefined) {
    return sendOAuthError(res, 400, 'invalid_dpop_proof', 'The DPoP proof JWT header is missing.')
  }
  const type = request.form.get('grant_type')
  if (type === 'authorization_code') return answerCode(context, request, client, jkt, res)
  if (type === 'refresh_token') return answerRefresh(context, request, client, jkt, res)
  sendOAuthError(res, 400, 'unsupported_grant_type', 'The authorization grant type is not supported.')
}

async function answerCode(
  context: OktaContext,
  { form, serverId }: OktaRequest,
  client: OktaClient,
  jkt: string | undefined,
  res: ServerResponse,
): Promise<void> {
  const grant = context.codes.get(form.get('code') ?? '')
  const challenge = createHash('sha256')
    .update(form.get('code_verifier') ?? '')
    .digest('base64url')
  const isGood =
    grant !== undefined &&
    !grant.isRedeemed &&
    grant.clientId === client.client_id &&
    grant.serverId === serverId &&
    grant.issuedAt + 300 >= nowInSeconds() &&
    grant.redirectUri === form.get('redirect_uri') &&
    (grant.codeChallenge === undefined || grant.codeChallenge === challenge)
  if (!isGood) return sendOAuthError(res, 400, 'invalid_grant', 'The authorization code is invalid or has expired.')
  grant.isRedeemed = true
  const family = { grant, usedAt: new Map(), accessTokens: new Set<string>(), isDead: false }
  context.families.push(family)
  await sendTokens(context, family, { scopes: grant.scopes, nonce: grant.nonce, jkt }, res)
}

/** A scope that is left out is all of them (RFC 6749 6). Each token but the newest is good for the leeway after its use. */
async function answerRefresh(
  context: OktaContext,
  { form }: OktaRequest,
  client: OktaClient,
  jkt: string | undefined,
  res: ServerResponse,
): Promise<void> {
  const token = form.get('refresh_token') ?? ''
  const family = context.families.find(({ usedAt }) => usedAt.has(token))
  const now = nowInSeconds()
  const usedAt = family?.usedAt.get(token)
  if (family !== undefined && usedAt !== undefined && now - usedAt > client.leeway) killFamily(context, family)
  if (family === undefined || family.isDead || family.grant.clientId !== client.client_id) {
    return sendOAuthError(res, 400, 'invalid_grant', 'The refresh token is invalid or expired.')
  }
  const scopes = form.get('scope')?.split(' ') ?? family.grant.scopes
  if (!scopes.every((scope) => family.grant.scopes.includes(scope))) {
    return sendOAuthError(res, 400, 'invalid_scope', 'The requested scope is invalid, unknown, or malformed.')
  }
  // Where no other comes in its place it goes on.
  const isReplaced = client.rotation_type === 'ROTATE' && scopes.includes('offline_access')
  if (isReplaced) family.usedAt.set(token, usedAt ?? now)
  await sendTokens(context, family, { scopes, nonce: undefined, jkt }, res)
}

/** Revokes the newest refresh token and all access tokens of the family. */
export function killFamily({ accessTokens }: OktaContext, family: OktaFamily): void {
  family.isDead = true
  for (const accessToken of family.accessTokens) accessTokens.delete(accessToken)
}

interface Issue {
  readonly scopes: readonly string[]
  readonly nonce: string | undefined
  readonly jkt: string | undefined
}

async function sendTokens(
  context: OktaContext,
  family: OktaFamily,
  { scopes, nonce, jkt }: Issue,
  res: ServerResponse,
): Promise<void> {
  const grant: OktaGrant = { ...family.grant, scopes }
  const accessToken = await issueOktaAccessToken(context, grant, jkt)
  family.accessTokens.add(accessToken)
  const refreshToken = scopes.includes('offline_access') ? newRefreshToken(context, family) : undefined
  const idToken = scopes.includes('openid')
    ? await encryptFor(clientOf(context, grant), issueOktaIdToken(context, grant, { accessToken, nonce }))
    : undefined
  const json: JsonObject = {
    token_type: jkt === undefined ? 'Bearer' : 'DPoP',
    expires_in: serverOf(context, grant).accessTokenLifetime,
    access_token: accessToken,
    scope: scopes.join(' '),
    ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
    ...(idToken === undefined ? {} : { id_token: idToken }),
  }
  tellUsualRateLimit(res)
  sendOktaJson(res, 200, context.change.tokenAnswer?.(json, res) ?? json)
}

/** A static refresh token stays the same. */
function newRefreshToken(context: OktaContext, { grant, usedAt }: OktaFamily): string {
  const [first] = usedAt.keys()
  if (context.clients.get(grant.clientId)?.rotation_type === 'STATIC' && first !== undefined) return first
  const refreshToken = randomBytes(32).toString('base64url')
  usedAt.set(refreshToken, undefined)
  return refreshToken
}
