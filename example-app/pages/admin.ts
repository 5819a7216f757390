import { type Html, html } from '../html.ts'
import { MEMBERS, type Member } from './figures.ts'
import { layout, toInitials, type Visitor } from './layout.ts'

/** Staff and their groups, for members of the group `admin`. */
export function adminPage(visitor: Visitor): string {
  const body = html`<div class="frame">
    <header class="page-head">
      <p class="overline">Only for the group admin</p>
      <h1>People and groups</h1>
      <p class="lead">Groups come from the provider, as the claim <code>groups</code>. Nothing to maintain here.</p>
    </header>
    <section class="panel" aria-labelledby="people">
      <h2 id="people">Staff</h2>
      <ul class="people">${MEMBERS.map((member) => row(member, visitor))}</ul>
    </section>
  </div>`
  return layout({ title: 'Admin', path: '/admin', visitor, body })
}

function row({ name, email, groups }: Member, visitor: Visitor): Html {
  const you = email === visitor.email && html` <span class="you">you</span>`
  return html`<li>
    <span class="avatar" aria-hidden="true">${toInitials(name)}</span>
    <span class="person"><b>${name}${you}</b><span>${email}</span></span>
    <span class="chips">${groups.map(chip)}</span>
  </li>`
}

function chip(group: string): Html {
  return html`<span class="${group === 'admin' ? 'chip strong' : 'chip'}">${group}</span>`
}
