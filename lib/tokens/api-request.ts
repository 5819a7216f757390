import { OidcError, StepUpError } from '../errors.ts'
import type { JsonObject } from '../jose/json.ts'
import { requirementOfChallenge } from '../protocol/api-challenge.ts'
import { isRepeatable } from '../provider/api-fetch.ts'
import { clientOf, type RelyingParty } from '../relying-party.ts'
import { readLogin } from '../session/current-login.ts'
import type { SessionRequest } from '../session/express-session.ts'
import { nowInSeconds } from '../time/seconds.ts'
import { loadOnce } from '../time/single-flight.ts'
import type { AccessToken, AccessTokenRequest, ApiRequestInit, Login, TokenHeaders } from '../types.ts'
import { type AccessTokenQuery, requireLogin } from './access-token.ts'
import { freshAccessToken } from './refresh.ts'

const loadExchange = loadOnce(() => import('./exchange.ts'))
const loadDpop = loadOnce(() => import('../provider/dpop.ts'))
const loadUserInfo = loadOnce(() => import('../protocol/userinfo.ts'))

/**
 * `req.oidc.fetch()`: calls an API on the user's behalf. Adds the access token, and a DPoP proof if the token is bound to a
 * key (RFC 9449 7). If the API responds with 401, it repeats the request once: with the nonce that the API demands, or with
 * a new token. Connects as `createApiFetch` says. Throws what {@link freshAccessToken} and the global `fetch` throw, and a
 * `StepUpError` if the API wants a stronger login.
 */
export async function requestApi(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login | undefined,
  url: string | URL,
  { scope, resource, refresh, exchange, ...init }: ApiRequestInit,
): Promise<Response> {
  const target = requireHttps(String(url), rp.config.dangerouslyAllowInsecureRequests)
  const user = requireLogin(login)
  const request = { scope, resource, exchange }
  const token = await findToken(rp, req, user, { ...request, refresh })
  const response = await rejectStepUp(await send(rp, user, target, init, token))
  if (response.status !== 401 || !isRepeatable(init.body)) return response
  const demandsNonce = token.dpopKey !== undefined && response.headers.has('dpop-nonce')
  const next = demandsNonce ? token : await tokenAfter401(rp, req, user, request, token)
  if (next === undefined) return response
  await response.body?.cancel()
  return await rejectStepUp(await send(rp, user, target, init, next))
}

/** RFC 9470 4: only a new login helps, no new token. */
async function rejectStepUp(response: Response): Promise<Response> {
  if (response.status !== 401) return response
  const requirement = requirementOfChallenge(response.headers.get('www-authenticate'))
  if (requirement === undefined) return response
  await response.body?.cancel()
  throw new StepUpError(requirement)
}

/**
 * `req.oidc.userinfo()`: requests the UserInfo claims now. If the provider has no further claims for this token, the result
 * has the `sub` alone. If UserInfo refuses the token, it is refreshed once. Throws what {@link freshAccessToken} throws, and
 * the codes of UserInfo.
 */
export async function requestUserInfo(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login | undefined,
): Promise<JsonObject> {
  const token = await freshAccessToken(rp, req, requireLogin(login))
  const { isTokenRejected } = await loadUserInfo()
  try {
    return await readUserInfoNow(rp, req, token)
  } catch (error) {
    const next = isTokenRejected(error) ? await tokenAfter401(rp, req, requireLogin(login), {}, token) : undefined
    if (next === undefined) throw error
    return await readUserInfoNow(rp, req, next)
  }
}

async function readUserInfoNow(rp: RelyingParty, req: SessionRequest, token: AccessToken): Promise<JsonObject> {
  // Read again: the login may have expired or changed while the token was read.
  const user = requireLogin(readLogin(req, rp.config))
  const { readUserInfo } = await loadUserInfo()
  const { sub } = user.claims
  return (await readUserInfo(await clientOf(rp, user).findProvider(), token, sub)) ?? { sub }
}

/** An access token must be sent over TLS (RFC 6750 5.3). */
function requireHttps(url: string, allowsHttp: boolean): URL {
  const target = URL.canParse(url) ? new URL(url) : undefined
  if (target?.protocol === 'https:' || (allowsHttp && target?.protocol === 'http:')) return target
  throw new OidcError(
    'ERR_OIDC_TOKEN_UNAVAILABLE',
    'An access token is sent only to an absolute https URL. Pass one that begins with https:// to req.oidc.fetch() or to ' +
      'attachAccessToken({ target }).',
    { status: 500 },
  )
}

/** Loads token exchange only for who uses it. */
async function findToken(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login,
  { exchange, ...request }: AccessTokenRequest & Pick<AccessTokenQuery, 'rejectedToken'>,
): Promise<AccessToken> {
  if (exchange === undefined) return await freshAccessToken(rp, req, login, request)
  const { exchangedAccessToken } = await loadExchange()
  return await exchangedAccessToken(rp, req, login, { ...request, exchange })
}

/** Returns a new token, or `undefined` if there is none. The caller of the API then gets the 401. */
async function tokenAfter401(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login,
  request: AccessTokenRequest,
  { accessToken }: AccessToken,
): Promise<AccessToken | undefined> {
  try {
    return await findToken(rp, req, login, { ...request, rejectedToken: accessToken })
  } catch (error) {
    if (error instanceof OidcError && error.code === 'ERR_OIDC_TOKEN_UNAVAILABLE') return undefined
    throw error
  }
}

async function send(
  rp: RelyingParty,
  login: Login,
  url: URL,
  init: RequestInit,
  token: AccessToken,
): Promise<Response> {
  const headers = new Headers(init.headers)
  const { authorization, dpop, keepNonce } = await headersFor(rp, login, url, init.method ?? 'GET', token)
  headers.set('authorization', authorization)
  if (dpop !== undefined) headers.set('dpop', dpop)
  const fetchApi = await clientOf(rp, login).findApiFetch()
  const response = await fetchApi(url, { ...init, headers })
  keepNonce(response.headers)
  return response
}

/**
 * For `attachAccessToken()`: the headers of one request to an API, whose response must go to `keepNonce`. Throws what
 * {@link freshAccessToken} throws.
 */
export async function createTokenHeaders(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login | undefined,
  url: string,
  { method, ...request }: AccessTokenRequest & { readonly method: string },
): Promise<TokenHeaders> {
  const target = requireHttps(url, rp.config.dangerouslyAllowInsecureRequests)
  const user = requireLogin(login)
  return headersFor(rp, user, target, method, await findToken(rp, req, user, request))
}

async function headersFor(
  rp: RelyingParty,
  login: Login,
  { href: url }: URL,
  method: string,
  { accessToken, tokenType, dpopKey: key }: AccessToken,
): Promise<TokenHeaders> {
  const authorization = `${tokenType} ${accessToken}`
  if (key === undefined) return { authorization, keepNonce: () => undefined }
  const { dpopNonces } = await clientOf(rp, login).findProvider()
  const { createDpopProof } = await loadDpop()
  const [nonce, now] = [dpopNonces.get(url), Math.floor(nowInSeconds())]
  const dpop = await createDpopProof({ key, method: method.toUpperCase(), url, nonce, accessToken, now })
  return {
    authorization,
    dpop,
    keepNonce(headers) {
      dpopNonces.keep(url, headers)
    },
  }
}
