import type { IncomingMessage } from 'node:http'
import { pipeline, Readable, type Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate, constants as zlib } from 'node:zlib'
import type { Config } from '../options/config.ts'
import type { TimeLimit } from '../time/limit.ts'
import { type Connections, createConnections, type OutgoingRequest } from './connections.ts'

/** Calls an API as the global `fetch` does. */
export interface ApiFetch {
  (url: URL, init: RequestInit): Promise<Response>
  /** Closes the connections, except those of the global `fetch` and of an agent that was given. */
  close(): void
}

/**
 * Returns the function that calls APIs. If the options say how to connect, it connects like that: with the certificate that
 * an access token may be bound to (RFC 8705 3), over `agent`, or with the authorities of `ca`. The global `fetch` cannot do
 * any of this, so it is used only if the options say nothing.
 *
 * One thing differs from the global `fetch`: a redirect to another origin is not followed but returned, because neither the
 * token nor the certificate is for that origin.
 */
export function createApiFetch({ tlsClientCertificate, agent, ca }: Config): ApiFetch {
  if (tlsClientCertificate === undefined && agent === undefined && ca === undefined) {
    return Object.assign((...call: Parameters<ApiFetch>) => fetch(...call), { close: () => undefined })
  }
  const send = createConnections({
    tlsClientCertificate,
    agent,
    ca,
    // An API often has a public certificate, and the provider one of a private authority.
    trustsDefaultAuthorities: true,
    inactivityTimeout: INACTIVITY_MILLISECONDS,
  })
  const apiFetch = (...[url, init]: Parameters<ApiFetch>) => fetchOver(send, url, init)
  return Object.assign(apiFetch, { close: send.close })
}

/** True if a body can be sent again. A stream, or any other body that is iterated, is empty after it was sent once. */
export function isRepeatable(body: RequestInit['body']): boolean {
  if (body === undefined || body === null || typeof body === 'string') return true
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return true
  return body instanceof URLSearchParams || body instanceof FormData || body instanceof Blob
}

/** The global `fetch` has the same limit. */
const INACTIVITY_MILLISECONDS = 300_000
/** The Fetch standard follows as many. */
const MAX_REDIRECTS = 20
const REFUSED_REDIRECT = "req.oidc.fetch() got a redirect from the API, although redirect is 'error'."
const TOO_MANY_REDIRECTS = 'req.oidc.fetch() got more than 20 redirects from the API.'

/** A request to one URL. A redirect leads to another one. */
type Hop = OutgoingRequest & { readonly url: URL }

async function fetchOver(send: Connections, url: URL, init: RequestInit): Promise<Response> {
  // Node's own class reads all forms of a body, and checks the method and the headers.
  const request = new Request(url, { ...init, signal: null })
  const abort = watchAbort(init.signal ?? undefined)
  let hop = await firstHop(url, request, init.body)
  for (let followed = 0; ; followed += 1) {
    const incoming = await sendHop(send, hop, abort)
    const next = nextHop(hop, incoming, request.redirect)
    if (next === undefined) return toResponse(incoming, hop, { isRedirected: followed > 0, abort })
    incoming.destroy()
    if (next === 'error' || followed === MAX_REDIRECTS) {
      abort.release()
      throw new TypeError(next === 'error' ? REFUSED_REDIRECT : TOO_MANY_REDIRECTS)
    }
    hop = next
  }
}

async function firstHop(url: URL, request: Request, given: RequestInit['body']): Promise<Hop> {
  const body = await bodyOf(request, given)
  return { url, method: request.method, headers: headersOf(request, body), body }
}

async function bodyOf(request: Request, given: RequestInit['body']): Promise<Uint8Array | Readable | undefined> {
  if (request.body === null) return undefined
  if (isRepeatable(given)) return new Uint8Array(await request.arrayBuffer())
  return Readable.fromWeb(request.body as Parameters<typeof Readable.fromWeb>[0])
}

/** Headers of the connection, which an application must not set (RFC 9110 7.6.1): two lengths would be two requests. */
const CONNECTION_HEADERS = [
  ...['connection', 'content-length', 'expect', 'keep-alive', 'proxy-connection'],
  ...['te', 'trailer', 'transfer-encoding', 'upgrade'],
]

const DEFAULT_HEADERS = { accept: '*/*', 'accept-encoding': 'gzip, deflate, br', 'user-agent': 'express-oidc' }

function headersOf(request: Request, body: Uint8Array | Readable | undefined): Readonly<Record<string, string>> {
  const headers = new Headers({ ...DEFAULT_HEADERS, ...Object.fromEntries(request.headers) })
  for (const name of CONNECTION_HEADERS) headers.delete(name)
  if (body instanceof Uint8Array) headers.set('content-length', String(body.byteLength))
  else if (body !== undefined) headers.set('transfer-encoding', 'chunked')
  return Object.fromEntries(headers)
}

/** The signal of a request, as a limit. Its listener is removed at the end, because a signal may outlive many requests. */
interface Abort extends Pick<TimeLimit, 'isStopped' | 'onStop'> {
  /** The error of an aborted request; `undefined` if it was not aborted. */
  readonly error: () => unknown
  readonly release: () => void
}

