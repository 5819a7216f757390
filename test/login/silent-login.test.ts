import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { beforeEach, describe, it, mock } from 'node:test'
import { attemptSilentLogin, type ErrorCode, type Handler, OidcError } from '../../lib/index.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { answerBy, answerJson, type Routes } from '../support/app/app-routes.ts'
import { observeErrors } from '../support/app/error-observer.ts'
import { HOSTS } from '../support/app/hosts.ts'
import { logoutUri } from '../support/app/logout-observer.ts'
import { type AppSettings, createStage } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import { type Browser, createBrowser, type OpenOptions, type Page } from '../support/browser/browser.ts'
import { skipWithoutChromium } from '../support/browser/chromium.ts'
import { createChromiumPages } from '../support/browser/chromium-pages.ts'
import { exchange } from '../support/browser/http-exchange.ts'
import { answered, type JsonChange, type RawHandler } from '../support/strict-provider/context.ts'

const who = answerJson(({ oidc }) => ({ authenticated: oidc.isAuthenticated, sub: oidc.claims?.sub ?? null }))
const routes: Routes = { '/visit': [attemptSilentLogin(), who], '/plain': who }

const stage = createStage({ app: { routes, errorHandler: 'json' } })

/** The two ways to use silent logins: for all pages, or for one. */
const WAYS = [
  ['silentLogin', { silentLogin: true }, '/plain'],
  ['attemptSilentLogin()', {}, '/visit'],
] as const satisfies readonly (readonly [name: string, options: Partial<AnyOptions>, path: string])[]

const QUESTIONS = ['login_required', 'interaction_required', 'consent_required', 'account_selection_required'] as const

const hangUp: RawHandler = (_req, res) => void res.destroy()

const isMark = ({ name }: { readonly name: string }): boolean => /^(__Host-)?oidc-silent\./.test(name)

/** The `prompt` of every authorization request, in order. */
function prompts(): readonly (string | null)[] {
  return stage.provider.authorizationRequests.map((params) => params.get('prompt'))
}

function answerWithError(error: string): void {
  stage.provider.change.authorizationResponse = (params) => {
    params.delete('code')
    params.set('error', error)
    return params
  }
}

/** The visitor is on the page without a login, and only the cookie of the attempt is left. */
async function assertStillAnonymous(app: TestApp, browser: Browser, page: Page, path: string): Promise<void> {
  assert.deepEqual([page.status, page.url], [200, `${app.origin}${path}`], String(app.errors))
  assert.deepEqual(page.json(), { authenticated: false, sub: null })
  assert.deepEqual([await app.records(), app.errors, app.otherErrors], [{}, [], []])
  assert.deepEqual(
    browser.cookies('127.0.0.1').filter((cookie) => !isMark(cookie)),
    [],
  )
  assert.equal(browser.cookies('127.0.0.1').filter(isMark).length, 1)
}

