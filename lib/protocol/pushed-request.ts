import { ProviderError } from '../errors.ts'
import { jsonOf } from '../http-client/http-answer.ts'
import { refusalError } from '../http-client/provider-refusal.ts'
import type { DpopKey } from '../types.ts'
import { type FormParams, postForm } from './back-channel-request.ts'
import type { Provider } from './provider.ts'

/** What the browser carries in the place of the request. */
export interface PushedRequest {
  readonly requestUri: string
  /** The life of it, in seconds. */
  readonly expiresIn: number
}

/** Of printable ASCII, as every URI is (RFC 3986 2), and short enough for an address. */
const REQUEST_URI = /^[\x21-\x7e]{1,2048}$/

/**
 * Hands the authorization request to the provider directly (RFC 9126 2), signed or not, with a proof of possession where
 * there is a key: the code is bound to it then (RFC 9449 10.1). Throws `ERR_OIDC_PUSHED_REQUEST` where the provider refuses,
 * and `ERR_OIDC_PUSHED_RESPONSE` where its answer is none.
 *
 * @param params All that the browser would have carried, `client_id` included.
 */
export async function pushAuthorizationRequest(
  provider: Provider,
  params: FormParams,
  options: { readonly dpopKey?: DpopKey | undefined } = {},
): Promise<PushedRequest> {
  // RFC 9126 2.1: the one parameter that must not be pushed.
  const { request_uri: _, ...pushed } = params
  const answer = await postForm(provider, 'pushed_authorization_request_endpoint', pushed, options)
  // RFC 9126 2.2 says 201; several providers say 200.
  if (answer.status !== 201 && answer.status !== 200) throw refusalError(answer, 'ERR_OIDC_PUSHED_REQUEST')
  const { request_uri: requestUri, expires_in: expiresIn } = jsonOf(answer) ?? {}
  if (typeof requestUri !== 'string' || !REQUEST_URI.test(requestUri)) throw invalid('request_uri')
  if (typeof expiresIn !== 'number' || !(expiresIn > 0)) throw invalid('expires_in')
  return { requestUri, expiresIn }
}

function invalid(member: string): ProviderError {
  return new ProviderError(
    'ERR_OIDC_PUSHED_RESPONSE',
    `The answer to the pushed authorization request has no usable ${member}.`,
  )
}
