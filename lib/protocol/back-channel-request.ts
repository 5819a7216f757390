import { type HttpAnswer, jsonOf } from '../http-client/http-answer.ts'
import type { DpopKey } from '../types.ts'
import { authenticateClient, type EndpointName, endpointOf } from './client-auth.ts'
import { sendWithProof } from './dpop-request.ts'
import type { Provider } from './provider.ts'

/** Members of a posted form. A list is sent as one member for each of its values (RFC 8707 2). */
export type FormParams = Readonly<Record<string, string | readonly string[]>>

/** What an authenticated request may want in particular. */
export interface PostOptions {
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
): Promise<HttpAnswer> {
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
    demandsNonce: (answer) => [400, 401].includes(answer.status) && jsonOf(answer)?.['error'] === 'use_dpop_nonce',
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
