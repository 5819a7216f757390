import assert from 'node:assert/strict'
import '../../lib/protocol/refresh-grant.ts'
import '../../lib/tokens/refresh.ts'
import type { ServerResponse } from 'node:http'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { type ErrorCode, type Handler, type PartStatus, ProviderError } from '../../lib/index.ts'
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

// The provider is away or limits the rate, at each moment at which it is needed. Every case must result in: the right error
// code, the time to wait if the provider sent one, the previous login kept, no secret anywhere, nothing sent twice that may have
// been used up, and success as soon as the provider is back, without a restart.

/** In seconds. Short, because tests wait for it. */
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

/** Okta's clock differs from ours, so the time to wait is computed with its own `Date`. */
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
  { name: 'does not respond', raw: () => undefined, code: 'ERR_OIDC_PROVIDER_TIMEOUT', status: 504 },
  {
    name: 'responds with 500',
    raw: (_req, res) => void res.writeHead(500, { 'Content-Type': 'text/html' }).end('<p>'),
    code: 'ERR_OIDC_PROVIDER_STATUS',
    status: 502,
  },
  {
    name: 'responds with 503 and Retry-After',
    raw: (_req, res) => void res.writeHead(503, { 'Retry-After': '7' }).end(),
    ...BUSY,
    retryAfter: '7',
  },
  {
    name: 'responds with 429 and Retry-After',
    raw: (_req, res) => void res.writeHead(429, { 'Retry-After': '7' }).end(),
    ...BUSY,
    retryAfter: '7',
  },
  {
    name: 'responds with 429 and the headers of Okta (Q-24)',
    raw: (_req, res) => refuseAsOkta(res, 429),
    ...BUSY,
    retryAfter: '42',
  },
]

/** A moment at which the provider is needed. */
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

/** The user has logged in at one node. Another node has just started, and has no metadata and no keys. */
async function startNewNode(
  options: Partial<AnyOptions> = {},
  before: readonly Handler[] = [],
): Promise<{ readonly app: TestApp; readonly browser: Browser }> {
  const [first, second] = createSharedStores(2)
  if (!first || !second) throw new Error('there are no stores')
  // The token of the login is about to expire. A refreshed one lasts.
  stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
  const all = { scope: REFRESH_SCOPE, timeout: TIMEOUT, ...options }
  const { browser } = await stage.startLoggedIn(all, { session: { store: first } })
  return { app: await stage.start(all, { session: { store: second }, before }), browser }
}

/** `auth.status()` says what is away, and sends no request to find out. */
function assertAway({ auth }: TestApp, endpoint: Endpoint, code: ErrorCode): void {
  const calls = JSON.stringify(stage.provider.calls)
  const { providers, requestsUnderWay } = JSON.parse(JSON.stringify(auth.status()))
  const { isReachable, lastError, endpoints, metadata, keys } = providers.default
  const away = Object.values<PartStatus>(endpoints).filter((one) => one.isReachable === false)
  assert.deepEqual(
    away.map((one) => one.lastError?.code),
    [code],
  )
  assert.deepEqual([isReachable, lastError.code, requestsUnderWay], [false, code, 0])
  const document = endpoint === '/discovery' ? metadata : keys
  if (endpoint === '/discovery' || endpoint === '/jwks') {
    assert.deepEqual([document.state, document.ageSeconds, document.lastError.code], ['none', null, code])
  }
  assert.equal(JSON.stringify(stage.provider.calls), calls)
}

for (const { name: place, endpoint, options, act } of PLACES) {
  describe(`a provider that is needed for ${place}`, () => {
    for (const { name, raw, code, status, retryAfter } of FAULTS) {
      it(`causes ${code} if it ${name}, the login stays, and the next attempt works`, async () => {
        const { app, browser } = await startNewNode(options)
        const before = stage.provider.calls[endpoint]
        stage.provider.change.raw[endpoint] = raw
        const page = await inTime(() => act(browser, app))
        assert.deepEqual([page.status, codesOf(app), app.otherErrors], [status, [code], []])
        assert.equal(page.headers['retry-after'], retryAfter)
        assert.equal(Object(app.errors[0]).retryAfter, retryAfter === undefined ? undefined : Number(retryAfter))
        assertNoSecret(stage, app, page)
        assertAway(app, endpoint, code)
        // A GET on a connection that had just been closed is sent again. A request that may use something up never is.
        const most = endpoint === '/discovery' || endpoint === '/jwks' || endpoint === '/userinfo' ? 2 : 1
        assert.ok(stage.provider.calls[endpoint] - before <= most)
        assert.equal(await isIn(browser, app), true)
        Reflect.deleteProperty(stage.provider.change.raw, endpoint)
        const again = await inTime(() => act(browser, app))
        assert.deepEqual([again.status, codesOf(app), stage.provider.complaints], [200, [code], []], again.body)
        assert.equal(app.auth.status().providers['default']?.isReachable, true)
      })
    }
  })
}