for (const [name, options, path] of WAYS) {
  describe(name, () => {
    for (const host of HOSTS) {
      it(`logs in a user who is logged in at the provider, without a sign-in page: ${host}`, async () => {
        const app = await stage.start(options, { host, mountPath: '/portal' })
        const browser = app.browser()
        const page = await browser.open(`/portal${path}?a=1&b=%20c`)
        assert.deepEqual([page.status, page.url], [200, `${app.baseUrl}${path}?a=1&b=%20c`], String(app.errors))
        assert.deepEqual(page.json(), { authenticated: true, sub: 'user-subject' })
        assert.deepEqual([prompts(), await app.sessions(), stage.provider.complaints], [['none'], 1, []])
        assert.equal((await browser.open(`/portal${path}`)).history.length, 1)
      })
    }

    for (const error of QUESTIONS) {
      it(`returns to the same page after ${error}, and is not tried again`, async () => {
        const app = await stage.start(options)
        const browser = app.browser()
        answerWithError(error)
        const page = await browser.open(`${path}?a=1`)
        await assertStillAnonymous(app, browser, page, `${path}?a=1`)
        for (const next of [path, '/', '/visit', '/plain']) {
          assert.equal((await browser.open(next)).history.length, 1)
        }
        assert.deepEqual(prompts(), ['none'])
      })
    }

    it('shows the page without a login if no user is logged in at the provider', async () => {
      stage.provider.loggedIn = false
      const app = await stage.start(options)
      const browser = app.browser()
      await assertStillAnonymous(app, browser, await browser.open(path), path)
      const [mark] = browser.cookies('127.0.0.1')
      assert.deepEqual([mark?.httpOnly, mark?.sameSite, mark?.path, mark?.hostOnly], [true, 'lax', '/', true])
      assert.ok(Math.abs((mark?.expiresAt ?? 0) - Date.now() / 1000 - 3600) < 5)
    })

    it('uses a __Host- cookie over https, which no subdomain can set', async () => {
      stage.provider.loggedIn = false
      const app = await stage.start(options, { tls: true })
      const browser = app.browser()
      assert.equal((await browser.open(path)).status, 200)
      const marks = browser.cookies('127.0.0.1').filter(isMark)
      assert.ok(marks.length === 1 && marks[0]?.name.startsWith('__Host-') && marks[0].secure)
      assert.deepEqual(browser.jar.refused, [])
      browser.jar.store(new URL(app.origin), [`${marks[0]?.name.replace('__Host-', '')}=1; Path=/`])
      browser.jar.remove(({ name }) => name.startsWith('__Host-'))
      assert.equal((await browser.open(path)).history.length, 5)
    })

    it('is tried again after an hour', async () => {
      mock.timers.enable({ apis: ['Date'], now: Date.now() })
      stage.provider.loggedIn = false
      const app = await stage.start(options)
      const browser = app.browser()
      await browser.open(path)
      mock.timers.tick(3_590_000)
      assert.equal((await browser.open(path)).history.length, 1)
      mock.timers.tick(20_000)
      stage.provider.loggedIn = true
      assert.equal((await browser.open(path)).json()['authenticated'], true)
    })

    it('is not tried after a logout, however long the login was', async () => {
      mock.timers.enable({ apis: ['Date'], now: Date.now() })
      const app = await stage.start(options)
      const browser = app.browser()
      await browser.open(path)
      mock.timers.tick(7_200_000)
      assert.deepEqual(browser.cookies('127.0.0.1').filter(isMark), [])
      assert.equal((await browser.post('/logout')).status, 200)
      const page = await browser.open(path)
      assert.deepEqual([page.history.length, page.json()['authenticated']], [1, false])
      assert.deepEqual(prompts(), ['none'])
      assert.equal((await browser.open('/profile')).status, 200)
    })

    it('is not tried for a user who is logged in', async () => {
      const app = await stage.start(options)
      const browser = app.browser()
      await browser.open('/login?returnTo=/profile')
      browser.jar.remove(isMark)
      assert.equal((await browser.open(path)).history.length, 1)
      assert.deepEqual(prompts(), [null])
    })

    it('keeps what the app has stored for the visitor', async () => {
      const app = await stage.start(options)
      const browser = app.browser()
      await browser.fetch('/write')
      const page = await browser.open(path)
      assert.equal(page.json()['authenticated'], true)
      assert.equal((await browser.fetch('/session')).json()['cart'], 'book')
    })

    it('passes returnTo to the hook', async () => {
      const told: string[] = []
      const hooks = { beforeLogin: ({ returnTo }: { returnTo: string }): void => void told.push(returnTo) }
      const app = await stage.start({ ...options, hooks })
      await app.browser().open(`${path}?a=1`)
      assert.deepEqual(told, [`${path}?a=1`])
    })

    it('is not tried again after the hook has refused it', async () => {
      const answers: readonly [string, NonNullable<AnyOptions['hooks']>['beforeLogin'] & object][] = [
        ['throws', () => Promise.reject(new OidcError('ERR_OIDC_LOGIN_REQUIRED', 'not now'))],
        ['sends a response', ({ res }) => void res.writeHead(401).end()],
      ]
      for (const [how, beforeLogin] of answers) {
        const app = await stage.start({ ...options, hooks: { beforeLogin } })
        const browser = app.browser()
        assert.equal((await browser.open(path)).status, 401, how)
        assert.deepEqual([(await browser.open(path)).history.length, stage.provider.calls['/authorize']], [1, 0])
      }
    })
  })
}

