import type { IdTokenClaims } from '../../lib/types.ts'
import { type Html, html } from '../html.ts'
import { instant } from './instant.ts'

type Labels = Readonly<Record<string, string>>

const ABOUT_THE_LOGIN: Labels = {
  sub: 'Subject',
  iss: 'Issuer',
  aud: 'Audience',
  azp: 'Authorized party',
  sid: 'Provider session',
  auth_time: 'Proved who you are',
  amr: 'By means of',
  acr: 'Assurance',
  iat: 'ID Token issued',
  exp: 'ID Token ends',
}

const ABOUT_THE_PERSON: Labels = {
  name: 'Name',
  given_name: 'Given name',
  family_name: 'Family name',
  preferred_username: 'User name',
  nickname: 'Nickname',
  email: 'E-mail',
  email_verified: 'E-mail verified',
  groups: 'Groups',
  locale: 'Language',
  zoneinfo: 'Time zone',
  updated_at: 'Details changed',
}

const INSTANTS: ReadonlySet<string> = new Set(['updated_at', 'auth_time', 'iat', 'exp', 'nbf'])

/** The claims about the user: all that are not about the login. */
export function personPanel(claims: IdTokenClaims, now: number): Html {
  const others = Object.keys(claims).filter((name) => labelOf(name) === undefined)
  return panel('About you', [...Object.keys(ABOUT_THE_PERSON), ...others], claims, now)
}

/** The claims about the login. */
export function loginPanel(claims: IdTokenClaims, now: number): Html {
  return panel('About this sign-in', Object.keys(ABOUT_THE_LOGIN), claims, now)
}

function panel(title: string, names: readonly string[], claims: IdTokenClaims, now: number): Html {
  const rows = names
    // Some providers send null for a claim that the user does not have.
    .filter((name) => Object.hasOwn(claims, name) && claims[name] !== null)
    .map((name) => {
      const label = labelOf(name) ?? name
      const value = claimValue(name, claims[name], now)
      return html`<tr><th scope="row">${label}<code>${name}</code></th><td>${value}</td></tr>`
    })
  const id = title.toLowerCase().replaceAll(' ', '-')
  return html`<section class="panel" aria-labelledby="${id}">
    <h2 id="${id}">${title}</h2>
    <table class="claims"><tbody>${rows}</tbody></table>
  </section>`
}

/** The label of a standard claim. A provider may send a claim `constructor`, and every object has that member. */
function labelOf(name: string): string | undefined {
  const labels = [ABOUT_THE_PERSON, ABOUT_THE_LOGIN].find((known) => Object.hasOwn(known, name))
  return labels?.[name]
}

/** The provider may send any claim with any type. */
function claimValue(name: string, value: unknown, now: number): Html {
  if (typeof value === 'number' && INSTANTS.has(name)) return instant(value, now)
  if (typeof value === 'boolean') return html`${value ? 'Yes' : 'No'}`
  if (typeof value === 'string' || typeof value === 'number') return html`${value}`
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) {
    return html`<span class="chips">${value.map((item: string) => html`<span class="chip">${item}</span>`)}</span>`
  }
  return html`<code>${JSON.stringify(value)}</code>`
}
