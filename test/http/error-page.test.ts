import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { beforeEach, describe, it } from 'node:test'
import {
  AccessDeniedError,
  AuthorizationError,
  ConfigError,
  type ErrorHandler,
  errorPage,
  OidcError,
  ProviderError,
  requireScope,
} from '../../lib/index.ts'
import type { TestApp } from '../support/app/app.ts'
import { answerBy } from '../support/app/app-routes.ts'
import { HOSTS } from '../support/app/hosts.ts'
import { createStage } from '../support/app/stage.ts'
import { createBrowser, type Page } from '../support/browser/browser.ts'
import { exchange } from '../support/browser/http-exchange.ts'
import { listen } from '../support/servers/http-server.ts'

const EVIL = '<img src=x onerror=alert(1)>'

const stage = createStage()

/** The response of `errorPage()` to an error. Status 599 means that it passed the error on. */
async function respondTo(error: unknown, kind: 'page' | 'script', oidc?: unknown): Promise<Page> {
  const handle: ErrorHandler = errorPage()
  const server = createServer((req, res) => {
    if (oidc !== undefined) Object.assign(req, { oidc })
    handle(error, req, res, (passed) => {
      assert.equal(passed, error)
      res.writeHead(599).end()
    })
  })
  const { port } = stage.stopLater(await listen(server))
  const browser = createBrowser({ origin: `http://127.0.0.1:${port}` })
  return kind === 'page' ? await browser.open('/') : await browser.fetch('/')
}

const refusal = (error: string): AuthorizationError =>
  new AuthorizationError({ error, errorDescription: EVIL, errorUri: `javascript:${EVIL}` })

