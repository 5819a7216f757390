import { buildEndSessionUrl, randomState } from 'openid-client'
import type { Provider } from './provider.ts'

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