function watchAbort(signal: AbortSignal | undefined): Abort {
  const listeners: ((reason: unknown) => void)[] = []
  const stopAll = () => {
    for (const stop of listeners) stop(signal?.reason)
  }
  signal?.throwIfAborted()
  signal?.addEventListener('abort', stopAll, { once: true })
  return {
    get isStopped() {
      return signal?.aborted === true
    },
    onStop: (stop) => void (signal?.aborted ? stop(signal.reason) : listeners.push(stop)),
    error: () => (signal?.aborted ? signal.reason : undefined),
    release: () => signal?.removeEventListener('abort', stopAll),
  }
}

async function sendHop(send: Connections, { url, ...request }: Hop, abort: Abort): Promise<IncomingMessage> {
  try {
    return await send(url, request, abort)
  } catch (error) {
    abort.release()
    throw (
      abort.error() ?? new TypeError('req.oidc.fetch() got no response from the API. See the cause.', { cause: error })
    )
  }
}

/** The request that a redirect leads to (Fetch standard 4.4). `undefined` if the response is to be returned as it is. */
function nextHop(
  hop: Hop,
  { statusCode = 0, headers }: IncomingMessage,
  mode: Request['redirect'],
): Hop | 'error' | undefined {
  if (![301, 302, 303, 307, 308].includes(statusCode) || mode === 'manual') return undefined
  if (mode === 'error') return mode
  const location = headers.location ?? ''
  const url = location !== '' && URL.canParse(location, hop.url.href) ? new URL(location, hop.url) : undefined
  if (url?.origin !== hop.url.origin) return undefined
  const { method } = hop
  const becomesGet = statusCode === 303 ? method !== 'HEAD' : statusCode < 303 && method === 'POST'
  if (becomesGet) return { url, method: 'GET', headers: withoutContent(hop.headers) }
  return hop.body instanceof Readable ? undefined : { ...hop, url }
}

function withoutContent(headers: Hop['headers']): Hop['headers'] {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !/^(content-|transfer-encoding$)/.test(name)))
}

interface ResponseOptions {
  readonly isRedirected: boolean
  readonly abort: Abort
}

function toResponse(incoming: IncomingMessage, { url, method }: Hop, options: ResponseOptions): Response {
  const { statusCode: status = 0, statusMessage: statusText = '', rawHeaders } = incoming
  incoming.once('close', options.abort.release)
  const headers = new Headers()
  for (let index = 0; index < rawHeaders.length; index += 2) {
    headers.append(String(rawHeaders[index]), String(rawHeaders[index + 1]))
  }
  // A response with one of these has no body (RFC 9110 6.4.1).
  const hasBody = method !== 'HEAD' && ![204, 205, 304].includes(status)
  if (!hasBody) incoming.resume()
  const response = new Response(hasBody ? toStream(decode(incoming), options.abort) : null, {
    status,
    statusText,
    headers,
  })
  // The constructor has no parameters for these.
  return Object.defineProperties(response, { url: { value: url.href }, redirected: { value: options.isRedirected } })
}

/** The body without its content coding, as the global `fetch` returns it. A coding that was not requested is kept. */
function decode(incoming: IncomingMessage): Readable {
  const decoder = decoderOf(incoming.headers['content-encoding'] ?? '')
  return decoder === undefined ? incoming : pipeline(incoming, decoder, () => undefined)
}

function decoderOf(coding: string): Transform | undefined {
  // A body that ends early, or is empty, is read as far as it goes.
  const flush = { flush: zlib.Z_SYNC_FLUSH, finishFlush: zlib.Z_SYNC_FLUSH }
  const flushBrotli = { flush: zlib.BROTLI_OPERATION_FLUSH, finishFlush: zlib.BROTLI_OPERATION_FLUSH }
  if (/^(x-)?gzip$/i.test(coding)) return createGunzip(flush)
  if (/^deflate$/i.test(coding)) return createInflate(flush)
  return /^br$/i.test(coding) ? createBrotliDecompress(flushBrotli) : undefined
}

/** The body as a stream of the Fetch standard. Nothing is read from the socket before the stream is read. */
function toStream(body: Readable, abort: Abort): ReadableStream<Uint8Array> {
  // An error is read from the iterator. Without a reader, nobody needs it.
  body.on('error', () => undefined)
  const chunks = body[Symbol.asyncIterator]()
  return new ReadableStream({
    type: 'bytes',
    async pull(controller) {
      try {
        const { done, value } = await chunks.next()
        // A copy: the stream takes its memory away, and Node's chunks share theirs.
        if (done !== true) return controller.enqueue(new Uint8Array(value))
        controller.close()
        controller.byobRequest?.respond(0)
      } catch (error) {
        controller.error(
          abort.error() ??
            new TypeError('The body of the response to req.oidc.fetch() is not complete. See the cause.', {
              cause: error,
            }),
        )
      }
    },
    cancel() {
      body.destroy()
    },
  })
}
