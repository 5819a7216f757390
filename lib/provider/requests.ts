import { OidcError } from '../errors.ts'
import type { DpopKey } from '../types.ts'
import { authenticateClient, type EndpointName, endpointOf } from './client-authentication.ts'
import { createDpopProof } from './dpop.ts'
import { parseChallenges } from './error-response.ts'
import { type HttpRequest, jsonBody, type ProviderResponse } from './http-transport.ts'
import type { Provider } from './provider.ts'

/** Members of a posted form. A list is sent as one member for each of its values (RFC 8707 2). */
export type FormParams = Readonly<Record<string, string | readonly string[]>>

/** What an authenticated request may want in particular. */
interface PostOptions {
  /** What the answer is to be bound to (RFC 9449 5). */
  readonly dpopKey?: DpopKey | undefined
  /** The media type to ask for; JSON unless told. */
  readonly accept?: string
}

/** By these the client proves itself. Nobody else puts them into a form: there must never be two methods in one. */
const CREDENTIALS: ReadonlySet<string> = new Set(['client_secret', 'client_assertion', 'client_assertion_type'])

/**
 * Posts a form to an endpoint of the provider in the client's name: token, pushed request, revocation, introspection. With
 * a key it carries a proof of possession, and is sent once more, with a new proof and a new assertion, where the server
 * demands its own nonce (RFC 9449 8): what it refuses for that, it has not spent. Nothing else is ever sent twice.
 *
 * Any status but a redirect is an answer. Throws what {@link authenticateClient}, {@link endpointOf} and the HTTP client do.
 */
export async function postForm(
  provider: Provider,
  name: EndpointName,
  params: FormParams,
  { dpopKey, accept = 'application/json' }: PostOptions = {},
): Promise<ProviderResponse> {
  const url = endpointOf(provider, name)
  return await sendWithProof(provider, {
    url,
    method: 'POST',
    dpopKey,
    create: async (proof) => {
      const { headers, params: credentials } = await authenticateClient(provider, url)
      return {
        method: 'POST',
        headers: { ...headers, ...proof, accept, 'content-type': 'application/x-www-form-urlencoded' },
        body: formOf({ ...withoutCredentials(params), ...credentials }),
      }
    },
    demandsNonce: (answer) => [400, 401].includes(answer.status) && jsonBody(answer)?.['error'] === 'use_dpop_nonce',
  })
}

function withoutCredentials(params: FormParams): FormParams {
  return Object.fromEntries(Object.entries(params).filter(([name]) => !CREDENTIALS.has(name)))
}

function formOf(params: FormParams): string {
  const form = new URLSearchParams()
  for (const [name, value] of Object.entries(params)) {
    for (const one of [value].flat()) form.append(name, one)
  }
  return form.toString()
}

/** How a resource is asked. */
interface ResourceRequest {
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
export async function requestResource(
  provider: Provider,
  url: string,
  request: ResourceRequest,
): Promise<ProviderResponse> {
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

/** A request that may have to prove the possession of a key. */
interface DpopRequest {
  readonly url: string
  readonly method: HttpRequest['method']
  /** Without a key there is no proof. */
  readonly dpopKey: DpopKey | undefined
  /** The access token that is shown along with the proof. */
  readonly accessToken?: string
  /** Makes the request anew for each time that it is sent, with the headers of the proof. */
  readonly create: (proof: Readonly<Record<string, string>>) => Promise<HttpRequest>
  /** Whether an answer says that the proof lacks the server's nonce, and that nothing but this was wrong. */
  readonly demandsNonce: (answer: ProviderResponse) => boolean
}

/**
 * Sends a request with a proof of possession (RFC 9449 4), and once more where the answer demands the nonce that it brings
 * (RFC 9449 8, 9), but never a third time. That very nonce is used, not the newest that is known by then: another request
 * may have got another.
 */
async function sendWithProof(provider: Provider, request: DpopRequest): Promise<ProviderResponse> {
  const { url, dpopKey, accessToken, create, demandsNonce } = request
  if (dpopKey === undefined) return await provider.http.request(url, await create({}))
  const server = accessToken === undefined ? 'authorization' : 'resource'
  const answer = await sendOnce(provider, request, dpopKey, provider.dpopNonces.get(url, server))
  const nonce = provider.dpopNonces.keep(url, answer.headers, server)
  if (nonce === undefined || !demandsNonce(answer)) return answer
  const second = await sendOnce(provider, request, dpopKey, nonce)
  provider.dpopNonces.keep(url, second.headers, server)
  return second
}

async function sendOnce(
  provider: Provider,
  { url, method, accessToken, create }: DpopRequest,
  key: DpopKey,
  nonce: string | undefined,
): Promise<ProviderResponse> {
  const now = Math.floor(Date.now() / 1000)
  const proof = await createDpopProof({ key, method, url, nonce, accessToken, now })
  return await provider.http.request(url, await create({ dpop: proof }))
}
