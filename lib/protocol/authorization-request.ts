import { createHash } from 'node:crypto'
import { buildAuthorizationUrl, randomNonce, randomPKCECodeVerifier, randomState } from 'openid-client'
import { ConfigError, ProviderError } from '../errors.ts'
import type { WireParams } from '../options/authorization-params.ts'
import { ONLY_PROVIDER } from '../options/config.ts'
import { contentsOf } from '../options/response-type.ts'
import { createDpopKey, dpopThumbprint } from '../provider/dpop.ts'
import { errorFromResponse } from '../provider/error-response.ts'
import { jsonBody } from '../provider/http-transport.ts'
import type { Provider } from '../provider/provider.ts'
import { type FormParams, postForm } from '../provider/requests.ts'
import type { AuthenticationRequirement, DpopKey, Transaction } from '../types.ts'
import { createRequestObject } from './request-object.ts'
import { withEssentialAcr } from './step-up.ts'

/** Where to send the browser, and what to remember until it comes back. */
export interface AuthorizationRequest {
  readonly url: string
  readonly transaction: Transaction
}

/** What one login wants in particular. */
export interface LoginRequest {
  /** A path of this application, already checked. */
  readonly returnTo: string
  /** Authorization request parameters, already checked. */
  readonly authorizationParams: WireParams
  readonly requirement?: AuthenticationRequirement | undefined
  readonly isSilent?: boolean | undefined
  /** The login that is held against the provider's session, by the id of its tokens. */
  readonly recheckedTokensId?: string | undefined
}

/** Keeps a request object for the provider to fetch, and gives its address. */
type StoreRequestObject = (requestObject: string) => Promise<string>

/**
 * A new authorization request with state, nonce, and PKCE S256 for a code (OIDC Core 3.1.2.1, RFC 7636 4.3), in the form
 * that the configuration or the provider demands: plain, signed, by reference, pushed. The state is a random handle of
 * letters, digits, `-` and `_`: Okta takes little else.
 */
export async function createAuthorizationRequest(
  provider: Provider,
  wanted: LoginRequest,
  storeRequestObject: StoreRequestObject,
): Promise<AuthorizationRequest> {
  const transaction = createTransaction(provider, wanted)
  const params = await createParams(provider, wanted, transaction)
  const carried = await browserParams(provider, params, transaction, storeRequestObject)
  const url = buildAuthorizationUrl(provider.client, searchParams(carried))
  return { url: url.href, transaction }
}

function createTransaction({ config }: Provider, wanted: LoginRequest): Transaction {
  const { responseType, name } = config
  const { returnTo, isSilent, recheckedTokensId, authorizationParams: params } = wanted
  const requirement = withEssentialAcr(wanted.requirement, params['claims'])
  return {
    state: randomState(),
    nonce: randomNonce(),
    codeVerifier: randomPKCECodeVerifier(),
    issuer: config.issuer,
    redirectUri: config.redirectUri,
    returnTo,
    ...(responseType === 'code' ? {} : { responseType }),
    ...(name === ONLY_PROVIDER ? {} : { provider: name }),
    ...(params['max_age'] === undefined ? {} : { maxAge: Number(params['max_age']) }),
    ...(requirement === undefined ? {} : { requirement }),
    ...(isSilent === true ? { isSilent } : {}),
    ...(recheckedTokensId === undefined ? {} : { recheckedTokensId }),
    ...(config.dpopBoundAccessTokens ? { dpopKey: createDpopKey(config.dpopSigningAlg) } : {}),
    startedAt: Date.now() / 1000,
  }
}

async function createParams(
  { config, metadata }: Provider,
  { authorizationParams, requirement, isSilent }: LoginRequest,
  { state, nonce, codeVerifier, redirectUri, dpopKey }: Transaction,
): Promise<WireParams> {
  const { responseType, responseMode } = config
  return {
    ...authorizationParams,
    ...(requirement?.acr === undefined ? {} : { acr_values: requirement.acr.join(' ') }),
    ...maxAgeParam(authorizationParams, requirement),
    ...(isSilent === true ? { prompt: 'none' } : {}),
    client_id: config.clientId,
    response_type: responseType,
    ...(responseMode === 'query' ? {} : { response_mode: responseMode }),
    redirect_uri: redirectUri,
    scope: config.scope,
    state,
    nonce,
    ...(contentsOf(responseType).code ? codeChallengeOf(codeVerifier) : {}),
    // RFC 9449 10: whoever steals the code cannot redeem it. 10.1: a pushed request carries a proof instead.
    ...(dpopKey === undefined || isPushed({ config, metadata }) ? {} : { dpop_jkt: await dpopThumbprint(dpopKey) }),
  }
}

