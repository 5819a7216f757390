import { randomBytes } from 'node:crypto'
import type { Response } from './request.ts'

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

/** The method itself: a field named `submit` would stand in for it. */
export const SUBMIT_FORM_SCRIPT = 'HTMLFormElement.prototype.submit.call(document.forms[0])'

/** A page that is a form, and posts itself. */
interface FormPage {
  readonly title: string
  readonly fields: readonly (readonly [name: string, value: string])[]
  /** Of ours alone: it is not escaped. */
  readonly script: string
  /** For browsers without scripts: markup of ours alone. */
  readonly notice: string
}

/** Sends the page. Fields may hold anything; `action` is an address of ours or of the provider's metadata. */
export function sendFormPage(res: Response, action: string, { title, fields, script, notice }: FormPage): void {
  const nonce = randomBytes(16).toString('base64')
  const inputs = fields.map(
    ([name, value]) => `<input type="hidden" name="${escapeHtml(name)}" value="${escapeHtml(value)}">`,
  )
  // No form-action: browsers hold it to redirects as well, and the page that the person comes to may lead elsewhere.
  res.setHeader(
    'Content-Security-Policy',
    `default-src 'none'; script-src 'nonce-${nonce}'; base-uri 'none'; frame-ancestors 'none'`,
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
  )
}
