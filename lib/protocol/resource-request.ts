import { OidcError } from '../errors.ts'
import type { HttpAnswer } from '../http-client/http-answer.ts'
import { parseChallenges } from '../http-client/www-authenticate.ts'
import type { DpopKey } from '../types.ts'
import { sendWithProof } from './dpop-request.ts'
import type { Provider } from './provider.ts'

/** How a resource is asked. */
export interface ResourceRequest {
  readonly accessToken: string
  readonly tokenType: 'Bearer' | 'DPoP'
  /** What the token is bound to: needed with `DPoP`. */
  readonly dpopKey?: DpopKey | undefined
  /** How a bearer token is shown: in the header, the default, or in the form of a POST (RFC 6750 2.1, 2.2). */
  readonly bearerMethod?: 'header' | 'body'
  /** The media type to ask for; JSON unless told. */
  readonly accept?: string
}

/** RFC 6750 2.1, a little wider: what a header carries. An error about a header would hold all of it. */
const ACCESS_TOKEN = /^[\x21-\x7e]+$/

/**
 * Asks a resource, UserInfo for example, showing an access token. A token that is bound to a key is shown with a proof
 * (RFC 9449 7), which is made anew, once, where the server demands its own nonce (RFC 9449 9). A token is never shown in two
 * ways at once (RFC 6750 2).
 *
 * Any status but a redirect is an answer. Throws `ERR_OIDC_TOKEN_UNAVAILABLE` for a token that no header can carry, or
 * whose key is not there, and what the HTTP client does.
 */
export async function requestResource(provider: Provider, url: string, request: ResourceRequest): Promise<HttpAnswer> {
  const { accessToken, tokenType, dpopKey, accept = 'application/json' } = request
  if (!ACCESS_TOKEN.test(accessToken)) throw unavailable('has characters that no access token has')
  if (tokenType === 'Bearer') return await provider.http.request(url, bearerRequest(request, accept))
  if (dpopKey === undefined) throw unavailable('is bound to a key that is not there')
  return await sendWithProof(provider, {
    url,
    method: 'GET',
    dpopKey,
    accessToken,
    create: async (proof) => {
      return { method: 'GET', headers: { ...proof, accept, authorization: `DPoP ${accessToken}` } }
    },
    demandsNonce: ({ status, headers }) => status === 401 && demandsNonce(headers.get('www-authenticate')),
  })
}

function bearerRequest({ accessToken, bearerMethod }: ResourceRequest, accept: string) {
  if (bearerMethod !== 'body') {
    return { method: 'GET', headers: { accept, authorization: `Bearer ${accessToken}` } } as const
  }
  return {
    method: 'POST',
    headers: { accept, 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ access_token: accessToken }).toString(),
  } as const
}

/** RFC 9110 11.1: a scheme may be written in any case. */
function demandsNonce(header: string | null): boolean {
  const challenges = parseChallenges(header).filter(({ scheme }) => scheme === 'dpop')
  return challenges.some(({ params }) => params.get('error') === 'use_dpop_nonce')
}

function unavailable(fault: string): OidcError {
  return new OidcError('ERR_OIDC_TOKEN_UNAVAILABLE', `The access token ${fault}.`)
}
