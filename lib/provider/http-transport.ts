import type { IncomingMessage } from 'node:http'
import { ProviderError, shown } from '../errors.ts'
import { isObject, type JsonObject, parseJson } from '../jose/json.ts'
import type { Config } from '../options/config.ts'
import type { TimeLimit } from '../time/limit.ts'
import type { Json } from '../types.ts'
import { type ConnectionSettings, createConnections } from './connections.ts'

/** One request to the provider. */
export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** The headers of a response, as `Headers` of the Fetch standard has them: `null` if absent, repeated ones joined. */
export type ResponseHeaders = Pick<Headers, 'get'>

/** A response whose body is still to be read. */
interface ResponseHead {
  readonly status: number
  readonly headers: ResponseHeaders
  readonly body: AsyncIterable<Uint8Array>
}

/** Sends a request and waits for the head of its response. If the limit stops, so do both, and the connection is freed. */
interface Transport {
  (url: URL, request: HttpRequest, limit: TimeLimit): Promise<ResponseHead>
  /** Closes the connections that the transport itself keeps. */
  close(): void
}

/** A transport over `node:http` and `node:https`. Throws what {@link createConnections} throws. */
export function createNodeTransport(settings: ConnectionSettings = {}): Transport {
  const send = createConnections(settings)
  const transport = async (...[url, { method, headers = {}, body }, limit]: Parameters<Transport>) =>
    readHead(await send(url, { method, headers, body }, limit))
  return Object.assign(transport, { close: send.close })
}

/** A transport over a function like the global `fetch`. It may ignore the signal. */
export function createFetchTransport(fetch: NonNullable<Config['fetch']>): Transport {
  const transport = async (...[url, { method, headers, body }, { signal }]: Parameters<Transport>) => {
    const init = { method, headers: { ...headers }, body: body ?? null, redirect: 'manual', signal } as const
    const response = await fetch(url.href, init)
    // Even a redirect that fetch has followed or hidden is not a response of the requested URL.
    const isRedirect = response.redirected || response.type === 'opaqueredirect'
    const status = isRedirect ? 302 : response.status
    return { status, headers: response.headers, body: readStream(response.body, signal) }
  }
  return Object.assign(transport, { close: () => undefined })
}

function readHead(incoming: IncomingMessage): ResponseHead {
  const { headersDistinct } = incoming
  const headers = { get: (name: string) => headersDistinct[name.toLowerCase()]?.join(', ') ?? null }
  return { status: Number(incoming.statusCode), headers, body: incoming }
}

function readStream(stream: ReadableStream<Uint8Array> | null, signal: AbortSignal): AsyncIterable<Uint8Array> {
  if (stream === null) return readNothing()
  const reader = stream.getReader()
  const cancel = () => {
    reader.cancel().catch(() => undefined)
  }
  if (signal.aborted) cancel()
  signal.addEventListener('abort', cancel, { once: true })
  return readAll(reader)
}

async function* readNothing(): AsyncGenerator<Uint8Array> {}

async function* readAll(reader: ReadableStreamDefaultReader<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    yield value
  }
}

/** A complete response of the provider. */
export interface ProviderResponse {
  /** 200 to 299, 304, or 400 to 599. */
  readonly status: number
  readonly headers: ResponseHeaders
  /** At most 1 MiB. */
  readonly body: Uint8Array
  /** The secrets that were sent, which an error may repeat. Absent for a response that was not requested from a provider. */
  readonly sentSecrets?: () => readonly string[]
}

/** Key sets and metadata have a few kilobytes. Even the claims of a user with very many groups are smaller than this. */
const MAX_BODY_BYTES = 1_048_576

/**
 * Reads a response to its end. Throws `ERR_OIDC_PROVIDER_REDIRECT`, `ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE` or
 * `ERR_OIDC_PROVIDER_RESPONSE_INVALID` if its head or size is not acceptable.
 *
 * @param urlWithoutQuery The requested URL without its query, for messages.
 */
