import { OidcError } from '../errors.ts'
import { isRepeatable } from '../provider/api-fetch.ts'
import { clientOf, type RelyingParty } from '../relying-party.ts'
import { readLogin } from '../session/current-login.ts'
import type { SessionRequest } from '../session/express-session.ts'
import { nowInSeconds } from '../time/seconds.ts'
import { loadOnce } from '../time/single-flight.ts'
import type { AccessToken, ApiRequestInit, Json, Login } from '../types.ts'
import { type AccessTokenQuery, requireLogin } from './access-token.ts'
import { freshAccessToken } from './refresh.ts'

const loadDpop = loadOnce(() => import('../provider/dpop.ts'))
const loadUserInfo = loadOnce(() => import('../protocol/userinfo.ts'))

/**
 * `req.oidc.fetch()`: calls an API on the user's behalf. Adds the access token, and a DPoP proof if the token is bound to a
 * key (RFC 9449 7). If the API responds with 401, it repeats the request once: with the nonce that the API demands, or with
 * a new token. Connects as `createApiFetch` says. Throws what {@link freshAccessToken} and the global `fetch` throw.
 */
export async function requestApi(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login | undefined,
  url: string | URL,
  { scope, resource, ...init }: ApiRequestInit,
): Promise<Response> {
  const target = requireHttps(String(url), rp.config.dangerouslyAllowInsecureRequests)
  const user = requireLogin(login)
  const token = await freshAccessToken(rp, req, user, { scope, resource })
  const response = await send(rp, user, target, init, token)
  if (response.status !== 401 || !isRepeatable(init.body)) return response
  const demandsNonce = token.dpopKey !== undefined && response.headers.has('dpop-nonce')
  const next = demandsNonce ? token : await tokenAfter401(rp, req, user, { scope, resource }, token)
  if (next === undefined) return response
  await response.body?.cancel()
  return await send(rp, user, target, init, next)
}

/**
 * `req.oidc.userinfo()`: requests the UserInfo claims now. If the provider has no further claims for this token, the result
 * has the `sub` alone. Throws what {@link freshAccessToken} throws, and the codes of UserInfo.
 */
export async function requestUserInfo(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login | undefined,
): Promise<Readonly<Record<string, Json>>> {
  const token = await freshAccessToken(rp, req, requireLogin(login))
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
    "req.oidc.fetch() sends access tokens only to absolute https URLs. Pass a URL that begins with 'https://'.",
    { status: 500 },
  )
}

/** Returns a new token, or `undefined` if there is none. The caller of the API then gets the 401. */
async function tokenAfter401(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login,
  query: AccessTokenQuery,
  { accessToken }: AccessToken,
): Promise<AccessToken | undefined> {
  try {
    return await freshAccessToken(rp, req, login, { ...query, rejectedToken: accessToken })
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
  { accessToken, tokenType, dpopKey }: AccessToken,
): Promise<Response> {
  const headers = new Headers(init.headers)
  headers.set('authorization', `${tokenType} ${accessToken}`)
  const client = clientOf(rp, login)
  const fetchApi = await client.findApiFetch()
  if (dpopKey === undefined) return await fetchApi(url, { ...init, headers })
  const { dpopNonces } = await client.findProvider()
  const { createDpopProof } = await loadDpop()
  const method = (init.method ?? 'GET').toUpperCase()
  const nonce = dpopNonces.get(url.href)
  const now = Math.floor(nowInSeconds())
  headers.set('dpop', await createDpopProof({ key: dpopKey, method, url: url.href, nonce, accessToken, now }))
  const response = await fetchApi(url, { ...init, headers })
  dpopNonces.keep(url.href, response.headers)
  return response
}
