import { randomBytes } from 'node:crypto'
import { escapeHtml, type Response, send } from '../http.ts'

/** Marks an answer that has been through the page, so that it never goes through twice. */
const RELAYED = 'express_oidc_relayed'

const SUBMIT = 'HTMLFormElement.prototype.submit.call(document.forms[0])'

/**
 * The fields are set as values, never as markup, and none stands in for a method of the form; the tokens leave the
 * address bar before anything else happens.
 */
const SUBMIT_FRAGMENT = `const form = document.forms[0]
const fields = new URLSearchParams(location.hash.slice(1))
history.replaceState(null, '', location.pathname)
for (const [name, value] of fields) {
  const input = document.createElement('input')
  Object.assign(input, { type: 'hidden', name, value })
  Element.prototype.append.call(form, input)
}
HTMLFormElement.prototype.submit.call(form)`

/** Takes the mark off the fields of an answer; whether it was there. */
export function takeRelayMark(fields: URLSearchParams): boolean {
  const isRelayed = fields.has(RELAYED)
  fields.delete(RELAYED)
  return isRelayed
}

/**
 * Sends a small page that posts the same fields to the callback once more, now from our own site. A browser sends no Lax
 * cookie with a provider's cross-site POST and no Strict cookie with its redirect; with this page's POST it sends both.
 */
export function sendRelayPage(res: Response, callbackUrl: string, fields: URLSearchParams): void {
  const notice = '<noscript><p>One more step to sign in.</p></noscript><button>Continue</button>'
  sendFormPage(res, callbackUrl, { fields: [...fields], script: SUBMIT, notice })
}

/** Sends a small page that posts what is in the fragment of its address to the callback: no server ever sees that. */
export function sendFragmentPage(res: Response, callbackUrl: string): void {
  const notice = '<noscript><p>Please allow JavaScript for this page, and load it again, to sign in.</p></noscript>'
  sendFormPage(res, callbackUrl, { fields: [], script: SUBMIT_FRAGMENT, notice })
}

interface FormPage {
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly script: string
  readonly notice: string
}

function sendFormPage(res: Response, action: string, { fields, script, notice }: FormPage): void {
  const nonce = randomBytes(16).toString('base64')
  const inputs = [...fields, [RELAYED, '1'] as const].map(
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
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Signing in</title></head>
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
