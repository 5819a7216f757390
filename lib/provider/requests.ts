import { OidcError } from '../errors.ts'
import { nowInSeconds } from '../time/seconds.ts'
import { loadOnce } from '../time/single-flight.ts'
import type { DpopKey } from '../types.ts'
import { type AuthenticatedClient, authenticateClient, type EndpointName, endpointOf } from './client-authentication.ts'
import { parseChallenges } from './error-response.ts'
import { type HttpRequest, type ProviderResponse, untypedJsonBody } from './http-transport.ts'
import type { Provider } from './provider.ts'

/** The fields of a posted form. An array is sent as one field for each of its values (RFC 8707 2). */
export type FormParams = Readonly<Record<string, string | readonly string[]>>

/** What {@link postForm} needs of a provider. */
export type PostingClient = AuthenticatedClient & Pick<Provider, 'http' | 'dpopNonces'>

interface PostOptions {
  /** The key that the tokens in the response are bound to (RFC 9449 5). */
  readonly dpopKey?: DpopKey | undefined
  /** The accepted media type. Default: JSON. */
  readonly accept?: string
}

/** Parameters that authenticate the client. Callers cannot set them: a request must not use two methods at once. */
const CREDENTIALS: ReadonlySet<string> = new Set(['client_secret', 'client_assertion', 'client_assertion_type'])

/**
 * Posts a form to an endpoint of the provider as the authenticated client: token, pushed request, revocation. With a
 * `dpopKey` it carries a DPoP proof. If the server demands its own nonce (RFC 9449 8), the form is sent once more with a new
 * proof and a new assertion: a request that was refused for its nonce has spent nothing. It is never repeated otherwise.
 *
 * Resolves for any status but a redirect. Throws what {@link authenticateClient}, {@link endpointOf} and the HTTP client
 * throw.
 */
export async function postForm(
  provider: PostingClient,
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
    demandsNonce: (response) =>
      [400, 401].includes(response.status) && untypedJsonBody(response)?.['error'] === 'use_dpop_nonce',
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

interface ResourceRequest {
  readonly accessToken: string
  readonly tokenType: 'Bearer' | 'DPoP'
  /** The key that the token is bound to. Required for `DPoP`. */
  readonly dpopKey?: DpopKey | undefined
  /** Where a bearer token is sent: in the header (default), or in the form of a POST (RFC 6750 2.1, 2.2). */
  readonly bearerMethod?: 'header' | 'body'
  /** The accepted media type. Default: JSON. */
  readonly accept?: string
}

/** Slightly more than RFC 6750 2.1: what a header can carry. Node's error about an invalid header would hold the token. */
const ACCESS_TOKEN = /^[\x21-\x7e]+$/

/**
 * Sends a request with an access token to a resource, UserInfo for example. A token that is bound to a key is sent with a
 * proof (RFC 9449 7). If the server demands its own nonce (RFC 9449 9), the request is sent once more with a new proof. A
 * token is never sent in two ways at once (RFC 6750 2).
 *
 * Resolves for any status but a redirect. Throws `ERR_OIDC_TOKEN_UNAVAILABLE` for a token that no header can carry or whose
 * key is missing, and what the HTTP client throws.
 */
export async function requestResource(
  provider: Provider,
  url: string,
  request: ResourceRequest,
): Promise<ProviderResponse> {
  const { accessToken, tokenType, dpopKey, accept = 'application/json' } = request
  if (!ACCESS_TOKEN.test(accessToken)) throw unusableToken('has characters that a header cannot carry. Log in again.')
  if (tokenType === 'Bearer') return await provider.http.request(url, bearerRequest(request, accept))
  if (dpopKey === undefined) throw unusableToken('is bound to a DPoP key that is not stored with it. Log in again.')
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

function demandsNonce(header: string | null): boolean {
  const challenges = parseChallenges(header).filter(({ scheme }) => scheme === 'dpop')
  return challenges.some(({ params }) => params.get('error') === 'use_dpop_nonce')
}

function unusableToken(problem: string): OidcError {
  return new OidcError('ERR_OIDC_TOKEN_UNAVAILABLE', `The access token ${problem}`)
}

/** A request that may need a DPoP proof. */
interface DpopRequest {
  readonly url: string
  readonly method: HttpRequest['method']
  /** Without a key, no proof is sent. */
  readonly dpopKey: DpopKey | undefined
  /** The access token in the request. */
  readonly accessToken?: string
  /** Creates the request. Called again for each time that it is sent, with the headers of the new proof. */
  readonly create: (proof: Readonly<Record<string, string>>) => Promise<HttpRequest>
  /** True if a response says that only the server's nonce was missing. */
  readonly demandsNonce: (response: ProviderResponse) => boolean
}

/**
 * Sends a request with a DPoP proof (RFC 9449 4), and once more with the nonce that the response demands (RFC 9449 8, 9), but
 * never a third time. It uses the nonce of this very response, because another request may have received another one since.
 */
async function sendWithProof(
  provider: Pick<Provider, 'http' | 'dpopNonces'>,
  request: DpopRequest,
): Promise<ProviderResponse> {
  const { url, dpopKey, accessToken, create, demandsNonce } = request
  if (dpopKey === undefined) return await provider.http.request(url, await create({}))
  const server = accessToken === undefined ? 'authorization' : 'resource'
  const first = await sendOnce(provider, request, dpopKey, provider.dpopNonces.get(url, server))
  const nonce = provider.dpopNonces.keep(url, first.headers, server)
  if (nonce === undefined || !demandsNonce(first)) return first
  const second = await sendOnce(provider, request, dpopKey, nonce)
  provider.dpopNonces.keep(url, second.headers, server)
  return second
}

const loadDpop = loadOnce(() => import('./dpop.ts'))

async function sendOnce(
  provider: Pick<Provider, 'http'>,
  { url, method, accessToken, create }: DpopRequest,
  key: DpopKey,
  nonce: string | undefined,
): Promise<ProviderResponse> {
  const { createDpopProof } = await loadDpop()
  const now = Math.floor(nowInSeconds())
  const proof = await createDpopProof({ key, method, url, nonce, accessToken, now })
  return await provider.http.request(url, await create({ dpop: proof }))
}
