import assert from 'node:assert/strict'
import '../../lib/protocol/refresh-grant.ts'
import '../../lib/tokens/refresh.ts'
import type { ServerResponse } from 'node:http'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { type ErrorCode, type Handler, ProviderError } from '../../lib/index.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { isIn, logoutUri, observeLogouts, postAsServer, subjectOf } from '../support/app/logout-observer.ts'
import { createSharedStores } from '../support/app/nodes.ts'
import { createStage } from '../support/app/stage.ts'
import { createRendezvous } from '../support/app/wait-for-all.ts'
import type { Browser, Page } from '../support/browser/browser.ts'
import { assertNoSecret, inTime, onItsWay, REFRESH_SCOPE } from '../support/hostile/fault-injection.ts'
import { sendTooManyRequests } from '../support/okta-provider/answers.ts'
import type { Endpoint, RawHandler } from '../support/strict-provider/context.ts'

// The provider is away, or has enough of us, in each of the moments in which it is needed. What must come of it: a code
// that says so, a time to wait where one was told, the login that was there, no secret anywhere, nothing sent twice that may
// have been spent, and success as soon as the provider is back, without a restart.

/** In seconds: no real provider gets so few, but tests wait for it. */
const TIMEOUT = 1

const routes: Routes = { '/userinfo': answerJson(({ oidc }) => oidc.userinfo()) }
const stage = createStage({ provider: { pushed: 'optional' }, app: { routes } })
const seen = observeLogouts()

interface Fault {
  readonly name: string
  readonly raw: RawHandler
  readonly code: ErrorCode
  readonly status: number
  readonly retryAfter?: string
}

/** Okta's clock is far from the one here: the wait is told by its own `Date`. */
function refuseAsOkta(res: ServerResponse, status: 400 | 429): void {
  const now = Date.parse('Mon, 23 Nov 2026 12:00:00 GMT') / 1000
  res.setHeader('Date', new Date(now * 1000).toUTCString())
  sendTooManyRequests(res, { limit: 600, remaining: 0, reset: now + 42 }, status)
}

const BUSY = { code: 'ERR_OIDC_PROVIDER_BUSY', status: 503 } as const

const FAULTS: readonly Fault[] = [
  {
    name: 'breaks the connection',
    raw: (_req, res) => void res.destroy(),
    code: 'ERR_OIDC_PROVIDER_UNREACHABLE',
    status: 503,
  },
  { name: 'says nothing', raw: () => undefined, code: 'ERR_OIDC_PROVIDER_TIMEOUT', status: 504 },
  {
    name: 'answers 500',
    raw: (_req, res) => void res.writeHead(500, { 'Content-Type': 'text/html' }).end('<p>'),
    code: 'ERR_OIDC_PROVIDER_STATUS',
    status: 502,
  },
  {
    name: 'answers 503 with Retry-After',
    raw: (_req, res) => void res.writeHead(503, { 'Retry-After': '7' }).end(),
    ...BUSY,
    retryAfter: '7',
  },
  {
    name: 'answers 429 with Retry-After',
    raw: (_req, res) => void res.writeHead(429, { 'Retry-After': '7' }).end(),
    ...BUSY,
    retryAfter: '7',
  },
  {
    name: 'answers 429 with the headers of Okta (Q-24)',
    raw: (_req, res) => refuseAsOkta(res, 429),
    ...BUSY,
    retryAfter: '42',
  },
]

/** A moment in which the provider is needed. */
interface Place {
  readonly name: string
  readonly endpoint: Endpoint
  readonly options?: Partial<AnyOptions>
  act(browser: Browser, app: TestApp): Promise<Page>
}

const logIn: Place['act'] = (browser, { baseUrl }) => browser.open(`${baseUrl}/login?returnTo=/profile`)

