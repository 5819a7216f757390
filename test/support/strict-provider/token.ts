import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { StrictClient } from './client.ts'
import { authenticateClient } from './client-auth.ts'
import {
  type AuthorizationGrant,
  type Demand,
  findFault,
  type JsonObject,
  type StrictContext,
  type StrictRequest,
  sendChanged,
} from './context.ts'
import { formDemands, sendRefusal } from './direct-request.ts'
import { checkDpop, dpopNonceHeader, sendDpopChallenge } from './dpop.ts'
import { ACCESS_TOKEN_LIFE, createAccessToken, type TokenBinding } from './grant.ts'
import { issueIdToken } from './id-token.ts'
import { type Refresh, readRefresh, rotateRefreshToken, startRefreshTokens } from './refresh.ts'

/** What a token request asks for, as far as it is known. */
interface TokenRequest {
  readonly grant: AuthorizationGrant | undefined
  readonly refresh: Refresh | undefined
  readonly demands: readonly Demand[]
}

/** OIDC Core 3.1.3 and 12. */
export async function answerToken(context: StrictContext, request: StrictRequest, res: ServerResponse): Promise<void> {
  const isRefresh = request.form.get('grant_type') === 'refresh_token'
  const change = isRefresh ? context.change.refreshResponse : context.change.tokenResponse
  const proof = await checkDpop(context, request)
  const { client, demands } = await authenticateClient(context, request)
  const binding = { jkt: proof.jkt, thumbprint: thumbprintFor(client, request) }
  const asked = isRefresh ? readRefreshRequest(context, request, binding) : readCodeRequest(context, request, binding)
  const { grant, refresh } = asked
  const fault = findFault(context, '/token', [
    ...formDemands(request),
    ...grantTypeDemands(request),
    ...demands,
    ...proof.demands,
    ...bindingDemands(context, client, binding),
    ...asked.demands,
    [
      grant !== undefined && grant.client.clientId !== client?.clientId,
      'invalid_grant',
      'the grant is of another client',
    ],
  ])
  if (fault || !grant) return sendRefusal(res, fault, change)
  if (sendDpopChallenge(context, proof, 'authorizationServer', res)) return
  grant.isRedeemed = true
  const tokens = refresh
    ? await issueRefreshed(context, grant, refresh, binding)
    : await issueTokens(context, grant, binding)
  sendChanged(res, tokens, change, { headers: dpopNonceHeader(context, proof, 'authorizationServer') })
}

function grantTypeDemands({ form }: StrictRequest): readonly Demand[] {
  const isKnown = /^(authorization_code|refresh_token)$/.test(form.get('grant_type') ?? '')
  return [[!isKnown, 'unsupported_grant_type', 'grant_type is not known']]
}

function readCodeRequest(context: StrictContext, { form }: StrictRequest, binding: TokenBinding): TokenRequest {
  const grant = context.codes.get(form.get('code') ?? '')
  const verifier = form.get('code_verifier') ?? ''
  if (!grant) return { grant, refresh: undefined, demands: [[true, 'invalid_grant', 'code is not known']] }
  const demands: readonly Demand[] = [
    [grant.isRedeemed, 'invalid_grant', 'code was used before'],
    [form.get('redirect_uri') !== grant.redirectUri, 'invalid_grant', 'redirect_uri is another one'],
    ...verifierDemands(context, verifier, grant),
    // RFC 9449 10.
    [
      grant.dpopJkt !== undefined && grant.dpopJkt !== binding.jkt,
      'invalid_dpop_proof',
      'the code is bound to another key than that of the proof',
    ],
  ]
  return { grant, refresh: undefined, demands }
}

function verifierDemands({ pkce }: StrictContext, verifier: string, grant: AuthorizationGrant): readonly Demand[] {
  if (pkce === 'refused') return [[verifier !== '', 'invalid_request', 'code_verifier is not allowed']]
  const challenge = createHash('sha256').update(verifier).digest('base64url')
  return [
    [!/^[\w.~-]{43,128}$/.test(verifier), 'invalid_grant', 'code_verifier is missing or malformed'],
    [challenge !== grant.codeChallenge, 'invalid_grant', 'code_verifier does not match'],
  ]
}

function readRefreshRequest(context: StrictContext, { form }: StrictRequest, binding: TokenBinding): TokenRequest {
  const { refresh, demands } = readRefresh(context, form, binding)
  return { grant: refresh?.record.grant, refresh, demands }
}

/** RFC 8705 3: only where it is registered are tokens bound to the certificate. */
function thumbprintFor(client: StrictClient | undefined, { certificate }: StrictRequest): string | undefined {
  return client?.tlsClientCertificateBoundAccessTokens ? certificate?.thumbprint : undefined
}

function bindingDemands(
  { dpop }: StrictContext,
  client: StrictClient | undefined,
  { jkt, thumbprint }: TokenBinding,
): readonly Demand[] {
  const needsProof = dpop !== 'absent' && client?.dpopBoundAccessTokens === true
  const needsCertificate = client?.tlsClientCertificateBoundAccessTokens === true
  return [
    [needsProof && jkt === undefined, 'invalid_dpop_proof', 'there is no DPoP proof'],
    [needsCertificate && thumbprint === undefined, 'invalid_request', 'there is no certificate to bind a token to'],
  ]
}

function tokenResponse(
  grant: AuthorizationGrant,
  accessToken: string,
  scope: string,
  { jkt }: TokenBinding,
): JsonObject {
  const { authorizationDetails } = grant
  return {
    access_token: accessToken,
    token_type: jkt === undefined ? 'Bearer' : 'DPoP',
    expires_in: ACCESS_TOKEN_LIFE,
    scope,
    ...(authorizationDetails === undefined ? {} : { authorization_details: authorizationDetails }),
  }
}

async function issueTokens(
  context: StrictContext,
  grant: AuthorizationGrant,
  binding: TokenBinding,
): Promise<JsonObject> {
  const { idTokenHeader: header, idTokenClaims: claims, idToken: jwt, encryptedIdToken: jwe } = context.change
  const accessToken = createAccessToken(context, grant, grant.scope, binding)
  const refreshToken = startRefreshTokens(context, grant, binding)
  return {
    ...tokenResponse(grant, accessToken, grant.scope, binding),
    id_token: await issueIdToken(context, grant, { accessToken }, { header, claims, jwt, jwe }),
    ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
  }
}

/** OIDC Core 12.2. */
async function issueRefreshed(
  context: StrictContext,
  grant: AuthorizationGrant,
  refresh: Refresh,
  binding: TokenBinding,
): Promise<JsonObject> {
  const { refreshedIdTokenHeader: header, refreshedIdTokenClaims: claims, refreshedIdToken: jwt } = context.change
  const accessToken = createAccessToken(context, grant, refresh.scope, binding)
  const refreshToken = rotateRefreshToken(context, refresh, binding)
  const hasIdToken = context.refreshedIdToken !== 'absent' && refresh.scope.split(' ').includes('openid')
  const lacksNonce = context.refreshedIdToken === 'without-nonce'
  const change = { header, claims, jwt, jwe: context.change.encryptedRefreshedIdToken }
  return {
    ...tokenResponse(grant, accessToken, refresh.scope, binding),
    ...(hasIdToken ? { id_token: await issueIdToken(context, grant, { accessToken, lacksNonce }, change) } : {}),
    ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
  }
}
