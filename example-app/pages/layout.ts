import { type Html, html, type Part, toText } from '../html.ts'

/** The user that a page greets. */
export interface Visitor {
  readonly name: string
  readonly email: string | undefined
}

/** The parts in which the pages of the app differ. */
export interface Page {
  readonly title: string
  /** The path of the request, to highlight its link in the navigation. */
  readonly path: string
  /** Absent: no user is signed in. */
  readonly visitor: Visitor | undefined
  readonly body: Html
  /** True where the page itself is about signing in, so that the header needs no link for it. */
  readonly isSignIn?: boolean
  /** The URL of the page's own script. */
  readonly script?: string
}

const LINKS: ReadonlyArray<readonly [path: string, label: string]> = [
  ['/', 'Home'],
  ['/reports', 'Reports'],
  ['/admin', 'Admin'],
  ['/refunds', 'Refunds'],
  ['/api', 'API'],
  ['/anatomy', 'Anatomy'],
  ['/profile', 'Profile'],
]

/** The first letters of the first and the last name. */
export function toInitials(name: string): string {
  const words = name.split(/\s+/).filter(Boolean)
  const letters = [words[0], words.length > 1 ? words.at(-1) : undefined].map((word) => [...(word ?? '')][0] ?? '')
  return letters.join('').toUpperCase() || '?'
}

/** A whole document, of the app or of an embedded provider. */
export interface Document {
  readonly title: string
  /** The URL of the logo. */
  readonly mark: string
  /** The class of `body`, for the style sheet. */
  readonly theme: string
  readonly header: Part
  readonly main: Html
  readonly footer: Part
  /** The URL of a module. */
  readonly script?: string | undefined
}

export function toDocument({ title, mark, theme, header, main, footer, script }: Document): string {
  return toText(html`<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>${title}</title>
  <link rel="icon" href="${mark}" type="image/svg+xml">
  <link rel="stylesheet" href="/assets/style.css">
  ${script && html`<script type="module" src="${script}"></script>`}
</head>
<body class="${theme}">
  <a class="skip" href="#main">Skip to the content</a>
  ${header}
  <main id="main" tabindex="-1">${main}</main>
  <footer class="site-footer"><div class="frame">${footer}</div></footer>
</body>
</html>
`)
}

/** A page of the app with header, navigation, user and footer. */
export function layout({ title, path, visitor, body, isSignIn = false, script }: Page): string {
  const header = html`<header class="site-header"><div class="frame">
    <a class="brand" href="/"><img src="/assets/mark.svg" alt="" width="28" height="28">Harbourline</a>
    <nav aria-label="Main"><ul>${LINKS.map(([to, label]) => link(to, label, path))}</ul></nav>
    ${visitor ? visitorChip(visitor) : !isSignIn && SIGN_IN}
  </div></header>`
  const footer = html`<p>
    Harbourline is a made-up ferry company: the example app of <b>express-oidc</b>. All figures are invented.
  </p>`
  const look = { mark: '/assets/mark.svg', theme: 'harbourline' }
  return toDocument({ title: `${title} · Harbourline`, ...look, header, main: body, footer, script })
}

const SIGN_IN = html`<a class="button small" href="/login?returnTo=/profile">Sign in</a>`

function link(to: string, label: string, path: string): Html {
  return html`<li><a href="${to}"${to === path && html` aria-current="page"`}>${label}</a></li>`
}

function visitorChip({ name }: Visitor): Html {
  return html`<div class="visitor">
    <a class="chip-person" href="/profile">
      <span class="avatar" aria-hidden="true">${toInitials(name)}</span>
      <span class="visitor-name">${name}</span>
    </a>
    <form method="post" action="/logout"><button class="button quiet small">Sign out</button></form>
  </div>`
}