const PLACES: readonly Place[] = [
  { name: 'metadata, at a login', endpoint: '/discovery', act: logIn },
  {
    name: 'a pushed request',
    endpoint: '/par',
    options: { requirePushedAuthorizationRequests: true },
    act: logIn,
  },
  { name: 'tokens, at a login', endpoint: '/token', act: logIn },
  { name: 'keys, at a login', endpoint: '/jwks', act: logIn },
  { name: 'UserInfo, at a login', endpoint: '/userinfo', options: { userinfo: true }, act: logIn },
  {
    name: 'UserInfo, by req.oidc.userinfo()',
    endpoint: '/userinfo',
    act: (browser, { baseUrl }) => browser.fetch(`${baseUrl}/userinfo`),
  },
  {
    name: 'a refresh',
    endpoint: '/token',
    act: (browser, { baseUrl }) => browser.fetch(`${baseUrl}/access-token`),
  },
  {
    name: 'metadata, at a refresh',
    endpoint: '/discovery',
    act: (browser, { baseUrl }) => browser.fetch(`${baseUrl}/access-token`),
  },
  {
    name: 'keys, at a refresh',
    endpoint: '/jwks',
    act: (browser, { baseUrl }) => browser.fetch(`${baseUrl}/access-token`),
  },
]

/** Somebody has logged in at one node; another has just started, and knows neither metadata nor keys. */
async function startNewNode(
  options: Partial<AnyOptions> = {},
  before: readonly Handler[] = [],
): Promise<{ readonly app: TestApp; readonly browser: Browser }> {
  const [first, second] = createSharedStores(2)
  if (!first || !second) throw new Error('there are no stores')
  // A refreshed token lives on; the one of the login is about to end.
  stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
  const all = { scope: REFRESH_SCOPE, timeout: TIMEOUT, ...options }
  const { browser } = await stage.startLoggedIn(all, { session: { store: first } })
  return { app: await stage.start(all, { session: { store: second }, before }), browser }
}

for (const { name: place, endpoint, options, act } of PLACES) {
  describe(`a provider that is asked for ${place}`, () => {
    for (const { name, raw, code, status, retryAfter } of FAULTS) {
      it(`and ${name}: ${code}, the login stays, and the next attempt works`, async () => {
        const { app, browser } = await startNewNode(options)
        const before = stage.provider.calls[endpoint]
        stage.provider.change.raw[endpoint] = raw
        const page = await inTime(() => act(browser, app))
        assert.deepEqual([page.status, codesOf(app), app.otherErrors], [status, [code], []])
        assert.equal(page.headers['retry-after'], retryAfter)
        assert.equal(Object(app.errors[0]).retryAfter, retryAfter === undefined ? undefined : Number(retryAfter))
        assertNoSecret(stage, app, page)
        // A GET that met a connection which had just been closed goes out once more; what may be spent never does.
        const most = endpoint === '/discovery' || endpoint === '/jwks' || endpoint === '/userinfo' ? 2 : 1
        assert.ok(stage.provider.calls[endpoint] - before <= most)
        assert.equal(await isIn(browser, app), true)
        Reflect.deleteProperty(stage.provider.change.raw, endpoint)
        const again = await inTime(() => act(browser, app))
        assert.deepEqual([again.status, codesOf(app), stage.provider.complaints], [200, [code], []], again.body)
      })
    }
  })
}

describe('a rate limit in the manner of Okta before 2020', () => {
  for (const { name: place, endpoint, options, act } of PLACES) {
    it(`Q-27: is known by its code at ${place}`, async () => {
      const { app, browser } = await startNewNode(options)
      stage.provider.change.raw[endpoint] = (_req, res) => refuseAsOkta(res, 400)
      const page = await act(browser, app)
      assert.deepEqual([page.status, page.headers['retry-after'], codesOf(app)], [503, '42', [BUSY.code]])
      assert.equal(await isIn(browser, app), true)
    })
  }
})

// What is loaded at the first use is loaded here, so that all ask at the same time.
describe('a refresh that was refused for the rate', () => {
  it('Q-24: is one request for all who asked at the same time, and each is told to wait', async () => {
    const { count, hold } = createRendezvous(20, '/access-token')
    const { app, browser } = await startNewNode({}, [count])
    const before = stage.provider.calls['/token']
    stage.provider.change.raw['/token'] = (_req, res) => void hold('').then(() => refuseAsOkta(res, 429))
    const pages = await Promise.all(Array.from({ length: 20 }, () => browser.fetch(`${app.baseUrl}/access-token`)))
    assert.deepEqual(new Set(pages.map((page) => `${page.status} ${page.headers['retry-after']}`)), new Set(['503 42']))
    assert.equal(stage.provider.calls['/token'] - before, 1)
    assert.equal(await isIn(browser, app), true)
  })
})

