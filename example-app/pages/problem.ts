import { type Html, html } from '../html.ts'
import { layout, type Visitor } from './layout.ts'

/** What went wrong, in words for the person at the browser, with a way on. */
export interface Problem {
  readonly status: number
  readonly title: string
  readonly text: string
  /** The button: where to go from here. */
  readonly action: { readonly href: string; readonly label: string }
  /** What to tell support: an error code, never a message. */
  readonly reference?: string
}

/** The page for everything that did not work. */
export function problemPage(problem: Problem, path: string, visitor: Visitor | undefined): string {
  return layout({ title: problem.title, path, visitor, body: problemBody(problem) })
}

/** The same without the frame of the app: the embedded provider shows its own problems with it. */
export function problemBody({ status, title, text, action, reference }: Problem): Html {
  return html`<div class="frame narrow"><section class="panel problem">
    <p class="overline">${status}</p>
    <h1>${title}</h1>
    <p class="lead">${text}</p>
    <p class="actions"><a class="button" href="${action.href}">${action.label}</a></p>
    ${reference && html`<p class="reference">Reference <code>${reference}</code></p>`}
  </section></div>`
}
