import assert from 'node:assert/strict'
import { beforeEach, describe, it, mock } from 'node:test'
import {
  attemptSilentLogin,
  ConfigError,
  checkSession,
  type ErrorCode,
  type Handler,
  OidcError,
  requireAuth,
} from '../../lib/index.ts'
import type { Login } from '../../lib/types.ts'
import { ACCOUNTS } from '../support/app/accounts.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { answerBy, answerJson, type Routes } from '../support/app/app-routes.ts'
import { observeErrors } from '../support/app/error-observer.ts'
import { HOSTS } from '../support/app/hosts.ts'
import { observeLogouts } from '../support/app/logout-observer.ts'
import { isTokens, loginIn } from '../support/app/records.ts'
import { createSeveralProviders } from '../support/app/several-providers.ts'
import { type AppSettings, createStage, type Stage } from '../support/app/stage.ts'
import { isAtProvider, isCallback } from '../support/app/url-predicates.ts'
import type { Browser, Navigation, OpenOptions, Page } from '../support/browser/browser.ts'
import { exchange } from '../support/browser/http-exchange.ts'
import { cookieOf, isTransaction } from '../support/browser/login-cookies.ts'
import { startProvider } from '../support/servers/provider.ts'
import { answered, type RawHandler } from '../support/strict-provider/context.ts'

const EVERY = 60

const who = answerJson(({ oidc }) => ({ authenticated: oidc.isAuthenticated, sub: oidc.claims?.sub ?? null }))

const routes: Routes = {
  '/account': [checkSession({ every: EVERY }), who],
  '/guarded': [checkSession({ every: EVERY }), requireAuth(), who],
  '/often': [checkSession({ every: 10 }), who],
  '/recent': [checkSession({ every: EVERY }), requireAuth({ maxAge: 120 }), who],
  '/visit': [attemptSilentLogin(), who],
  '/who': who,
  '/ask': answerJson(({ oidc, url }) => ({
    url: oidc.sessionCheckUrl(Number(new URLSearchParams(url?.split('?')[1]).get('every'))) ?? null,
  })),
  '/by-hand': answerBy(({ oidc }) => oidc.login({ returnTo: '/who', authorizationParams: { prompt: 'none' } })),
}

const stage = createStage({ app: { routes, errorHandler: 'json' } })
const observed = observeLogouts()

beforeEach(() => mock.timers.enable({ apis: ['Date'], now: Date.now() }))

const hangUp: RawHandler = (_req, res) => void res.destroy()
const hang: RawHandler = () => undefined
const fail =
  (status: number, headers = {}): RawHandler =>
  (_req, res) =>
    void res.writeHead(status, headers).end()

/** Logs a user in, then moves the clock on by so many seconds. */
async function startAged(
  options: Partial<AnyOptions> = {},
  settings: AppSettings = {},
  seconds = EVERY,
): Promise<{ readonly app: TestApp; readonly browser: Browser }> {
  const started = await stage.startLoggedIn(options, settings)
  mock.timers.tick(seconds * 1000)
  return started
}

/** A promise that `open()` resolves. */
function createGate(): { readonly passed: Promise<void>; open(): void } {
  let open = (): void => undefined
  const passed = new Promise<void>((resolve) => {
    open = resolve
  })
  return { passed, open: () => open() }
}

/** The `prompt` of every authorization request, in order. */
function prompts({ provider }: Pick<Stage, 'provider'> = stage): readonly (string | null)[] {
  return provider.authorizationRequests.map((params) => params.get('prompt'))
}

/** The parameters of the last authorization request. */
function lastRequest(): URLSearchParams {
  return stage.provider.authorizationRequests.at(-1) ?? assert.fail('there was no authorization request')
}

function answerWithError(error: string): void {
  stage.provider.change.authorizationResponse = (params) => {
    params.delete('code')
    params.set('error', error)
    return params
  }
}

/** The logins in the store. */
async function loginsIn(app: TestApp): Promise<readonly Login[]> {
  return Object.values(await app.records())
    .map(loginIn)
    .filter((login) => login !== undefined)
}

const errors = observeErrors()

const now = (): number => Math.floor(Date.now() / 1000)

const isMark = ({ name }: { readonly name: string }): boolean => /^(__Host-)?oidc-silent\./.test(name)

function statuses({ history }: Page): readonly number[] {
  return history.map(({ status }) => status)
}

/** Starts a recheck and stops the browser before the callback. */
async function stopAtCallback(browser: Browser, path = '/account'): Promise<Navigation> {
  const page = await browser.open(path, { stopBefore: isCallback })
  return page.next ?? assert.fail(`there was no check: ${page.body}`)
}

/** The page loads, and the same login is still there. */
async function assertLoginUnchanged(app: TestApp, page: Page, before: readonly Login[]): Promise<void> {
  assert.deepEqual([page.status, page.json()['authenticated']], [200, true], page.body)
  assert.deepEqual([await loginsIn(app), codesOf(app), app.otherErrors], [before, [], []])
  assert.equal(Object.keys(await app.records()).filter(isTokens).length, 1)
  assert.deepEqual(observed.logouts, [])
}

/** No user is logged in, and the store is empty. */
async function assertLoggedOut(app: TestApp, browser: Browser): Promise<void> {
  assert.deepEqual([await app.records(), codesOf(app), app.otherErrors], [{}, [], []])
  assert.equal((await browser.fetch('/profile')).status, 401)
  assert.deepEqual(browser.cookies('127.0.0.1'), [])
}

