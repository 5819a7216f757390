import { randomBytes } from 'node:crypto'
import { escapeHtml, type Response, send } from '../http.ts'

/** Marks an answer that has been through the page, so that it never goes through twice. */
const RELAYED = 'express_oidc_relayed'

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
  const nonce = randomBytes(16).toString('base64')
  const inputs = [...fields, [RELAYED, '1'] as const].map(
    ([name, value]) => `<input type="hidden" name="${escapeHtml(name)}" value="${escapeHtml(value)}">`,
  )
  res.setHeader(
    'Content-Security-Policy',
    `default-src 'none'; script-src 'nonce-${nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
  )
  send(
    res,
    200,
    'text/html',
    `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Signing in</title></head>
<body>
<form method="post" action="${escapeHtml(callbackUrl)}">
${inputs.join('\n')}
<noscript><p>One more step to sign in.</p></noscript>
<button>Continue</button>
</form>
<script nonce="${nonce}">document.forms[0].submit()</script>
</body>
</html>
`,
  )
}
