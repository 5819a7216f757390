import { type OktaContext, type OktaRequest, serverOf } from './context.ts'
import type { OktaClient } from './directory.ts'
import { STANDARD_SCOPES } from './metadata.ts'

/** An error code and its text, as Okta writes them. */
export type Refusal = readonly [error: string, text: string]

const RESPONSE_TYPES = ['code', 'id_token', 'code id_token', 'code token', 'id_token token', 'code id_token token']

/** What an authorization request asks for, of a client and for an address that are known. */
export interface Asked {
  readonly params: URLSearchParams
  readonly client: OktaClient
  readonly redirectUri: string
  readonly scopes: readonly string[]
  readonly words: readonly string[]
  readonly mode: string
}

/** A text is for a page: nobody is sent to an address that is not known to be the client's (RFC 6749 4.1.2.1). */
export function readAsked(context: OktaContext, { method, query, form }: OktaRequest): Asked | string {
  const sent = method === 'POST' ? form : query
  const pushed = context.pushedRequests.get(sent.get('request_uri') ?? '')
  const params = pushed ?? sent
  const client = context.clients.get(sent.get('client_id') ?? '')
  const redirectUri = params.get('redirect_uri') ?? ''
  if (client === undefined) return "Invalid value for 'client_id' parameter."
  if (!isRegistered(client.redirect_uris, redirectUri)) {
    return "The 'redirect_uri' parameter must be a Login redirect URI in the client app settings."
  }
  const words = (params.get('response_type') ?? '').split(' ').sort()
  const isInFront = words.includes('token') || words.includes('id_token')
  return {
    params,
    client,
    redirectUri,
    scopes: (params.get('scope') ?? '').split(' ').filter(Boolean),
    words,
    mode: params.get('response_mode') ?? (isInFront ? 'fragment' : 'query'),
  }
}

export function isRegistered(registered: readonly string[] | undefined, uri: string): boolean {
  return registered?.includes(uri) ?? /^http:\/\/(127\.0\.0\.1|localhost):\d+(\/[^?#]*)?$/.test(uri)
}

/** What is wrong with a request, which its client may hear of. */
export function findRefusal(context: OktaContext, request: OktaRequest, asked: Asked): Refusal | undefined {
  return refusalOfRequest(context, asked) ?? refusalOfServer(context, request, asked)
}

function refusalOfRequest(
  { nonceRule }: OktaContext,
  { params, words, mode, scopes, client }: Asked,
): Refusal | undefined {
  const isInFront = words.includes('token') || words.includes('id_token')
  const needsNonce = nonceRule === '2017' || isInFront
  const hasCode = words.includes('code')
  const invalid = (name: string): string => `The authentication request has an invalid '${name}' parameter.`
  const demands: readonly (readonly [isBroken: boolean, ...Refusal])[] = [
    [params.has('request_uri'), 'invalid_request_uri', "Invalid value for 'request_uri' parameter."],
    [!/^[\w,.-]+$/.test(params.get('state') ?? ''), 'invalid_request', invalid('state')],
    [
      !RESPONSE_TYPES.some((type) => type.split(' ').sort().join() === words.join()),
      'unsupported_response_type',
      'The response type is not supported by the authorization server.',
    ],
    [
      isInFront && mode === 'query',
      'unsupported_response_mode',
      'The response mode is not supported for this request.',
    ],
    [needsNonce && !params.get('nonce'), 'invalid_request', invalid('nonce')],
    [!scopes.includes('openid'), 'invalid_scope', 'The authentication request has no openid scope.'],
    [
      hasCode && params.has('code_challenge') && params.get('code_challenge_method') !== 'S256',
      'invalid_request',
      'PKCE code challenge method must be S256.',
    ],
    [
      hasCode && client.token_endpoint_auth_method === 'none' && !params.has('code_challenge'),
      'invalid_request',
      'PKCE code challenge is required when the token endpoint authentication method is NONE.',
    ],
  ]
  const broken = demands.find(([isBroken]) => isBroken)
  return broken && [broken[1], broken[2]]
}

function refusalOfServer(
  context: OktaContext,
  request: OktaRequest,
  { scopes, client, words }: Asked,
): Refusal | undefined {
  const server = serverOf(context, request)
  const known = [...STANDARD_SCOPES, ...server.scopes, ...(server.id === 'org' ? ['groups'] : [])]
  if (!scopes.every((scope) => known.includes(scope))) {
    return ['invalid_scope', 'One or more scopes are not configured for the authorization server resource.']
  }
  if (client.assignment === 'none') return ['access_denied', 'User is not assigned to the client application.']
  if (server.policy === 'none') {
    return ['access_denied', 'Policy evaluation failed for this request, please check the policy configurations.']
  }
  const isLimited = client.groups_claim === 'expression' || !words.includes('code')
  if (server.id === 'org' && scopes.includes('groups') && isLimited && context.person.groups.length > 100) {
    return ['invalid_request', 'The groups claim matched too many groups, or could not be evaluated.']
  }
  return undefined
}
