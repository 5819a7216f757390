import { type Html, html, trusted } from '../html.ts'
import { toDocument } from '../pages/layout.ts'
import { type Problem, problemBody } from '../pages/problem.ts'
import type { Account } from './accounts.ts'
import type { Identity } from './identities.ts'

/** The frame of all pages, with the provider's own name: users see that this is not the app. */
function page({ name, owner, title: service, mark }: Identity, title: string, main: Html): string {
  const header = html`<header class="site-header"><div class="frame">
    <span class="brand">
      <img src="${mark}" alt="" width="28" height="28">${owner} <small>${service}</small>
    </span>
  </div></header>`
  const footer = html`<p>This is an embedded OpenID provider of the example. It forgets everything when it stops.</p>`
  return toDocument({ title: `${title} · ${owner} ${service}`, mark, theme: name, header, main, footer })
}

/** What the sign-in page shows. */
export interface SignIn {
  readonly uid: string
  /** `again`: the user is signed in and must enter the password again. `failed`: name or password were wrong. */
  readonly occasion: 'first' | 'again' | 'failed'
  /** The name that the form is filled with. */
  readonly userName: string | undefined
}

/** The page that asks for name and password. */
export function signInPage(identity: Identity, { uid, occasion, userName }: SignIn): string {
  const failed = occasion === 'failed'
  return page(
    identity,
    'Sign in',
    html`<div class="dialog">
    <section class="panel">
      <h1>${occasion === 'again' ? 'Is it still you?' : 'Sign in'}</h1>
      <p class="lead">${occasion === 'again' ? 'Your password once more, please.' : 'to go on to Harbourline Reports'}</p>
      ${failed && html`<p class="notice alarm" role="alert" id="failed">That name and password do not match.</p>`}
      <form method="post" action="/interaction/${uid}/sign-in">
        <p class="field"><label for="name">User name</label>
          <input id="name" name="name" value="${userName}" autocomplete="username" autocapitalize="none"
            spellcheck="false" required${failed && DESCRIBED}${occasion === 'first' && AUTOFOCUS}></p>
        <p class="field"><label for="password">Password</label>
          <input id="password" name="password" type="password" autocomplete="current-password"
            required${failed && DESCRIBED}${occasion !== 'first' && AUTOFOCUS}></p>
        <p class="actions"><button class="button">Sign in</button></p>
      </form>
      ${refusal(uid, 'Cancel')}
    </section>
    <section class="accounts" aria-labelledby="accounts">
      <h2 id="accounts">People of this demonstration</h2>
      <table>
        <thead><tr>${['User name', 'Password', 'Group'].map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
        <tbody>${identity.accounts.map(accountRow)}</tbody>
      </table>
    </section>
  </div>`,
  )
}

const DESCRIBED = html` aria-describedby="failed"`
const AUTOFOCUS = html` autofocus`

function accountRow({ userName, password, role }: Account): Html {
  return html`<tr><td><code>${userName}</code></td><td><code>${password}</code></td><td>${role}</td></tr>`
}

/** A scope on the consent page. */
export interface Wish {
  readonly scope: string
  readonly label: string
  readonly detail: string
  readonly necessity: 'needed' | 'optional'
}

/** What the consent page shows. */
export interface Consent {
  readonly uid: string
  readonly clientName: string
  readonly wishes: readonly Wish[]
}

/** The page that asks what the app may access. */
export function consentPage(identity: Identity, { uid, clientName, wishes }: Consent): string {
  return page(
    identity,
    'Allow access',
    html`<div class="dialog">
    <section class="panel">
      <h1>Allow ${clientName}?</h1>
      <p class="lead">It would like to have the following from your account.</p>
      <form method="post" action="/interaction/${uid}/consent">
        <fieldset class="consents">
          <legend class="hidden">What ${clientName} may have</legend>
          ${wishes.map(checkbox)}
        </fieldset>
        <p class="actions"><button class="button">Allow</button></p>
      </form>
      ${refusal(uid, 'Refuse')}
    </section>
  </div>`,
  )
}

function checkbox({ scope, label, detail, necessity }: Wish): Html {
  const state = necessity === 'needed' ? html` disabled` : html` name="scope" value="${scope}"`
  const explanation = necessity === 'needed' ? `${detail} Always needed.` : detail
  return html`<label>
    <input type="checkbox" checked${state}><span>${label}<small>${explanation}</small></span>
  </label>`
}

function refusal(uid: string, label: string): Html {
  return html`<form method="post" action="/interaction/${uid}/refuse">
    <p class="actions"><button class="button quiet">${label}</button></p>
  </form>`
}

/** What the sign-out page shows. */
export interface SignOut {
  /** The form of oidc-provider, with the id `op.logoutForm`. */
  readonly form: string
  /** `auto`: the app sent an ID Token hint, so the user need not confirm (RP-Initiated Logout 1.0, 2). */
  readonly confirmation: 'auto' | 'ask'
}

/** The page that ends the provider's session: at once, or after the user has confirmed. */
export function signOutPage(identity: Identity, { form, confirmation }: SignOut): string {
  const button = html`<p class="actions"><button class="button" form="op.logoutForm">Sign out</button></p>`
  return page(
    identity,
    'Sign out',
    html`<div class="dialog">
    <section class="panel">
      <h1>${confirmation === 'auto' ? 'Signing you out …' : 'Sign out?'}</h1>
      <p class="lead">This ends your session at ${identity.owner}, too.</p>
      ${trusted(form)}<input type="hidden" form="op.logoutForm" name="logout" value="yes">
      ${confirmation === 'ask' && button}
      ${confirmation === 'auto' && html`<noscript>${button}</noscript><script src="/assets/submit.js"></script>`}
    </section>
  </div>`,
  )
}

/** A page of the provider whose only link leads back to the app. */
export function providerProblemPage(identity: Identity, problem: Problem): string {
  return page(identity, problem.title, problemBody(problem))
}