describe('checkSession()', () => {
  for (const host of HOSTS) {
    it(`checks whether the user is still logged in at the provider, and renews the login: ${host}`, async () => {
      const app = await stage.start({}, { host, mountPath: '/portal' })
      const browser = app.browser()
      await browser.open('/portal/account')
      await browser.open('/portal/guarded')
      await browser.fetch('/portal/write')
      const { token } = (await browser.fetch('/portal/id-token')).json()
      mock.timers.tick((EVERY - 1) * 1000)
      assert.equal((await browser.open('/portal/account')).history.length, 1)
      mock.timers.tick(1000)
      const page = await browser.open('/portal/account?a=1&b=%20c')
      assert.deepEqual([page.url, statuses(page)], [`${app.baseUrl}/account?a=1&b=%20c`, [303, 303, 302, 303, 200]])
      assert.deepEqual(page.json(), { authenticated: true, sub: 'user-subject' })
      assert.deepEqual([prompts(), lastRequest().get('id_token_hint')], [[null, 'none'], token])
      assert.deepEqual([app.errors, stage.provider.complaints, observed.logouts], [[], [], []])
      const [login, ...more] = await loginsIn(app)
      assert.deepEqual([login?.loggedInAt, more], [now(), []])
      assert.equal(Object.keys(await app.records()).filter(isTokens).length, 1)
      assert.equal((await browser.fetch('/portal/session')).json()['cart'], 'book')
      assert.deepEqual(
        browser.cookies('127.0.0.1').map(({ name }) => name.replace(/\..*/, '')),
        // The cookie of the loop brake has expired.
        ['connect'],
      )
    })
  }

  it('checks again after the interval, and not earlier', async () => {
    const { browser } = await startAged()
    await browser.open('/account')
    mock.timers.tick((EVERY - 1) * 1000)
    assert.equal((await browser.open('/account')).history.length, 1)
    assert.equal((await browser.open('/guarded')).history.length, 1)
    mock.timers.tick(1000)
    assert.equal((await browser.open('/guarded')).history.length, 5)
    assert.deepEqual(prompts(), [null, 'none', 'none'])
  })

  it('sends no request for a visitor who is not logged in', async () => {
    const app = await stage.start()
    const browser = app.browser()
    assert.equal((await browser.open('/account')).json()['authenticated'], false)
    assert.deepEqual([stage.provider.requests.length, browser.cookies()], [0, []])
    assert.equal((await browser.open('/guarded')).json()['authenticated'], true)
    assert.deepEqual(prompts(), [null])
  })

  it('sends no request after the login has expired', async () => {
    const { app, browser } = await startAged({ loginLifetime: 60 })
    assert.equal((await browser.open('/account')).json()['authenticated'], false)
    assert.deepEqual([prompts(), app.errors], [[null], []])
  })

  it('updates the claims', async () => {
    const { app, browser } = await startAged()
    stage.provider.change.idTokenClaims = (claims) => ({ ...claims, name: 'Alice Married' })
    await browser.open('/account')
    assert.deepEqual(
      (await loginsIn(app)).map(({ claims }) => claims.name),
      ['Alice Married'],
    )
  })

  it('does not extend loginLifetime', async () => {
    const { app, browser } = await startAged({ loginLifetime: 100 })
    await browser.open('/account')
    assert.deepEqual(
      (await loginsIn(app)).map(({ expiresAt }) => expiresAt),
      [now() + 40],
    )
    mock.timers.tick(40_000)
    assert.equal((await browser.open('/account')).json()['authenticated'], false)
  })

  it('calls the hooks as for any login', async () => {
    const seen: string[] = []
    const hooks = {
      beforeLogin: ({ returnTo }: { returnTo: string }): void => void seen.push(returnTo),
      afterLogin: ({ claims }: { claims: { sub: string } }): void => void seen.push(claims.sub),
    }
    const { browser } = await startAged({ hooks })
    await browser.open('/account?a=1')
    assert.deepEqual(seen.slice(2), ['/account?a=1', 'user-subject'])
  })

  it('leads to the home page if the URL of the page is too long to return to', async () => {
    const { app, browser } = await startAged()
    const page = await browser.open(`/account?long=${'x'.repeat(4200)}`)
    assert.deepEqual([page.url, prompts(), page.json()['authenticated']], [`${app.origin}/`, [null, 'none'], true])
  })

  it('does not count as the silent login of a visitor, which is tried when the login has expired', async () => {
    const { browser } = await startAged({ loginLifetime: 100 })
    await browser.open('/account')
    assert.deepEqual(browser.cookies('127.0.0.1').filter(isMark), [])
    mock.timers.tick(100_000)
    assert.deepEqual((await browser.open('/visit')).json(), { authenticated: true, sub: 'user-subject' })
    assert.deepEqual(prompts(), [null, 'none', 'none'])
  })

  it('does not make an old login count as recent', async () => {
    const authTime = now()
    stage.provider.authTime = authTime
    const app = await stage.start({ clockTolerance: 0 })
    const browser = app.browser()
    await browser.open('/recent')
    mock.timers.tick(200_000)
    await browser.open('/account')
    assert.deepEqual([lastRequest().get('prompt'), lastRequest().get('max_age')], ['none', null])
    stage.provider.authTime = undefined
    assert.equal((await browser.open('/recent')).status, 200)
    assert.deepEqual([lastRequest().get('prompt'), lastRequest().get('max_age')], [null, '120'])
  })

  for (const [name, options, settings] of [
    ['form_post', { responseMode: 'form_post' }, {}],
    ['fragment', { responseMode: 'fragment' }, {}],
    ['jwt', { responseMode: 'jwt' }, {}],
    ['an implicit login', { responseType: 'id_token' }, {}],
    ['a Strict session cookie', {}, { session: { cookie: { sameSite: 'strict' } } }],
    ['https', {}, { tls: true }],
  ] satisfies [string, Partial<AnyOptions>, AppSettings][]) {
    it(`works with ${name}, whether or not the user is logged in at the provider`, async () => {
      const { app, browser } = await startAged(options, settings)
      const page = await browser.open('/account?a=1')
      assert.deepEqual(
        [page.url, page.json()['authenticated']],
        [`${app.origin}/account?a=1`, true],
        String(app.errors),
      )
      assert.deepEqual([prompts(), await app.sessions()], [[null, 'none'], 1])
      mock.timers.tick(EVERY * 1000)
      stage.provider.loggedIn = false
      const next = await browser.open('/account?a=1')
      assert.deepEqual([next.url, next.json()['authenticated']], [`${app.origin}/account?a=1`, false])
      assert.deepEqual([await app.records(), app.errors, stage.provider.complaints], [{}, [], []])
    })
  }

  it('pushes the request if the provider requires it', async () => {
    const provider = await stage.startOther({ pushed: 'required' })
    const app = await stage.start({}, { provider })
    const browser = app.browser()
    await browser.open('/profile')
    mock.timers.tick(EVERY * 1000)
    assert.equal((await browser.open('/account')).json()['authenticated'], true, String(app.errors))
    assert.deepEqual([provider.authorizationRequests.at(-1)?.get('prompt'), provider.complaints], ['none', []])
  })

  it('works without discovery', async () => {
    const { issuer, endpointUrls } = stage.provider
    const providerMetadata = {
      issuer,
      authorization_endpoint: endpointUrls['/authorize'],
      token_endpoint: endpointUrls['/token'],
      jwks_uri: endpointUrls['/jwks'],
    }
    const { app, browser } = await startAged({ providerMetadata, userinfo: false })
    assert.equal((await browser.open('/account')).history.length, 5, String(app.errors))
    mock.timers.tick(EVERY * 1000)
    stage.provider.change.raw['/jwks'] = hangUp
    assert.equal((await browser.open('/account')).history.length, 3)
    assert.deepEqual([stage.provider.calls['/discovery'], prompts()], [0, [null, 'none']])
  })

  it('never triggers the loop brake, however often it checks', async () => {
    const { app, browser } = await stage.startLoggedIn()
    for (let round = 0; round < 6; round++) {
      mock.timers.tick(10_000)
      assert.equal((await browser.open('/often')).history.length, 5)
    }
    stage.provider.loggedIn = false
    mock.timers.tick(10_000)
    assert.equal((await browser.open('/often')).json()['authenticated'], false)
    assert.deepEqual([(await browser.open('/guarded')).status, codesOf(app)], [200, []])
  })
})

