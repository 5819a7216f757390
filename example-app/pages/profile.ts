import type { IdTokenClaims } from '../../lib/types.ts'
import { type Html, html } from '../html.ts'
import { loginPanel, personPanel } from './claim-table.ts'
import { instant } from './instant.ts'
import { layout, toInitials, type Visitor } from './layout.ts'

/** What the page shows about the user. It contains no token. */
export interface Profile {
  readonly visitor: Visitor
  /** The provider at which the user signed in. */
  readonly providerTitle: string | undefined
  readonly claims: IdTokenClaims
  /** The granted scopes, separated by spaces. */
  readonly scope: string
  /** When the login expires, in seconds since 1970. */
  readonly expiresAt: number
  /** When the access token expires, in seconds since 1970, if the provider said so. */
  readonly accessTokenExpiresAt: number | undefined
  /** Seconds since 1970. */
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
 * Notices within seconds that the user signed out at the provider, if the provider supports OIDC Session Management.
 * The embedded providers do not, so the frame stays empty there.
 */
const SESSION_CHECK = html`<iframe src="/session-check" title="Watches the session at the provider" hidden></iframe>`

/** The page of the user. */
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
      .map(
        (name) => html`<li><span class="chip">${name}</span> ${Object.hasOwn(SCOPES, name) && SCOPES[name]}</li>`,
      )}</ul>
    <p class="aside"><a href="/permissions">Change what you allow</a></p>
    <p class="aside"><a href="/anatomy">See how this sign-in went</a></p>
  </section>`
}