describe('a refresh whose answer is lost', () => {
  /** The provider has spent the refresh token, and its answer breaks off. */
  const breakOff: NonNullable<typeof stage.provider.change.refreshResponse> = (response, answer) => {
    answer.headers['Content-Length'] = '100000'
    return response
  }

  it('is not tried again by itself: the provider decides at the next request whether the login goes on', async () => {
    const { app, browser } = await startNewNode()
    stage.provider.change.refreshResponse = breakOff
    const before = stage.provider.calls['/token']
    const page = await inTime(() => browser.fetch(`${app.baseUrl}/access-token`))
    assert.deepEqual([page.status, codesOf(app)], [504, ['ERR_OIDC_PROVIDER_TIMEOUT']])
    assert.deepEqual([stage.provider.calls['/token'] - before, await isIn(browser, app)], [1, true])
    stage.provider.change.refreshResponse = undefined
    const next = await browser.fetch(`${app.baseUrl}/access-token`)
    assert.deepEqual([next.status, codesOf(app).at(-1)], [401, 'ERR_OIDC_REFRESH_REFUSED'])
    assert.equal(await isIn(browser, app), false)
    assert.equal((await logIn(browser, app)).status, 200)
  })
})

describe('a refresh whose answer is lost, at a provider that takes the token once more for a while', () => {
  const okta = createStage({ provider: { refreshTokenRotation: 'reuse-leeway' } })

  it('succeeds at the next request', async () => {
    okta.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
    const { app, browser } = await okta.startLoggedIn({ scope: REFRESH_SCOPE, timeout: TIMEOUT })
    okta.provider.change.refreshResponse = (response, answer) => {
      answer.headers['Content-Length'] = '100000'
      return response
    }
    assert.equal((await browser.fetch('/access-token')).status, 504)
    okta.provider.change.refreshResponse = undefined
    assert.equal((await browser.fetch('/access-token')).status, 200)
    assert.deepEqual([codesOf(app), okta.provider.complaints], [['ERR_OIDC_PROVIDER_TIMEOUT'], []])
  })
})

describe('a logout', () => {
  for (const { name, raw, code } of FAULTS) {
    it(`ends the login here where the provider is asked to revoke, and ${name}`, async () => {
      const { app, browser } = await startNewNode()
      stage.provider.change.raw['/revoke'] = raw
      const told: unknown[] = []
      const page = await inTime(() => browser.post(`${app.baseUrl}/logout`, {}, { from: app.origin }))
      told.push(...seen.errors)
      assert.deepEqual([page.status, page.url.split('?')[0], codesOf(app)], [200, `${app.baseUrl}/`, []])
      assert.deepEqual([await isIn(browser, app), await app.sessions()], [false, 0])
      // Whoever waits for an answer that never comes waits two seconds; the request itself ends a second before.
      assert.deepEqual([told, stage.provider.calls['/revoke'], code.length > 0], [['ERR_OIDC_REVOCATION'], 1, true])
      assertNoSecret(stage, app, page)
    })

    it(`ends the login here where a new node asks for metadata, and the provider ${name}`, async () => {
      const { app, browser } = await startNewNode()
      stage.provider.change.raw['/discovery'] = raw
      const page = await inTime(() => browser.post(`${app.baseUrl}/logout`, {}, { from: app.origin }))
      assert.deepEqual([page.status, page.url, codesOf(app)], [200, `${app.baseUrl}/`, []])
      assert.deepEqual([await isIn(browser, app), await app.sessions()], [false, 0])
    })

    it(`has ended the login before the browser comes to the provider, which ${name}`, async () => {
      const { app, browser } = await startNewNode()
      stage.provider.change.raw['/logout'] = (req, res) => {
        // A browser would wait for longer than a test does.
        if (name === 'says nothing') res.writeHead(504).end()
        else raw(req, res)
      }
      await browser.post(`${app.baseUrl}/logout`, {}, { from: app.origin }).catch(() => undefined)
      assert.deepEqual([stage.provider.calls['/logout'], await isIn(browser, app)], [1, false])
      assert.deepEqual([await app.sessions(), codesOf(app)], [0, []])
      Reflect.deleteProperty(stage.provider.change.raw, '/logout')
      assert.equal((await logIn(browser, app)).status, 200)
    })
  }
})

