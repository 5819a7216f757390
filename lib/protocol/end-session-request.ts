import { buildEndSessionUrl, randomState } from 'openid-client'
import { endpointOf } from '../provider/client-authentication.ts'
import { errorFromResponse } from '../provider/error-response.ts'
import type { Provider } from '../provider/provider.ts'
import { postForm } from '../provider/requests.ts'
import type { TokenRecord } from '../types.ts'

/** A request that the browser sends to the end-session endpoint. */
export interface EndSessionRequest {
  /** POST if the URL would be too long (OIDC RP-Initiated Logout 2). */
  readonly method: 'GET' | 'POST'
  /** For a GET: with the parameters. */
  readonly url: string
  readonly params: URLSearchParams
  /** The URL for a caller that cannot send a POST: without the ID Token if it would be too long. */
  readonly redirectUrl: string
}

/** Proxies refuse response headers of more than 4 kB, and servers refuse URLs of more than 8 kB. */
const MAX_URL_LENGTH = 3500

/**
 * Creates the request that logs out at the provider, too (OIDC RP-Initiated Logout 2). Returns `undefined` if the provider has
 * no end-session endpoint. It has a `state`, which we do not need, because some providers redirect back only with one.
 */
export function createEndSessionRequest(
  provider: Provider,
  idToken: string,
  endSessionParams: Readonly<Record<string, string>>,
): EndSessionRequest | undefined {
  const { end_session_endpoint: endpoint } = provider.metadata
  if (endpoint === undefined) return undefined
  const { clientId, postLogoutRedirectUri, logoutWithoutIdTokenHint } = provider.config
  const params = {
    ...endSessionParams,
    client_id: clientId,
    post_logout_redirect_uri: postLogoutRedirectUri,
    state: randomState(),
  }
  const withHint = { ...(logoutWithoutIdTokenHint ? {} : { id_token_hint: idToken }), ...params }
  const { href } = buildEndSessionUrl(provider.client, withHint)
  if (href.length <= MAX_URL_LENGTH) {
    return { method: 'GET', url: href, params: new URLSearchParams(withHint), redirectUrl: href }
  }
  const { href: redirectUrl } = buildEndSessionUrl(provider.client, params)
  return { method: 'POST', url: endpoint, params: new URLSearchParams(withHint), redirectUrl }
}

/**
 * Revokes the tokens of a login (RFC 7009 2.1): the refresh token, and with it its access tokens; without a refresh token, the
 * access token. Does nothing if the provider has no revocation endpoint. Throws `ERR_OIDC_REVOCATION` if the provider refuses,
 * and `ERR_OIDC_PROVIDER_…`.
 */
export async function revokeTokens(provider: Provider, { refreshToken, accessToken }: TokenRecord): Promise<void> {
  const token = refreshToken ?? accessToken
  if (token === undefined || provider.metadata['revocation_endpoint'] === undefined) return
  const response = await postForm(provider, 'revocation_endpoint', {
    token,
    token_type_hint: refreshToken === undefined ? 'access_token' : 'refresh_token',
  })
  // RFC 7009 2.2: 200 for an unknown token, too.
  if (response.status === 200) return
  const url = endpointOf(provider, 'revocation_endpoint')
  throw errorFromResponse(response, 'ERR_OIDC_REVOCATION', { url, config: provider.config })
}
