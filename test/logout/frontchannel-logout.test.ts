import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, before, describe, it } from 'node:test'
import type { Browser as Chromium } from 'playwright-core'
import type { Handler } from '../../lib/index.ts'
import type { StoreLike } from '../../lib/state/shared-state.ts'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { HOSTS } from '../support/app/hosts.ts'
import { isIn, observeLogouts, subjectOf } from '../support/app/logout-observer.ts'
import { isTokens } from '../support/app/records.ts'
import { createSeveralProviders } from '../support/app/several-providers.ts'
import { createStage } from '../support/app/stage.ts'
import type { Browser, Page } from '../support/browser/browser.ts'
import { launchChromium, skipWithoutChromium } from '../support/browser/chromium.ts'
import { EVIL_HTML } from '../support/hostile/hostile.ts'
import { listen, sendText } from '../support/servers/http-server.ts'

const stage = createStage({ app: { errorHandler: 'json' } })
const { startLoggedIn } = stage
const seen = observeLogouts()

const originOf = (url: string): string => new URL(url).origin

function frameUrl(app: TestApp, params: Readonly<Record<string, string>> | string = {}): string {
  return `${app.baseUrl}/frontchannel-logout?${typeof params === 'string' ? params : new URLSearchParams(params)}`
}

/** Loads a page as a hidden frame of the provider's page: cross-site, so the browser sends no Lax cookie. */
function frame(browser: Browser, url: string, headers: Readonly<Record<string, string>> = {}): Promise<Page> {
  const { issuer } = stage.provider
  const dest = { 'sec-fetch-dest': 'iframe', 'sec-fetch-mode': 'navigate', referer: `${originOf(issuer)}/` }
  return browser.fetch(url, { from: originOf(issuer), headers: { ...dest, ...headers } })
}

/** The same in a browser that sends the cookies: they are SameSite=None, or the page is of the same site. */
function frameWithCookies(browser: Browser, url: string, headers: Readonly<Record<string, string>>): Promise<Page> {
  const cookie = browser.jar.header(new URL(url), { sameSite: true, safeNavigation: true })
  return frame(browser, url, { cookie, referer: '', ...headers })
}

function assertFramed(page: Page, ...origins: readonly string[]): void {
  assert.deepEqual([page.status, page.headers['cache-control']], [200, 'no-store'])
  assert.equal(page.headers['x-frame-options'], undefined)
  assert.equal(page.headers['content-security-policy'], `default-src 'none'; frame-ancestors ${origins.join(' ')}`)
  assert.equal(page.headers['content-type'], 'text/html; charset=utf-8')
}

