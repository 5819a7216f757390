import { type Html, html } from '../html.ts'
import { barChart } from './bar-chart.ts'
import { PASSENGERS } from './figures.ts'
import { layout, type Visitor } from './layout.ts'

/** What the start page shows. */
export interface Home {
  readonly visitor: Visitor | undefined
  /** True after a logout. */
  readonly farewell: boolean
}

/** The start page, for everybody. */
export function homePage({ visitor, farewell }: Home): string {
  const title = farewell ? 'Signed out' : 'Home'
  return layout({ title, path: '/', visitor, body: visitor ? signedIn(visitor) : signedOut(farewell) })
}

function signedIn({ name }: Visitor): Html {
  return html`<div class="frame">
    <header class="page-head">
      <p class="overline">Overview</p>
      <h1>Good to see you, ${name.split(' ')[0]}.</h1>
      <p class="lead">You are signed in. Pick up where you left off.</p>
    </header>
    <h2 class="section-title">Where to go</h2>
    ${doors('signed-in')}
  </div>`
}

function signedOut(farewell: boolean): Html {
  return html`<div class="frame">
    ${farewell && html`<p class="notice" role="status"><b>You are signed out.</b> See you soon.</p>`}
    <section class="hero" aria-labelledby="hero-title">
      <div>
        <p class="overline">Harbourline Reports</p>
        <h1 id="hero-title">Every crossing,<br>in plain figures.</h1>
        <p class="lead">Passengers, routes and punctuality of six ferry lines. For the people who keep them running.</p>
        <p class="actions">
          <a class="button" href="/login?returnTo=/profile">Sign in</a>
          <a class="button quiet" href="#pages">What is inside</a>
        </p>
      </div>
      <figure class="panel hero-figure">
        <figcaption><span>Passengers a month</span><b>2026</b></figcaption>
        ${barChart({ title: 'Passengers a month, January to October 2026', bars: PASSENGERS, height: 270 })}
      </figure>
    </section>
    <section id="pages" aria-labelledby="pages-title">
      <h2 id="pages-title" class="section-title">What is inside, and who may open it</h2>
      ${doors('signed-out')}
    </section>
  </div>`
}

const DOORS: ReadonlyArray<{ path: string; title: string; text: string; guard: string; need: string }> = [
  {
    path: '/reports',
    title: 'Reports',
    text: 'Traffic by month and by route.',
    guard: "requireScope('reports:read')",
    need: 'Your permission for the app to read reports',
  },
  {
    path: '/admin',
    title: 'Admin',
    text: 'Who may do what at Harbourline.',
    guard: "requireClaim('groups', 'admin')",
    need: 'Members of the group admin',
  },
  {
    path: '/refunds',
    title: 'Refunds',
    text: 'Money for cancelled crossings.',
    guard: 'requireAuth({ maxAge: 120 })',
    need: 'Anybody who has just signed in',
  },
  {
    path: '/api',
    title: 'API',
    text: 'The same figures for scripts and programs.',
    guard: 'bearer({ issuer, audience })',
    need: 'A session or an access token',
  },
  {
    path: '/anatomy',
    title: 'Anatomy',
    text: 'How your sign-in went, step by step.',
    guard: 'requireAuth()',
    need: 'Anybody who is signed in',
  },
  {
    path: '/profile',
    title: 'Profile',
    text: 'What the provider told us about you.',
    guard: 'requireAuth()',
    need: 'Anybody who is signed in',
  },
]

function doors(state: 'signed-in' | 'signed-out'): Html {
  return html`<ul class="cards">${DOORS.map(
    (door) => html`<li class="panel card">
      <h3><a href="${door.path}">${door.title}</a></h3>
      <p>${door.text}</p>
      <dl>
        <div><dt>Opens for</dt><dd>${door.need}</dd></div>
        ${state === 'signed-out' && html`<div><dt>Guard</dt><dd><code>${door.guard}</code></dd></div>`}
      </dl>
    </li>`,
  )}</ul>`
}