describe('a silent login', () => {
  const observed = observeErrors()

  for (const error of [
    ...['access_denied', 'server_error', 'temporarily_unavailable', 'invalid_request'],
    ...['LOGIN_REQUIRED', 'login_required ', ''],
  ]) {
    it(`N-31: leads to the page, with an event, after the error ${JSON.stringify(error)}`, async () => {
      const app = await stage.start({ silentLogin: true })
      const browser = app.browser()
      answerWithError(error)
      await assertStillAnonymous(app, browser, await browser.open('/plain'), '/plain')
      assert.deepEqual(observed.codes, ['ERR_OIDC_AUTHORIZATION'])
      assert.equal((await browser.open('/plain')).history.length, 1)
    })
  }

  const broken: readonly (readonly [string, JsonChange, ErrorCode])[] = [
    ['responds with 503', answered(503, 'down'), 'ERR_OIDC_PROVIDER_STATUS'],
    ['refuses the code', answered(400, { error: 'invalid_grant' }), 'ERR_OIDC_TOKEN_REQUEST'],
    ['responds with HTML', answered(200, '<p>hello'), 'ERR_OIDC_TOKEN_RESPONSE'],
  ]
  for (const [name, response, code] of broken) {
    it(`N-31: leads to the page, with an event, if the token endpoint ${name}`, async () => {
      const app = await stage.start({ silentLogin: true })
      const browser = app.browser()
      stage.provider.change.tokenResponse = response
      await assertStillAnonymous(app, browser, await browser.open('/plain'), '/plain')
      assert.deepEqual(observed.codes, [code])
    })
  }

  const tampered: readonly (readonly [string, (params: URLSearchParams) => void, ErrorCode])[] = [
    ['is from another issuer', (params) => params.set('iss', 'https://evil.example'), 'ERR_OIDC_RESPONSE_ISSUER'],
    ['names no issuer', (params) => params.delete('iss'), 'ERR_OIDC_RESPONSE_ISSUER_MISSING'],
    ['has no state', (params) => params.delete('state'), 'ERR_OIDC_STATE_MISSING'],
    ['has another state', (params) => params.set('state', 'x'.repeat(43)), 'ERR_OIDC_TRANSACTION_MISSING'],
    ['repeats the error', (params) => params.append('error', 'login_required'), 'ERR_OIDC_CALLBACK_INVALID'],
  ]
  for (const [name, tamper, code] of tampered) {
    it(`ignores a refusal that ${name}`, async () => {
      const app = await stage.start({ silentLogin: true })
      stage.provider.loggedIn = false
      stage.provider.change.authorizationResponse = (params) => {
        tamper(params)
        return params
      }
      await app.browser().open('/plain')
      assert.deepEqual([observed.codes, await app.records()], [[code], {}])
    })
  }

  it('N-31: leads to the page, with an event, after an invalid ID Token', async () => {
    const app = await stage.start({ silentLogin: true })
    const browser = app.browser()
    stage.provider.change.idTokenClaims = (claims) => ({ ...claims, nonce: 'another' })
    await assertStillAnonymous(app, browser, await browser.open('/plain'), '/plain')
    assert.deepEqual(observed.codes, ['ERR_OIDC_ID_TOKEN_NONCE'])
  })

  it('N-31: leads to the page, with an event, if the user is logged out while it is completed', async () => {
    const hooks: NonNullable<AnyOptions['hooks']> = {
      afterLogin: async ({ claims: { sub } }) => {
        assert.equal((await stage.provider.postLogoutToken(logoutUri(app), { sub })).status, 200)
      },
    }
    const app = await stage.start({ silentLogin: true, hooks })
    const browser = app.browser()
    const page = await browser.open('/plain')
    assert.deepEqual([page.status, page.json()['authenticated'], await app.sessions()], [200, false, 0])
    assert.deepEqual([observed.codes, app.errors], [['ERR_OIDC_LOGIN_ENDED'], []])
  })

  it('treats a login that is too weak as none', async () => {
    const claims = { id_token: { acr: { essential: true, value: 'urn:example:mfa' } } }
    const app = await stage.start({ silentLogin: true, authorizationParams: { claims } })
    stage.provider.change.idTokenClaims = (good) => ({ ...good, acr: 'urn:example:pwd' })
    const browser = app.browser()
    await assertStillAnonymous(app, browser, await browser.open('/plain'), '/plain')
  })

  it('sends prompt=none whatever else is configured', async () => {
    const authorizationParams = { prompt: 'consent select_account', ui_locales: 'de' }
    const app = await stage.start({ silentLogin: true, passthroughParams: ['prompt'], authorizationParams })
    assert.equal((await app.browser().open('/plain')).json()['authenticated'], true)
    assert.deepEqual(prompts(), ['none'])
  })

  it('is followed by a normal login if a page requires one', async () => {
    stage.provider.loggedIn = false
    const app = await stage.start({ silentLogin: true })
    const page = await app.browser().open('/profile?a=1')
    assert.deepEqual([page.status, page.url, prompts()], [200, `${app.origin}/profile?a=1`, ['none', null]])
    assert.deepEqual(app.errors, [])
  })

  it('is requested by prompt=none only: otherwise login_required is an error', async () => {
    const app = await stage.start({ silentLogin: true })
    answerWithError('login_required')
    assert.equal((await app.browser().open('/login')).status, 401)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_AUTHORIZATION'])
  })

  it('can be started by a link, which sets the cookie too', async () => {
    stage.provider.loggedIn = false
    const app = await stage.start()
    const browser = app.browser()
    await assertStillAnonymous(app, browser, await browser.open('/login?prompt=none&returnTo=/plain'), '/plain')
    assert.equal((await browser.open('/visit')).history.length, 1)
  })

  it('keeps the session of a user who has logged in in the meantime', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const app = await stage.start({ silentLogin: true })
    const browser = app.browser()
    stage.provider.loggedIn = false
    const page = await browser.open('/plain', { stopBefore: isCallback })
    mock.timers.tick(2000)
    await browser.open('/profile')
    assert.deepEqual((await browser.go(page.next)).json(), { authenticated: true, sub: 'user-subject' })
    assert.deepEqual([app.errors, await app.sessions()], [[], 1])
  })

  for (const responseMode of ['form_post', 'fragment', 'jwt', 'form_post.jwt'] as const) {
    it(`works with ${responseMode}`, async () => {
      const app = await stage.start({ silentLogin: true, responseMode })
      const page = await app.browser().open('/plain?a=1')
      assert.deepEqual([page.url, page.json()['authenticated']], [`${app.origin}/plain?a=1`, true], String(app.errors))
      stage.provider.loggedIn = false
      const other = await stage.start({ silentLogin: true, responseMode })
      const browser = other.browser()
      await assertStillAnonymous(other, browser, await browser.open('/plain?a=1'), '/plain?a=1')
    })
  }

  it('works for an implicit login, and with a Strict session cookie', async () => {
    for (const [options, settings] of [
      [{ responseType: 'id_token' }, {}],
      [{}, { session: { cookie: { sameSite: 'strict' } } }],
    ] satisfies [Partial<AnyOptions>, AppSettings][]) {
      const app = await stage.start({ silentLogin: true, ...options }, settings)
      assert.equal((await app.browser().open('/plain')).json()['authenticated'], true, String(app.errors))
    }
  })
})

