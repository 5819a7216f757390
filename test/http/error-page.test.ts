import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { beforeEach, describe, it } from 'node:test'
import { describeForLog } from '../../lib/http/error-log.ts'
import type { WayOn } from '../../lib/http/way-on.ts'
import {
  AccessDeniedError,
  AuthorizationError,
  ConfigError,
  type ErrorHandler,
  type ErrorLogEntry,
  type ErrorPageOptions,
  type ErrorView,
  errorPage,
  OidcError,
  ProviderError,
  type Request,
  type Response,
  requireScope,
} from '../../lib/index.ts'
import type { TestApp } from '../support/app/app.ts'
import { answerBy } from '../support/app/app-routes.ts'
import { HOSTS } from '../support/app/hosts.ts'
import { createStage } from '../support/app/stage.ts'
import { createBrowser, type Page } from '../support/browser/browser.ts'
import { exchange } from '../support/browser/http-exchange.ts'
import { captureConsole } from '../support/mistakes/stand.ts'
import { listen } from '../support/servers/http-server.ts'

const NO_LOG = (): void => {}

const EVIL = '<img src=x onerror=alert(1)>'

const stage = createStage()

/** The response of `errorPage()` to an error. Status 599 means that it passed the error on. */
async function respondTo(
  error: unknown,
  kind: 'page' | 'script',
  { oidc, ...options }: ErrorPageOptions & { readonly oidc?: unknown } = { log: NO_LOG },
): Promise<Page> {
  const handle: ErrorHandler = errorPage({ development: false, ...options })
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
    ['a mistake in the setup', new OidcError('ERR_OIDC_SESSION_MISSING', EVIL), 500, 'Something went wrong'],
    ['wrong options', new ConfigError([EVIL]), 500, 'Something went wrong'],
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
      assert.deepEqual(Object.keys(answer.json()), ['error', 'message', 'reference'])
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
    assert.match(
      String(headers['content-security-policy']),
      /^default-src 'none'; style-src 'sha256-[\w+/]{43}='; base-uri 'none'; frame-ancestors 'none'; form-action 'none'$/,
    )
  })

  it('sends the headers that belong to the error', async () => {
    const busy = new ProviderError('ERR_OIDC_PROVIDER_BUSY', 'busy', { retryAfter: 7 })
    assert.equal((await respondTo(busy, 'page')).headers['retry-after'], '7')
    const method = new OidcError('ERR_OIDC_METHOD_NOT_ALLOWED', 'no', { headers: { Allow: 'POST' } })
    const answer = await respondTo(method, 'script')
    assert.deepEqual([answer.status, answer.headers['allow']], [405, 'POST'])
  })

  const wayOn: WayOn = {
    ...{
      step: 'login',
      home: '/',
      page: '/reports',
      loginUrl: '/login?a="b"&returnTo=%2Freports',
      logoutUrl: '/logout',
    },
  }
  const ways: readonly (readonly [name: string, error: OidcError, wayOn: Partial<WayOn>, link: string | undefined])[] =
    [
      [
        'a new login',
        refusal('access_denied'),
        {},
        '<a href="/login?a=&quot;b&quot;&amp;returnTo=%2Freports">Try again</a>',
      ],
      [
        'the home page, and no login, after a 403',
        new AccessDeniedError('ERR_OIDC_INSUFFICIENT_SCOPE', 'x'),
        {},
        '<a href="/">Go to the home page</a>',
      ],
      [
        'nothing after a 403 of the home page',
        new AccessDeniedError('ERR_OIDC_INSUFFICIENT_SCOPE', 'x'),
        { page: '/' },
        undefined,
      ],
      [
        'the page if the store is down',
        new OidcError('ERR_OIDC_SESSION_STORE', 'x'),
        { step: 'page' },
        '<a href="/reports">Try again</a>',
      ],
      [
        'the page with the button after a refused logout',
        new OidcError('ERR_OIDC_CROSS_SITE_LOGOUT', 'x'),
        { step: 'logout' },
        '<a href="/logout">Sign out</a>',
      ],
      [
        'a login if a refresh is refused',
        new OidcError('ERR_OIDC_REFRESH_REFUSED', 'x'),
        { step: 'page' },
        '<a href="/login?a=&quot;b&quot;&amp;returnTo=%2Freports">Sign in</a>',
      ],
    ]
  for (const [name, error, change, link] of ways) {
    it(`links to ${name}`, async () => {
      const page = await respondTo(error, 'page', { oidc: { wayOn: () => ({ ...wayOn, ...change }) }, log: NO_LOG })
      assert.equal(/<a .*<\/a>/.exec(page.body)?.[0], link)
    })
  }

  it('links nowhere without oidc()', async () => {
    for (const oidc of [undefined, null, 'x', {}]) {
      assert.doesNotMatch((await respondTo(refusal('access_denied'), 'page', { oidc, log: NO_LOG })).body, /<a /)
    }
  })

  it('calls a token request that fails on a page no failed sign-in', async () => {
    const error = new ProviderError('ERR_OIDC_TOKEN_REQUEST', 'x')
    const page = await respondTo(error, 'page', { oidc: { wayOn: () => ({ ...wayOn, step: 'page' }) }, log: NO_LOG })
    assert.match(page.body, /<h1>This page did not load<\/h1>/)
    assert.doesNotMatch(page.body, /[Ss]ign/)
  })

  it('logs one entry with the reference that the user sees, and everything else', async () => {
    const logged: ErrorLogEntry[] = []
    const cause = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })
    const error = new ProviderError('ERR_OIDC_TOKEN_REQUEST', 'The secret is wrong.', {
      ...{ cause, errorId: 'oae1', requestId: 'r1', refusal: { error: 'invalid_client', errorDescription: EVIL } },
    })
    const page = await respondTo(error, 'page', {
      log: (entry, logged_) => logged.push(entry) && assert.equal(logged_, error),
    })
    const [entry, ...more] = logged
    assert.ok(entry)
    assert.deepEqual(more, [])
    const { time, reference, stack, ...rest } = entry
    assert.match(time, /^\d{4}-\d\d-\d\dT/)
    assert.match(reference, /^[0-9A-HJKMNP-TV-Z]{8}$/)
    assert.match(page.body, new RegExp(`<code>${reference}</code>, <code>ERR_OIDC_TOKEN_REQUEST</code>`))
    assert.match(stack, /The secret is wrong/)
    assert.deepEqual(rest, {
      ...{ level: 'error', code: 'ERR_OIDC_TOKEN_REQUEST', status: 502, message: 'The secret is wrong.' },
      ...{ method: 'GET', path: '/', errorId: 'oae1', requestId: 'r1' },
      refusal: { error: 'invalid_client', errorDescription: EVIL },
      causes: ['ECONNREFUSED: connect'],
    })
  })

  it('logs a path without its query, a warning for a 4xx, and a chain of causes that is a cycle', () => {
    const error = new OidcError('ERR_OIDC_STATE_MISSING', 'x')
    const [first, second] = [new Error('a'), new TypeError('b')]
    Object.assign(error, { cause: first })
    Object.assign(first, { cause: second })
    Object.assign(second, { cause: first })
    const req = { method: 'POST', url: '/callback?code=c0de', originalUrl: '/portal/callback?code=c0de' }
    const { level, method, path, causes } = describeForLog(error, req as Request, 'R')
    assert.deepEqual([level, method, path], ['warn', 'POST', '/portal/callback'])
    assert.deepEqual(causes, ['Error: a', 'TypeError: b', 'Error: a', 'TypeError: b', 'Error: a'])
  })

  it('writes one line of JSON to standard error in production', async () => {
    const written = captureConsole()
    const page = await respondTo(refusal('access_denied'), 'page', {})
    const lines = written().trimEnd().split('\n')
    assert.equal(lines.length, 1)
    const { code, reference } = JSON.parse(String(lines[0]))
    assert.equal(code, 'ERR_OIDC_AUTHORIZATION')
    assert.ok(page.body.includes(reference))
  })

  for (const [name, log, reasons] of [
    [
      'throws',
      () => {
        throw new Error('no disk')
      },
      ['Error: no disk'],
    ],
    ['rejects', async () => Promise.reject(new Error('no disk')), ['Error: no disk']],
    ['rejects without an Error', async () => Promise.reject(undefined), []],
  ] as const) {
    it(`sends the page and writes the failure to standard error if the log ${name}`, async () => {
      const written = captureConsole()
      const page = await respondTo(refusal('access_denied'), 'page', { log })
      const { code, reference, causes } = JSON.parse(written())
      assert.deepEqual([page.status, code], [403, 'ERR_OIDC_AUTHORIZATION'])
      assert.ok(page.body.includes(reference))
      assert.deepEqual(causes, ['The option log of errorPage() failed.', ...reasons])
    })
  }

  it('leaves out what a handler has said of the body of its own response', async () => {
    const server = createServer((req, res) => {
      const own = { 'Content-Disposition': 'attachment; filename=a.csv', 'Content-Encoding': 'gzip', ETag: '"a"' }
      for (const [header, value] of Object.entries({ ...own, 'X-Own': 'kept' })) res.setHeader(header, value)
      errorPage({ development: false, log: NO_LOG })(refusal('access_denied'), req, res, () => res.end())
    })
    const { port } = stage.stopLater(await listen(server))
    const { headers } = await createBrowser({ origin: `http://127.0.0.1:${port}` }).open('/')
    const names = ['content-disposition', 'content-encoding', 'etag', 'x-own']
    assert.deepEqual(
      names.map((header) => headers[header]),
      [undefined, undefined, undefined, 'kept'],
    )
  })

  it('sends the page that render() returns, with the same code and status', async () => {
    const views: ErrorView[] = []
    const render = async (view: ErrorView, _req: Request, res: Response): Promise<string> => {
      views.push(view)
      res.setHeader('Content-Security-Policy', "default-src 'self'")
      return '<h1>Kein Zutritt</h1>'
    }
    const page = await respondTo(new AccessDeniedError('ERR_OIDC_INSUFFICIENT_CLAIM', EVIL), 'page', {
      render,
      log: NO_LOG,
    })
    assert.deepEqual([page.status, page.body], [403, '<h1>Kein Zutritt</h1>'])
    assert.equal(page.headers['content-security-policy'], "default-src 'self'")
    assert.equal(page.headers['content-type'], 'text/html; charset=utf-8')
    const [{ reference, ...view } = { reference: '' }] = views
    assert.match(reference, /^\w{8}$/)
    assert.deepEqual(view, {
      ...{ status: 403, code: 'ERR_OIDC_INSUFFICIENT_CLAIM', title: 'No access', link: undefined },
      text: 'Your account is not allowed to open this page.',
    })
  })

  it('forbids scripts on the page of render(), unless it allows them', async () => {
    const { headers } = await respondTo(refusal('access_denied'), 'page', {
      render: () => '<script>x</script>',
      log: NO_LOG,
    })
    assert.match(String(headers['content-security-policy']), /^default-src 'none'; style-src 'unsafe-inline';/)
  })

  for (const [how, render] of [
    ['throws', () => assert.fail('x')],
    ['rejects', () => Promise.reject(new Error('x'))],
  ] as const) {
    it(`sends the usual page if render() ${how}`, async () => {
      const page = await respondTo(refusal('access_denied'), 'page', { render, log: NO_LOG })
      assert.equal(page.status, 403)
      assert.match(page.body, /<h1>You are not signed in<\/h1>/)
      assert.match(String(page.headers['content-security-policy']), /sha256-/)
    })
  }

  it('shows no foreign text, no cause and no script during development', async () => {
    const error = new ProviderError('ERR_OIDC_TOKEN_REQUEST', 'The <b>secret</b> is wrong.', {
      ...{ cause: new Error(EVIL), refusal: { error: 'invalid_client', errorDescription: EVIL } },
    })
    const page = await respondTo(error, 'page', { development: true, log: NO_LOG })
    assert.equal(page.status, 502)
    assert.match(page.body, /The &lt;b&gt;secret&lt;\/b&gt; is wrong\./)
    assert.match(page.body, /<dt>Usual cause<\/dt><dd>.+<\/dd>/)
    assert.ok(!/img|onerror|<script/.test(page.body))
    assert.match(
      String(page.headers['content-security-policy']),
      /^default-src 'none'; style-src 'sha256-[\w+/]{43}='; base-uri 'none'; frame-ancestors 'none'; form-action 'none'$/,
    )
  })

  const others: readonly (readonly [name: string, error: unknown])[] = [
    ['an error of the application', new RangeError('x')],
    ['a value that is no error', 'x'],
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
      errorPage({ development: false, log: NO_LOG })(refusal('access_denied'), req, res, (error) => {
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

    it('offers a new login that leads back to the page asked for', async () => {
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
      assert.equal((await browser.open(href)).url, `${app.baseUrl}/profile`)
    })

    it('explains that the user lacks a scope', async () => {
      const browser = app.browser()
      await browser.open('/portal/profile')
      const page = await browser.open('/portal/orders')
      assert.equal(page.status, 403)
      assert.match(page.body, /<h1>No access<\/h1>/)
      assert.match(page.body, /<a href="\/portal\/">Go to the home page<\/a>/)
      const { reference, ...answer } = (await browser.fetch('/portal/orders')).json()
      assert.match(String(reference), /^\w{8}$/)
      assert.deepEqual(answer, {
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
