import http from 'node:http'
import https from 'node:https'
import type { LookupFunction } from 'node:net'
import { createSecureContext, type SecureContext } from 'node:tls'
import { ConfigError, ProviderError } from '../errors.ts'
import { isObject, type JsonObject, parseJson } from '../jose/json.ts'
import type { Config } from '../options/config.ts'
import type { Json } from '../types.ts'

/** One request to the provider. */
export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** An answer whose body is still on its way. */
interface AnswerHead {
  readonly status: number
  readonly headers: Headers
  readonly body: AsyncIterable<Uint8Array>
}

/** Sends a request and waits for the head of its answer. Aborting the signal ends both, and frees the connection. */
type Transport = (url: URL, request: HttpRequest, signal: AbortSignal) => Promise<AnswerHead>

/** What connections are made with. */
export interface ConnectionSettings {
  /** What the client shows to a server that asks for it (RFC 8705 2). */
  readonly tlsClientCertificate?: Config['tlsClientCertificate']
  /** Finds the address of a name; absent: as Node does. */
  readonly lookup?: LookupFunction | undefined
}

/** A little less than the five seconds after which Node's own servers, and Apache, hang up an idle connection. */
const IDLE_MILLISECONDS = 4000

/**
 * A transport over `node:http` and `node:https`, whose connections stay open between requests but keep no process
 * alive. A GET that met a connection which the other side had just closed is sent once more on a new one; a POST
 * never is, since a code must not be spent twice (RFC 6749 4.1.2). Throws `ERR_OIDC_CONFIG` for a certificate and a key
 * that do not go together.
 */
export function createNodeTransport({ tlsClientCertificate, lookup }: ConnectionSettings = {}): Transport {
  const options = { keepAlive: true, timeout: IDLE_MILLISECONDS }
  const agents = { 'http:': new http.Agent(options), 'https:': new https.Agent(options) }
  const connection = {
    ...(lookup === undefined ? {} : { lookup }),
    // For each request, and not only for the agent: the one that goes without an agent needs it too.
    ...(tlsClientCertificate === undefined ? {} : { secureContext: secureContextOf(tlsClientCertificate) }),
  }

  function send(url: URL, request: HttpRequest, signal: AbortSignal, agent: http.Agent | false): Promise<AnswerHead> {
    return new Promise((resolve, reject) => {
      const { method, headers, body } = request
      const start = url.protocol === 'https:' ? https.request : http.request
      const outgoing = start(url, { method, headers: { ...headers }, agent, signal, ...connection })
      outgoing.on('response', (incoming) => resolve(readHead(incoming)))
      outgoing.on('error', (error) => {
        if (method === 'GET' && outgoing.reusedSocket && isReset(error)) resolve(send(url, request, signal, false))
        else reject(withoutPacket(error))
      })
      outgoing.end(body)
    })
  }

  return (url, request, signal) => send(url, request, signal, agents[url.protocol === 'https:' ? 'https:' : 'http:'])
}

/** Read once: a key that is wrong shows at the start, not at somebody's login. */
function secureContextOf({ cert, key, passphrase, ca }: NonNullable<Config['tlsClientCertificate']>): SecureContext {
  try {
    return createSecureContext({
      cert: Buffer.from(cert),
      key: Buffer.from(key),
      ...(passphrase === undefined ? {} : { passphrase }),
      ...(ca === undefined ? {} : { ca: Buffer.from(ca) }),
    })
  } catch {
    // What OpenSSL says of it may hold parts of what was given.
    throw new ConfigError([
      'tlsClientCertificate must have a cert and the key to it, in PEM, with its passphrase if any.',
    ])
  }
}

/** A transport over a function in the manner of the global `fetch`, which may or may not heed the signal. */
export function createFetchTransport(fetch: NonNullable<Config['fetch']>): Transport {
  return async (url, { method, headers, body }, signal) => {
    const init = { method, headers: { ...headers }, body: body ?? null, redirect: 'manual', signal } as const
    const response = await fetch(url.href, init)
    // Whether it was followed all the same, or hidden: it is no answer of the place that was asked.
    const isRedirect = response.redirected || response.type === 'opaqueredirect'
    const status = isRedirect ? 302 : response.status
    return { status, headers: response.headers, body: readStream(response.body, signal) }
  }
}

