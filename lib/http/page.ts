import { createHash } from 'node:crypto'
import type { Response } from './request.ts'
import { escapeHtml, send } from './response.ts'

/** A page of ours. Whatever is foreign in `style` and `body` must be escaped already. */
export interface Page {
  readonly title: string
  readonly style: string
  readonly body: string
  /** True if the page has a form that goes to our own site. It may then redirect the browser to another one. */
  readonly hasForm?: boolean
}

/** Styles are allowed by their hash, and nothing else is: no script, no image, no frame. */
export function sendPage(res: Response, status: number, { title, style, body, hasForm = false }: Page): void {
  const hash = createHash('sha256').update(style).digest('base64')
  setPagePolicy(res, `'sha256-${hash}'`, hasForm)
  send(
    res,
    status,
    'text/html',
    `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<main>
${body}
</main>
</body>
</html>
`,
    'no-store',
    // A form must send its origin, which `no-referrer` would make `null`.
    hasForm ? 'same-origin' : 'no-referrer',
  )
}

/** Browsers apply `form-action` to redirects too, so a form whose response redirects to the provider cannot have it. */
export function setPagePolicy(res: Response, style: string, hasForm = false): void {
  const formAction = hasForm ? '' : "; form-action 'none'"
  res.setHeader(
    'Content-Security-Policy',
    `default-src 'none'; style-src ${style}; base-uri 'none'; frame-ancestors 'none'${formAction}`,
  )
}

/** The look of the pages that users see. */
export const PAGE_STYLE = 'body{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1.5rem}'