describe('a front-channel logout', () => {
  for (const host of HOSTS) {
    it(`ends the session that it names in ${host}, without its cookie`, async () => {
      const { app, browser } = await startLoggedIn({}, { host })
      const { issuer } = stage.provider
      const { sid } = await subjectOf(browser)
      const page = await frame(browser, frameUrl(app, { iss: issuer, sid }))
      assertFramed(page, originOf(issuer))
      assert.deepEqual([await isIn(browser), await app.sessions()], [false, 0])
      assert.deepEqual(Object.keys(await app.records()).filter(isTokens), [])
      const told = { provider: 'default', how: 'frontchannel', issuer, sub: 'user-subject' }
      assert.deepEqual([seen.logouts, seen.errors], [[told], []])
    })
  }

  for (const bodyParser of [false, true]) {
    it(`also accepts POST, ${bodyParser ? 'behind' : 'without'} a body parser`, async () => {
      const { app, browser } = await startLoggedIn({}, { bodyParser })
      const { issuer } = stage.provider
      const { sid } = await subjectOf(browser)
      const page = await browser.fetch('/frontchannel-logout', {
        method: 'POST',
        from: originOf(issuer),
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: String(new URLSearchParams({ iss: issuer, sid })),
      })
      assertFramed(page, originOf(issuer))
      assert.deepEqual([await isIn(browser), await app.sessions()], [false, 0])
    })
  }

  it('ends the session of this browser, and deletes its cookie', async () => {
    const { app, browser } = await startLoggedIn()
    const { issuer } = stage.provider
    const { sid } = await subjectOf(browser)
    const page = await frameWithCookies(browser, frameUrl(app, { iss: issuer, sid }), {})
    assertFramed(page, originOf(issuer))
    assert.deepEqual([await app.sessions(), browser.cookies('127.0.0.1')], [0, []])
    assert.equal(seen.logouts.length, 1)
  })

  it('ends no other session of that user, and none of another user', async () => {
    const { app, browser } = await startLoggedIn()
    const phone = app.browser()
    await phone.open('/profile')
    const { issuer } = stage.provider
    const { sid } = await subjectOf(phone)
    await frameWithCookies(browser, frameUrl(app, { iss: issuer, sid }), {})
    assert.deepEqual([await isIn(browser), await isIn(phone)], [true, false])
  })

  it('revokes no token, and sends no request to the provider', async () => {
    const { app, browser } = await startLoggedIn({ scope: 'openid offline_access' })
    const { issuer, calls } = stage.provider
    const { sid } = await subjectOf(browser)
    const before = { ...calls }
    await frame(browser, frameUrl(app, { iss: issuer, sid }))
    assert.deepEqual({ ...calls }, before)
  })

  it('allows frames of the provider even if another middleware forbids frames', async () => {
    const strict: Handler = (_req, res, next) => {
      res.setHeader('X-Frame-Options', 'DENY')
      res.setHeader('Content-Security-Policy', "frame-ancestors 'none'")
      next()
    }
    const { app, browser } = await startLoggedIn({}, { before: [strict] })
    assertFramed(await frame(browser, frameUrl(app)), originOf(stage.provider.issuer))
  })

  it('allows frames of the pages in the metadata too', async () => {
    stage.provider.change.discovery = (good) => ({ ...good, end_session_endpoint: 'http://logout.example.test/end' })
    const { app, browser } = await startLoggedIn()
    const { issuer } = stage.provider
    assertFramed(await frame(browser, frameUrl(app)), originOf(issuer), 'http://logout.example.test')
  })

  it('works while the provider is down', async () => {
    const provider = await stage.startOther()
    const app = await stage.start({}, { provider })
    await provider.stop()
    assertFramed(await frame(app.browser(), frameUrl(app)), originOf(provider.issuer))
  })

  it('sends the same response whether or not a user was logged in', async () => {
    const { app, browser } = await startLoggedIn()
    const { issuer } = stage.provider
    const { sid } = await subjectOf(browser)
    const url = frameUrl(app, { iss: issuer, sid })
    const { date: _one, ...first } = (await frame(browser, url)).headers
    const { date: _two, ...second } = (await frame(browser, url)).headers
    assert.deepEqual(first, second)
    const pages = [await frame(browser, url), await frame(browser, frameUrl(app)), await frame(app.browser(), url)]
    assert.equal(new Set(pages.map(({ body }) => body)).size, 1)
  })

  for (const [name, session] of [
    ['each visitor is given', { saveUninitialized: true }],
    ['are saved at each request', { saveUninitialized: true, resave: true, rolling: true }],
  ] as const) {
    it(`writes no session for its own request if sessions ${name}`, async () => {
      const { app, browser } = await startLoggedIn({}, { session })
      const { issuer } = stage.provider
      const before = Object.keys(Reflect.get(app.store, 'sessions'))
      for (const params of [{ iss: issuer, sid: 'unknown' }, {}]) {
        const page = await frame(browser, frameUrl(app, params))
        assert.deepEqual([page.status, page.headers['set-cookie']], [200, undefined])
      }
      assert.deepEqual(Object.keys(Reflect.get(app.store, 'sessions')), before)
    })
  }

  it('is at the route in the options', async () => {
    const { app, browser } = await startLoggedIn({ routes: { frontchannelLogout: '/bye' } }, { mountPath: '/portal' })
    const { issuer } = stage.provider
    const { sid } = await subjectOf(browser, app)
    const params = new URLSearchParams({ iss: issuer, sid })
    assertFramed(await frame(browser, `${app.baseUrl}/bye?${params}`), originOf(issuer))
    assert.equal(await app.sessions(), 0)
  })

  it('refuses PUT and HEAD', async () => {
    const { app, browser } = await startLoggedIn()
    for (const method of ['PUT', 'HEAD']) {
      assert.equal((await browser.fetch('/frontchannel-logout', { method })).status, 405)
    }
    assert.equal(app.errors[0]?.headers['Allow'], 'GET, POST')
  })

  it('results in an error if the store fails', async () => {
    const { app, browser } = await startLoggedIn()
    const { issuer } = stage.provider
    const { sid } = await subjectOf(browser)
    const store = app.store as unknown as StoreLike
    const { destroy } = store
    Object.assign(store, { destroy: (_id: string, done: (error: Error) => void) => done(new Error('down')) })
    assert.equal((await frame(browser, frameUrl(app, { iss: issuer, sid }))).status, 503)
    Object.assign(store, { destroy })
    assert.equal((await frame(browser, frameUrl(app, { iss: issuer, sid }))).status, 200)
    assert.equal(await isIn(browser), false)
  })
})

