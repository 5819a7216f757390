import type { IncomingMessage, ServerResponse } from 'node:http'
import { OidcError } from '../errors.ts'

/** A request of `node:http`, with the members that Express, Connect or a body parser may add. */
export interface Request extends IncomingMessage {
  /** The URL before the framework removed a mount path. */
  originalUrl?: string | undefined
  /** The parsed body, if a body parser has read it. */
  body?: unknown
  /** The session, if a session middleware has run. */
  session?: unknown
}

/** A response of `node:http`, which the responses of Express and Connect extend. */
export type Response = ServerResponse
/** Passes control to the next handler, or an error to the error handlers. */
export type Next = (error?: unknown) => void
/** A middleware or route handler of Express or Connect. */
export type Handler = (req: Request, res: Response, next: Next) => void

/** Returns the path of the request below the mount path, without its query. */
export function requestPath(req: Request): string {
  const url = req.url ?? '/'
  const end = url.indexOf('?')
  return end < 0 ? url : url.slice(0, end)
}

/** Returns the query parameters of the request. */
export function requestQuery(req: Request): URLSearchParams {
  const url = req.url ?? '/'
  const start = url.indexOf('?')
  return new URLSearchParams(start < 0 ? '' : url.slice(start + 1))
}

/** Returns the value of a header, or the first value if the header was repeated. */
export function headerOf(req: IncomingMessage, name: string): string | undefined {
  const value = req.headers[name]
  return Array.isArray(value) ? value[0] : value
}

/** What a browser embeds into a page (Fetch 2.2.5). A login cannot be completed there: providers refuse to be framed. */
const EMBEDDED: ReadonlySet<string> = new Set(['iframe', 'frame', 'fencedframe', 'embed', 'object'])

/**
 * True if the user waits for a page, false if a script waits for data. Fetch metadata decides if the browser sends it: every
 * navigation counts, also that of a link with `download`. A prefetch and a frame do not.
 */
export function wantsPage(req: IncomingMessage): boolean {
  const mode = headerOf(req, 'sec-fetch-mode')
  if (mode !== undefined) {
    return mode === 'navigate' && !EMBEDDED.has(headerOf(req, 'sec-fetch-dest') ?? '') && !isPrefetch(req)
  }
  // Only this value says script: an Android WebView sends the name of its app in each request.
  if (headerOf(req, 'x-requested-with')?.toLowerCase() === 'xmlhttprequest') return false
  return (headerOf(req, 'accept')?.includes('text/html') ?? false) && !isPrefetch(req)
}

/** True if the browser loads a page into a frame of another page. */
export function isFramed(req: IncomingMessage): boolean {
  return headerOf(req, 'sec-fetch-mode') === 'navigate' && EMBEDDED.has(headerOf(req, 'sec-fetch-dest') ?? '')
}

/** True for a request of htmx, which is a script but may load a whole page. */
export function isHtmx(req: IncomingMessage): boolean {
  return headerOf(req, 'hx-request') === 'true'
}

/** True if the browser says that the user opens a page. Crawlers, which keep no cookies, do not send that header. */
export function isPageVisit(req: IncomingMessage): boolean {
  const isDocument = (headerOf(req, 'sec-fetch-dest') ?? 'document') === 'document'
  return req.method === 'GET' && headerOf(req, 'sec-fetch-mode') === 'navigate' && isDocument && wantsPage(req)
}

/** How browsers say that they load a page in advance: the standard header, and older ones that are still sent. */
const PREFETCH_HEADERS = ['sec-purpose', 'x-sec-purpose', 'purpose', 'x-purpose', 'x-moz'] as const

/** True if the browser loads this page in advance. The user may never open it. */
export function isPrefetch(req: IncomingMessage): boolean {
  return PREFETCH_HEADERS.some((name) => /prefetch|prerender|preview|instant/i.test(headerOf(req, name) ?? ''))
}

/** Throws `ERR_OIDC_METHOD_NOT_ALLOWED` if the request has another method than these. */
export function allowMethods(req: IncomingMessage, ...methods: readonly string[]): void {
  if (methods.includes(req.method ?? '')) return
  throw new OidcError(
    'ERR_OIDC_METHOD_NOT_ALLOWED',
    `This route accepts only ${methods.join(' and ')}. Send the request with one of these methods.`,
    { headers: { Allow: methods.join(', ') } },
  )
}

