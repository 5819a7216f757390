import { explain } from '../console/explanations.ts'
import { OidcError } from '../errors.ts'
import type { ErrorNotice } from './error-notice.ts'
import type { Page } from './page.ts'
import { escapeHtml } from './response.ts'

const STYLE = [
  'body{font:1rem/1.5 system-ui,sans-serif;max-width:52rem;margin:5vh auto;padding:0 1.5rem}',
  'main{border-top:.5rem solid #d33;padding-top:1rem}',
  'h1{font:600 1.1rem/1.4 ui-monospace,monospace;overflow-wrap:anywhere}',
  '.message{font-size:1.15rem;white-space:pre-line;overflow-wrap:anywhere}',
  'dt{font-weight:600;margin-top:1rem}dd{margin:0}',
  'code{font-family:ui-monospace,monospace;overflow-wrap:anywhere}',
  'footer{border-top:1px solid;margin-top:2rem;padding-top:.5rem;font-size:.9rem}',
].join('')

/**
 * What the console has too, for the developer who looks at the browser. It shows no cause and no text of the provider: these
 * may hold anything, and this page is also shown where `NODE_ENV` was forgotten.
 */
export function developerPage(error: OidcError, { title, text, link }: ErrorNotice): Page {
  const explanation = explain(error.code)
  const rows: readonly (readonly [label: string, text: string | undefined])[] = [
    ['Usual cause', explanation?.usualCause],
    ['What to do', explanation?.whatToDo],
    ['Reason', systemCodeOf(error)],
    ['Read more', explanation?.link],
  ]
  const list = rows.flatMap(([label, value]) => (value ? [`<dt>${label}</dt><dd>${withCode(value)}</dd>`] : []))
  const way = link === undefined ? '' : `<p><a href="${escapeHtml(link.href)}">${escapeHtml(link.text)}</a></p>`
  return {
    style: STYLE,
    title: `${error.code}: ${title}`,
    body: [
      `<h1>${error.code}</h1>`,
      `<p class="message">${escapeHtml(error.message)}</p>`,
      `<dl>${list.join('\n')}</dl>`,
      way,
      `<footer>In production, users read: <q>${escapeHtml(title)}. ${escapeHtml(text)}</q> You see this page because ` +
        '<code>NODE_ENV</code> is not <code>production</code>.</footer>',
    ].join('\n'),
  }
}

/** Only a code of the operating system: `ECONNREFUSED`. The message beside it may hold anything. */
function systemCodeOf({ cause }: OidcError): string | undefined {
  const code: unknown = cause instanceof Error && !(cause instanceof OidcError) ? Reflect.get(cause, 'code') : undefined
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{2,60}$/.test(code) ? code : undefined
}

function withCode(text: string): string {
  return escapeHtml(text).replace(/`([^`]*)`/g, '<code>$1</code>')
}
