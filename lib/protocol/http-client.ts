import type { Config } from '../config/config.ts'
import { OidcError, ProviderError } from '../errors.ts'
import { publish } from '../events.ts'
import { type HttpAnswer, readAnswer, readJson } from './http-answer.ts'
import { createFetchTransport, createNodeTransport, type HttpRequest } from './http-transport.ts'
import type { JsonObject } from './json-object.ts'
import { statusError } from './provider-status.ts'

export type { HttpAnswer, HttpRequest }
export { statusError }

/** What openid-client's `customFetch` is given, as far as it matters here. */
export interface FetchInit {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: unknown
}

/**
 * The one way to ask the provider for something. Everything is bounded: `timeout` seconds in all for connection,
 * headers and body, 1 MiB of body, no redirect, no compression, https only. Failures are {@link ProviderError}s with
 * the codes `ERR_OIDC_PROVIDER_...`, and `ERR_OIDC_METADATA_INVALID` for an address that must not be asked.
 */
export interface HttpClient {
  /** Sends a request; any status but a redirect is an answer. */
  request(url: string, request: HttpRequest): Promise<HttpAnswer>
  /** Gets a document that must be there (200) and be a JSON object. */
  getJson(url: string): Promise<{ readonly json: JsonObject; readonly headers: Headers }>
  /**
   * `request` in the shape of openid-client's `customFetch`. A signal is not looked at: `timeout` holds. openid-client
   * wraps what this throws, so the {@link ProviderError} is the `cause` of what comes out there.
   */
  fetch(url: string, init: FetchInit): Promise<Response>
}

/** A client for one provider, with connections of its own, or with `config.fetch` in their place. */
export function createHttpClient(
  config: Pick<Config, 'timeout' | 'fetch' | 'dangerouslyAllowInsecureRequests'>,
): HttpClient {
  const transport = config.fetch === undefined ? createNodeTransport() : createFetchTransport(config.fetch)
  const protocols = config.dangerouslyAllowInsecureRequests ? ['https:', 'http:'] : ['https:']

  async function request(url: string, init: HttpRequest): Promise<HttpAnswer> {
    const target = parseTarget(url, protocols)
    const place = target.origin + target.pathname
    const complete = { ...init, headers: completeHeaders(init.headers) }
    return await observed(init.method, place, () =>
      withinTime(config.timeout, place, async (signal) => readAnswer(await transport(target, complete, signal), place)),
    )
  }

  async function getJson(url: string): Promise<{ json: JsonObject; headers: Headers }> {
    const answer = await request(url, { method: 'GET', headers: { accept: 'application/json' } })
    const [place = ''] = url.split('?')
    if (answer.status !== 200) throw statusError(answer, place)
    return { json: readJson(answer, place), headers: answer.headers }
  }

  async function fetch(url: string, init: FetchInit): Promise<Response> {
    const { status, headers, body } = await request(url, toRequest(init))
    return new Response([204, 205, 304].includes(status) ? null : body, { status, headers })
  }

  return { request, getJson, fetch }
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

function toRequest({ method, headers, body }: FetchInit): HttpRequest {
  if (method !== 'GET' && method !== 'POST') throw new TypeError('Only GET and POST are sent to a provider.')
  if (body === undefined || body === null) return { method, headers }
  if (typeof body === 'string' || body instanceof URLSearchParams) return { method, headers, body: String(body) }
  throw new TypeError('Only text is sent to a provider.')
}

/** Runs the work, and gives up on it after so many seconds even if it does not heed the signal. */
async function withinTime<T>(seconds: number, place: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    const error = new ProviderError('ERR_OIDC_PROVIDER_TIMEOUT', `${place} took longer than ${seconds} s to answer.`)
    timer = setTimeout(reject, seconds * 1000, error)
  })
  try {
    return await Promise.race([work(controller.signal), timeout])
  } catch (error) {
    // Ends whatever is left of it: a body that is too large goes on arriving otherwise.
    controller.abort()
    throw toProviderError(error, place)
  } finally {
    clearTimeout(timer)
  }
}

function toProviderError(error: unknown, place: string): OidcError {
  if (error instanceof OidcError) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new ProviderError('ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE', `${place} sent too many headers.`, {
      cause: error,
    })
  }
  if (code.startsWith('HPE_')) {
    return new ProviderError('ERR_OIDC_PROVIDER_RESPONSE_INVALID', `${place} does not speak HTTP.`, { cause: error })
  }
  return new ProviderError('ERR_OIDC_PROVIDER_UNREACHABLE', `The connection to ${place} failed.`, { cause: error })
}

async function observed(method: string, url: string, ask: () => Promise<HttpAnswer>): Promise<HttpAnswer> {
  const startedAt = performance.now()
  const tell = (outcome: number | string) => {
    const milliseconds = Math.round(performance.now() - startedAt)
    publish['express-oidc:provider'](() => ({ method, url, outcome, milliseconds }))
  }
  try {
    const answer = await ask()
    tell(answer.status)
    return answer
  } catch (error) {
    tell(error instanceof OidcError ? error.code : 'ERR_OIDC_PROVIDER_UNREACHABLE')
    throw error
  }
}
