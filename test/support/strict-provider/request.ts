import type { StrictClient } from './client.ts'
import {
  type AuthorizationGrant,
  type Demand,
  hasDuplicates,
  isRegistered,
  now,
  type StrictContext,
} from './context.ts'
import { resolveRequestObject } from './request-object.ts'
import type { AskedResponse } from './response-type.ts'

/** An authorization request, however it came. */
export interface AuthorizationRequest {
  readonly client: StrictClient | undefined
  readonly params: URLSearchParams
  /** The key of the proof that it was pushed with (RFC 9449 10.1). */
  readonly dpopJkt: string | undefined
  /** What is wrong with the way that it came. */
  readonly demands: readonly Demand[]
}

/** What a browser has brought: the parameters themselves, a request object, or a reference to what was pushed. */
export async function readAuthorizationRequest(
  context: StrictContext,
  sent: URLSearchParams,
): Promise<AuthorizationRequest> {
  const client = context.clients.get(sent.get('client_id') ?? '')
  if (sent.get('request_uri')?.startsWith('urn:')) return takePushed(context, client, sent)
  const mustPush = context.pushed === 'required' || client?.requirePushedAuthorizationRequests === true
  const unpushed: Demand = [mustPush, 'invalid_request', 'the request was not pushed']
  if (!client || hasDuplicates(sent)) return { client, params: sent, dpopJkt: undefined, demands: [] }
  const { params, demands } = await resolveRequestObject(context, client, sent)
  return { client, params, dpopJkt: undefined, demands: [unpushed, ...demands, ...besideDemands(sent)] }
}

/** OIDC Core 6.1: beside a request object, what makes the request one of OAuth 2.0 and of OpenID Connect. */
function besideDemands(sent: URLSearchParams): readonly Demand[] {
  if (!sent.has('request') && !sent.has('request_uri')) return []
  return ['response_type', 'scope'].map((name) => [
    !sent.has(name),
    'invalid_request',
    `${name} is not beside the request object`,
  ])
}

/** RFC 9126 4. */
function takePushed(
  context: StrictContext,
  client: StrictClient | undefined,
  sent: URLSearchParams,
): AuthorizationRequest {
  const pushed = context.pushedRequests.get(sent.get('request_uri') ?? '')
  const more = [...sent.keys()].filter((name) => name !== 'client_id' && name !== 'request_uri')
  const demands: readonly Demand[] = [
    [!pushed, 'invalid_request_uri', 'request_uri is not known'],
    [pushed?.isUsed === true, 'invalid_request_uri', 'request_uri was used before'],
    [(pushed?.expiresAt ?? Number.POSITIVE_INFINITY) < now(), 'invalid_request_uri', 'request_uri has expired'],
    [
      pushed !== undefined && pushed.client.clientId !== client?.clientId,
      'invalid_request_uri',
      'request_uri is of another client',
    ],
    ...more.map((name): Demand => [true, 'invalid_request', `${name} came beside the pushed request`]),
  ]
  if (pushed) pushed.isUsed = true
  return { client, params: pushed?.params ?? sent, dpopJkt: pushed?.dpopJkt, demands }
}

/** What makes it unsafe to send anybody back (OAuth 2.0 4.1.2.1). */
export function redirectDemands(
  context: StrictContext,
  client: StrictClient | undefined,
  params: URLSearchParams,
): readonly Demand[] {
  const registered = client?.redirectUris ?? context.redirectUris
  return [
    [hasDuplicates(params), 'invalid_request', 'a parameter is repeated'],
    [!client || params.get('client_id') !== client.clientId, 'invalid_client', 'client_id is not known'],
    [!isRegistered(registered, params.get('redirect_uri') ?? ''), 'invalid_request', 'redirect_uri is not registered'],
  ]
}

/** OIDC Core 3.1.2.1, and what others have added. */
export function requestDemands(
  context: StrictContext,
  params: URLSearchParams,
  asked: AskedResponse,
): readonly Demand[] {
  const has = (name: string, pattern: RegExp): boolean => pattern.test(params.get(name) ?? '')
  const lacks = (name: string, pattern: RegExp): boolean => asked.code && !has(name, pattern)
  const isMalformed = (name: string, pattern: RegExp): boolean => params.has(name) && !has(name, pattern)
  return [
    [asked.fault === 'type', 'unsupported_response_type', 'response_type is not known'],
    [asked.fault === 'mode', 'invalid_request', 'response_mode is not known'],
    [asked.fault === 'query', 'invalid_request', 'response_mode would put tokens into the query'],
    [!has('state', /^.{16,}$/), 'invalid_request', 'state is missing or easy to guess'],
    ...(params.get('response_type') === 'none' ? enrollmentDemands(params) : loginDemands(has)),
    ...pkceDemands(context, params, lacks),
    [isMalformed('max_age', /^\d+$/), 'invalid_request', 'max_age is not a number'],
    [isMalformed('dpop_jkt', /^[\w-]{43}$/), 'invalid_request', 'dpop_jkt is no thumbprint'],
    [params.has('client_secret'), 'invalid_request', 'a secret was sent through the browser'],
    ...promptDemands(params),
    ...structureDemands(params),
    ...hintDemands(context, params),
    ...(context.profile === undefined ? [] : profileDemands(context.profile, params, asked)),
  ]
}

