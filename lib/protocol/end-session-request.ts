import { buildEndSessionUrl, randomState } from 'openid-client'
import { errorFromResponse } from '../provider/error-response.ts'
import type { Provider } from '../provider/provider.ts'
import { postForm } from '../provider/requests.ts'
import type { TokenRecord } from '../types.ts'

/** A request that the browser carries to the end-session endpoint. */
export interface EndSessionRequest {
  /** By address; as a form where that would be too long (OIDC RP-Initiated Logout 2). */
  readonly method: 'GET' | 'POST'
  /** With the parameters in it, where it is a GET. */
  readonly url: string
  readonly params: URLSearchParams
  /** For whoever can only go to an address: without the ID Token, where it is too long for one. */
  readonly address: string
}

/** Proxies refuse response headers of more than 4 kB, and servers addresses of more than 8 kB. */
const LONGEST_URL = 3500

/**
 * How to log out at the provider too (OIDC RP-Initiated Logout 2), or `undefined` where the provider has no such endpoint.
 * `state` is sent although nothing hangs on it: some providers only come back with one.
 */
export function createEndSessionRequest(
  provider: Provider,
  idToken: string,
  further: Readonly<Record<string, string>>,
): EndSessionRequest | undefined {
  const { end_session_endpoint: endpoint } = provider.metadata
  if (endpoint === undefined) return undefined
  const { clientId, postLogoutRedirectUri } = provider.config
  const params = {
    ...further,
    client_id: clientId,
    post_logout_redirect_uri: postLogoutRedirectUri,
    state: randomState(),
  }
  const withHint = { id_token_hint: idToken, ...params }
  const { href } = buildEndSessionUrl(provider.client, withHint)
  if (href.length <= LONGEST_URL) {
    return { method: 'GET', url: href, params: new URLSearchParams(withHint), address: href }
  }
  const { href: address } = buildEndSessionUrl(provider.client, params)
  return { method: 'POST', url: endpoint, params: new URLSearchParams(withHint), address }
}

/**
 * Has the provider forget the tokens of a login that has ended (RFC 7009 2.1): the refresh token, and with it the access
 * tokens that it made; where there is none, the access token. Does nothing where the provider has no such endpoint.
 * Throws `ERR_OIDC_REVOCATION` where the provider refuses, and the codes `ERR_OIDC_PROVIDER_...`.
 */
export async function revokeTokens(provider: Provider, { refreshToken, accessToken }: TokenRecord): Promise<void> {
  const token = refreshToken ?? accessToken
  if (token === undefined || provider.metadata['revocation_endpoint'] === undefined) return
  const answer = await postForm(provider, 'revocation_endpoint', {
    token,
    token_type_hint: refreshToken === undefined ? 'access_token' : 'refresh_token',
  })
  // RFC 7009 2.2: 200 for a token that was not known, too.
  if (answer.status !== 200) throw errorFromResponse(answer, 'ERR_OIDC_REVOCATION')
}
