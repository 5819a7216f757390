import { type Html, html, trusted } from '../html.ts'
import { toDocument } from '../pages/layout.ts'
import { type Problem, problemBody } from '../pages/problem.ts'
import { ACCOUNTS, type Account } from './accounts.ts'

/** What the provider calls itself: another site than the app, and it says so. */
function page(title: string, body: Html): string {
  const header = html`<header class="site-header"><div class="frame">
    <span class="brand">
      <img src="/assets/mark.svg" alt="" width="28" height="28">Harbourline <small>Accounts</small>
    </span>
  </div></header>`
  const footer = html`<p>This is the embedded OpenID provider of the example. It forgets everything when it stops.</p>`
  return toDocument(`${title} · Harbourline Accounts`, header, body, footer)
}

/** A sign-in to ask for. */
export interface SignIn {
  readonly uid: string
  /** What was typed before, and was wrong. */
  readonly failedUserName: string | undefined
}

/** Asks for name and password. */
export function signInPage({ uid, failedUserName }: SignIn): string {
  const failed = failedUserName !== undefined
  return page(
    'Sign in',
    html`<div class="dialog">
    <section class="panel">
      <h1>Sign in</h1>
      <p class="lead">to go on to Harbourline Reports</p>
      ${failed && html`<p class="notice alarm" role="alert" id="failed">That name and password do not match.</p>`}
      <form method="post" action="/interaction/${uid}/sign-in">
        <p class="field"><label for="name">User name</label>
          <input id="name" name="name" value="${failedUserName}" autocomplete="username" autocapitalize="none"
            spellcheck="false" required${failed ? html` aria-describedby="failed"` : html` autofocus`}></p>
        <p class="field"><label for="password">Password</label>
          <input id="password" name="password" type="password" autocomplete="current-password"
            required${failed && html` aria-describedby="failed" autofocus`}></p>
        <p class="actions"><button class="button">Sign in</button></p>
      </form>
      ${refusal(uid, 'Cancel')}
    </section>
    <section class="accounts" aria-labelledby="accounts">
      <h2 id="accounts">People of this demonstration</h2>
      <table>
        <thead><tr>${['User name', 'Password', 'Group'].map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
        <tbody>${ACCOUNTS.map(accountRow)}</tbody>
      </table>
    </section>
  </div>`,
  )
}

function accountRow({ userName, password, role }: Account): Html {
  return html`<tr><td><code>${userName}</code></td><td><code>${password}</code></td><td>${role}</td></tr>`
}

/** A scope that the person is asked about. */
export interface Wish {
  readonly scope: string
  readonly label: string
  readonly detail: string
  readonly necessity: 'needed' | 'optional'
}

/** Asks what the app may have. */
export function consentPage(uid: string, clientName: string, wishes: readonly Wish[]): string {
  return page(
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

/** A sign-out to confirm. */
export interface SignOut {
  /** The form that oidc-provider has made; it has the id `op.logoutForm`. */
  readonly form: string
  /** `auto`: the app has shown whose sign-out it is, so nobody needs to be asked (RP-Initiated Logout 1.0, 2). */
  readonly confirmation: 'auto' | 'ask'
}

/** Ends the provider's own session: at once, or where that might be somebody else's wish, with a button. */
export function signOutPage({ form, confirmation }: SignOut): string {
  const button = html`<p class="actions"><button class="button" form="op.logoutForm">Sign out</button></p>`
  return page(
    'Sign out',
    html`<div class="dialog">
    <section class="panel">
      <h1>${confirmation === 'auto' ? 'Signing you out …' : 'Sign out?'}</h1>
      <p class="lead">This ends your session at Harbourline Accounts.</p>
      ${trusted(form)}<input type="hidden" form="op.logoutForm" name="logout" value="yes">
      ${confirmation === 'ask' && button}
      ${confirmation === 'auto' && html`<noscript>${button}</noscript><script src="/assets/submit.js"></script>`}
    </section>
  </div>`,
  )
}

/** A page of the provider's own that leads nowhere else but back to the app. */
export function providerProblemPage(problem: Problem): string {
  return page(problem.title, problemBody(problem))
}