describe('errorPage()', () => {
  const notices: readonly (readonly [name: string, error: OidcError, status: number, title: string])[] = [
    ['a login that was cancelled', refusal('access_denied'), 403, 'You are not signed in'],
    ['a login that the provider refused', refusal('invalid_scope'), 400, 'Sign-in failed'],
    ['a provider that is busy', refusal('temporarily_unavailable'), 503, 'Sign-in is temporarily unavailable'],
    ['a guard', new AccessDeniedError('ERR_OIDC_INSUFFICIENT_SCOPE', EVIL), 403, 'No access'],
    [
      'a provider that is down',
      new ProviderError('ERR_OIDC_PROVIDER_UNREACHABLE', EVIL),
      503,
      'Sign-in is temporarily unavailable',
    ],
    [
      'a provider that is slow',
      new ProviderError('ERR_OIDC_PROVIDER_TIMEOUT', EVIL),
      504,
      'Sign-in is temporarily unavailable',
    ],
    ['a bad token', new OidcError('ERR_OIDC_ID_TOKEN_NONCE', EVIL), 502, 'Sign-in failed'],
    ['a bad response', new OidcError('ERR_OIDC_STATE_MISSING', EVIL), 400, 'Sign-in failed'],
  ]
  for (const [name, error, status, title] of notices) {
    it(`sends a page about ${name}, without foreign text`, async () => {
      const page = await respondTo(error, 'page')
      assert.equal(page.status, status)
      assert.match(page.body, new RegExp(`<h1>${title}</h1>`))
      assert.match(page.body, new RegExp(`<code>${error.code}</code>`))
      assert.ok(!/img|onerror|javascript/.test(page.body))
    })

    it(`sends JSON about ${name}, without foreign text`, async () => {
      const answer = await respondTo(error, 'script')
      assert.equal(answer.status, status)
      assert.equal(answer.headers['content-type'], 'application/json; charset=utf-8')
      assert.deepEqual(Object.keys(answer.json()), ['error', 'message'])
      assert.equal(answer.json()['error'], error.code)
      assert.ok(!/img|onerror|javascript/.test(answer.body))
    })
  }

  it('forbids caching, framing and scripts for its page', async () => {
    const { headers } = await respondTo(refusal('access_denied'), 'page')
    assert.equal(headers['cache-control'], 'no-store')
    assert.equal(headers['referrer-policy'], 'no-referrer')
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.equal(headers['content-type'], 'text/html; charset=utf-8')
    assert.equal(
      headers['content-security-policy'],
      "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    )
  })

  it('sends the headers that belong to the error', async () => {
    const busy = new ProviderError('ERR_OIDC_PROVIDER_BUSY', 'busy', { retryAfter: 7 })
    assert.equal((await respondTo(busy, 'page')).headers['retry-after'], '7')
    const method = new OidcError('ERR_OIDC_METHOD_NOT_ALLOWED', 'no', { headers: { Allow: 'POST' } })
    const answer = await respondTo(method, 'script')
    assert.deepEqual([answer.status, answer.headers['allow']], [405, 'POST'])
  })

  it('links to a new login if req.oidc exists', async () => {
    const oidc = { loginUrl: (returnTo: string) => `/login?a="b"&returnTo=${returnTo}` }
    const page = await respondTo(refusal('access_denied'), 'page', oidc)
    assert.match(page.body, /<a href="\/login\?a=&quot;b&quot;&amp;returnTo=\/">Try again<\/a>/)
    for (const other of [undefined, null, 'x', {}]) {
      assert.doesNotMatch((await respondTo(refusal('access_denied'), 'page', other)).body, /<a /)
    }
  })

  const others: readonly (readonly [name: string, error: unknown])[] = [
    ['an error of the application', new RangeError('x')],
    ['a value that is no error', 'x'],
    ['a ConfigError', new ConfigError(['x'])],
    ['a missing session', new OidcError('ERR_OIDC_SESSION_MISSING', 'x')],
    ['an object that only looks like an OidcError', { code: 'ERR_OIDC_STATE_MISSING', status: 400, headers: {} }],
  ]
  for (const [name, error] of others) {
    it(`passes on ${name}`, async () => {
      assert.equal((await respondTo(error, 'page')).status, 599)
    })
  }

  it('passes on an error after the response has started', async () => {
    const passed: unknown[] = []
    const server = createServer((req, res) => {
      res.write('begun')
      errorPage()(refusal('access_denied'), req, res, (error) => {
        passed.push(error)
        res.end()
      })
    })
    const { port } = stage.stopLater(await listen(server))
    const answer = await exchange({ method: 'GET', url: new URL(`http://127.0.0.1:${port}/`), headers: {} })
    assert.deepEqual([answer.status, answer.body, passed.length], [200, 'begun', 1])
  })
})

for (const host of HOSTS) {
  describe(`errorPage() in ${host}`, () => {
    let app: TestApp
    beforeEach(async () => {
      const routes = {
        '/orders': [requireScope('orders')],
        '/broken': answerBy(() => Promise.reject(new RangeError('x'))),
      }
      app = await stage.start({}, { host, mountPath: '/portal', errorHandler: 'page', routes })
    })

    it('offers a new login that leads to the home page', async () => {
      const browser = app.browser()
      stage.provider.change.authorizationResponse = (params) => {
        const { state = '', iss = '' } = Object.fromEntries(params)
        return new URLSearchParams({ error: 'access_denied', error_description: EVIL, state, iss })
      }
      const page = await browser.open('/portal/profile')
      assert.deepEqual([page.status, page.url.split('?')[0]], [403, `${app.baseUrl}/callback`])
      assert.ok(!page.body.includes('onerror'))
      stage.provider.reset()
      const [, href = ''] = /<a href="([^"]+)">/.exec(page.body) ?? []
      assert.equal((await browser.open(href)).url, `${app.baseUrl}/`)
    })

    it('explains that the user lacks a scope', async () => {
      const browser = app.browser()
      await browser.open('/portal/profile')
      const page = await browser.open('/portal/orders')
      assert.equal(page.status, 403)
      assert.match(page.body, /<h1>No access<\/h1>/)
      assert.deepEqual((await browser.fetch('/portal/orders')).json(), {
        error: 'ERR_OIDC_INSUFFICIENT_SCOPE',
        message: 'Your account is not allowed to open this page.',
      })
    })

    it('leaves other errors to the framework', async () => {
      const page = await app.browser().open('/portal/broken')
      assert.equal(page.status, 500)
      assert.doesNotMatch(page.body, /<h1>/)
    })
  })
}

describe('without errorPage()', () => {
  for (const host of HOSTS) {
    it(`${host} responds with the status of the error and no secret`, async () => {
      const app = await stage.start({}, { host, errorHandler: 'default' })
      const page = await app.browser().open('/callback?code=c0de&state=st4te')
      assert.equal(page.status, 400)
      assert.ok(!/c0de|st4te/.test(page.body))
      assert.equal((await app.browser().fetch('/logout')).headers['allow'], 'POST')
    })
  }
})
