import { randomBytes } from 'node:crypto'
import type { Response } from './request.ts'

/**
 * The origin of a URL, if it is safe in a Content-Security-Policy, where a semicolon or comma would start a new directive or
 * policy. A URL may have both in its host.
 */
export function policyOriginOf(url: unknown): string | undefined {
  if (typeof url !== 'string' || !URL.canParse(url)) return undefined
  const { origin } = new URL(url)
  return /^https?:\/\/[\w.:[\]-]+$/.test(origin) ? origin : undefined
}

/**
 * Redirects the browser with 303, so that it continues with GET (RFC 9700 4.12). Caches keep nothing, and the next page
 * gets no referrer.
 */
export function redirect(res: Response, location: string): void {
  res.statusCode = 303
  res.setHeader('Location', location)
  res.setHeader('Cache-Control', 'no-store')
  res.setHeader('Referrer-Policy', 'no-referrer')
  res.setHeader('Content-Length', '0')
  res.end()
}

/** A browser discards a prefetched response with an error status, and requests the page again (HTML 7.4.2.2). */
export function rejectPrefetch(res: Response): void {
  res.statusCode = 503
  res.setHeader('Cache-Control', 'no-store')
  res.setHeader('Content-Length', '0')
  res.end()
}

/** Sends a complete response. By default no cache keeps it. */
export function send(
  res: Response,
  status: number,
  type: string,
  body: string,
  cacheControl = 'no-store',
  referrerPolicy = 'no-referrer',
): void {
  res.statusCode = status
  res.setHeader('Content-Type', `${type}; charset=utf-8`)
  res.setHeader('Content-Length', String(Buffer.byteLength(body)))
  res.setHeader('Cache-Control', cacheControl)
  res.setHeader('Referrer-Policy', referrerPolicy)
  res.setHeader('X-Content-Type-Options', 'nosniff')
  res.end(body)
}

/** Escapes text for HTML content and for quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => String(ENTITIES.get(character)))
}

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['"', '&quot;'],
  ["'", '&#39;'],
])

/** A page with a form that submits itself. */
interface FormPage {
  readonly title: string
  readonly fields: readonly (readonly [name: string, value: string])[]
  /** JavaScript. It is not escaped, so it must not hold foreign text. */
  readonly script: string
  /** HTML for browsers without JavaScript. It is not escaped, so it must not hold foreign text. */
  readonly notice: string
  /**
   * The form goes to a page of our own. It must get an `Origin`, which `Referrer-Policy: no-referrer` would make `null`, and
   * must not go anywhere else.
   */
  readonly isOwnAction?: true
}

/** Calls the method of the prototype, because a field named `submit` would hide the form's own method. */
export const SUBMIT_FORM_SCRIPT = 'HTMLFormElement.prototype.submit.call(document.forms[0])'

/** Sends the page. The fields may hold any text. `action` must be a URL of ours or of the provider's metadata. */
export function sendFormPage(
  res: Response,
  action: string,
  { title, fields, script, notice, isOwnAction }: FormPage,
): void {
  const nonce = randomBytes(16).toString('base64')
  const inputs = fields.map(
    ([name, value]) => `<input type="hidden" name="${escapeHtml(name)}" value="${escapeHtml(value)}">`,
  )
  // No form-action for others: browsers apply it to redirects too, and the next page may redirect to another host.
  const formAction = isOwnAction === true ? "; form-action 'self'" : ''
  res.setHeader(
    'Content-Security-Policy',
    `default-src 'none'; script-src 'nonce-${nonce}'; base-uri 'none'; frame-ancestors 'none'${formAction}`,
  )
  send(
    res,
    200,
    'text/html',
    `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title></head>
<body>
<form method="post" action="${escapeHtml(action)}">
${inputs.join('\n')}
${notice}
</form>
<script nonce="${nonce}">${script}</script>
</body>
</html>
`,
    'no-store',
    isOwnAction === true ? 'same-origin' : 'no-referrer',
  )
}