describe('an invalid front-channel logout', () => {
  type Bad = readonly [name: string, params: (good: { iss: string; sid: string }) => string]
  const bad: readonly Bad[] = [
    ['a sid without an iss', ({ sid }) => `sid=${sid}`],
    ['an iss that is not ours', ({ sid }) => `iss=https://evil.example&sid=${sid}`],
    ['an iss that is not ours, and no sid', () => 'iss=https://evil.example'],
    ['an iss with a slash more', ({ iss, sid }) => `iss=${iss}/&sid=${sid}`],
    ['an empty iss', ({ sid }) => `iss=&sid=${sid}`],
    ['an empty sid', ({ iss }) => `iss=${iss}&sid=`],
    ['two iss', ({ iss, sid }) => `iss=${iss}&iss=${iss}&sid=${sid}`],
    ['two sid', ({ iss, sid }) => `iss=${iss}&sid=${sid}&sid=${sid}`],
    ['markup', () => `iss=${encodeURIComponent(EVIL_HTML)}&sid=${encodeURIComponent(EVIL_HTML)}`],
  ]
  for (const [name, paramsOf] of bad) {
    it(`is refused with ${name}, and the response does not repeat it`, async () => {
      const { app, browser } = await startLoggedIn()
      const { sid } = await subjectOf(browser)
      const url = frameUrl(app, paramsOf({ iss: stage.provider.issuer, sid }))
      const page = await frameWithCookies(browser, url, { referer: `${originOf(stage.provider.issuer)}/` })
      assert.deepEqual([page.status, codesOf(app)], [400, ['ERR_OIDC_FRONTCHANNEL_LOGOUT']])
      assert.deepEqual([await isIn(browser), seen.logouts], [true, []])
      assert.doesNotMatch(page.body, /script|evil/)
    })
  }

  it('is refused with a body that is not a form', async () => {
    const { app, browser } = await startLoggedIn()
    const page = await browser.fetch('/frontchannel-logout', { method: 'POST', body: '{}' })
    assert.deepEqual([page.status, codesOf(app)], [400, ['ERR_OIDC_CALLBACK_INVALID']])
  })

  it('ends no session if the sid is a sub', async () => {
    const { app, browser } = await startLoggedIn()
    const { issuer } = stage.provider
    const { sub } = await subjectOf(browser)
    await frameWithCookies(browser, frameUrl(app, { iss: issuer, sid: sub, sub }), {})
    assert.equal(await isIn(browser), true)
  })

  it('ends no session without a sid in its ID Token, if the browser sends no cookie', async () => {
    stage.provider.change.idTokenClaims = ({ sid: _, ...good }) => good
    const { app, browser } = await startLoggedIn()
    const { issuer } = stage.provider
    for (const sid of ['undefined', 'null', 'user-subject']) await frame(browser, frameUrl(app, { iss: issuer, sid }))
    assert.equal(await isIn(browser), true)
  })
})

describe('a front-channel logout of a provider with odd metadata', () => {
  it('N-54: takes only origins into the policy that cannot start another directive', async () => {
    const { issuer } = stage.provider
    stage.provider.change.discovery = (good) => ({ ...good, end_session_endpoint: 'https://a;sandbox,b.test/logout' })
    const app = await stage.start()
    assertFramed(await frame(app.browser(), frameUrl(app)), originOf(issuer))
  })
})

describe('a front-channel logout without a sid', () => {
  type Case = readonly [name: string, headers: () => Record<string, string>, isEnded: boolean]
  const provider = (): string => originOf(stage.provider.issuer)
  const cases: readonly Case[] = [
    ['from a page of the provider', () => ({ referer: `${provider()}/logout?x=1` }), true],
    ['posted from a page of the provider', () => ({ origin: provider() }), true],
    ['from a page of another site', () => ({ referer: 'https://evil.example/' }), false],
    ['from a site whose name begins like the provider’s', () => ({ referer: `${provider()}.evil.example/` }), false],
    ['from a page that sends no referrer', () => ({}), false],
    ['from an opaque origin', () => ({ origin: 'null', referer: `${provider()}/` }), false],
  ]
  for (const [name, headers, isEnded] of cases) {
    it(`N-29: ${isEnded ? 'ends' : 'leaves'} a login whose ID Token had no sid, by a sid ${name}`, async () => {
      stage.provider.change.idTokenClaims = ({ sid: _, ...good }) => good
      const { app, browser } = await startLoggedIn()
      const cookie = browser.jar.header(new URL(app.origin), { sameSite: true, safeNavigation: true })
      const url = new URL(frameUrl(app, { iss: stage.provider.issuer, sid: 'a-session' }))
      const { exchange } = await import('../support/browser/http-exchange.ts')
      const answer = await exchange({ method: 'GET', url, headers: { cookie, ...headers() } })
      assert.deepEqual([answer.status, await isIn(browser)], [200, !isEnded])
    })

    it(`${isEnded ? 'ends' : 'leaves'} the session of this browser ${name}`, async () => {
      const { app, browser } = await startLoggedIn()
      const other = app.browser()
      await other.open('/profile')
      const cookie = browser.jar.header(new URL(app.origin), { sameSite: true, safeNavigation: true })
      const { exchange } = await import('../support/browser/http-exchange.ts')
      const answer = await exchange({ method: 'GET', url: new URL(frameUrl(app)), headers: { cookie, ...headers() } })
      assert.deepEqual([answer.status, await isIn(browser), await isIn(other)], [200, !isEnded, true])
    })
  }

  it('ends nothing if the browser sends no cookie', async () => {
    const { app, browser } = await startLoggedIn()
    await frame(browser, frameUrl(app))
    assert.equal(await isIn(browser), true)
  })

  it('ends nothing by a link of another site, although the browser sends cookies', async () => {
    const { app, browser } = await startLoggedIn()
    await browser.open(frameUrl(app), { from: 'https://evil.example' })
    await browser.open(frameUrl(app, { iss: stage.provider.issuer }), { from: 'https://evil.example' })
    assert.equal(await isIn(browser), true)
  })
})

