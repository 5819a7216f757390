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

const LONGEST_FORM = 128 * 1024
const FORM = /^application\/x-www-form-urlencoded\s*(?:;|$)/i

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
    return mode === 'navigate' && destination === 'document' && headerOf(req, 'sec-purpose') === undefined
  }
  if (headerOf(req, 'x-requested-with') !== undefined) return false
  return headerOf(req, 'accept')?.includes('text/html') ?? false
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

/** Answers with a complete body that no cache keeps and no page frames. */
export function send(res: Response, status: number, type: string, body: string): void {
  res.statusCode = status
  res.setHeader('Content-Type', `${type}; charset=utf-8`)
  res.setHeader('Content-Length', String(Buffer.byteLength(body)))
  res.setHeader('Cache-Control', 'no-store')
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

/**
 * The fields of a posted form, whether a body parser has read it or not. Throws `ERR_OIDC_CALLBACK_INVALID` for another
 * content type, for more than 128 KiB, and for fields that are not plain text.
 */
export async function readForm(req: Request): Promise<URLSearchParams> {
  if (!FORM.test(headerOf(req, 'content-type') ?? '')) throw invalidForm('The body is not a form.')
  // Some body parsers set `body` to an empty object without having read anything: what was read decides.
  return req.readableDidRead ? parsedForm(req.body) : new URLSearchParams(await readText(req))
}

async function readText(req: Request): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of req) {
      size += chunk.length
      if (size > LONGEST_FORM) throw invalidForm('The form is too long.')
      chunks.push(chunk)
    }
  } catch (error) {
    throw error instanceof OidcError ? error : invalidForm('The form has not come in full.')
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parsedForm(body: unknown): URLSearchParams {
  if (typeof body === 'string' || Buffer.isBuffer(body)) return new URLSearchParams(body.toString())
  if (typeof body !== 'object' || body === null) throw invalidForm('The body was read, but not kept in req.body.')
  const fields = new URLSearchParams()
  for (const [name, value] of Object.entries(body)) {
    for (const one of [value].flat()) fields.append(name, plainText(one))
  }
  return fields
}

function plainText(value: unknown): string {
  if (typeof value !== 'string') throw invalidForm('A field of the form is not plain text.')
  return value
}

function invalidForm(message: string): OidcError {
  return new OidcError('ERR_OIDC_CALLBACK_INVALID', message)
}
