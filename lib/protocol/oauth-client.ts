import {
  allowInsecureRequests,
  Configuration,
  type CustomFetchOptions,
  customFetch,
  type ServerMetadata,
} from 'openid-client'
import type { Config } from '../config/config.ts'
import { ProviderError } from '../errors.ts'
import type { ProviderMetadata } from '../options.ts'
import { createClientAuth } from './client-auth.ts'
import type { HttpAnswer } from './http-answer.ts'
import type { HttpClient } from './http-client.ts'

/** The member that holds the ID Token of a token response, once it was set aside. */
export const ID_TOKEN_ASIDE = 'express_oidc_id_token'

/** openid-client for one provider: our bounds on all that it fetches, our client authentication. */
export function createOAuthClient(config: Config, metadata: ProviderMetadata, http: HttpClient): Configuration {
  const client = new Configuration(metadata as ServerMetadata, config.clientId, undefined, createClientAuth(config))
  if (config.dangerouslyAllowInsecureRequests) allowInsecureRequests(client)
  // The HTTP client keeps the time, body included.
  client.timeout = 0
  client[customFetch] = async (url, init) => toResponse(await http.request(url, toRequest(init)))
  return client
}

function toRequest(init: CustomFetchOptions): Parameters<HttpClient['request']>[1] {
  const request = { method: init.method === 'POST' ? 'POST' : 'GET', headers: init.headers } as const
  return init.body === undefined || init.body === null ? request : { ...request, body: String(init.body) }
}

function toResponse({ status, headers, body }: HttpAnswer): Response {
  if (status === 200 && /^application\/jwt\b/i.test(headers.get('content-type') ?? '')) {
    // openid-client would take its claims without looking at the signature.
    throw new ProviderError('ERR_OIDC_PROVIDER_RESPONSE_INVALID', 'The provider answered with a JWT, not with JSON.')
  }
  const isEmpty = [204, 205, 304].includes(status)
  return new Response(isEmpty ? null : setIdTokenAside(body), { status, headers })
}

/**
 * Takes the ID Token out of openid-client's sight. It would read the claims of a token whose signature nobody has checked
 * yet, and says of most faults only that there is one: all ID Tokens, of all flows, are judged in `id-token.ts`.
 */
function setIdTokenAside(body: Uint8Array): Uint8Array | string {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8')
  if (!text.includes('"id_token"')) return body
  try {
    const { id_token: idToken, ...rest } = JSON.parse(text)
    return JSON.stringify({ ...rest, [ID_TOKEN_ASIDE]: idToken })
  } catch {
    return body
  }
}
