import { OidcError, ProviderError } from '../errors.ts'
import { publish } from '../events.ts'
import type { JsonObject } from '../jose/json.ts'
import type { Config } from '../options/config.ts'
import { errorFromStatus } from './error-response.ts'
import {
  type ConnectionSettings,
  createFetchTransport,
  createNodeTransport,
  type HttpRequest,
  type ProviderResponse,
  readJson,
  readResponse,
} from './http-transport.ts'

/**
 * The one way to ask the provider for something. Everything is bounded: `timeout` seconds in all for connection,
 * headers and body, 1 MiB of body, no redirect, no compression, https only. Failures are {@link ProviderError}s with
 * the codes `ERR_OIDC_PROVIDER_...`, and `ERR_OIDC_METADATA_INVALID` for an address that must not be asked.
 */
export interface HttpClient {
  /** Sends a request; any status but a redirect is an answer. */
  request(url: string, request: HttpRequest): Promise<ProviderResponse>
  /** Gets a document that must be there (200) and be a JSON object. */
  getJson(url: string): Promise<{ readonly json: JsonObject; readonly headers: Headers }>
}

/**
 * A client for one provider, with connections of its own, or with `config.fetch` in their place, which then sees to
 * certificates and addresses itself.
 */
export function createHttpClient(
  config: Pick<Config, 'timeout' | 'fetch' | 'dangerouslyAllowInsecureRequests'> & ConnectionSettings,
): HttpClient {
  const transport = config.fetch === undefined ? createNodeTransport(config) : createFetchTransport(config.fetch)
  const protocols = config.dangerouslyAllowInsecureRequests ? ['https:', 'http:'] : ['https:']

  async function request(url: string, init: HttpRequest): Promise<ProviderResponse> {
    const target = parseTarget(url, protocols)
    const urlWithoutQuery = target.origin + target.pathname
    const complete = { ...init, headers: completeHeaders(init.headers) }
    return await observed(init.method, urlWithoutQuery, () =>
      withinTime(config.timeout, urlWithoutQuery, async (signal) =>
        readResponse(await transport(target, complete, signal), urlWithoutQuery),
      ),
    )
  }

  async function getJson(url: string): Promise<{ json: JsonObject; headers: Headers }> {
    const answer = await request(url, { method: 'GET', headers: { accept: 'application/json' } })
    const [urlWithoutQuery = ''] = url.split('?')
    if (answer.status !== 200) throw errorFromStatus(answer, urlWithoutQuery)
    return { json: readJson(answer, urlWithoutQuery), headers: answer.headers }
  }

  return { request, getJson }
}

function parseTarget(url: string, protocols: readonly string[]): URL {
  const target = URL.canParse(url) ? new URL(url) : undefined
  if (
    target === undefined ||
    !protocols.includes(target.protocol) ||
    target.username !== '' ||
    target.password !== ''
  ) {
    throw new ProviderError('ERR_OIDC_METADATA_INVALID', 'An address of the provider is not an https URL without user.')
  }
  return target
}

function completeHeaders(headers: HttpRequest['headers']): Record<string, string> {
  const complete = new Headers(headers)
  complete.set('user-agent', 'express-oidc')
  complete.set('accept-encoding', 'identity')
  return Object.fromEntries(complete)
}

/** Runs the work, and gives up on it after so many seconds even if it does not heed the signal. */
async function withinTime<T>(
  seconds: number,
  urlWithoutQuery: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(
        new ProviderError('ERR_OIDC_PROVIDER_TIMEOUT', `${urlWithoutQuery} took longer than ${seconds} s to answer.`),
      )
    }, seconds * 1000)
  })
  try {
    return await Promise.race([work(controller.signal), timeout])
  } catch (error) {
    // Ends whatever is left of it: a body that is too large goes on arriving otherwise.
    controller.abort()
    throw error
  } finally {
    clearTimeout(timer)
  }
}

function toProviderError(error: unknown, urlWithoutQuery: string): OidcError {
  if (error instanceof OidcError) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new ProviderError('ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE', `${urlWithoutQuery} sent too many headers.`, {
      cause: error,
    })
  }
  if (code.startsWith('HPE_')) {
    return new ProviderError('ERR_OIDC_PROVIDER_RESPONSE_INVALID', `${urlWithoutQuery} does not speak HTTP.`, {
      cause: error,
    })
  }
  return new ProviderError('ERR_OIDC_PROVIDER_UNREACHABLE', `The connection to ${urlWithoutQuery} failed.`, {
    cause: error,
  })
}

/** Tells who watches what was asked and what came of it, failures as errors of ours. */
async function observed(method: string, url: string, ask: () => Promise<ProviderResponse>): Promise<ProviderResponse> {
  const startedAt = performance.now()
  const publishRequest = (outcome: number | string) => {
    const milliseconds = Math.round(performance.now() - startedAt)
    publish['express-oidc:provider'](() => ({ method, url, outcome, milliseconds }))
  }
  try {
    const answer = await ask()
    publishRequest(answer.status)
    return answer
  } catch (error) {
    const failure = toProviderError(error, url)
    publishRequest(failure.code)
    throw failure
  }
}