function readHead(incoming: http.IncomingMessage): AnswerHead {
  const headers = new Headers()
  for (const [name, values = []] of Object.entries(incoming.headersDistinct)) {
    for (const value of values) headers.append(name, value)
  }
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

function isReset(error: NodeJS.ErrnoException): boolean {
  return error.code === 'ECONNRESET' || error.code === 'EPIPE'
}

/** An error of the HTTP parser holds the bytes that it could not read: they may be tokens, and errors are logged. */
function withoutPacket(error: Error): Error {
  Reflect.deleteProperty(error, 'rawPacket')
  return error
}

/** A complete answer of the provider. */
export interface ProviderResponse {
  /** 200 to 299, 304, or 400 to 599. */
  readonly status: number
  readonly headers: Headers
  /** At most 1 MiB. */
  readonly body: Uint8Array
}

/** A key set or a discovery document is a few kilobytes; claims of somebody with very many groups stay below this. */
const MAX_BODY_BYTES = 1_048_576

/**
 * Reads an answer to its end, unless its head or its size forbids it: `ERR_OIDC_PROVIDER_REDIRECT`,
 * `ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE` or `ERR_OIDC_PROVIDER_RESPONSE_INVALID`.
 *
 * @param urlWithoutQuery The URL that was asked, without its query.
 */
export async function readResponse(head: AnswerHead, urlWithoutQuery: string): Promise<ProviderResponse> {
  const { status, headers } = head
  checkStatus(status, urlWithoutQuery)
  if (!/^(identity)?$/i.test(headers.get('content-encoding') ?? ''))
    throw invalid(urlWithoutQuery, 'is compressed, unasked')
  if (Number(headers.get('content-length')) > MAX_BODY_BYTES) throw tooLarge(urlWithoutQuery)
  return { status, headers, body: await readBody(head.body, urlWithoutQuery) }
}

/** The JSON value that an answer holds, frozen; `undefined` where its content type or its body is something else. */
export function jsonValueOf({ headers, body }: ProviderResponse): Json | undefined {
  const isJson = /^application\/([\w.+-]+\+)?json *(;|$)/i.test(headers.get('content-type') ?? '')
  return isJson ? parseJson(body) : undefined
}

/** The JSON object that an answer holds, frozen; `undefined` where its content type or its body is something else. */
export function jsonBody(answer: ProviderResponse): JsonObject | undefined {
  const value = jsonValueOf(answer)
  return isObject(value) ? value : undefined
}

/**
 * The JSON object that a document of the provider must hold: `ERR_OIDC_PROVIDER_RESPONSE_INVALID` where it does not.
 *
 * @param urlWithoutQuery The URL that was asked, without its query.
 */
export function readJson(answer: ProviderResponse, urlWithoutQuery: string): JsonObject {
  const json = jsonBody(answer)
  if (json === undefined) throw invalid(urlWithoutQuery, 'is not a JSON object with a JSON content type')
  return json
}

function checkStatus(status: number, urlWithoutQuery: string): void {
  // Whoever could make the provider's address redirect would otherwise choose where our credentials go.
  if (status >= 300 && status < 400 && status !== 304) {
    throw new ProviderError(
      'ERR_OIDC_PROVIDER_REDIRECT',
      `${urlWithoutQuery} answered with a redirect, which is not followed.`,
    )
  }
  if (!(status >= 200 && status < 600)) throw invalid(urlWithoutQuery, 'has a status that HTTP does not know')
}

async function readBody(body: AsyncIterable<Uint8Array>, urlWithoutQuery: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.byteLength
    // Not `>`: the chunks of a stream that is not one of bytes have no length, and their sum is no number.
    if (!(size <= MAX_BODY_BYTES)) throw tooLarge(urlWithoutQuery)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, size)
}

function tooLarge(urlWithoutQuery: string): ProviderError {
  return new ProviderError(
    'ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE',
    `The answer of ${urlWithoutQuery} is larger than 1 MiB.`,
  )
}

function invalid(urlWithoutQuery: string, fault: string): ProviderError {
  return new ProviderError('ERR_OIDC_PROVIDER_RESPONSE_INVALID', `The answer of ${urlWithoutQuery} ${fault}.`)
}
