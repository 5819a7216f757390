import { buildEndSessionUrl, randomState } from 'openid-client'
import type { Config } from '../config/config.ts'
import type { Provider } from './provider.ts'

/** Proxies refuse response headers of more than 4 kB: a provider that asks the person is better than none. */
const LONGEST_HINT = 3000

/**
 * Where to send the browser to log out at the provider too (OIDC RP-Initiated Logout 2), or `undefined` where the
 * provider has no such endpoint. `state` is sent although nothing hangs on it: some providers only come back with one.
 */
export function createEndSessionUrl(
  provider: Provider,
  config: Pick<Config, 'postLogoutRedirectUri'>,
  idToken: string,
): string | undefined {
  if (provider.metadata.end_session_endpoint === undefined) return undefined
  return buildEndSessionUrl(provider.client, {
    ...(idToken.length > LONGEST_HINT ? {} : { id_token_hint: idToken }),
    post_logout_redirect_uri: config.postLogoutRedirectUri,
    state: randomState(),
  }).href
}
