import { randomBytes } from 'node:crypto'
import { escapeHtml, type Response, send } from '../http.ts'

/** The method itself: a field named `submit` would stand in for it. */
export const SUBMIT = 'HTMLFormElement.prototype.submit.call(document.forms[0])'

/** A page that is a form, and posts itself. */
export interface FormPage {
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
