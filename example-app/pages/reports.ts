import { type Html, html } from '../html.ts'
import { barChart } from './bar-chart.ts'
import { PASSENGERS, ROUTES, type Route } from './figures.ts'
import { layout, type Visitor } from './layout.ts'

const COLUMNS = ['Route', 'Passengers', 'Change', 'On time']

const count = new Intl.NumberFormat('en')
const share = new Intl.NumberFormat('en', { style: 'percent' })
const percent = new Intl.NumberFormat('en', { style: 'percent', maximumFractionDigits: 1, signDisplay: 'exceptZero' })

/** The report, for users who allowed `reports:read`. */
export function reportsPage(visitor: Visitor): string {
  const total = ROUTES.reduce((sum, { passengers }) => sum + passengers, 0)
  const onTime = ROUTES.reduce((sum, route) => sum + route.onTime * route.passengers, 0) / total
  const body = html`<div class="frame">
    <header class="page-head">
      <p class="overline">January to October 2026</p>
      <h1>Traffic report</h1>
    </header>
    <div class="summary">
      <section class="panel" aria-labelledby="by-month">
        <h2 id="by-month">Passengers a month</h2>
        ${barChart({ title: 'Bar chart: 48,200 in January, most in July with 131,700', bars: PASSENGERS, height: 300 })}
      </section>
      <dl class="tiles">
        <div class="panel"><dt>Passengers</dt><dd>${count.format(total)}</dd></div>
        <div class="panel"><dt>Against last year</dt><dd>${signed(overallChange(ROUTES))}</dd></div>
        <div class="panel"><dt>Left on time</dt><dd>${share.format(onTime)}</dd></div>
      </dl>
    </div>
    <section class="panel" aria-labelledby="by-route">
      <h2 id="by-route">By route</h2>
      <table class="figures">
        <thead><tr>${COLUMNS.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
        <tbody>${ROUTES.map(row)}</tbody>
      </table>
    </section>
  </div>`
  return layout({ title: 'Reports', path: '/reports', visitor, body })
}

function row({ name, passengers, change, onTime }: Route): Html {
  return html`<tr>
    <th scope="row">${name}</th>
    <td>${count.format(passengers)}</td>
    <td${change < 0 && html` class="down"`}>${signed(change)}</td>
    <td>${share.format(onTime)}</td>
  </tr>`
}

function overallChange(routes: readonly Route[]): number {
  const now = routes.reduce((sum, { passengers }) => sum + passengers, 0)
  const before = routes.reduce((sum, route) => sum + route.passengers / (1 + route.change), 0)
  return now / before - 1
}

/** With a minus sign that is as wide as the plus. */
function signed(value: number): string {
  return percent.format(value).replace('-', '−')
}
