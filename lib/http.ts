import type { IncomingMessage, ServerResponse } from 'node:http'
import { OidcError } from './errors.ts'

/** A request as this library sees it: node's own, with what Express, Connect or a body parser may have added. */
export interface Request extends IncomingMessage {
  /** The URL before a mount path was cut off. */
  originalUrl?: string | undefined
  /** What a body parser made of the body. */
  body?: unknown
  /** What a session middleware has put there. */
  session?: unknown
}

export type Response = ServerResponse
export type Next = (error?: unknown) => void
/** A middleware or route handler of Express or Connect. */
export type Handler = (req: Request, res: Response, next: Next) => void

/** The path of the request, without its query, as it stands below the place where the middleware is mounted. */
export function requestPath(req: Request): string {
  const url = req.url ?? '/'
  const end = url.indexOf('?')
  return end < 0 ? url : url.slice(0, end)
}

/** The query of the request. */
export function requestQuery(req: Request): URLSearchParams {
  const url = req.url ?? '/'
  const start = url.indexOf('?')
  return new URLSearchParams(start < 0 ? '' : url.slice(start + 1))
}

/** One value of a header that may not be repeated. */
export function headerOf(req: IncomingMessage, name: string): string | undefined {
  const value = req.headers[name]
  return Array.isArray(value) ? value[0] : value
}

/**
 * Whether a person waits for a page, rather than a script for data. Fetch metadata decides where the browser sends it;
 * a prefetch and a frame are no page: a login cannot be completed in either.
 */
export function wantsPage(req: IncomingMessage): boolean {
  const mode = headerOf(req, 'sec-fetch-mode')
  if (mode !== undefined) {
    const destination = headerOf(req, 'sec-fetch-dest') ?? 'document'
    return mode === 'navigate' && destination === 'document' && !isPrefetch(req)
  }
  if (headerOf(req, 'x-requested-with') !== undefined) return false
  return headerOf(req, 'accept')?.includes('text/html') ?? false
}

/** Whether a person opens a page, and the browser says so: crawlers, which keep no cookies, do not. */
export function isPageVisit(req: IncomingMessage): boolean {
  return req.method === 'GET' && headerOf(req, 'sec-fetch-mode') === 'navigate' && wantsPage(req)
}

/** Whether a browser fetches this in advance: nobody has asked for it yet, and may never do. */
export function isPrefetch(req: IncomingMessage): boolean {
  return headerOf(req, 'sec-purpose') !== undefined
}

/** Throws `ERR_OIDC_METHOD_NOT_ALLOWED` unless the request's method is one of those allowed. */
export function allowMethods(req: IncomingMessage, ...methods: readonly string[]): void {
  if (methods.includes(req.method ?? '')) return
  throw new OidcError('ERR_OIDC_METHOD_NOT_ALLOWED', `This route answers ${methods.join(' and ')} only.`, {
    headers: { Allow: methods.join(', ') },
  })
}

/** Sends the browser elsewhere by GET (303: RFC 9700 4.12), leaving nothing in caches and no referrer behind. */
export function redirect(res: Response, location: string): void {
  res.statusCode = 303
  res.setHeader('Location', location)
  res.setHeader('Cache-Control', 'no-store')
  res.setHeader('Referrer-Policy', 'no-referrer')
  res.setHeader('Content-Length', '0')
  res.end()
}

/** Answers with a complete body, which no cache keeps unless told. */
export function send(res: Response, status: number, type: string, body: string, cacheControl = 'no-store'): void {
  res.statusCode = status
  res.setHeader('Content-Type', `${type}; charset=utf-8`)
  res.setHeader('Content-Length', String(Buffer.byteLength(body)))
  res.setHeader('Cache-Control', cacheControl)
  res.setHeader('Referrer-Policy', 'no-referrer')
  res.setHeader('X-Content-Type-Options', 'nosniff')
  res.end(body)
}

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['"', '&quot;'],
  ["'", '&#39;'],
])

/** Text made safe for HTML content and for quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => String(ENTITIES.get(character)))
}