describe('which requests checkSession() checks', () => {
  const html = 'text/html,application/xhtml+xml,*/*;q=0.8'
  const navigate = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', accept: html }
  const requests: readonly (readonly [string, string, Record<string, string>, boolean])[] = [
    ['a navigation', 'GET', navigate, true],
    ['a navigation from another site', 'GET', { ...navigate, 'sec-fetch-site': 'cross-site' }, true],
    ['a navigation of an old browser', 'GET', { accept: html }, true],
    ['a HEAD', 'HEAD', navigate, false],
    ['a form that is posted', 'POST', navigate, false],
    ['an OPTIONS', 'OPTIONS', navigate, false],
    ['a frame', 'GET', { ...navigate, 'sec-fetch-dest': 'iframe' }, false],
    ['a prefetch', 'GET', { ...navigate, 'sec-purpose': 'prefetch' }, false],
    ['a prerendering', 'GET', { ...navigate, 'sec-purpose': 'prefetch;prerender' }, false],
    ['fetch()', 'GET', { 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', accept: html }, false],
    ['an image', 'GET', { 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' }, false],
    ['XMLHttpRequest of an old browser', 'GET', { accept: html, 'x-requested-with': 'XMLHttpRequest' }, false],
    ['a program', 'GET', { accept: '*/*' }, false],
  ]
  for (const [name, method, headers, isChecked] of requests) {
    it(`are ${isChecked ? '' : 'not '}${name}`, async () => {
      const { app, browser } = await startAged()
      const cookie = `connect.sid=${cookieOf(browser)}`
      const answer = await exchange({
        method,
        url: new URL('/account?a=1', app.origin),
        headers: { ...headers, cookie },
      })
      assert.equal(answer.status, isChecked ? 303 : 200)
      const location = isChecked ? `/login?returnTo=${encodeURIComponent('/account?a=1')}&prompt=none` : undefined
      assert.equal(answer.headers.location, location)
    })
  }

  it('are the same for sessionCheckUrl()', async () => {
    const { browser } = await startAged()
    const { url } = (await browser.open('/ask?every=60')).json()
    assert.equal(url, `/login?returnTo=${encodeURIComponent('/ask?every=60')}&prompt=none`)
    assert.equal((await browser.open('/ask?every=61')).json()['url'], null)
    assert.equal((await browser.fetch('/ask?every=60')).json()['url'], null)
    assert.deepEqual(prompts(), [null])
  })
})

describe('an invalid interval', () => {
  const times = [undefined, null, 0, -1, 9, 9.5, 60.5, Number.NaN, Number.POSITIVE_INFINITY, '60', [60], {}, true]
  it('is refused by checkSession()', () => {
    for (const every of times) {
      assert.throws(() => Reflect.apply(checkSession, undefined, [{ every }]), ConfigError, String(every))
    }
    for (const args of [[], [null], [60], ['60'], [{ evry: 60 }], [{}]]) {
      assert.throws(() => Reflect.apply(checkSession, undefined, args), ConfigError)
    }
    assert.equal(typeof checkSession({ every: 10 }), 'function')
  })

  it('is refused by sessionCheckUrl(), because every page would be checked in an endless loop', async () => {
    const { app, browser } = await startAged()
    for (const every of ['x', '0', '9', '-60', 'Infinity', '60.5']) {
      assert.equal((await browser.open(`/ask?every=${every}`)).status, 500, every)
    }
    assert.deepEqual([...new Set(codesOf(app))], ['ERR_OIDC_CONFIG'])
  })

  it('is not reported if oidc() is missing', () => {
    const errors: unknown[] = []
    const handler: Handler = checkSession({ every: 60 })
    Reflect.apply(handler, undefined, [{ headers: {} }, {}, (error: unknown) => errors.push(error)])
    assert.deepEqual(
      errors.map((error) => error instanceof OidcError && error.code),
      ['ERR_OIDC_NOT_MOUNTED'],
    )
  })
})

describe('a user who has logged out at the provider', () => {
  it('is logged out here, without tokens, session and cookie, and returns to the page', async () => {
    const { app, browser } = await startAged()
    await browser.fetch('/write')
    const thief = browser.clone()
    stage.provider.loggedIn = false
    const page = await browser.open('/account?a=1')
    assert.deepEqual([page.url, statuses(page)], [`${app.origin}/account?a=1`, [303, 303, 302, 303, 200]])
    assert.deepEqual(page.json(), { authenticated: false, sub: null })
    await assertLoggedOut(app, browser)
    const { issuer } = stage.provider
    assert.deepEqual(observed.logouts, [{ provider: 'default', how: 'session-check', issuer, sub: 'user-subject' }])
    // The user did not request a revocation.
    assert.deepEqual([prompts(), stage.provider.calls['/revoke'], observed.errors], [[null, 'none'], 0, []])
    assert.equal((await thief.fetch('/profile')).status, 401)
    assert.equal((await browser.open('/account')).history.length, 1)
  })

  it('is redirected to log in by the guard behind it', async () => {
    const { app, browser } = await startAged()
    stage.provider.loggedIn = false
    const page = await browser.open('/guarded?a=1')
    assert.deepEqual([page.url, page.json()['authenticated']], [`${app.origin}/guarded?a=1`, true])
    assert.deepEqual([prompts(), await app.sessions()], [[null, 'none', null], 1])
  })

  it('can log in again at once, however often', async () => {
    const { app, browser } = await stage.startLoggedIn()
    for (let round = 0; round < 3; round++) await browser.open('/login?returnTo=/who')
    stage.provider.loggedIn = false
    assert.equal((await browser.open('/login?prompt=none&returnTo=/who')).json()['authenticated'], false)
    assert.deepEqual([(await browser.open('/guarded')).status, codesOf(app)], [200, []])
  })

  it('is not logged in again by a request that was in progress', async () => {
    const gate = createGate()
    const slow = answerJson(async ({ session }) => {
      await gate.passed
      session['cart'] = 'late'
      return {}
    })
    const { app, browser } = await startAged({}, { routes: { ...routes, '/slow': slow } })
    const under = browser.clone().fetch('/slow')
    stage.provider.loggedIn = false
    await browser.open('/account')
    gate.open()
    await under
    await assertLoggedOut(app, browser)
  })

  it('is replaced by another user, who gets none of the data of the first', async () => {
    const { app, browser } = await startAged()
    await browser.fetch('/write')
    stage.provider.account = ACCOUNTS['bob'] ?? assert.fail()
    assert.deepEqual((await browser.open('/guarded')).json(), { authenticated: true, sub: 'bob' })
    assert.deepEqual(prompts(), [null, 'none', null])
    const text = JSON.stringify(await app.records())
    assert.ok(!text.includes('user-subject') && !text.includes('book'))
    assert.deepEqual([await app.sessions(), app.errors], [1, []])
  })

  it('is replaced by another user at once with silent logins', async () => {
    const { browser } = await startAged({ silentLogin: true })
    // Silent logins pause for an hour after an attempt.
    browser.jar.remove(isMark)
    stage.provider.account = ACCOUNTS['bob'] ?? assert.fail()
    assert.deepEqual((await browser.open('/account')).json(), { authenticated: true, sub: 'bob' })
  })

  it('is replaced by another user if the provider ignores the hint', async () => {
    const { app, browser } = await startAged()
    await browser.fetch('/write')
    stage.provider.account = ACCOUNTS['bob'] ?? assert.fail()
    const page = await browser.open('/account', { stopBefore: isAtProvider })
    const url = new URL(page.next?.url ?? '')
    url.searchParams.delete('id_token_hint')
    const back = await browser.go({ method: 'GET', ...page.next, url: url.href })
    assert.deepEqual(back.json(), { authenticated: true, sub: 'bob' })
    const text = JSON.stringify(await app.records())
    assert.ok(!text.includes('user-subject') && !text.includes('book'))
    assert.equal(Object.keys(await app.records()).filter(isTokens).length, 1)
    assert.deepEqual(
      (await loginsIn(app)).map(({ expiresAt }) => expiresAt),
      [now() + 86_400],
    )
  })
})

describe('a provider that would have to show a page', () => {
  for (const error of ['interaction_required', 'consent_required', 'account_selection_required']) {
    it(`leaves the login unchanged, and is not asked again on every page: ${error}`, async () => {
      const { app, browser } = await startAged()
      await browser.fetch('/write')
      const before = await loginsIn(app)
      answerWithError(error)
      const page = await browser.open('/account?a=1')
      assert.equal(page.url, `${app.origin}/account?a=1`)
      await assertLoginUnchanged(app, page, before)
      for (const path of ['/account', '/guarded']) assert.equal((await browser.open(path)).history.length, 1)
      assert.deepEqual([prompts(), observed.errors], [[null, 'none'], []])
      assert.equal((await browser.fetch('/session')).json()['cart'], 'book')
      mock.timers.tick(EVERY * 1000)
      assert.equal((await browser.open('/account')).history.length, 5)
      stage.provider.change.authorizationResponse = undefined
      mock.timers.tick(EVERY * 1000)
      await browser.open('/account')
      assert.deepEqual([(await loginsIn(app)).map(({ loggedInAt }) => loggedInAt), prompts().length], [[now()], 4])
    })
  }

  it('leaves a login unchanged that is weaker than the options require', async () => {
    const claims = { id_token: { acr: { essential: true, value: 'urn:example:mfa' } } }
    const { app, browser } = await startAged({ authorizationParams: { claims } })
    const before = await loginsIn(app)
    stage.provider.change.idTokenClaims = (good) => ({ ...good, acr: 'urn:example:pwd' })
    await assertLoginUnchanged(app, await browser.open('/account'), before)
  })
})

describe('a provider that is down', () => {
  const faults: readonly (readonly [string, () => void, ErrorCode])[] = [
    ['hangs up', () => setRaw('/discovery', hangUp), 'ERR_OIDC_PROVIDER_UNREACHABLE'],
    ['does not respond', () => setRaw('/discovery', hang), 'ERR_OIDC_PROVIDER_TIMEOUT'],
    ['responds with 500', () => setRaw('/discovery', fail(500)), 'ERR_OIDC_PROVIDER_STATUS'],
    [
      'answers 503 with a time',
      () => setRaw('/discovery', fail(503, { 'retry-after': '9' })),
      'ERR_OIDC_PROVIDER_BUSY',
    ],
    ['has too many requests', () => setRaw('/discovery', fail(429)), 'ERR_OIDC_PROVIDER_BUSY'],
    ['responds with an HTML page', () => setRaw('/discovery', fail(200)), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID'],
    ['redirects', () => setRaw('/discovery', fail(302, { location: '/' })), 'ERR_OIDC_PROVIDER_REDIRECT'],
    ['responds with server_error', () => answerWithError('server_error'), 'ERR_OIDC_AUTHORIZATION'],
    [
      'responds with temporarily_unavailable',
      () => answerWithError('temporarily_unavailable'),
      'ERR_OIDC_AUTHORIZATION',
    ],
    ['has a token endpoint that hangs up', () => setRaw('/token', hangUp), 'ERR_OIDC_PROVIDER_UNREACHABLE'],
    ['has a token endpoint that does not respond', () => setRaw('/token', hang), 'ERR_OIDC_PROVIDER_TIMEOUT'],
    ['has a token endpoint that responds with 502', () => setRaw('/token', fail(502)), 'ERR_OIDC_PROVIDER_STATUS'],
    ['has a token endpoint that responds with 429', () => setRaw('/token', fail(429)), 'ERR_OIDC_PROVIDER_BUSY'],
  ]
  function setRaw(endpoint: '/discovery' | '/token', handler: RawHandler): void {
    stage.provider.change.raw[endpoint] = handler
  }

  for (const [name, break_, code] of faults) {
    it(`leaves the page and the login unchanged: one that ${name}`, async () => {
      const { app, browser } = await startAged({ timeout: 0.3 })
      const before = await loginsIn(app)
      break_()
      const page = await browser.open('/guarded?a=1')
      assert.equal(page.url, `${app.origin}/guarded?a=1`)
      await assertLoginUnchanged(app, page, before)
      assert.deepEqual(observed.errors, [code])
      for (let round = 0; round < 3; round++) assert.equal((await browser.open('/guarded')).history.length, 1)
      assert.ok(prompts().length <= 2)
      stage.provider.change.raw = {}
      stage.provider.change.authorizationResponse = undefined
      mock.timers.tick(EVERY * 1000)
      assert.equal((await browser.open('/guarded')).history.length, 5)
      assert.deepEqual([(await loginsIn(app)).map(({ loggedInAt }) => loggedInAt), app.errors], [[now()], []])
    })
  }

  it('gets no browser: its availability is checked first', async () => {
    const { browser } = await startAged()
    stage.provider.change.raw['/discovery'] = hangUp
    const page = await browser.open('/account')
    assert.deepEqual(
      page.history.filter(({ url }) => url.startsWith(stage.provider.issuer)),
      [],
    )
  })

  it('delays the page by two seconds at most, whatever the timeout', async () => {
    const { app, browser } = await startAged({ timeout: 60 })
    const before = await loginsIn(app)
    stage.provider.change.raw['/discovery'] = hang
    // The browser of the tests gives up after ten seconds.
    await assertLoginUnchanged(app, await browser.open('/account'), before)
    assert.deepEqual(observed.errors, ['ERR_OIDC_PROVIDER_TIMEOUT'])
  })

  it('is checked for availability once in a while, for all users together', async () => {
    const { app, browser } = await startAged()
    const others = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const other = app.browser()
        await other.open('/profile')
        return other
      }),
    )
    mock.timers.tick(EVERY * 1000)
    const { '/discovery': before } = stage.provider.calls
    const lengths: number[] = []
    for (const browsers of [[browser, others[0]], [others[1], others[2]], [others[3]]]) {
      const pages = await Promise.all(browsers.map((one) => one?.open('/account')))
      lengths.push(...pages.map((page) => page?.history.length ?? 0))
      mock.timers.tick(7000)
    }
    assert.deepEqual(lengths, [5, 5, 5, 5, 5])
    // The cached metadata had expired too.
    assert.equal(stage.provider.calls['/discovery'] - before, 2)
  })

  it('N-31: shows the page after a recheck with an invalid response, and ends no login', async () => {
    const rows: readonly (readonly [string, () => void, ErrorCode])[] = [
      ['nonce', () => setClaims({ nonce: 'another' }), 'ERR_OIDC_ID_TOKEN_NONCE'],
      ['aud', () => setClaims({ aud: 'another' }), 'ERR_OIDC_ID_TOKEN_AUDIENCE'],
      ['error', () => answerWithError('access_denied'), 'ERR_OIDC_AUTHORIZATION'],
      ['case', () => answerWithError('LOGIN_REQUIRED'), 'ERR_OIDC_AUTHORIZATION'],
      [
        'grant',
        () => {
          stage.provider.change.tokenResponse = answered(400, { error: 'invalid_grant' })
        },
        'ERR_OIDC_TOKEN_REQUEST',
      ],
    ]
    function setClaims(claims: Record<string, unknown>): void {
      stage.provider.change.idTokenClaims = (good) => ({ ...good, ...claims })
    }
    for (const [name, spoil, code] of rows) {
      stage.provider.reset()
      const { app, browser } = await startAged()
      const before = await loginsIn(app)
      const earlier = errors.codes.length
      spoil()
      assert.equal((await browser.open('/account')).status, 200, name)
      assert.deepEqual(errors.codes.slice(earlier), [code])
      assert.deepEqual([app.errors, await loginsIn(app), observed.logouts], [[], before, []])
      assert.equal((await browser.fetch('/profile')).status, 200)
    }
  })
})

describe('a link of another site', () => {
  const evil: OpenOptions = { from: 'https://evil.example' }

  it('does not log a user out who is logged in at the provider', async () => {
    const { app, browser } = await startAged()
    await browser.fetch('/write')
    for (let round = 0; round < 3; round++) {
      const page = await browser.open('/login?prompt=none&returnTo=/who', evil)
      assert.deepEqual(page.json(), { authenticated: true, sub: 'user-subject' })
    }
    assert.deepEqual([await app.sessions(), app.errors, observed.logouts], [1, [], []])
    assert.equal((await browser.fetch('/session')).json()['cart'], 'book')
  })

  const passthroughParams = ['max_age', 'login_hint', 'id_token_hint', 'acr_values', 'idp', 'claims', 'resource']
  for (const query of [
    'max_age=0',
    'login_hint=mallory',
    'acr_values=urn:none',
    'idp=elsewhere',
    'claims={"id_token":{"sub":{"value":"mallory"}}}',
    'resource=https://api.example',
  ]) {
    it(`ends no login with a request that the provider refuses: ${query}`, async () => {
      const { app, browser } = await startAged({ passthroughParams })
      const before = await loginsIn(app)
      answerWithError('login_required')
      const page = await browser.open(`/login?prompt=none&returnTo=/who&${query}`, evil)
      await assertLoginUnchanged(app, page, before)
      assert.equal(lastRequest().get('prompt'), 'none')
      assert.ok(lastRequest().has(query.split('=')[0] ?? ''))
      // The link names another user than the one who is logged in.
      assert.equal(lastRequest().has('id_token_hint'), !query.startsWith('login_hint'))
    })
  }

  it("ends no login with the attacker's own ID Token", async () => {
    const { app, browser } = await startAged({ passthroughParams })
    const mallory = app.browser()
    stage.provider.account = ACCOUNTS['bob'] ?? assert.fail()
    await mallory.open('/profile')
    const { token } = (await mallory.fetch('/id-token')).json()
    stage.provider.account = { sub: 'user-subject', claims: {} }
    const page = await browser.open(`/login?prompt=none&returnTo=/who&id_token_hint=${token}`, evil)
    assert.deepEqual([lastRequest().get('id_token_hint') === token, page.json()['sub']], [true, 'user-subject'])
    assert.deepEqual([observed.logouts, await app.sessions()], [[], 2])
  })

  it('ends no login with a requirement that was sealed for another browser', async () => {
    const { app, browser } = await startAged()
    const sent = await app.browser().open('/recent', { follow: false })
    const requirement = new URL(sent.headers.location ?? '', app.origin).searchParams.get('requirement')
    assert.ok(requirement)
    const before = await loginsIn(app)
    answerWithError('login_required')
    const link = `/login?prompt=none&returnTo=/who&requirement=${encodeURIComponent(requirement)}`
    await assertLoginUnchanged(app, await browser.open(link, evil), before)
    assert.equal(lastRequest().get('max_age'), '120')
  })

  const inFrame = { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'navigate' }
  for (const dest of ['iframe', 'frame', 'embed', 'object']) {
    it(`ends no login in a frame, where the provider may get no cookie: ${dest}`, async () => {
      const { app, browser } = await startAged()
      const before = await loginsIn(app)
      stage.provider.loggedIn = false
      const page = await browser.open('/login?prompt=none&returnTo=/who', {
        headers: { ...inFrame, 'sec-fetch-dest': dest },
      })
      await assertLoginUnchanged(app, page, before)
    })
  }

  it('ends no login for a script', async () => {
    const { app, browser } = await startAged()
    const before = await loginsIn(app)
    stage.provider.loggedIn = false
    const page = await browser.fetch('/login?prompt=none&returnTo=/who')
    assert.equal(page.status, 303)
    const back = await browser.open(page.headers.location ?? '')
    await assertLoginUnchanged(app, back, before)
  })

  it('ends no login with a response to another request', async () => {
    const rows: readonly (readonly [string, (params: URLSearchParams) => void, ErrorCode | undefined])[] = [
      ['another issuer', (params) => params.set('iss', 'https://evil.example'), 'ERR_OIDC_RESPONSE_ISSUER'],
      ['no issuer', (params) => params.delete('iss'), 'ERR_OIDC_RESPONSE_ISSUER_MISSING'],
      ['the error twice', (params) => params.append('error', 'login_required'), 'ERR_OIDC_CALLBACK_INVALID'],
      // Without a transaction, a user who is logged in is redirected to the home page.
      // What the provider said is published.
      ['no state', (params) => params.delete('state'), 'ERR_OIDC_STATE_MISSING'],
      ['another state', (params) => params.set('state', 'x'.repeat(43)), undefined],
    ]
    for (const [name, tamper, code] of rows) {
      stage.provider.reset()
      const { app, browser } = await startAged()
      const before = await loginsIn(app)
      stage.provider.loggedIn = false
      stage.provider.change.authorizationResponse = (params) => {
        tamper(params)
        return params
      }
      const earlier = errors.codes.length
      await browser.open('/login?prompt=none&returnTo=/who', evil)
      assert.deepEqual([errors.codes.slice(earlier), await loginsIn(app)], [code ? [code] : [], before], name)
    }
  })

  it('ends no login with a forged response', async () => {
    const { app, browser } = await startAged()
    const before = await loginsIn(app)
    await stopAtCallback(browser)
    const iss = encodeURIComponent(stage.provider.issuer)
    for (const state of ['x'.repeat(43), '', '__proto__']) {
      await browser.open(`/callback?error=login_required&iss=${iss}&state=${state}`, evil)
    }
    assert.deepEqual([await loginsIn(app), codesOf(app)], [before, []])
  })

  it('cannot choose a page outside of the app', async () => {
    const { app, browser } = await startAged()
    for (const target of ['//evil.example', 'https://evil.example/', '/logout', '/login?prompt=none', '/callback']) {
      const page = await browser.open(`/login?prompt=none&returnTo=${encodeURIComponent(target)}`, evil)
      assert.equal(page.url, `${app.origin}/`)
    }
  })
})

describe('the request of a recheck', () => {
  it('has neither max_age nor login_hint of the options', async () => {
    const authorizationParams = { max_age: 0, login_hint: 'somebody', prompt: 'consent', ui_locales: 'de' }
    const { browser } = await startAged({ authorizationParams })
    assert.deepEqual([lastRequest().get('max_age'), lastRequest().get('login_hint')], ['0', 'somebody'])
    await browser.open('/account')
    const names = ['prompt', 'max_age', 'login_hint', 'ui_locales']
    assert.deepEqual(
      names.map((name) => lastRequest().get(name)),
      ['none', null, null, 'de'],
    )
    assert.deepEqual(stage.provider.complaints, [])
  })

  it('has no id_token_hint that is too long for a URL', async () => {
    stage.provider.change.idTokenClaims = (claims) => ({ ...claims, groups: Array(200).fill('a group of people') })
    const { browser } = await startAged()
    assert.equal((await browser.open('/account')).json()['authenticated'], true)
    assert.deepEqual([lastRequest().get('prompt'), lastRequest().has('id_token_hint')], ['none', false])
  })

  it('has no id_token_hint if no user is logged in', async () => {
    const app = await stage.start()
    await app.browser().open('/login?prompt=none&returnTo=/who')
    assert.equal(lastRequest().has('id_token_hint'), false)
  })

  it('is not what req.oidc.login() sends with prompt=none: that leaves the login unchanged', async () => {
    const { app, browser } = await startAged()
    const before = await loginsIn(app)
    stage.provider.loggedIn = false
    await assertLoginUnchanged(app, await browser.open('/by-hand'), before)
  })
})

describe('a response to a recheck', () => {
  it('ends no login that started in the meantime', async () => {
    const { app, browser } = await startAged()
    stage.provider.loggedIn = false
    const late = await stopAtCallback(browser)
    await browser.open('/login?returnTo=/who')
    const before = await loginsIn(app)
    await assertLoginUnchanged(app, await browser.go(late), before)
  })

  it('ends no login of another user', async () => {
    const { app, browser } = await startAged()
    stage.provider.loggedIn = false
    const late = await stopAtCallback(browser)
    stage.provider.account = ACCOUNTS['bob'] ?? assert.fail()
    await browser.open('/login?returnTo=/who')
    const before = await loginsIn(app)
    const page = await browser.go(late)
    assert.equal(page.json()['sub'], 'bob')
    await assertLoginUnchanged(app, page, before)
  })

  it('does not log a user in who has logged out in the meantime', async () => {
    const { app, browser } = await startAged()
    const late = await stopAtCallback(browser)
    await browser.post('/logout')
    const page = await browser.go(late)
    assert.deepEqual([page.url, page.json()['authenticated']], [`${app.origin}/account`, false])
    // The code is not redeemed.
    assert.deepEqual([await app.records(), stage.provider.calls['/token'], app.errors], [{}, 1, []])
  })

  for (const [name, fails] of [
    ['that succeeds', false],
    ['that fails', true],
  ] as const) {
    it(`restores no session of a user who logs out while it is redeemed: one ${name}`, async () => {
      const { app, browser } = await startAged({}, { session: { cookie: { maxAge: 3_600_000 } } })
      const late = await stopAtCallback(browser)
      const redeemed = createGate()
      const loggedOut = createGate()
      stage.provider.change.idToken = async (jwt) => {
        redeemed.open()
        await loggedOut.passed
        return jwt
      }
      if (fails) stage.provider.change.tokenResponse = answered(503, {})
      const tab = browser.clone()
      const under = browser.go(late, { follow: false })
      await redeemed.passed
      await tab.post('/logout')
      loggedOut.open()
      const page = await under
      assert.equal(new URL(page.next?.url ?? '').pathname, '/account')
      assert.ok(!String(page.headers['set-cookie']).includes('connect.sid'))
      assert.deepEqual([await app.records(), app.errors], [{}, []])
      assert.equal((await browser.go(page.next)).json()['authenticated'], false)
    })
  }

  it('does not replace the login of another user', async () => {
    const { app, browser } = await startAged()
    const late = await stopAtCallback(browser)
    stage.provider.account = ACCOUNTS['bob'] ?? assert.fail()
    await browser.open('/login?returnTo=/who')
    assert.equal((await browser.go(late)).json()['sub'], 'bob')
    assert.deepEqual([await app.sessions(), app.errors], [1, []])
  })

  it('counts once', async () => {
    const { app, browser } = await startAged()
    stage.provider.loggedIn = false
    const answer = await stopAtCallback(browser)
    await browser.go(answer)
    stage.provider.loggedIn = true
    await browser.open('/login?returnTo=/who')
    await browser.go(answer)
    assert.deepEqual([await app.sessions(), codesOf(app)], [1, []])
  })

  it('arrives in five tabs at once, without losing a page or the session', async () => {
    const { app, browser } = await startAged()
    await browser.fetch('/write')
    const pages = await Promise.all(Array.from({ length: 5 }, (_, tab) => browser.open(`/account?tab=${tab}`)))
    for (const [tab, page] of pages.entries()) {
      assert.deepEqual([page.status, page.url], [200, `${app.origin}/account?tab=${tab}`])
    }
    assert.deepEqual(
      [(await browser.open('/account')).json(), app.errors],
      [{ authenticated: true, sub: 'user-subject' }, []],
    )
    assert.equal((await browser.fetch('/session')).json()['cart'], 'book')
    assert.deepEqual([await app.sessions(), Object.keys(await app.records()).filter(isTokens).length], [1, 1])
    assert.ok(!browser.cookies().some(isTransaction))
  })

  it('arrives in two tabs one after the other', async () => {
    const { app, browser } = await startAged()
    await browser.fetch('/write')
    const answers = [await stopAtCallback(browser), await stopAtCallback(browser)]
    for (const answer of answers) assert.equal((await browser.go(answer)).json()['authenticated'], true)
    assert.equal((await browser.fetch('/session')).json()['cart'], 'book')
    assert.deepEqual([await app.sessions(), app.errors], [1, []])
  })

  it('arrives in two tabs one after the other after a logout at the provider', async () => {
    const { app, browser } = await startAged()
    stage.provider.loggedIn = false
    const answers = [await stopAtCallback(browser), await stopAtCallback(browser)]
    for (const answer of answers) assert.equal((await browser.go(answer)).json()['authenticated'], false)
    await assertLoggedOut(app, browser)
    assert.equal(observed.logouts.length, 1)
  })
})

describe('checkSession() with several providers', () => {
  const several = createSeveralProviders({ harbour: { clientId: 'at-harbour' }, tide: { clientId: 'at-tide' } })
  const settings: AppSettings = { routes, errorHandler: 'json' }

  it('checks the provider of the login, with its ID Token', async () => {
    const app = await several.start({}, settings)
    const browser = app.browser()
    await browser.open('/login?provider=tide&returnTo=/who')
    const { token } = (await browser.fetch('/id-token')).json()
    mock.timers.tick(EVERY * 1000)
    assert.equal((await browser.open('/account?a=1')).json()['authenticated'], true, String(app.errors))
    const { authorizationRequests } = several.provider('tide')
    assert.deepEqual(
      authorizationRequests.map((params) => [params.get('prompt'), params.get('id_token_hint')]),
      [
        [null, null],
        ['none', token],
      ],
    )
    assert.equal(several.provider('harbour').requests.length, 0)
    several.provider('tide').loggedIn = false
    mock.timers.tick(EVERY * 1000)
    assert.equal((await browser.open('/account')).json()['authenticated'], false)
    assert.deepEqual([await app.records(), observed.logouts.map(({ provider }) => provider)], [{}, ['tide']])
  })

  it('ends no login of another provider, and sends it no ID Token', async () => {
    const app = await several.start({}, settings)
    const browser = app.browser()
    await browser.open('/login?provider=tide&returnTo=/who')
    several.provider('harbour').loggedIn = false
    const before = await loginsIn(app)
    for (const link of ['/login?prompt=none&returnTo=/who', '/login?prompt=none&provider=harbour&returnTo=/who']) {
      await assertLoginUnchanged(app, await browser.open(link), before)
    }
    const { authorizationRequests } = several.provider('harbour')
    assert.deepEqual(
      authorizationRequests.map((params) => [params.get('prompt'), params.has('id_token_hint')]),
      [
        ['none', false],
        ['none', false],
      ],
    )
  })
})

describe('checkSession() at oidc-provider', () => {
  it('renews the login, and ends it after a logout at the provider', async () => {
    const provider = stage.stopLater(await startProvider())
    const app = await stage.start({}, { provider })
    const browser = app.browser()
    assert.equal((await browser.open('/guarded')).json()['sub'], 'alice', String(app.errors))
    mock.timers.tick(EVERY * 1000)
    const page = await browser.open('/guarded')
    assert.deepEqual([page.json()['sub'], page.history.length], ['alice', 5], String(app.errors))
    assert.equal(provider.requests.filter(([, path]) => path.startsWith('/interaction')).length, 2)
    mock.timers.tick(EVERY * 1000)
    browser.jar.remove(({ host }) => host === 'localhost')
    assert.equal((await browser.open('/account')).json()['authenticated'], false)
    assert.deepEqual([await app.records(), app.errors], [{}, []])
  })
})
