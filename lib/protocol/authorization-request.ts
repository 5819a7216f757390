import { createHash } from 'node:crypto'
import { buildAuthorizationUrl, randomNonce, randomPKCECodeVerifier, randomState } from 'openid-client'
import { withEssentialAcr } from '../authentication-requirement.ts'
import type { WireParams } from '../config/authorization-params.ts'
import { ONLY_PROVIDER } from '../config/config.ts'
import { ConfigError } from '../errors.ts'
import { partsOf } from '../response-type.ts'
import type { AuthenticationRequirement, Transaction } from '../types.ts'
import { createDpopKey, dpopThumbprint } from './dpop.ts'
import type { Provider } from './provider.ts'
import { pushAuthorizationRequest } from './pushed-request.ts'
import { createRequestObject } from './request-object.ts'

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
  readonly checks?: string | undefined
}

/** Keeps a request object for the provider to fetch, and gives its address. */
export type KeepRequestObject = (requestObject: string) => Promise<string>

/**
 * A new authorization request with state, nonce, and PKCE S256 for a code (OIDC Core 3.1.2.1, RFC 7636 4.3), in the form
 * that the configuration or the provider demands: plain, signed, by reference, pushed. The state is a random handle of
 * letters, digits, `-` and `_`: Okta takes little else.
 */
export async function createAuthorizationRequest(
  provider: Provider,
  wanted: LoginRequest,
  keep: KeepRequestObject,
): Promise<AuthorizationRequest> {
  const transaction = createTransaction(provider, wanted)
  const params = await createParams(provider, wanted, transaction)
  const carried = await carriedParams(provider, params, transaction, keep)
  const url = buildAuthorizationUrl(provider.client, searchParams(carried))
  return { url: url.href, transaction }
}

function createTransaction({ config }: Provider, wanted: LoginRequest): Transaction {
  const { responseType, name } = config
  const { returnTo, isSilent, checks, authorizationParams: params } = wanted
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
    ...(checks === undefined ? {} : { checks }),
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
    ...(partsOf(responseType).code ? codeChallengeOf(codeVerifier) : {}),
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
async function carriedParams(
  provider: Provider,
  params: WireParams,
  { dpopKey }: Transaction,
  keep: KeepRequestObject,
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
  return { ...outside, request_uri: await keep(String(sent['request'])) }
}

function searchParams(params: WireParams): URLSearchParams {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(params)) {
    for (const one of [value].flat()) search.append(name, one)
  }
  return search
}