describe('a rate limit of Okta before 2020', () => {
  for (const { name: place, endpoint, options, act } of PLACES) {
    it(`Q-27: is recognized by its error code at ${place}`, async () => {
      const { app, browser } = await startNewNode(options)
      stage.provider.change.raw[endpoint] = (_req, res) => refuseAsOkta(res, 400)
      const page = await act(browser, app)
      assert.deepEqual([page.status, page.headers['retry-after'], codesOf(app)], [503, '42', [BUSY.code]])
      assert.equal(await isIn(browser, app), true)
    })
  }
})

// Loads what is loaded at first use, so that all requests start at the same time.
describe('a refresh that hits a rate limit', () => {
  it('Q-24: is one request for all callers at the same time, and each gets the time to wait', async () => {
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

describe('a refresh whose response is lost', () => {
  /** The provider has used the refresh token, and its response breaks off. */
  const breakOff: NonNullable<typeof stage.provider.change.refreshResponse> = (response, answer) => {
    answer.headers['Content-Length'] = '100000'
    return response
  }

  it('is not retried automatically; the provider decides at the next request whether the login goes on', async () => {
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

describe('a refresh whose response is lost, at a provider with a grace period for used tokens', () => {
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
    it(`ends the login here if the provider ${name} at the revocation`, async () => {
      const { app, browser } = await startNewNode()
      stage.provider.change.raw['/revoke'] = raw
      const told: unknown[] = []
      const page = await inTime(() => browser.post(`${app.baseUrl}/logout`, {}, { from: app.origin }))
      told.push(...seen.errors)
      assert.deepEqual([page.status, page.url.split('?')[0], codesOf(app)], [200, `${app.baseUrl}/`, []])
      assert.deepEqual([await isIn(browser, app), await app.sessions()], [false, 0])
      // The logout waits two seconds for a response, and the request itself has a limit of one.
      assert.deepEqual([told, stage.provider.calls['/revoke'], code.length > 0], [['ERR_OIDC_REVOCATION'], 1, true])
      assertNoSecret(stage, app, page)
    })

    it(`ends the login here if the provider ${name} when a new node requests its metadata`, async () => {
      const { app, browser } = await startNewNode()
      stage.provider.change.raw['/discovery'] = raw
      const page = await inTime(() => browser.post(`${app.baseUrl}/logout`, {}, { from: app.origin }))
      assert.deepEqual([page.status, page.url, codesOf(app)], [200, `${app.baseUrl}/`, []])
      assert.deepEqual([await isIn(browser, app), await app.sessions()], [false, 0])
    })

    it(`ends the login before the browser gets to the provider, which ${name}`, async () => {
      const { app, browser } = await startNewNode()
      stage.provider.change.raw['/logout'] = (req, res) => {
        // A browser would wait longer than a test does.
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

describe('a logout token that arrives at a new node', () => {
  for (const endpoint of ['/discovery', '/jwks'] as const) {
    for (const { name, raw, status, code, retryAfter } of FAULTS) {
      it(`can be sent again if ${endpoint} ${name}`, async () => {
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
    it(`works without the provider, which ${name}`, async () => {
      const { app, browser } = await startNewNode()
      const { sid } = await subjectOf(browser)
      stage.provider.change.raw['/discovery'] = raw
      const query = String(new URLSearchParams({ iss: stage.provider.issuer, sid }))
      const frame = await inTime(() => app.browser().open(`${app.baseUrl}/frontchannel-logout?${query}`))
      assert.deepEqual([frame.status, await isIn(browser, app), codesOf(app)], [200, false, []])
    })
  }
})

describe('a provider that is unreachable', () => {
  it('does not affect users who are logged in: pages, guards and valid tokens do not need it', async () => {
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

  it('fails logins with 503 and never with 500, even a login in progress', async () => {
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

  it('gives an error handler of the application the time to wait', async () => {
    const { app, browser } = await startNewNode()
    stage.provider.change.raw['/token'] = (_req, res) => refuseAsOkta(res, 429)
    await browser.fetch(`${app.baseUrl}/access-token`)
    const [error] = app.errors
    assert.ok(error instanceof ProviderError)
    assert.deepEqual([error.retryAfter, error.headers['Retry-After'], error.expose], [42, '42', false])
  })
})