describe('the requests that start a silent login', () => {
  const html = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
  const navigate = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', accept: html }
  const requests: readonly (readonly [
    name: string,
    method: string,
    headers: Record<string, string>,
    status: number,
  ])[] = [
    ['a navigation', 'GET', navigate, 303],
    ['a navigation from another site', 'GET', { ...navigate, 'sec-fetch-site': 'cross-site' }, 303],
    ['a HEAD', 'HEAD', navigate, 200],
    ['a POST', 'POST', navigate, 200],
    ['an OPTIONS', 'OPTIONS', navigate, 200],
    ['a frame', 'GET', { ...navigate, 'sec-fetch-dest': 'iframe' }, 200],
    ['an embedded object', 'GET', { ...navigate, 'sec-fetch-dest': 'object' }, 200],
    ['a prefetch', 'GET', { ...navigate, 'sec-purpose': 'prefetch' }, 200],
    ['a prerendering', 'GET', { ...navigate, 'sec-purpose': 'prefetch;prerender' }, 200],
    ['fetch()', 'GET', { 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', accept: html }, 200],
    ['an image', 'GET', { 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' }, 200],
    ['an old browser', 'GET', { accept: html }, 200],
    ['a crawler', 'GET', { accept: '*/*', 'user-agent': 'Googlebot/2.1' }, 200],
    ['a program that says nothing', 'GET', {}, 200],
  ]
  for (const [name, options, path] of WAYS) {
    for (const [request, method, headers, status] of requests) {
      it(`${status === 303 ? 'include' : 'do not include'} ${request}, with ${name}`, async () => {
        const app = await stage.start(options)
        const answer = await exchange({ method, url: new URL(path, app.origin), headers })
        assert.equal(answer.status, status)
        assert.equal(answer.setCookies.length, status === 303 ? 1 : 0)
      })
    }
  }

  it('do not include our own routes', async () => {
    const app = await stage.start({ silentLogin: true, routes: { initiateLogin: '/initiate' } })
    for (const [path, status] of [
      ['/callback', 400],
      ['/logout', 200],
      ['/initiate', 400],
    ] as const) {
      const page = await app.browser().open(path)
      assert.deepEqual([page.status, page.history.length], [status, 1], path)
    }
    await app.browser().open('/login', { stopBefore: isCallback })
    assert.deepEqual(prompts(), [null])
  })

  it('do not include a page that is no valid returnTo', async () => {
    const app = await stage.start({ silentLogin: true }, { routes: { ...routes, '/{*any}': who } })
    for (const path of [
      `/plain?long=${'x'.repeat(4200)}`,
      '//evil.example/',
      '/%5cevil.example',
      '/%6cogin',
      '/LOG%6fUT',
    ]) {
      const page = await app.browser().open(app.origin + path)
      assert.deepEqual([page.status, page.history.length, page.headers['set-cookie']], [200, 1, undefined], path)
    }
  })

  it('do not exist in an app that does not use silent logins', async () => {
    const app = await stage.start()
    const browser = app.browser()
    await browser.open('/')
    await browser.open('/plain')
    await browser.open('/profile')
    await browser.post('/logout')
    assert.deepEqual([browser.cookies('127.0.0.1'), prompts()], [[], [null]])
  })

  it('fail if oidc() is missing', () => {
    const errors: unknown[] = []
    const handler: Handler = attemptSilentLogin()
    Reflect.apply(handler, undefined, [{ headers: {} }, {}, (error: unknown) => errors.push(error)])
    assert.deepEqual(
      errors.map((error) => error instanceof OidcError && error.code),
      ['ERR_OIDC_NOT_MOUNTED'],
    )
  })
})

describe('a silent login does not loop', () => {
  const loseSession: Handler = ({ headers }, _res, next) => {
    headers.cookie = headers.cookie?.replace(/connect\.sid=[^;]*/, 'lost=1')
    next()
  }

  /** Follows redirects without cookies until there are no more. */
  async function followWithoutCookies(app: TestApp, path: string, how: OpenOptions = {}): Promise<readonly Page[]> {
    const pages = [await createBrowser({ origin: app.origin }).open(path, { ...how, follow: false })]
    for (let page = pages[0]; page?.next !== undefined && pages.length < 20; page = pages.at(-1)) {
      pages.push(await createBrowser({ origin: app.origin }).go(page.next, { follow: false }))
    }
    return pages
  }

  for (const [name, options, path] of WAYS) {
    it(`in a browser that keeps no cookies: ${name}`, async () => {
      for (const loggedIn of [true, false]) {
        stage.provider.reset()
        stage.provider.loggedIn = loggedIn
        const app = await stage.start(options)
        const pages = await followWithoutCookies(app, path)
        assert.deepEqual([pages.length, pages.at(-1)?.status, codesOf(app)], [4, 400, ['ERR_OIDC_TRANSACTION_MISSING']])
        assert.deepEqual(await app.records(), {})
      }
    })

    it(`while the provider is down, and the page loads: ${name}`, async () => {
      const reported: unknown[] = []
      const report = (message: unknown): void => void reported.push(Reflect.get(Object(message), 'code'))
      subscribe('express-oidc:error', report)
      stage.provider.change.raw['/discovery'] = hangUp
      const app = await stage.start(options)
      const browser = app.browser()
      await assertStillAnonymous(app, browser, await browser.open(`${path}?a=1`), `${path}?a=1`)
      unsubscribe('express-oidc:error', report)
      assert.equal((await browser.open(path)).history.length, 1)
      assert.deepEqual(reported, ['ERR_OIDC_PROVIDER_UNREACHABLE'])
    })

    it(`while the provider is down, in a browser that keeps no cookies: ${name}`, async () => {
      stage.provider.change.raw['/discovery'] = hangUp
      const app = await stage.start(options)
      const pages = await followWithoutCookies(app, path)
      assert.deepEqual(
        [pages.map(({ status }) => status), codesOf(app)],
        [[303, 503], ['ERR_OIDC_PROVIDER_UNREACHABLE']],
      )
    })

    it(`if the session is not kept: ${name}`, async () => {
      const app = await stage.start(options, { before: [loseSession] })
      const browser = app.browser()
      const page = await browser.open(path)
      assert.deepEqual([page.status, page.json()['authenticated'], prompts()], [200, false, ['none']])
      await browser.open(path)
      assert.deepEqual(prompts(), ['none'])
    })
  }

  it('if a guard follows and the session is not kept', async () => {
    const app = await stage.start({ silentLogin: true }, { before: [loseSession] })
    const page = await app.browser().open('/profile')
    assert.deepEqual([page.status, codesOf(app)], [500, ['ERR_OIDC_SESSION_NOT_KEPT']])
    assert.deepEqual(prompts(), ['none', null])
  })
})

describe('a login that a browser prefetches', () => {
  const login = answerBy(async ({ oidc }) => oidc.login())
  let app: TestApp
  beforeEach(async () => {
    app = await stage.start({ routes: { initiateLogin: '/initiate' } }, { routes: { ...routes, '/enter': login } })
  })

  for (const purpose of ['prefetch', 'prefetch;prerender', 'prefetch;anonymous-client-ip']) {
    it(`does not start: ${purpose}`, async () => {
      const iss = encodeURIComponent(stage.provider.issuer)
      for (const path of ['/login', '/login?prompt=none', `/initiate?iss=${iss}`, '/enter']) {
        const browser = app.browser()
        const page = await browser.open(path, { headers: { 'sec-purpose': purpose } })
        assert.deepEqual([page.status, page.body, page.history.length], [503, '', 1], path)
        assert.deepEqual([page.headers['cache-control'], page.headers['set-cookie']], ['no-store', undefined])
      }
      assert.deepEqual([stage.provider.requests.length, app.errors, await app.records()], [0, [], {}])
    })
  }

  it('starts when the user opens the page', async () => {
    const browser = app.browser()
    await browser.open('/login?returnTo=/plain', { headers: { 'sec-purpose': 'prefetch' } })
    assert.equal((await browser.open('/login?returnTo=/plain')).json()['authenticated'], true)
  })
})

describe('a silent login in a real browser', { skip: skipWithoutChromium }, () => {
  const openPage = createChromiumPages()

  it('logs in without a click, and keeps the fragment of the page', async () => {
    const app = await stage.start({ silentLogin: true })
    const page = await openPage()
    await page.goto(`${app.origin}/plain?a=1#part`)
    assert.equal(page.url(), `${app.origin}/plain?a=1#part`)
    assert.match(await page.content(), /"authenticated":true/)
    assert.deepEqual([prompts(), app.errors, stage.provider.complaints], [['none'], [], []])
  })

  it('leaves a visitor on the page who has no session at the provider, and is not tried again', async () => {
    stage.provider.loggedIn = false
    const app = await stage.start({ silentLogin: true, responseMode: 'form_post' })
    const page = await openPage()
    await page.goto(`${app.origin}/plain?a=1`)
    await page.waitForURL(`${app.origin}/plain?a=1`)
    assert.match(await page.content(), /"authenticated":false/)
    await page.goto(`${app.origin}/`)
    assert.deepEqual([prompts(), app.errors, await app.records()], [['none'], [], {}])
  })

  it('does not start when a link is prefetched', async () => {
    const html: Handler = (_req, res) => {
      res.setHeader('Content-Type', 'text/html')
      res.end(
        '<!doctype html><link rel="prefetch" href="/login?returnTo=/plain"><a href="/login?returnTo=/plain">in</a>',
      )
    }
    const app = await stage.start({}, { routes: { ...routes, '/links': html } })
    const page = await openPage()
    const [fetched] = await Promise.all([
      page.waitForResponse((response) => new URL(response.url()).pathname === '/login'),
      page.goto(`${app.origin}/links`),
    ])
    assert.deepEqual([fetched.status(), (await page.context().cookies()).length, prompts()], [503, 0, []])
    await page.click('a')
    await page.waitForURL(`${app.origin}/plain#`)
    assert.match(await page.content(), /"authenticated":true/)
  })
})
