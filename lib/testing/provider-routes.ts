import { nowInSeconds } from '../time/seconds.ts'
import { authorize } from './authorize-endpoint.ts'
import { authenticateClient, isRegistered, methodsOf } from './client-check.ts'
import {
  type EndpointRequest,
  type EndpointResponse,
  type EndpointRoute,
  page,
  paramOf,
  Refusal,
  requiredParam,
} from './endpoint-server.ts'
import { GRANT_TYPE_NAMES, grantTokens } from './grant-endpoint.ts'
import { claimsOf } from './issued-tokens.ts'
import { endBrowserSession, endSessions, hintedClaims } from './provider-session.ts'
import { signIn } from './sign-in-page.ts'
import type { TestContext, TestRecords } from './test-records.ts'

/** The routes of the test provider. */
export const PROVIDER_ROUTES: readonly EndpointRoute[] = [
  ...['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server'].map((path) => ({
    ...{ endpoint: 'discovery' as const, path, methods: ['GET', 'HEAD'], refusals: 'json' as const },
    respond: (context: TestContext) => ({ status: 200, json: metadataOf(context) }),
  })),
  {
    ...{ endpoint: 'jwks', path: '/jwks', methods: ['GET', 'HEAD'], refusals: 'json' },
    respond: async ({ keys }) => ({ status: 200, json: await keys.publicJwks() }),
  },
  { endpoint: 'authorization', path: '/authorize', methods: ['GET', 'POST'], refusals: 'page', respond: authorize },
  { endpoint: 'authorization', path: '/sign-in', methods: ['POST'], refusals: 'page', respond: signIn },
  { endpoint: 'token', path: '/token', methods: ['POST'], refusals: 'json', respond: grantTokens },
  { endpoint: 'userinfo', path: '/userinfo', methods: ['GET', 'POST'], refusals: 'json', respond: userinfo },
  { endpoint: 'introspection', path: '/introspect', methods: ['POST'], refusals: 'json', respond: introspect },
  { endpoint: 'revocation', path: '/revoke', methods: ['POST'], refusals: 'json', respond: revoke },
  { endpoint: 'end_session', path: '/end-session', methods: ['GET', 'POST'], refusals: 'page', respond: endSession },
]

/** OIDC Discovery 3, RFC 8414 2. */
function metadataOf({ issuer, setup, keys }: TestContext): Readonly<Record<string, unknown>> {
  const methods = [...new Set(setup.clients.flatMap(methodsOf))]
  return {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    jwks_uri: `${issuer}/jwks`,
    userinfo_endpoint: `${issuer}/userinfo`,
    introspection_endpoint: `${issuer}/introspect`,
    revocation_endpoint: `${issuer}/revoke`,
    end_session_endpoint: `${issuer}/end-session`,
    scopes_supported: ['openid', 'profile', 'email', 'address', 'phone', 'offline_access'],
    response_types_supported: ['code'],
    response_modes_supported: ['query', 'form_post'],
    grant_types_supported: GRANT_TYPE_NAMES,
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: [keys.alg],
    token_endpoint_auth_methods_supported: methods,
    ...(methods.includes('private_key_jwt')
      ? { token_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGS }
      : {}),
    code_challenge_methods_supported: ['S256'],
    prompt_values_supported: ['none', 'login', 'select_account', 'consent'],
    authorization_response_iss_parameter_supported: true,
    backchannel_logout_supported: true,
    backchannel_logout_session_supported: true,
    claims_parameter_supported: false,
    request_parameter_supported: false,
    request_uri_parameter_supported: false,
  }
}

