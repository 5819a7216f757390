import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import session from 'express-session'
import type { AnyOptions, TestApp } from '../support/app/app.ts'
import { codesOf } from '../support/app/app.ts'
import { HOSTS } from '../support/app/hosts.ts'
import { createStage } from '../support/app/stage.ts'
import { type Answer, exchange } from '../support/browser/http-exchange.ts'

const stage = createStage({ app: { errorHandler: 'json' } })

const ROUTES = { routes: { user: '/user' } } as const

/** A store that counts what extends a session in it. */
class CountingStore extends session.MemoryStore {
  readonly writes: string[] = []

  override set(id: string, data: session.SessionData, done?: (error?: unknown) => void): void {
    this.writes.push('set')
    super.set(id, data, done)
  }

  override touch(id: string, data: session.SessionData, done?: () => void): void {
    this.writes.push('touch')
    super.touch(id, data, done)
  }
}

/** An app in which somebody is logged in, whose sessions would be extended by each request. */
async function startRolling(options: Partial<AnyOptions> = {}) {
  const store = new CountingStore()
  const settings = { store, rolling: true, resave: true, cookie: { maxAge: 3_600_000 } }
  const started = await stage.startLoggedIn({ ...ROUTES, ...options }, { session: settings })
  store.writes.length = 0
  return { ...started, store }
}

describe('routes.user', () => {
  it('shows who is logged in, with chosen claims, the end of the login and the path of the logout', async () => {
    const { browser } = await stage.startLoggedIn(ROUTES)
    const before = Math.floor(Date.now() / 1000)
    const page = await browser.fetch('/user')
    assert.equal(page.status, 200)
    const { claims, expiresAt, logoutUrl, ...rest } = page.json()
    assert.deepEqual(claims, {
      sub: 'user-subject',
      name: 'Alice Example',
      preferred_username: 'alice@example.test',
      picture: 'https://example.test/alice.png',
      email: 'alice@example.test',
    })
    assert.deepEqual([logoutUrl, rest], ['/logout', {}])
    assert.ok(Math.abs(Number(expiresAt) - before - 86_400) < 60)
    assert.equal(page.headers['cache-control'], 'no-store')
    assert.equal(page.headers['cross-origin-resource-policy'], 'same-origin')
    assert.equal(page.headers['x-content-type-options'], 'nosniff')
  })

  for (const host of HOSTS) {
    it(`responds on ${host}, below a mount path`, async () => {
      const { browser, app } = await stage.startLoggedIn(ROUTES, { host, mountPath: '/portal' })
      const page = await browser.fetch(`${app.baseUrl}/user`)
      assert.deepEqual([page.status, page.json()['logoutUrl']], [200, '/portal/logout'])
    })
  }

  it('does not exist unless it is named', async () => {
    const { browser } = await stage.startLoggedIn()
    assert.equal((await browser.fetch('/user')).status, 404)
  })

  it('shows the claims of a list or of a function', async () => {
    const listed = await stage.startLoggedIn({ ...ROUTES, userClaims: ['nickname', 'toString'] })
    assert.deepEqual((await listed.browser.fetch('/user')).json()['claims'], { nickname: 'Ali' })
    const made = await stage.startLoggedIn({ ...ROUTES, userClaims: ({ name }) => ({ initial: name?.[0] }) })
    assert.deepEqual((await made.browser.fetch('/user')).json()['claims'], { initial: 'A' })
  })

  it('fails if the function of userClaims returns a promise, which JSON would show as nothing', async () => {
    const { app, browser } = await stage.startLoggedIn({ ...ROUTES, userClaims: (() => Promise.resolve({})) as never })
    assert.equal((await browser.fetch('/user')).status, 500)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_CONFIG'])
  })

  it('responds 401 without a login, with a way back to the page that asks', async () => {
    const app = await stage.start(ROUTES)
    const page = await app.browser().fetch('/user', { headers: { referer: `${app.origin}/board?week=3` } })
    assert.equal(page.status, 401)
    const { error, loginUrl } = page.json()
    assert.deepEqual([error, loginUrl], ['ERR_OIDC_LOGIN_REQUIRED', '/login?returnTo=%2Fboard%3Fweek%3D3'])
    assert.equal(page.headers['cache-control'], 'no-store')
    assert.equal(page.headers['set-cookie'], undefined)
  })

  it('responds 204 without a login, if the option says so', async () => {
    const app = await stage.start({ ...ROUTES, anonymousUserStatus: 204 })
    const page = await app.browser().fetch('/user')
    assert.deepEqual([page.status, page.body, page.headers['cache-control']], [204, '', 'no-store'])
  })

  it('accepts GET and HEAD only', async () => {
    const { app, browser } = await stage.startLoggedIn(ROUTES)
    const head = await browser.fetch('/user', { method: 'HEAD' })
    assert.deepEqual([head.status, head.body], [200, ''])
    assert.equal((await browser.fetch('/user', { method: 'POST' })).status, 405)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_METHOD_NOT_ALLOWED'])
  })

  it('is no page to return to after a login', async () => {
    const { app, browser } = await stage.startLoggedIn(ROUTES)
    const page = await browser.open('/login?returnTo=/user')
    assert.equal(page.url, `${app.origin}/`)
  })
})