function loginDemands(has: (name: string, pattern: RegExp) => boolean): readonly Demand[] {
  return [
    [!has('scope', /(^| )openid( |$)/), 'invalid_scope', 'scope has no openid'],
    [!has('scope', /^[!#-[\]-~]+( [!#-[\]-~]+)*$/), 'invalid_scope', 'scope is malformed'],
    [!has('nonce', /^.{16,}$/), 'invalid_request', 'nonce is missing or easy to guess'],
  ]
}

/** As Okta has it. */
function enrollmentDemands(params: URLSearchParams): readonly Demand[] {
  return [
    [params.get('prompt') !== 'enroll_authenticator', 'invalid_request', 'response_type none is for enrollments'],
    ...['scope', 'nonce', 'code_challenge', 'code_challenge_method', 'dpop_jkt'].map(
      (name): Demand => [params.has(name), 'invalid_request', `an enrollment has no ${name}`],
    ),
  ]
}

function pkceDemands(
  { pkce }: StrictContext,
  params: URLSearchParams,
  lacks: (name: string, pattern: RegExp) => boolean,
): readonly Demand[] {
  if (pkce === 'refused') return [[params.has('code_challenge'), 'invalid_request', 'code_challenge is not allowed']]
  return [
    [lacks('code_challenge', /^[\w-]{43}$/), 'invalid_request', 'code_challenge is missing or malformed'],
    [lacks('code_challenge_method', /^S256$/), 'invalid_request', 'code_challenge_method is not S256'],
  ]
}

function promptDemands(params: URLSearchParams): readonly Demand[] {
  const prompts = (params.get('prompt') ?? '').split(' ')
  const isSilent = prompts.includes('none')
  return [
    [isSilent && prompts.length > 1, 'invalid_request', 'prompt has none and something else'],
    [prompts.length > new Set(prompts).size, 'invalid_request', 'prompt says something twice'],
  ]
}

/** The parameters that are JSON (OIDC Core 5.5, RFC 9396 2), and those that are URIs (RFC 8707 2). */
function structureDemands(params: URLSearchParams): readonly Demand[] {
  const claims = readJson(params.get('claims'), {})
  const details = readJson(params.get('authorization_details'), [])
  const areDetails = Array.isArray(details) && details.every((detail) => typeof Object(detail).type === 'string')
  const resources = params.getAll('resource')
  return [
    [typeof claims !== 'object' || Array.isArray(claims), 'invalid_request', 'claims is no JSON object'],
    [!areDetails, 'invalid_authorization_details', 'authorization_details is no list of typed objects'],
    [
      resources.some((uri) => !URL.canParse(uri) || uri.includes('#')),
      'invalid_target',
      'resource is no absolute URI without a fragment',
    ],
  ]
}

/** The JSON of a parameter; `undefined` where it is none. */
export function readJson(text: string | null, absent: unknown): unknown {
  if (text === null) return absent
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** OIDC Core 3.1.2.1: a hint is an ID Token that the provider has signed. */
function hintDemands(context: StrictContext, params: URLSearchParams): readonly Demand[] {
  const hint = params.get('id_token_hint')
  return [[hint !== null && !context.idTokens.has(hint), 'invalid_request', 'id_token_hint is not ours']]
}

/** FAPI 2.0 Security Profile 5.3.2.2 and 5.3.3.2, Message Signing 5.4. */
function profileDemands(profile: string, params: URLSearchParams, asked: AskedResponse): readonly Demand[] {
  const isUnsigned = profile === 'fapi2-message-signing' && !asked.isJwt
  const isCodeAlone = asked.code && !asked.idToken && !asked.token
  return [
    [isUnsigned, 'invalid_request', 'response_mode is not one of those with a JWT'],
    [!isCodeAlone, 'unsupported_response_type', 'response_type is not code'],
    [(params.get('nonce') ?? '').length > 64, 'invalid_request', 'nonce is longer than 64 characters'],
  ]
}

/** Who is to be told that nobody is logged in (OIDC Core 3.1.2.6): nothing is wrong with the request. */
export function needsLogin(context: StrictContext, params: URLSearchParams): boolean {
  if (params.get('prompt') !== 'none') return false
  const hinted: AuthorizationGrant | undefined = context.idTokens.get(params.get('id_token_hint') ?? '')
  return !context.loggedIn || (hinted !== undefined && hinted.account.sub !== context.account.sub)
}
