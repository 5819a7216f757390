import type { IdTokenClaims } from '../../lib/types.ts'
import { type Html, html } from '../html.ts'
import { loginPanel, personPanel } from './claim-table.ts'
import { instant } from './instant.ts'
import { layout, toInitials, type Visitor } from './layout.ts'

/** What the app knows about the person who is signed in. No token is part of it. */
export interface Profile {
  readonly visitor: Visitor
  /** Where the person has signed in. */
  readonly providerTitle: string | undefined
  readonly claims: IdTokenClaims
  /** The granted scopes, separated by spaces. */
  readonly scope: string
  /** The end of the login, in epoch seconds. */
  readonly expiresAt: number
  /** The end of the access token, in epoch seconds; absent where there is none or it has no end. */
  readonly accessTokenExpiresAt: number | undefined
  /** Epoch seconds. */
  readonly now: number
}

const SCOPES: Readonly<Record<string, string>> = {
  openid: 'know that it is you',
  profile: 'your name',
  email: 'your e-mail address',
  groups: 'your groups',
  'reports:read': 'read the traffic reports',
  offline_access: 'stay signed in while you are away',
}

/**
 * Notices within seconds that the person has signed out at the provider, where that has a page to ask (OIDC Session
 * Management); it is empty where it has none, as the embedded providers.
 */
const SESSION_CHECK = html`<iframe src="/session-check" title="Watches the session at the provider" hidden></iframe>`

/** The person's own page. */
export function profilePage(profile: Profile): string {
  const { visitor, providerTitle, claims, scope } = profile
  const body = html`<div class="frame">
    <header class="page-head with-avatar">
      <span class="avatar large" aria-hidden="true">${toInitials(visitor.name)}</span>
      <div>
        <p class="overline">Profile${providerTitle && ` at ${providerTitle}`}</p>
        <h1>${visitor.name}</h1>
        ${visitor.email && html`<p class="lead">${visitor.email}</p>`}
      </div>
    </header>
    <div class="columns">
      <div>${personPanel(claims, profile.now)}${loginPanel(claims, profile.now)}</div>
      <div>${times(profile)}${scopes(scope)}</div>
    </div>
    ${SESSION_CHECK}
  </div>`
  return layout({ title: 'Profile', path: '/profile', visitor, body })
}

function times({ expiresAt, accessTokenExpiresAt, now }: Profile): Html {
  const tokenEnd = accessTokenExpiresAt === undefined ? 'The provider did not say' : instant(accessTokenExpiresAt, now)
  return html`<section class="panel" aria-labelledby="times">
    <h2 id="times">Time left</h2>
    <dl class="facts">
      <div><dt>This sign-in ends</dt><dd>${instant(expiresAt, now)}</dd></div>
      <div><dt>Access token ends</dt><dd>${tokenEnd}</dd></div>
      <div><dt>Checked with the provider</dt><dd>Every minute</dd></div>
    </dl>
  </section>`
}

function scopes(scope: string): Html {
  return html`<section class="panel" aria-labelledby="scopes">
    <h2 id="scopes">What you allowed</h2>
    <ul class="scopes">${scope
      .split(' ')
      .filter(Boolean)
      .map((name) => html`<li><span class="chip">${name}</span> ${SCOPES[name]}</li>`)}</ul>
    <p class="aside"><a href="/permissions">Change what you allow</a></p>
  </section>`
}