describe('one front-channel route for several providers', () => {
  const several = createSeveralProviders({ one: {}, two: {} })
  const secret = 'a secret of at least 32 characters'

  async function logInAt(app: TestApp, name: 'one' | 'two'): Promise<Browser> {
    const browser = app.browser()
    await browser.open(`/login?returnTo=/profile&provider=${name}`)
    assert.equal(await isIn(browser), true, String(app.errors))
    return browser
  }

  it('ends the session of the provider in iss, even if another provider uses the same sid', async () => {
    const sameSid = (good: object): Record<string, unknown> => ({ ...good, sid: 'the same' })
    for (const name of ['one', 'two'] as const) several.provider(name).change.idTokenClaims = sameSid
    const app = await several.start({ secret })
    const [one, two] = [await logInAt(app, 'one'), await logInAt(app, 'two')]
    const { issuer } = several.provider('one')
    const page = await frame(one, frameUrl(app, { iss: issuer, sid: 'the same' }))
    assertFramed(page, originOf(issuer), originOf(several.provider('two').issuer))
    assert.deepEqual([await isIn(one), await isIn(two)], [false, true])
  })

  it('ends the session of this browser only for a page of its provider', async () => {
    const app = await several.start({ secret })
    const browser = await logInAt(app, 'one')
    const [one, two] = [several.provider('one').issuer, several.provider('two').issuer]
    await frameWithCookies(browser, frameUrl(app), { referer: `${originOf(two)}/`, origin: originOf(two) })
    await frameWithCookies(browser, frameUrl(app, { iss: two }), {
      referer: `${originOf(one)}/`,
      origin: originOf(one),
    })
    assert.equal(await isIn(browser), true)
    await frameWithCookies(browser, frameUrl(app, { iss: one }), {
      referer: `${originOf(one)}/`,
      origin: originOf(one),
    })
    assert.equal(await isIn(browser), false)
  })
})

describe('a front-channel logout in Chromium', { skip: skipWithoutChromium }, () => {
  let chromium: Chromium | undefined
  before(async () => {
    chromium = await launchChromium()
  })
  after(() => chromium?.close())

  async function openLoggedIn(): Promise<{ app: TestApp; page: import('playwright-core').Page }> {
    if (!chromium) throw new Error('there is no Chromium')
    const app = await stage.start()
    stage.provider.changeClient({ frontchannelLogoutUri: `${app.baseUrl}/frontchannel-logout` })
    const page = await (await chromium.newContext()).newPage()
    await page.goto(`${app.baseUrl}/profile`)
    assert.equal(await app.sessions(), 1)
    return { app, page }
  }

  it('ends the session from a page of the provider at another site', async () => {
    const { app, page } = await openLoggedIn()
    await page.goto(stage.provider.endpointUrls['/logout'])
    await page.waitForFunction("document.title === 'framed'")
    const [, framed] = page.frames()
    assert.deepEqual([await framed?.title(), await app.sessions()], ['Signed out', 0])
    await page.context().close()
  })

  it('is not shown in frames of other sites', async () => {
    const { app, page } = await openLoggedIn()
    const html = `<iframe src="${app.baseUrl}/frontchannel-logout"></iframe>`
    const evil = await listen(createServer((_req, res) => sendText(res, 200, 'text/html', html)))
    try {
      await page.goto(`http://localhost:${evil.port}/`, { waitUntil: 'load' })
      const framed = await (await page.waitForSelector('iframe', { state: 'attached' })).contentFrame()
      // The frame may still be loading when the page around it has loaded.
      await framed?.waitForURL('chrome-error://chromewebdata/', { waitUntil: 'commit' })
      assert.equal(framed?.url(), 'chrome-error://chromewebdata/')
      assert.equal(await app.sessions(), 1)
    } finally {
      await page.context().close()
      await evil.stop()
    }
  })
})