/** Both are held against the answer, so the provider is asked for what meets both. */
function maxAgeParam({ max_age: told }: WireParams, requirement: AuthenticationRequirement | undefined): WireParams {
  if (requirement?.maxAge === undefined) return {}
  return { max_age: String(Math.min(requirement.maxAge, Number(told ?? Number.POSITIVE_INFINITY))) }
}

/** RFC 7636 4.2. openid-client's own goes over another thread (WebCrypto), which costs fifty times the hash. */
function codeChallengeOf(codeVerifier: string): WireParams {
  const codeChallenge = createHash('sha256').update(codeVerifier).digest('base64url')
  return { code_challenge: codeChallenge, code_challenge_method: 'S256' }
}

/** RFC 9126 5: the provider may demand it of all its clients. */
function isPushed({ config, metadata }: Pick<Provider, 'config' | 'metadata'>): boolean {
  return config.requirePushedAuthorizationRequests || metadata['require_pushed_authorization_requests'] === true
}

/** RFC 9101 10.5: the provider would refuse every request, in front of whoever wants to log in. */
function checkSigned({ config: { requestObjectSigningAlg: alg = 'none' }, metadata }: Provider): void {
  if (alg !== 'none' || metadata['require_signed_request_object'] !== true) return
  throw new ConfigError(['requestObjectSigningAlg must name an algorithm: the provider takes signed requests only.'])
}

/** What the browser carries of the parameters. */
async function browserParams(
  provider: Provider,
  params: WireParams,
  { dpopKey }: Transaction,
  storeRequestObject: StoreRequestObject,
): Promise<WireParams> {
  const { requestObjectSigningAlg, requestObjectBy, clientId, responseType, scope } = provider.config
  const isSigned = requestObjectSigningAlg !== undefined
  checkSigned(provider)
  const sent = isSigned ? { client_id: clientId, request: await createRequestObject(provider, params) } : params
  if (isPushed(provider)) {
    const { requestUri } = await pushAuthorizationRequest(provider, sent, { dpopKey })
    return { client_id: clientId, request_uri: requestUri }
  }
  if (!isSigned) return params
  // OIDC Core 6.1: these must be outside, too.
  const outside = { client_id: clientId, response_type: responseType, scope }
  if (requestObjectBy === 'value') return { ...outside, ...sent }
  return { ...outside, request_uri: await storeRequestObject(String(sent['request'])) }
}

function searchParams(params: WireParams): URLSearchParams {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(params)) {
    for (const one of [value].flat()) search.append(name, one)
  }
  return search
}

/** What the browser carries in the place of the request. */
export interface PushedRequest {
  readonly requestUri: string
  /** The life of it, in seconds. */
  readonly expiresIn: number
}

/** Of printable ASCII, as every URI is (RFC 3986 2), and short enough for an address. */
const REQUEST_URI = /^[\x21-\x7e]{1,2048}$/

/**
 * Hands the authorization request to the provider directly (RFC 9126 2), signed or not, with a proof of possession where
 * there is a key: the code is bound to it then (RFC 9449 10.1). Throws `ERR_OIDC_PUSHED_REQUEST` where the provider refuses,
 * and `ERR_OIDC_PUSHED_RESPONSE` where its answer is none.
 *
 * @param params All that the browser would have carried, `client_id` included.
 */
export async function pushAuthorizationRequest(
  provider: Provider,
  params: FormParams,
  options: { readonly dpopKey?: DpopKey | undefined } = {},
): Promise<PushedRequest> {
  // RFC 9126 2.1: the one parameter that must not be pushed.
  const { request_uri: _, ...pushed } = params
  const answer = await postForm(provider, 'pushed_authorization_request_endpoint', pushed, options)
  // RFC 9126 2.2 says 201; several providers say 200.
  if (answer.status !== 201 && answer.status !== 200) throw errorFromResponse(answer, 'ERR_OIDC_PUSHED_REQUEST')
  const { request_uri: requestUri, expires_in: expiresIn } = jsonBody(answer) ?? {}
  if (typeof requestUri !== 'string' || !REQUEST_URI.test(requestUri)) throw invalid('request_uri')
  if (typeof expiresIn !== 'number' || !(expiresIn > 0)) throw invalid('expires_in')
  return { requestUri, expiresIn }
}

function invalid(member: string): ProviderError {
  return new ProviderError(
    'ERR_OIDC_PUSHED_RESPONSE',
    `The answer to the pushed authorization request has no usable ${member}.`,
  )
}
