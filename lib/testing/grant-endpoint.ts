import { createHash } from 'node:crypto'
import { nowInSeconds } from '../time/seconds.ts'
import { authenticateClient, methodsOf } from './client-check.ts'
import { type EndpointRequest, type EndpointResponse, paramOf, Refusal, requiredParam } from './endpoint-server.ts'
import { issueAccessToken, issueIdToken } from './issued-tokens.ts'
import type { TestClient } from './test-options.ts'
import { type Grant, randomValue, type TestContext } from './test-records.ts'

/** What a grant type does with the request of a client that has been authenticated. */
type GrantType = (context: TestContext, client: TestClient, params: URLSearchParams) => Promise<EndpointResponse>

const GRANT_TYPES: ReadonlyMap<string, GrantType> = new Map([
  ['authorization_code', redeemCode],
  ['refresh_token', refresh],
  ['client_credentials', grantToClient],
])

/** The names of the grant types, for the metadata. */
export const GRANT_TYPE_NAMES: readonly string[] = [...GRANT_TYPES.keys()]

/** The token endpoint (RFC 6749 3.2, OIDC Core 3.1.3 and 12). */
export async function grantTokens(context: TestContext, request: EndpointRequest): Promise<EndpointResponse> {
  const { params } = request
  for (const name of params.keys()) paramOf(params, name)
  const client = await authenticateClient(context, request)
  const grantType = requiredParam(params, 'grant_type')
  const grant = GRANT_TYPES.get(grantType)
  if (grant === undefined) {
    throw new Refusal('unsupported_grant_type', `The test provider has ${GRANT_TYPE_NAMES.join(', ')}.`)
  }
  return grant(context, client, params)
}

async function redeemCode(
  context: TestContext,
  client: TestClient,
  params: URLSearchParams,
): Promise<EndpointResponse> {
  const code = requiredParam(params, 'code')
  const record = context.records.codes.get(code)
  if (record === undefined || record.grant.client !== client)
    throw invalidGrant('There is no such code for this client.')
  if (record.isUsed) {
    // RFC 6749 4.1.2: another party has the code too.
    record.grant.isRevoked = true
    throw invalidGrant('The code was used before. Its tokens are revoked.')
  }
  if (record.expiresAt <= nowInSeconds()) throw invalidGrant('The code has expired.')
  if (paramOf(params, 'redirect_uri') !== record.redirectUri) {
    throw invalidGrant('The redirect_uri is not the one of the authorization request.')
  }
  checkVerifier(record.codeChallenge, paramOf(params, 'code_verifier'))
  record.isUsed = true
  return issueTokens(context, record.grant, { nonce: record.nonce, scope: record.grant.scope })
}

/** RFC 7636 4.6. A verifier without a challenge means that the challenge was removed on the way (RFC 9700 2.1.1). */
function checkVerifier(challenge: string | undefined, verifier: string | undefined): void {
  if (challenge === undefined && verifier === undefined) return
  if (challenge === undefined) throw invalidGrant('There is a code_verifier, but there was no code_challenge.')
  if (verifier === undefined) throw invalidGrant('The code_verifier is missing.')
  if (!/^[\w.~-]{43,128}$/.test(verifier))
    throw invalidGrant('The code_verifier is not 43 to 128 unreserved characters.')
  if (createHash('sha256').update(verifier).digest('base64url') === challenge) return
  throw invalidGrant('The code_verifier does not match the code_challenge.')
}

/** RFC 6749 6. The token is replaced, and its second use revokes the whole grant (RFC 9700 4.14.2). */
async function refresh(context: TestContext, client: TestClient, params: URLSearchParams): Promise<EndpointResponse> {
  const record = context.records.refreshTokens.get(requiredParam(params, 'refresh_token'))
  if (record === undefined || record.grant.client !== client) {
    throw invalidGrant('There is no such refresh token for this client.')
  }
  if (record.grant.isRevoked) throw invalidGrant('The refresh token was revoked.')
  if (record.isUsed) {
    record.grant.isRevoked = true
    throw invalidGrant('The refresh token was used before. Its grant is revoked.')
  }
  const scope = paramOf(params, 'scope') ?? record.grant.scope
  const granted = record.grant.scope.split(' ')
  if (scope.split(' ').some((name) => !granted.includes(name))) {
    throw new Refusal('invalid_scope', 'The scope has more than the user has granted.')
  }
  if (context.misbehaviors.take('refuseRefresh')) throw invalidGrant('The refresh token was revoked.')
  record.isUsed = true
  // OIDC Core 12.2: no nonce is needed.
  return issueTokens(context, record.grant, { nonce: undefined, scope, resource: paramOf(params, 'resource') })
}

/** RFC 6749 4.4. */
async function grantToClient(
  context: TestContext,
  client: TestClient,
  params: URLSearchParams,
): Promise<EndpointResponse> {
  if (methodsOf(client).includes('none')) {
    throw new Refusal('unauthorized_client', 'A public client cannot use client_credentials.')
  }
  const [scope, audience] = [paramOf(params, 'scope'), paramOf(params, 'resource') ?? paramOf(params, 'audience')]
  const accessToken = await issueAccessToken(context, {
    clientId: client.clientId,
    ...(scope === undefined ? {} : { scope }),
    ...(audience === undefined ? {} : { audience }),
  })
  return tokenResponse(context, { access_token: accessToken, ...(scope === undefined ? {} : { scope }) })
}

interface Issue {
  readonly nonce: string | undefined
  readonly scope: string
  readonly resource?: string | undefined
}

async function issueTokens(
  context: TestContext,
  grant: Grant,
  { nonce, scope, resource }: Issue,
): Promise<EndpointResponse> {
  const { client, session, audience } = grant
  const accessToken = await issueAccessToken(
    context,
    { clientId: client.clientId, sub: session.user.sub, scope, audience: resource ?? audience },
    grant,
  )
  const idToken = await issueIdToken(context, grant, { nonce, accessToken })
  const isOffline = grant.scope.split(' ').includes('offline_access')
  return tokenResponse(context, {
    access_token: accessToken,
    id_token: idToken,
    scope,
    ...(isOffline ? { refresh_token: createRefreshToken(context, grant) } : {}),
  })
}

function createRefreshToken({ records }: TestContext, grant: Grant): string {
  const token = randomValue()
  records.refreshTokens.set(token, { grant, isUsed: false })
  return token
}

function tokenResponse({ setup }: TestContext, tokens: Readonly<Record<string, string>>): EndpointResponse {
  return { status: 200, json: { token_type: 'Bearer', expires_in: Math.floor(setup.tokenLifetime), ...tokens } }
}

function invalidGrant(description: string): Refusal {
  return new Refusal('invalid_grant', description)
}
