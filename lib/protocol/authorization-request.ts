import { hash, randomBytes } from 'node:crypto'
import { buildAuthorizationUrl } from 'openid-client'
import { ConfigError, ProviderError } from '../errors.ts'
import type { WireParams } from '../options/authorization-params.ts'
import { type Config, ONLY_PROVIDER } from '../options/config.ts'
import { contentsOf } from '../options/response-type.ts'
import { endpointOf } from '../provider/client-authentication.ts'
import { errorFromResponse } from '../provider/error-response.ts'
import { jsonBody } from '../provider/http-transport.ts'
import type { Provider } from '../provider/provider.ts'
import { type FormParams, postForm } from '../provider/requests.ts'
import { nowInSeconds } from '../time/seconds.ts'
import { loadOnce } from '../time/single-flight.ts'
import type { AuthenticationRequirement, DpopKey, Transaction } from '../types.ts'
import { withEssentialAcr } from './step-up.ts'

/** Where to redirect the browser, and what to remember until it returns. */
export interface AuthorizationRequest {
  readonly url: string
  /** The fields of the form that the browser posts to `url`. `undefined` for a redirect. */
  readonly form: readonly (readonly [name: string, value: string])[] | undefined
  readonly transaction: Transaction
}

/** The options of one login. */
export interface LoginRequest {
  /** A path of this application, already validated. */
  readonly returnTo: string
  /** Authorization request parameters, already validated. */
  readonly authorizationParams: WireParams
  readonly requirement?: AuthenticationRequirement | undefined
  /** The response brings no code and no token (Multiple Response Types 4). Absent for a login. */
  readonly responseType?: 'none' | undefined
  /** Scopes to request beside those of the option and of the requirement. */
  readonly scope?: readonly string[] | undefined
  readonly isSilent?: boolean | undefined
  /** The tokens id of the login that is compared with the provider's session. */
  readonly recheckedTokensId?: string | undefined
}

/** Stores a request object for the provider to fetch, and returns its URL. */
type StoreRequestObject = (requestObject: string) => Promise<string>

/**
 * Creates an authorization request with state, nonce and, for a code, PKCE S256 (OIDC Core 3.1.2.1, RFC 7636 4.3), in the
 * form that the configuration or the provider requires: plain, signed, by reference, pushed. The state is random text of
 * letters, digits, `-` and `_`, because Okta accepts little else.
 */
export async function createAuthorizationRequest(
  provider: Provider,
  login: LoginRequest,
  storeRequestObject: StoreRequestObject,
): Promise<AuthorizationRequest> {
  const transaction = await createTransaction(provider, login)
  const params = await createParams(provider, login, transaction)
  const sent = await browserParams(provider, params, transaction, storeRequestObject)
  const { metadata, config, client } = provider
  // A pushed request fits into every URL. The provider may demand it whatever the options say.
  if (config.authorizationRequestMethod === 'POST' && !isPushed(provider))
    return { url: metadata.authorization_endpoint, form: [...searchParams(sent)], transaction }
  return { url: buildAuthorizationUrl(client, searchParams(sent)).href, form: undefined, transaction }
}

async function createTransaction({ config }: Provider, login: LoginRequest): Promise<Transaction> {
  const { responseType = config.responseType, returnTo } = login
  const { name } = config
  const common = {
    ...createRandomValues(),
    issuer: config.issuer,
    redirectUri: config.redirectUri,
    returnTo,
    ...(responseType === 'code' ? {} : { responseType }),
    ...(name === ONLY_PROVIDER ? {} : { provider: name }),
    startedAt: nowInSeconds(),
  }
  return responseType === 'none' ? common : { ...common, ...(await expectationsOf(config, login)) }
}

/** What the tokens of a login must be. */
async function expectationsOf(config: Config, login: LoginRequest): Promise<Partial<Transaction>> {
  const { isSilent, recheckedTokensId, authorizationParams: params } = login
  const requirement = withEssentialAcr(login.requirement, params['claims'])
  const scope = requestedScope(config, login)
  return {
    ...(scope === config.scope ? {} : { scope }),
    ...(params['max_age'] === undefined ? {} : { maxAge: Number(params['max_age']) }),
    ...(requirement === undefined ? {} : { requirement }),
    ...(isSilent === true ? { isSilent } : {}),
    ...(recheckedTokensId === undefined ? {} : { recheckedTokensId }),
    ...(config.dpopBoundAccessTokens ? { dpopKey: (await loadDpop()).createDpopKey(config.dpopSigningAlg) } : {}),
  }
}

