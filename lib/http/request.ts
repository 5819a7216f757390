import type { IncomingMessage, ServerResponse } from 'node:http'
import { OidcError } from '../errors.ts'

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

const FORM = /^application\/x-www-form-urlencoded\s*(?:;|$)/i
const LONGEST_FORM = 128 * 1024
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

/**
 * The value of a posted JSON body, whether a body parser has read it or not. Throws `ERR_OIDC_CALLBACK_INVALID` where it is
 * none, or longer than 128 KiB.
 */
export async function readJsonBody(req: Request): Promise<unknown> {
  if (!/^application\/json\s*(?:;|$)/i.test(headerOf(req, 'content-type') ?? ''))
    throw invalidForm('The body is not JSON.')
  if (req.readableDidRead)
    return typeof req.body === 'string' || Buffer.isBuffer(req.body) ? parse(String(req.body)) : req.body
  return parse(await readText(req))
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw invalidForm('The body is not JSON.')
  }
}