describe('a request to routes.user', () => {
  it('neither saves nor touches the session, nor sets its cookie, with resave and rolling', async () => {
    const { browser, store } = await startRolling()
    const page = await browser.fetch('/user')
    assert.deepEqual([page.status, page.headers['set-cookie'], store.writes], [200, undefined, []])
  })

  it('saves the session and sets its cookie if userExtendsSession is set', async () => {
    const { browser, store } = await startRolling({ userExtendsSession: true })
    const page = await browser.fetch('/user')
    assert.equal(page.status, 200)
    assert.match(String(page.headers['set-cookie']), /^connect\.sid=/)
    assert.deepEqual(store.writes, ['set'])
  })

  for (const [does, userExtendsSession, status] of [
    ['does not extend', false, 401],
    ['extends', true, 200],
  ] as const) {
    it(`${does} the idle time with userExtendsSession: ${userExtendsSession}, and says when it ends`, async () => {
      mock.timers.enable({ apis: ['Date'], now: Date.now() })
      const { browser } = await stage.startLoggedIn({ ...ROUTES, idleTimeout: 600, userExtendsSession })
      const start = Math.floor(Date.now() / 1000)
      mock.timers.tick(500_000)
      const polled = Number((await browser.fetch('/user')).json()['expiresAt'])
      assert.equal(Math.round((polled - start) / 100), userExtendsSession ? 11 : 6)
      mock.timers.tick(200_000)
      assert.equal((await browser.fetch('/user')).status, status)
    })
  }
})

/** A request with these headers and no others. */
function send(url: URL, { cookie = '', ...headers }: Readonly<Record<string, string | undefined>>): Promise<Answer> {
  const given = Object.entries(headers).map(([name, value]) => [name, value ?? ''])
  return exchange({ method: 'GET', url, headers: { cookie, ...Object.fromEntries(given) } })
}

/** What a request of another origin says, each by one header that differs from a request that is allowed. */
const FOREIGN: readonly (readonly [name: string, headers: (app: TestApp) => Record<string, string>])[] = [
  ['of another site', () => ({ 'sec-fetch-site': 'cross-site' })],
  ['of a subdomain', () => ({ 'sec-fetch-site': 'same-site' })],
  ['of a sender that no browser knows', () => ({ 'sec-fetch-site': 'Same-Origin' })],
  ['with two values', () => ({ 'sec-fetch-site': 'same-origin, cross-site' })],
  ['with an empty value', () => ({ 'sec-fetch-site': '' })],
  ['of an old browser at another origin', () => ({ origin: 'https://evil.example' })],
  ['of an old browser in a sandboxed frame', () => ({ origin: 'null' })],
  ['of an old browser at another port', ({ origin }) => ({ origin: `${origin}0` })],
  [
    'of an old browser at the forwarded host',
    () => ({ origin: 'https://evil.example', 'x-forwarded-host': 'evil.example' }),
  ],
  ['of an old browser at the host of the request', () => ({ origin: 'http://evil.example', host: 'evil.example' })],
]

describe('routes.user refuses a request', () => {
  for (const [name, headers] of FOREIGN) {
    it(`${name}, and does not extend the session`, async () => {
      const { app, browser, store } = await startRolling({ userExtendsSession: true })
      const url = new URL('/user', app.origin)
      const cookie = browser.jar.header(url, { sameSite: true, safeNavigation: false })
      const response = await send(url, { cookie, ...headers(app) })
      assert.deepEqual([response.status, response.setCookies], [403, []])
      assert.deepEqual(codesOf(app), ['ERR_OIDC_CROSS_ORIGIN_REQUEST'])
      assert.doesNotMatch(response.body, /Alice|evil/)
      assert.deepEqual(store.writes, [])
    })
  }

  it('of no other sender: a program, an old browser at our origin, and a user who types the address', async () => {
    const { app, browser } = await stage.startLoggedIn(ROUTES)
    const url = new URL('/user', app.origin)
    const cookie = browser.jar.header(url, { sameSite: true, safeNavigation: false })
    for (const headers of [{}, { origin: app.origin }, { 'sec-fetch-site': 'none' }]) {
      assert.equal((await send(url, { cookie, ...headers })).status, 200)
    }
  })
})
