import { type Html, html } from '../html.ts'
import { layout, type Visitor } from './layout.ts'

/** An error, in words for users, with a link to continue. */
export interface Problem {
  readonly status: number
  readonly title: string
  readonly text: string
  /** The button that leads on. */
  readonly action: { readonly href: string; readonly label: string }
  /** The error code, for support. Never a message. */
  readonly reference?: string
}

/** The page for every error. */
export function problemPage(problem: Problem, path: string, visitor: Visitor | undefined): string {
  return layout({ title: problem.title, path, visitor, body: problemBody(problem) })
}

/** The same without the frame of the app, for the embedded providers. */
export function problemBody({ status, title, text, action, reference }: Problem): Html {
  return html`<div class="frame narrow"><section class="panel problem">
    <p class="overline">${status}</p>
    <h1>${title}</h1>
    <p class="lead">${text}</p>
    <p class="actions"><a class="button" href="${action.href}">${action.label}</a></p>
    ${reference && html`<p class="reference">Reference <code>${reference}</code></p>`}
  </section></div>`
}