const FORM_TYPE = /^application\/x-www-form-urlencoded\s*(?:;|$)/i
const JSON_TYPE = /^application\/json\s*(?:;|$)/i
const SECURITY_EVENT_TYPE = /^application\/secevent\+jwt\s*(?:;|$)/i
const MAX_BODY_BYTES = 128 * 1024

/**
 * Returns the fields of a posted form, whether or not a body parser has read it. Throws `ERR_OIDC_CALLBACK_INVALID` for
 * another content type, more than 128 KiB, and fields that are no strings.
 */
export async function readForm(req: Request): Promise<URLSearchParams> {
  if (!FORM_TYPE.test(headerOf(req, 'content-type') ?? '')) {
    throw invalidBody("The body must be a form: send it with Content-Type 'application/x-www-form-urlencoded'.")
  }
  // Some body parsers set `req.body` to an empty object without reading anything, so `req.body` alone proves nothing.
  return req.readableDidRead ? fieldsOf(req.body) : new URLSearchParams(await readText(req))
}

/**
 * Returns the value of a posted JSON body, whether or not a body parser has read it. Throws `ERR_OIDC_CALLBACK_INVALID` for
 * another content type, malformed JSON, and more than 128 KiB.
 */
export async function readJsonBody(req: Request): Promise<unknown> {
  if (!JSON_TYPE.test(headerOf(req, 'content-type') ?? '')) {
    throw invalidBody("The body must be JSON: send it with Content-Type 'application/json'.")
  }
  if (!req.readableDidRead) return parseJson(await readText(req))
  return typeof req.body === 'string' || Buffer.isBuffer(req.body) ? parseJson(String(req.body)) : req.body
}

/**
 * Returns the security event token of a request (RFC 8935 2.1), whether or not a body parser has read it. Throws
 * `ERR_OIDC_SECURITY_EVENT_MISSING` for another content type, an empty body, and a body that is no text.
 */
export async function readSecurityEvent(req: Request): Promise<string> {
  const isSent = SECURITY_EVENT_TYPE.test(headerOf(req, 'content-type') ?? '')
  const { readableDidRead: isRead, body } = isSent ? req : { readableDidRead: true, body: undefined }
  const text = isRead ? body : await readText(req)
  if ((typeof text === 'string' || Buffer.isBuffer(text)) && text.length > 0) return text.toString()
  throw new OidcError(
    'ERR_OIDC_SECURITY_EVENT_MISSING',
    "The body must be a security event token, sent with Content-Type 'application/secevent+jwt'. If it is, a middleware has " +
      'read it but not kept it in req.body: mount oidc() in front of it.',
  )
}

async function readText(req: Request): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of req) {
      size += chunk.length
      if (size > MAX_BODY_BYTES)
        throw invalidBody(`The body is longer than ${MAX_BODY_BYTES} bytes. Send a shorter one.`)
      chunks.push(chunk)
    }
  } catch (error) {
    throw error instanceof OidcError
      ? error
      : invalidBody('The connection closed before the whole body arrived. Retry.')
  }
  return Buffer.concat(chunks).toString('utf8')
}

function fieldsOf(body: unknown): URLSearchParams {
  if (typeof body === 'string' || Buffer.isBuffer(body)) return new URLSearchParams(body.toString())
  if (typeof body !== 'object' || body === null) {
    throw invalidBody('A middleware read the body but did not keep it in req.body. Mount oidc() in front of it.')
  }
  return formOf(Object.entries(body))
}

/** Makes a form of names and values; a list is a field that is repeated. Throws `ERR_OIDC_CALLBACK_INVALID` for other values. */
export function formOf(entries: readonly (readonly [name: string, value: unknown])[]): URLSearchParams {
  const fields = new URLSearchParams()
  for (const [name, value] of entries) {
    for (const one of [value].flat()) fields.append(name, textOf(one))
  }
  return fields
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  throw invalidBody('A field of the form is no string. Send plain fields, and do not let a body parser convert them.')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw invalidBody('The body is not valid JSON. Check what the sender wrote.')
  }
}

function invalidBody(message: string): OidcError {
  return new OidcError('ERR_OIDC_CALLBACK_INVALID', message)
}
