import { OidcError } from '../errors.ts'
import { clientOf, type RelyingParty } from '../relying-party.ts'
import type { SessionRequest } from '../session/express-session.ts'
import type { AccessToken, ApiRequestInit, Login } from '../types.ts'
import type { AccessTokenQuery } from './access-token.ts'
import { freshTokens } from './refresh.ts'

/**
 * Asks an API in the person's name: adds the access token, with a proof of possession where it is bound to a key (RFC 9449
 * 7). An API that answers 401 is asked once more, with a new token or with the nonce that it demands. Throws what
 * {@link freshTokens} does, and what `fetch` does.
 */
export async function requestApi(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login | undefined,
  url: string | URL,
  { scope, resource, ...init }: ApiRequestInit,
): Promise<Response> {
  const target = checkTarget(String(url), rp.config.dangerouslyAllowInsecureRequests)
  const token = await freshTokens(rp, req, login, { scope, resource })
  if (login === undefined) return await fetch(target, init)
  const first = await send(rp, login, target, init, token)
  if (first.status !== 401 || !isRepeatable(init.body)) return first
  const isNonceDemanded = token.dpopKey !== undefined && first.headers.has('dpop-nonce')
  const next = isNonceDemanded ? token : await refreshAfter401(rp, req, login, { scope, resource }, token)
  if (next === undefined) return first
  await first.body?.cancel()
  return await send(rp, login, target, init, next)
}

/** Whether a body is still there once it was sent: of a stream, or anything else that is iterated, nothing would be left. */
function isRepeatable(body: RequestInit['body']): boolean {
  if (body === undefined || body === null || typeof body === 'string') return true
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return true
  return body instanceof URLSearchParams || body instanceof FormData || body instanceof Blob
}

/** Where there is no other token, the answer of the API is the one that counts. */
async function refreshAfter401(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login,
  wanted: AccessTokenQuery,
  { accessToken }: AccessToken,
): Promise<AccessToken | undefined> {
  try {
    return await freshTokens(rp, req, login, { ...wanted, rejectedToken: accessToken })
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
  if (dpopKey === undefined) return await fetch(url, { ...init, headers })
  const { dpopNonces } = await clientOf(rp, login).findProvider()
  const { createDpopProof } = await import('../provider/dpop.ts')
  const method = (init.method ?? 'GET').toUpperCase()
  const nonce = dpopNonces.get(url.href)
  headers.set('dpop', await createDpopProof({ key: dpopKey, method, url: url.href, nonce, accessToken, now: now() }))
  const response = await fetch(url, { ...init, headers })
  dpopNonces.keep(url.href, response.headers)
  return response
}

/** RFC 6750 5.3: a token goes over TLS, or not at all. */
function checkTarget(url: string, isInsecureAllowed: boolean): URL {
  const target = URL.canParse(url) ? new URL(url) : undefined
  if (target?.protocol === 'https:' || (isInsecureAllowed && target?.protocol === 'http:')) return target
  throw new OidcError('ERR_OIDC_TOKEN_UNAVAILABLE', 'An access token is sent to absolute https addresses only.', {
    status: 500,
  })
}

function now(): number {
  return Math.floor(Date.now() / 1000)
}