const ASSERTION_ALGS = ['RS256', 'PS256', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']

/** OIDC Core 5.3, RFC 6750. */
function userinfo({ records }: TestContext, { headers, params }: EndpointRequest): EndpointResponse {
  const token = /^bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? paramOf(params, 'access_token')
  if (token === undefined) throw new Refusal('invalid_token', 'There is no access token.', 401, challenge())
  const record = usableToken(records, token)
  const scope = String(record?.claims['scope'] ?? '')
  if (record?.grant === undefined) {
    throw new Refusal(
      'invalid_token',
      'The access token is unknown, expired or revoked.',
      401,
      challenge('invalid_token'),
    )
  }
  if (!scope.split(' ').includes('openid')) {
    throw new Refusal('insufficient_scope', 'The scope needs openid.', 403, challenge('insufficient_scope'))
  }
  const { user } = record.grant.session
  return { status: 200, json: { ...claimsOf(user, scope), sub: user.sub } }
}

function challenge(error?: string): Readonly<Record<string, string>> {
  return { 'WWW-Authenticate': `Bearer realm="test provider"${error === undefined ? '' : `, error="${error}"`}` }
}

/** A token that is neither revoked nor expired. */
function usableToken({ accessTokens }: TestRecords, token: string): ReturnType<TestRecords['accessTokens']['get']> {
  const record = accessTokens.get(token)
  const isUsable = record?.isRevoked === false && record.grant?.isRevoked !== true
  return isUsable && Number(record.claims['exp']) > nowInSeconds() ? record : undefined
}

/** RFC 7662. A client that proves nothing learns nothing (2.1). */
async function introspect(context: TestContext, request: EndpointRequest): Promise<EndpointResponse> {
  const client = await authenticateClient(context, request)
  if (methodsOf(client).includes('none')) throw new Refusal('invalid_client', 'A public client cannot introspect.', 401)
  const token = requiredParam(request.params, 'token')
  const access = usableToken(context.records, token)
  if (access !== undefined) return { status: 200, json: { active: true, token_type: 'Bearer', ...access.claims } }
  const refresh = context.records.refreshTokens.get(token)
  if (refresh === undefined || refresh.isUsed || refresh.grant.isRevoked)
    return { status: 200, json: { active: false } }
  const { scope, client: owner, session } = refresh.grant
  return {
    status: 200,
    json: { active: true, scope, client_id: owner.clientId, sub: session.user.sub, iss: context.issuer },
  }
}

/** RFC 7009 2. An unknown token is as good as revoked. A refresh token takes the access tokens of its grant with it. */
async function revoke(context: TestContext, request: EndpointRequest): Promise<EndpointResponse> {
  const client = await authenticateClient(context, request)
  const token = requiredParam(request.params, 'token')
  const [access, refresh] = [context.records.accessTokens.get(token), context.records.refreshTokens.get(token)]
  const owner = access?.clientId ?? refresh?.grant.client.clientId ?? client.clientId
  if (owner !== client.clientId) throw new Refusal('invalid_request', 'The token belongs to another client.')
  if (access !== undefined) access.isRevoked = true
  if (refresh !== undefined) refresh.grant.isRevoked = true
  return { status: 200 }
}

/** OIDC RP-Initiated Logout 2 and 3. */
async function endSession(context: TestContext, { headers, params }: EndpointRequest): Promise<EndpointResponse> {
  const hint = await hintedClaims(context, params)
  const clientId = paramOf(params, 'client_id') ?? hint?.['aud']
  if (hint !== undefined && hint['aud'] !== clientId) {
    throw new Refusal('invalid_request', 'client_id is not the audience of id_token_hint.')
  }
  const returnUrl = paramOf(params, 'post_logout_redirect_uri')
  const client = context.setup.clients.find((one) => one.clientId === clientId)
  if (returnUrl !== undefined && (client === undefined || !isRegistered(returnUrl, client.postLogoutRedirectUris))) {
    throw new Refusal(
      'invalid_request',
      `post_logout_redirect_uri ${returnUrl} is not among the postLogoutRedirectUris of the client, or neither client_id ` +
        'nor id_token_hint says which client it is.',
    )
  }
  if (hint !== undefined) endSessions(context, { sub: hint['sub'], sid: hint['sid'] })
  const setCookie = { 'Set-Cookie': endBrowserSession(context, headers) }
  if (returnUrl === undefined) return { status: 200, headers: setCookie, html: page('Signed out', '<p>Goodbye.</p>') }
  const url = new URL(returnUrl)
  const state = paramOf(params, 'state')
  if (state !== undefined) url.searchParams.append('state', state)
  return { status: 303, headers: { ...setCookie, Location: url.href } }
}
