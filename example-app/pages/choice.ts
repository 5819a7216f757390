import { type Html, html } from '../html.ts'
import { layout, type Visitor } from './layout.ts'

/** A provider in the list. */
export interface Choice {
  readonly name: string
  readonly title: string
  readonly mark: string
  readonly audience: string
}

/** What the page with the list of providers shows. */
export interface ChoicePage {
  readonly providers: readonly Choice[]
  /** The page to come back to. It is not checked here: the login route does that. */
  readonly returnTo: string
  readonly visitor: Visitor | undefined
}

/** The page on which users choose their provider. */
export function choicePage({ providers, returnTo, visitor }: ChoicePage): string {
  const body = html`<div class="frame narrow">
    <header class="page-head">
      <p class="overline">Sign in</p>
      <h1>Where is your account?</h1>
      <p class="lead">You sign in where you always do. Harbourline never sees your password.</p>
    </header>
    <ul class="choices">${providers.map((provider) => choice(provider, returnTo))}</ul>
  </div>`
  return layout({ title: 'Sign in', path: '/choose', visitor, body, isSignIn: true })
}

function choice({ name, title, mark, audience }: Choice, returnTo: string): Html {
  const query = new URLSearchParams({ provider: name, returnTo })
  return html`<li><a class="panel choice" href="/login?${String(query)}">
    <img src="${mark}" alt="" width="44" height="44">
    <span><b>${title}</b><span>${audience}</span></span>
  </a></li>`
}