export async function readResponse(head: ResponseHead, urlWithoutQuery: string): Promise<ProviderResponse> {
  const { status, headers } = head
  checkStatus(status, urlWithoutQuery)
  const encoding = headers.get('content-encoding') ?? ''
  // `none` is no registered coding, and means the same.
  if (!/^(identity|none)?$/i.test(encoding)) {
    throw invalid(urlWithoutQuery, `is compressed (${shown(encoding)}) although it was requested without compression`)
  }
  if (Number(headers.get('content-length')) > MAX_BODY_BYTES) throw tooLarge(urlWithoutQuery)
  return { status, headers, body: await readBody(head.body, urlWithoutQuery) }
}

/**
 * The JSON object in a response of an endpoint, even if the response has no content type: then its body decides (RFC 9110 8.3).
 * A response that says it is something else is not JSON, whatever its body looks like. Only for responses on which it does
 * not depend who a user is: a token response has an ID Token whose signature is verified, and an error grants nothing.
 */
export function untypedJsonBody(response: ProviderResponse): JsonObject | undefined {
  if (response.headers.get('content-type')) return jsonBody(response)
  const value = parseJson(response.body)
  return isObject(value) ? value : undefined
}

/** The JSON value in a response, frozen. Returns `undefined` if its content type or its body is not JSON. */
export function jsonValueOf({ headers, body }: ProviderResponse): Json | undefined {
  const isJson = /^application\/([\w.+-]+\+)?json *(;|$)/i.test(headers.get('content-type') ?? '')
  return isJson ? parseJson(body) : undefined
}

/** The JSON object in a response, frozen. Returns `undefined` if its content type or its body is something else. */
export function jsonBody(response: ProviderResponse): JsonObject | undefined {
  const value = jsonValueOf(response)
  return isObject(value) ? value : undefined
}

/**
 * The JSON object in a response. Throws `ERR_OIDC_PROVIDER_RESPONSE_INVALID` if there is none.
 *
 * @param urlWithoutQuery The requested URL without its query, for messages.
 */
export function readJson(response: ProviderResponse, urlWithoutQuery: string): JsonObject {
  const json = jsonBody(response)
  if (json !== undefined) return json
  const contentType = shown(response.headers.get('content-type'))
  throw invalid(urlWithoutQuery, `is not a JSON object with a JSON content type (content-type: ${contentType})`)
}

/** A URL as messages name it. A query may hold values that do not belong there. */
export function withoutQuery(url: string): string {
  return url.replace(/[?#].*/s, '')
}

function checkStatus(status: number, urlWithoutQuery: string): void {
  // Anybody who can make the provider's URL redirect could otherwise choose where our credentials go.
  if (status >= 300 && status < 400 && status !== 304) {
    throw new ProviderError(
      'ERR_OIDC_PROVIDER_REDIRECT',
      `${urlWithoutQuery} responded with a redirect (${status}), which is not followed. Configure the final URL.`,
    )
  }
  if (!(status >= 200 && status < 600)) throw invalid(urlWithoutQuery, `has the unknown status ${status}`)
}

async function readBody(body: AsyncIterable<Uint8Array>, urlWithoutQuery: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.byteLength
    // Not `>`: chunks of a stream that is not a byte stream have no length, and then `size` is not a number.
    if (!(size <= MAX_BODY_BYTES)) throw tooLarge(urlWithoutQuery)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, size)
}

function tooLarge(urlWithoutQuery: string): ProviderError {
  return new ProviderError(
    'ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE',
    `The response of ${urlWithoutQuery} is larger than 1 MiB.`,
  )
}

function invalid(urlWithoutQuery: string, problem: string): ProviderError {
  return new ProviderError('ERR_OIDC_PROVIDER_RESPONSE_INVALID', `The response of ${urlWithoutQuery} ${problem}.`)
}