/** The scopes of the option, and those of this login. */
function requestedScope(config: Config, { requirement, scope = [] }: LoginRequest): string {
  return [...new Set([...config.scope.split(' '), ...scope, ...(requirement?.scope ?? [])])].join(' ')
}

/** Three values of 256 bits each (OIDC Core 15.5.2, RFC 7636 7.1). One call, because each costs several microseconds. */
function createRandomValues(): Pick<Transaction, 'state' | 'nonce' | 'codeVerifier'> {
  const bytes = randomBytes(96)
  return {
    state: bytes.toString('base64url', 0, 32),
    nonce: bytes.toString('base64url', 32, 64),
    codeVerifier: bytes.toString('base64url', 64, 96),
  }
}

async function createParams(
  { config, metadata }: Provider,
  { authorizationParams, requirement, isSilent }: LoginRequest,
  transaction: Transaction,
): Promise<WireParams> {
  const { responseMode } = config
  const { state, nonce, codeVerifier, redirectUri, dpopKey, scope = config.scope } = transaction
  const { responseType = 'code' } = transaction
  const common = {
    ...authorizationParams,
    client_id: config.clientId,
    response_type: responseType,
    ...(responseMode === 'query' ? {} : { response_mode: responseMode }),
    redirect_uri: redirectUri,
    state,
  }
  // Okta refuses an enrollment with a scope or a nonce.
  if (responseType === 'none') return common
  return {
    ...common,
    ...(requirement?.acr === undefined ? {} : { acr_values: requirement.acr.join(' ') }),
    ...maxAgeParam(authorizationParams, requirement),
    ...(isSilent === true ? { prompt: 'none' } : {}),
    scope,
    nonce,
    ...(usesPkce(config) ? codeChallengeOf(codeVerifier) : {}),
    ...(dpopKey === undefined || isPushed({ config, metadata }) ? {} : { dpop_jkt: await thumbprintOf(dpopKey) }),
  }
}

/** True if the code is bound to this browser by a challenge (RFC 7636), as it is unless the option gives it up. */
export function usesPkce({ responseType, dangerouslyDisablePkce }: Config): boolean {
  return contentsOf(responseType).code && !dangerouslyDisablePkce
}

/** RFC 9449 10: binds the code to the key, so that nobody else can redeem it. A pushed request has a proof instead (10.1). */
async function thumbprintOf(key: DpopKey): Promise<string> {
  const { dpopThumbprint } = await loadDpop()
  return await dpopThumbprint(key)
}

/** Loaded only if tokens are bound to keys. */
const loadDpop = loadOnce(() => import('../provider/dpop.ts'))

const loadRequestObject = loadOnce(() => import('./request-object.ts'))

/** The response must meet the stricter of both, so the stricter one is requested. */
function maxAgeParam({ max_age: given }: WireParams, requirement: AuthenticationRequirement | undefined): WireParams {
  if (requirement?.maxAge === undefined) return {}
  return { max_age: String(Math.min(requirement.maxAge, Number(given ?? Number.POSITIVE_INFINITY))) }
}

/** RFC 7636 4.2. openid-client's own function uses WebCrypto on another thread, which costs fifty times the hash. */
function codeChallengeOf(codeVerifier: string): WireParams {
  const codeChallenge = hash('sha256', codeVerifier, 'base64url')
  return { code_challenge: codeChallenge, code_challenge_method: 'S256' }
}

/** RFC 9126 5: the provider may require it of all its clients. */
function isPushed({ config, metadata }: Pick<Provider, 'config' | 'metadata'>): boolean {
  return config.requirePushedAuthorizationRequests || metadata['require_pushed_authorization_requests'] === true
}

