import type { HttpAnswer } from '../http-client/http-answer.ts'
import type { HttpRequest } from '../http-client/http-transport.ts'
import type { DpopKey } from '../types.ts'
import { createDpopProof } from './dpop.ts'
import type { Provider } from './provider.ts'

/** A request that may have to prove the possession of a key. */
export interface DpopRequest {
  readonly url: string
  readonly method: HttpRequest['method']
  /** Without a key there is no proof. */
  readonly dpopKey: DpopKey | undefined
  /** The access token that is shown along with the proof. */
  readonly accessToken?: string
  /** Makes the request anew for each time that it is sent, with the headers of the proof. */
  readonly create: (proof: Readonly<Record<string, string>>) => Promise<HttpRequest>
  /** Whether an answer says that the proof lacks the server's nonce, and that nothing but this was wrong. */
  readonly demandsNonce: (answer: HttpAnswer) => boolean
}

/**
 * Sends a request with a proof of possession (RFC 9449 4), and once more where the answer demands the nonce that it brings
 * (RFC 9449 8, 9), but never a third time. That very nonce is used, not the newest that is known by then: another request
 * may have got another.
 */
export async function sendWithProof(provider: Provider, request: DpopRequest): Promise<HttpAnswer> {
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
): Promise<HttpAnswer> {
  const now = Math.floor(Date.now() / 1000)
  const proof = await createDpopProof({ key, method, url, nonce, accessToken, now })
  return await provider.http.request(url, await create({ dpop: proof }))
}
