import { type Html, html } from '../html.ts'
import { REFUNDS, type Refund } from './figures.ts'
import { layout, type Visitor } from './layout.ts'

const money = new Intl.NumberFormat('en', { style: 'currency', currency: 'EUR' })

/** Refunds to approve, for users whose login is recent. */
export function refundsPage(visitor: Visitor, approved: readonly string[]): string {
  const body = html`<div class="frame">
    <header class="page-head">
      <p class="overline">Only after a recent sign-in</p>
      <h1>Refunds to approve</h1>
      <p class="lead">Money leaves the house here, so the password must be no more than two minutes old.</p>
    </header>
    <section class="panel" aria-labelledby="refunds">
      <h2 id="refunds">Cancelled crossings</h2>
      <ul class="people refunds">${REFUNDS.map((refund) => row(refund, approved.includes(refund.number)))}</ul>
    </section>
  </div>`
  return layout({ title: 'Refunds', path: '/refunds', visitor, body })
}

function row(refund: Refund, isApproved: boolean): Html {
  const { number, passenger, crossing, amount } = refund
  return html`<li>
    <span class="person"><b>${passenger}</b><span>${crossing}</span></span>
    <b class="amount">${money.format(amount)}</b>
    ${isApproved ? html`<span class="chip strong">Approved</span>` : approval(number, passenger)}
  </li>`
}

function approval(number: string, passenger: string): Html {
  return html`<form method="post" action="/refunds">
    <input type="hidden" name="number" value="${number}">
    <button class="button small">Approve<span class="hidden"> the refund for ${passenger}</span></button>
  </form>`
}