/** True if each login costs a request to the provider (RFC 9126) or a record in our store (RFC 9101 5.2). */
export function usesRequestUri({ config, metadata }: Pick<Provider, 'config' | 'metadata'>): boolean {
  const isPublished = config.requestObjectSigningAlg !== undefined && config.requestObjectBy === 'reference'
  return isPushed({ config, metadata }) || isPublished
}

/** RFC 9101 10.5: the provider would refuse every unsigned request. Better fail before the redirect. */
function checkSigned({ config: { requestObjectSigningAlg: alg = 'none' }, metadata }: Provider): void {
  if (alg !== 'none' || metadata['require_signed_request_object'] !== true) return
  throw new ConfigError([
    'requestObjectSigningAlg must name an algorithm: the provider requires it (require_signed_request_object).',
  ])
}

/** The parameters in the URL that the browser is redirected to. */
async function browserParams(
  provider: Provider,
  params: WireParams,
  { dpopKey }: Transaction,
  storeRequestObject: StoreRequestObject,
): Promise<WireParams> {
  const { requestObjectSigningAlg, requestObjectBy, clientId } = provider.config
  const isSigned = requestObjectSigningAlg !== undefined
  checkSigned(provider)
  const request = isSigned ? { client_id: clientId, request: await signRequest(provider, params) } : params
  if (isPushed(provider)) {
    const { requestUri } = await pushAuthorizationRequest(provider, request, { dpopKey })
    return { client_id: clientId, request_uri: requestUri }
  }
  if (!isSigned) return params
  // OIDC Core 6.1: these must also be outside of the request object.
  const { response_type: responseType = '', scope } = params
  const outside = { client_id: clientId, response_type: responseType, ...(scope === undefined ? {} : { scope }) }
  if (requestObjectBy === 'value') return { ...outside, ...request }
  return { ...outside, request_uri: await storeRequestObject(String(request['request'])) }
}

/** Loaded only if requests are signed. */
async function signRequest(provider: Provider, params: WireParams): Promise<string> {
  const { createRequestObject } = await loadRequestObject()
  return await createRequestObject(provider, params)
}

function searchParams(params: WireParams): URLSearchParams {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(params)) {
    for (const one of [value].flat()) search.append(name, one)
  }
  return search
}

const ENDPOINT = 'pushed_authorization_request_endpoint'

/** The reference to a pushed request. */
export interface PushedRequest {
  readonly requestUri: string
  /** Its lifetime, in seconds. */
  readonly expiresIn: number
}

/** Printable ASCII, as every URI is (RFC 3986 2), and short enough to be part of a URL. */
const REQUEST_URI = /^[\x21-\x7e]{1,2048}$/

/**
 * Sends the authorization request to the provider directly (RFC 9126 2), signed or not. With a `dpopKey` it has a DPoP proof,
 * which binds the code to the key (RFC 9449 10.1). Throws `ERR_OIDC_PUSHED_REQUEST` if the provider refuses it, and
 * `ERR_OIDC_PUSHED_RESPONSE` if the response is invalid.
 *
 * @param params The parameters that the browser would have sent, including `client_id`.
 */
export async function pushAuthorizationRequest(
  provider: Provider,
  params: FormParams,
  options: { readonly dpopKey?: DpopKey | undefined } = {},
): Promise<PushedRequest> {
  // RFC 9126 2.1: must not be pushed.
  const { request_uri: _, ...pushed } = params
  const response = await postForm(provider, ENDPOINT, pushed, options)
  // RFC 9126 2.2 says 201; several providers use 200.
  if (response.status !== 201 && response.status !== 200) {
    throw errorFromResponse(response, 'ERR_OIDC_PUSHED_REQUEST', {
      url: endpointOf(provider, ENDPOINT),
      config: provider.config,
    })
  }
  const { request_uri: requestUri, expires_in: expiresIn } = jsonBody(response) ?? {}
  if (typeof requestUri !== 'string' || !REQUEST_URI.test(requestUri)) throw invalidResponse('request_uri')
  if (typeof expiresIn !== 'number' || !(expiresIn > 0)) throw invalidResponse('expires_in')
  return { requestUri, expiresIn }
}

function invalidResponse(member: string): ProviderError {
  return new ProviderError('ERR_OIDC_PUSHED_RESPONSE', `The response of the ${ENDPOINT} has no valid ${member}.`)
}
