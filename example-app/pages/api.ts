import { html } from '../html.ts'
import { layout, type Visitor } from './layout.ts'

/** What the page about the API shows. */
export interface ApiPage {
  readonly visitor: Visitor | undefined
  /** A line for the terminal that calls the API with a token. It contains no secret. */
  readonly command: string | undefined
}

const GUARD = `app.use('/api/v1', bearer({ issuer, audience, allowSession: true }))

app.get('/api/v1/traffic', requireScope('reports:read'), (req, res) => {
  res.json({ authenticatedBy: req.oidc.authenticatedBy, … })
})`

/** A page whose script calls the API with the session, beside the command that calls it with a token. */
export function apiPage({ visitor, command }: ApiPage): string {
  const terminal = command
    ? html`<pre class="code" tabindex="0" aria-label="Command" id="command"><code>${command}</code></pre>
      <p class="actions"><button class="button quiet" id="copy" type="button">Copy</button></p>`
    : html`<p class="aside">At your own provider, set <code>API_AUDIENCE</code> to what its tokens call this API.</p>`
  const body = html`<div class="frame">
    <header class="page-head">
      <p class="overline">For scripts and programs</p>
      <h1>One guard, two kinds of caller</h1>
      <p class="lead"><code>GET /api/v1/traffic</code> needs the permission <code>reports:read</code>. A session can bring it, and
        so can an access token.</p>
    </header>
    <div class="halves">
      <section class="panel" aria-labelledby="from-page">
        <h2 id="from-page">From this page</h2>
        <p class="muted" id="who">The browser sends its session cookie. No token ever reaches this page.</p>
        <p class="actions">
          <button class="button" id="call" type="button">Call the API</button>
          <button class="button quiet" id="call-anonymous" type="button">Call it without the session</button>
        </p>
        <noscript><p class="notice alarm">This page needs its script.</p></noscript>
      </section>
      <section class="panel" aria-labelledby="from-terminal">
        <h2 id="from-terminal">From a terminal</h2>
        <p class="muted">A program gets an access token for itself, and sends it along.</p>
        ${terminal}
      </section>
    </div>
    <section class="panel" aria-labelledby="answer-title">
      <div class="answer-head">
        <h2 id="answer-title">The response</h2>
        <p id="answer-status" role="status"><span class="chip">Not called yet</span></p>
      </div>
      <pre class="code" tabindex="0" aria-labelledby="answer-title"><code id="answer">Press a button.</code></pre>
    </section>
    <section class="panel" aria-labelledby="guard">
      <h2 id="guard">What guards it</h2>
      <pre class="code" tabindex="0" aria-labelledby="guard"><code>${GUARD}</code></pre>
    </section>
  </div>`
  return layout({ title: 'API', path: '/api', visitor, body, script: '/assets/api.js' })
}
