import { OidcError, ProviderError, shown } from '../errors.ts'
import { publish } from '../events.ts'
import type { JsonObject } from '../jose/json.ts'
import { traced } from '../operations.ts'
import type { Config } from '../options/config.ts'
import { withTimeLimit } from '../time/limit.ts'
import { type ConnectionSettings, HTTP2_ONLY } from './connections.ts'
import { errorFromStatus, supportId } from './error-response.ts'
import {
  createFetchTransport,
  createNodeTransport,
  type HttpRequest,
  type ProviderResponse,
  type ResponseHeaders,
  readJson,
  readResponse,
  withoutQuery,
} from './http-transport.ts'
import { secretsIn } from './sent-secrets.ts'

/**
 * The only way to send a request to a provider. Everything is bounded: `timeout` seconds in all for connection, headers and
 * body, 1 MiB of body, no redirects, no compression, https only. Failures are {@link ProviderError}s with the codes
 * `ERR_OIDC_PROVIDER_…`, and `ERR_OIDC_METADATA_INVALID` for a URL that must not be requested.
 */
export interface HttpClient {
  /** Sends a request. Resolves for any status but a redirect. */
  request(url: string, request: HttpRequest): Promise<ProviderResponse>
  /** Fetches a document, which must have status 200 and be a JSON object. */
  getJson(url: string): Promise<{ readonly json: JsonObject; readonly headers: ResponseHeaders }>
}

/** A client whose connections can be closed, when no request is under way. */
export interface ClosableHttpClient extends HttpClient {
  close(): void
}

/** Sent with every request. */
const OWN_HEADERS = { 'user-agent': 'express-oidc', 'accept-encoding': 'identity' }

/**
 * Creates a client for one provider, with its own connections. If `config.fetch` is set, it is used instead, and is itself
 * responsible for certificates and addresses.
 */
export function createHttpClient(
  config: Pick<Config, 'timeout' | 'fetch' | 'dangerouslyAllowInsecureRequests'> & ConnectionSettings,
): ClosableHttpClient {
  const transport = config.fetch === undefined ? createNodeTransport(config) : createFetchTransport(config.fetch)
  const protocols = config.dangerouslyAllowInsecureRequests ? ['https:', 'http:'] : ['https:']

  async function request(url: string, init: HttpRequest): Promise<ProviderResponse> {
    const target = parseTarget(url, protocols)
    const urlWithoutQuery = target.origin + target.pathname
    const complete = { ...init, headers: { ...init.headers, ...OWN_HEADERS } }
    return await withEvent(init.method, urlWithoutQuery, () =>
      withTimeLimit(
        config.timeout,
        async (limit) => {
          const response = await readResponse(await transport(target, complete, limit), urlWithoutQuery)
          return { ...response, sentSecrets: () => secretsIn(init) }
        },
        () => timeoutError(urlWithoutQuery, config.timeout),
      ),
    )
  }

  return { request, getJson: createJsonGetter(request), close: transport.close }
}

/** {@link HttpClient.getJson} by this way to send a request. */
export function createJsonGetter(request: HttpClient['request']): HttpClient['getJson'] {
  return async (url) => {
    const response = await request(url, { method: 'GET', headers: { accept: 'application/json' } })
    if (response.status !== 200) throw errorFromStatus(response, withoutQuery(url))
    return { json: readJson(response, withoutQuery(url)), headers: response.headers }
  }
}

function parseTarget(url: string, protocols: readonly string[]): URL {
  if (!URL.canParse(url)) throw invalidTarget('that is not absolute')
  const target = new URL(url)
  const { protocol, host, pathname, username, password } = target
  if (!protocols.includes(protocol))
    throw invalidTarget(`that is not https: ${shown(`${protocol}//${host}${pathname}`)}`)
  if (username !== '' || password !== '') throw invalidTarget(`with a user or a password at ${shown(host)}`)
  return target
}

function invalidTarget(what: string): ProviderError {
  return new ProviderError('ERR_OIDC_METADATA_INVALID', `The provider's metadata has a URL ${what}.`)
}

function timeoutError(urlWithoutQuery: string, seconds: number): ProviderError {
  return new ProviderError(
    'ERR_OIDC_PROVIDER_TIMEOUT',
    `${urlWithoutQuery} did not respond within ${seconds} seconds (option timeout).`,
  )
}

function toProviderError(error: unknown, urlWithoutQuery: string): OidcError {
  if (error instanceof OidcError) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new ProviderError(
      'ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE',
      `The headers of the response of ${urlWithoutQuery} are too large.`,
      { cause: error },
    )
  }
  if (code === HTTP2_ONLY) {
    return new ProviderError(
      'ERR_OIDC_PROVIDER_RESPONSE_INVALID',
      `${urlWithoutQuery} speaks HTTP/2 only, and this middleware HTTP/1.1. Enable HTTP/1.1 at the provider or the proxy ` +
        'in front of it, or set the option fetch to a function that uses HTTP/2.',
      { cause: error },
    )
  }
  if (code.startsWith('HPE_')) {
    return new ProviderError('ERR_OIDC_PROVIDER_RESPONSE_INVALID', `The response of ${urlWithoutQuery} is not HTTP.`, {
      cause: error,
    })
  }
  const reason = /^[A-Z][A-Z\d_]{1,40}$/.test(code) ? ` (${code})` : ''
  return new ProviderError(
    'ERR_OIDC_PROVIDER_UNREACHABLE',
    `The connection to ${urlWithoutQuery} failed${reason}. Check the network, DNS and certificates.`,
    { cause: error },
  )
}

/** Publishes each request with its outcome, and turns failures into errors of this library. */
async function withEvent(
  method: string,
  url: string,
  send: () => Promise<ProviderResponse>,
): Promise<ProviderResponse> {
  return await traced(
    'express-oidc:request',
    () => ({ method, url }),
    async (operation) => {
      const response = await publishOutcome(method, url, send)
      if (operation !== undefined) {
        operation.status = response.status
        const id = supportId(response.headers.get('x-okta-request-id'))
        if (id !== undefined) operation.requestId = id
      }
      return response
    },
  )
}

async function publishOutcome(
  method: string,
  url: string,
  send: () => Promise<ProviderResponse>,
): Promise<ProviderResponse> {
  const startedAt = performance.now()
  const publishRequest = (outcome: number | string) => {
    const milliseconds = Math.round(performance.now() - startedAt)
    publish['express-oidc:provider'](() => ({ method, url, outcome, milliseconds }))
  }
  try {
    const response = await send()
    publishRequest(response.status)
    return response
  } catch (error) {
    const failure = toProviderError(error, url)
    publishRequest(failure.code)
    throw failure
  }
}
