import { refusalError } from '../http-client/provider-refusal.ts'
import type { TokenRecord } from '../types.ts'
import { postForm } from './back-channel-request.ts'
import type { Provider } from './provider.ts'

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
  if (answer.status !== 200) throw refusalError(answer, 'ERR_OIDC_REVOCATION')
}
