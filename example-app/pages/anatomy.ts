import type { IdTokenClaims } from '../../lib/types.ts'
import { type Html, html } from '../html.ts'
import type { LoginRecord, LoginStart, SentParameter } from '../login-recorder.ts'
import { expiries } from './expiries.ts'
import { layout, type Visitor } from './layout.ts'
import { findChecks } from './login-checks.ts'
import { type Step, steps } from './steps.ts'

/** What the page shows about a login. No token, code, nonce or state is among it. */
export interface Anatomy {
  readonly visitor: Visitor
  readonly claims: IdTokenClaims
  readonly providerTitle: string
  /** When login and access token expire, in seconds since 1970. */
  readonly expiresAt: number
  readonly accessTokenExpiresAt: number | undefined
  /** Absent if this process did not see the login. */
  readonly record: LoginRecord | undefined
  /** Seconds since 1970. */
  readonly now: number
}

/** How the login of this user went: the redirects, the checks, and when what expires. */
export function anatomyPage(anatomy: Anatomy): string {
  const { visitor, record, claims } = anatomy
  const checks = record ? findChecks(record, claims) : []
  const body = html`<div class="frame">
    <header class="page-head">
      <p class="overline">How you got in</p>
      <h1>Anatomy of your sign-in</h1>
      <p class="lead">Every redirect, every check, and when it all expires. Secrets stay where they are.</p>
    </header>
    ${record ? recorded(anatomy, record, checks) : UNSEEN}
    ${expiries(anatomy)}
  </div>`
  return layout({ title: 'Anatomy of your sign-in', path: '/anatomy', visitor, body })
}

const UNSEEN = html`<p class="notice">This app did not see how you signed in. Sign out and in again to see it here.</p>`

function recorded(anatomy: Anatomy, record: LoginRecord, checks: ReturnType<typeof findChecks>): Html {
  return html`${tiles(record, checks.length)}
    <section class="panel" aria-labelledby="way">
      <h2 id="way">The way there and back</h2>
      ${steps(stepsOf(anatomy, record, checks.length))}
    </section>
    <section class="panel" aria-labelledby="checks">
      <h2 id="checks">What was checked</h2>
      <ul class="checks">${checks.map(({ title, detail }) => html`<li class="check"><b>${title}</b><span>${detail}</span></li>`)}</ul>
    </section>`
}

function tiles({ start, returnedAt, finishedAt, requests }: LoginRecord, checks: number): Html {
  const facts: ReadonlyArray<readonly [label: string, value: string | number]> = [
    ...(start ? [['You spent at the provider', duration(returnedAt - start.at)] as const] : []),
    ['The app needed to let you in', duration(finishedAt - returnedAt)],
    ['Requests between the servers', requests.length],
    ['Checks passed', checks],
    ['Tokens in your browser', 0],
  ]
  return html`<dl class="tiles row">${facts.map(
    ([label, value]) => html`<div class="panel"><dt>${label}</dt><dd>${value}</dd></div>`,
  )}</dl>`
}

function stepsOf({ claims, providerTitle }: Anatomy, record: LoginRecord, checks: number): readonly Step[] {
  const { start, returnedAt, returned, requests, finishedAt } = record
  const since = (at: number): string | undefined => start && duration(at - start.at)
  return [
    ...(start ? outward(start, providerTitle) : []),
    {
      ...{ from: 'provider', to: 'provider', title: `You signed in at ${providerTitle}` },
      text: `${methodsOf(claims)} Only the provider saw it.`,
    },
    {
      ...{ from: 'provider', to: 'browser', title: 'Redirect back to the app' },
      text: 'The code is worth nothing without the verifier in the cookie.',
    },
    {
      ...{ from: 'browser', to: 'app', title: 'Your browser brings the response', time: since(returnedAt) },
      text: 'It must fit the cookie, and it is taken once.',
      parameters: returned,
    },
    ...requests.map(
      ({ method, path, outcome, milliseconds }): Step => ({
        ...{ from: 'app', to: 'provider', isDirect: true, title: titleOf(path) },
        text: `${method} ${path} answered ${outcome} in ${milliseconds} ms. Your browser took no part.`,
      }),
    ),
    { from: 'app', to: 'app', title: `${checks} checks`, text: 'Each one can end the login. They are listed below.' },
    {
      ...{ from: 'app', to: 'browser', title: 'A new session', time: since(finishedAt) },
      text: 'With a new id, in a cookie that no script can read. Then you got the page.',
    },
  ]
}

function outward({ path, endpoint, sent }: LoginStart, providerTitle: string): readonly Step[] {
  return [
    { from: 'browser', to: 'app', title: `You asked for ${path}`, text: 'The guard found no login.', time: '0 s' },
    {
      ...{ from: 'app', to: 'browser', title: 'Redirect to sign in' },
      text: 'With an encrypted cookie that remembers what must come back.',
    },
    {
      ...{ from: 'browser', to: 'provider', title: `Your browser goes to ${providerTitle}` },
      text: endpoint,
      parameters: sent.filter(isTelling),
    },
  ]
}

/** The client and its URL are shown among the checks. */
function isTelling({ name }: SentParameter): boolean {
  return !['client_id', 'redirect_uri'].includes(name)
}

const METHODS: Readonly<Record<string, string>> = { pwd: 'With your password.', otp: 'With a one-time code.' }

function methodsOf({ amr }: IdTokenClaims): string {
  const known = (Array.isArray(amr) ? amr : []).flatMap((method) => {
    return typeof method === 'string' && Object.hasOwn(METHODS, method) ? [METHODS[method]] : []
  })
  return known[0] ?? 'The provider made sure that it is you.'
}

function titleOf(path: string): string {
  if (/token$/.test(path)) return 'The app redeems the code'
  return /jwks|keys|certs/.test(path) ? 'The app fetches the keys' : 'The app asks for more claims'
}

/** `340 ms`, `4.2 s`, `3 min`. */
function duration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.max(0, milliseconds)} ms`
  if (milliseconds < 100_000) return `${(milliseconds / 1000).toFixed(1)} s`
  return `${Math.round(milliseconds / 60_000)} min`
}
