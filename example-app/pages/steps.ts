import { type Html, html } from '../html.ts'
import type { SentParameter } from '../login-recorder.ts'

/** The three who take part in a login. */
type Lane = 'browser' | 'app' | 'provider'

/** One step of a login: a message from one to another, or something that one does alone. */
export interface Step {
  readonly from: Lane
  readonly to: Lane
  readonly title: string
  readonly text: string
  /** Since the beginning. */
  readonly time?: string | undefined
  readonly parameters?: readonly SentParameter[]
  /** True for a request between the servers. */
  readonly isDirect?: boolean
}

const LANES: ReadonlyArray<readonly [lane: Lane, label: string]> = [
  ['browser', 'Browser'],
  ['app', 'App'],
  ['provider', 'Provider'],
]

/** Where each lane is, in units of the view box. The style sheet draws its line there. */
const X: Readonly<Record<Lane, number>> = { browser: 40, app: 120, provider: 200 }

/** A sequence diagram that is also a list: the arrows are for the eye, the texts for everybody. */
export function steps(list: readonly Step[]): Html {
  return html`<div class="lane-heads" aria-hidden="true">
      <div class="lane-labels">${LANES.map(([, label]) => html`<span>${label}</span>`)}</div>
      <p class="legend"><span>through your browser</span><span class="legend-direct">between the servers</span></p>
    </div>
    <ol class="steps">${list.map(row)}</ol>`
}

function row(step: Step): Html {
  const { title, text, time, parameters = [] } = step
  return html`<li class="step">
    ${arrow(step)}
    <div class="step-text">
      <h3>${title}${time && html` <span class="step-time">${time}</span>`}</h3>
      <p>${text}</p>
      ${parameters.length > 0 && html`<ul class="parameters">${parameters.map(parameter)}</ul>`}
    </div>
  </li>`
}

function parameter({ name, value }: SentParameter): Html {
  const shown = value ?? html`<span class="secret" title="Not shown"><span class="hidden">not shown</span></span>`
  return html`<li class="parameter"><span>${name}</span> ${shown}</li>`
}

function arrow({ from, to, isDirect = false }: Step): Html {
  const [start, end] = [X[from], X[to]]
  const look = isDirect ? 'hop direct' : 'hop'
  return html`<div class="lane"><svg viewBox="0 0 240 28" aria-hidden="true" class="${look}">
    ${start === end ? html`<circle cx="${start}" cy="14" r="6"/>` : line(start, end)}
  </svg></div>`
}

function line(start: number, end: number): Html {
  const way = end > start ? 1 : -1
  const base = end - way * 12
  return html`<circle cx="${start}" cy="14" r="3"/>
    <line x1="${start}" y1="14" x2="${base}" y2="14"/>
    <polygon points="${end - way * 3},14 ${base},9 ${base},19"/>`
}