describe('a logout token that comes to a new node', () => {
  for (const endpoint of ['/discovery', '/jwks'] as const) {
    for (const { name, raw, status, code, retryAfter } of FAULTS) {
      it(`is good for another attempt where ${endpoint} ${name}`, async () => {
        const { app, browser } = await startNewNode()
        const token = await stage.provider.issueLogoutToken(await subjectOf(browser))
        const body = String(new URLSearchParams({ logout_token: token }))
        stage.provider.change.raw[endpoint] = raw
        const answer = await inTime(() => postAsServer(logoutUri(app), body))
        assert.deepEqual([answer.status, answer.headers['retry-after'], codesOf(app)], [status, retryAfter, [code]])
        assert.ok(!inspect(app.errors, { depth: 10 }).includes(token), 'the logout token is in an error')
        assert.equal(await isIn(browser, app), true)
        Reflect.deleteProperty(stage.provider.change.raw, endpoint)
        assert.equal((await postAsServer(logoutUri(app), body)).status, 200)
        assert.deepEqual([await isIn(browser, app), await app.sessions()], [false, 0])
      })
    }
  }
})

describe('a front-channel logout at a new node', () => {
  for (const { name, raw } of FAULTS) {
    it(`needs no provider, which ${name}`, async () => {
      const { app, browser } = await startNewNode()
      const { sid } = await subjectOf(browser)
      stage.provider.change.raw['/discovery'] = raw
      const query = String(new URLSearchParams({ iss: stage.provider.issuer, sid }))
      const frame = await inTime(() => app.browser().open(`${app.baseUrl}/frontchannel-logout?${query}`))
      assert.deepEqual([frame.status, await isIn(browser, app), codesOf(app)], [200, false, []])
    })
  }
})

describe('a provider that is gone altogether', () => {
  it('is missed by nobody who is logged in: pages, guards and tokens that live need it for nothing', async () => {
    const other = await stage.startOther({ pushed: 'optional' })
    const app = await stage.start({}, { provider: other })
    const browser = app.browser()
    await browser.open('/profile')
    await other.stop()
    for (const path of ['/', '/profile', '/tokens', '/access-token', '/id-token']) {
      assert.equal((await browser.fetch(path)).status, 200, path)
    }
    assert.deepEqual([(await app.browser().open('/')).status, codesOf(app)], [200, []])
  })

  it('ends logins in 503, never in 500, and a login that was on its way too', async () => {
    const other = await stage.startOther()
    const app = await stage.start({}, { provider: other })
    const { browser, next } = await onItsWay(app)
    await other.stop()
    assert.equal((await browser.go(next)).status, 503)
    const fresh = await stage.start({}, { provider: other })
    assert.equal((await fresh.browser().open('/profile')).status, 503)
    assert.deepEqual(
      [codesOf(app), codesOf(fresh), await app.sessions()],
      [['ERR_OIDC_PROVIDER_UNREACHABLE'], ['ERR_OIDC_PROVIDER_UNREACHABLE'], 0],
    )
  })

  it('says of an attempt whether it makes sense to wait, and for how long, to a handler of the application too', async () => {
    const { app, browser } = await startNewNode()
    stage.provider.change.raw['/token'] = (_req, res) => refuseAsOkta(res, 429)
    await browser.fetch(`${app.baseUrl}/access-token`)
    const [error] = app.errors
    assert.ok(error instanceof ProviderError)
    assert.deepEqual([error.retryAfter, error.headers['Retry-After'], error.expose], [42, '42', false])
  })
})
