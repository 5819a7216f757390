import assert from 'node:assert/strict'
import { beforeEach, describe, it, mock } from 'node:test'
import { type AuthRequirement, ConfigError, type Handler, requireAuth, requireScope } from '../../lib/index.ts'
import { essentialAcr } from '../../lib/protocol/step-up.ts'
import { ACCOUNTS } from '../support/app/accounts.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { answerBy, answerJson, type Routes } from '../support/app/app-routes.ts'
import { isTokens } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'
import { isAtProvider, isCallback } from '../support/app/url-predicates.ts'
import type { Browser, Page } from '../support/browser/browser.ts'
import { skipWithoutChromium } from '../support/browser/chromium.ts'
import { createChromiumPages } from '../support/browser/chromium-pages.ts'
import { answered, type JsonObject } from '../support/strict-provider/context.ts'

const MFA = 'urn:example:mfa'
const INSUFFICIENT = 'ERR_OIDC_INSUFFICIENT_AUTHENTICATION'

const strength = answerJson(({ oidc }) => ({ acr: oidc.claims?.acr, amr: oidc.claims?.amr, sub: oidc.claims?.sub }))

function guarded(requirement: AuthRequirement): readonly Handler[] {
  return [requireAuth(requirement), strength]
}

const routes: Routes = {
  '/strong': guarded({ acr: MFA }),
  '/any': guarded({ acr: ['urn:example:hw', MFA] }),
  '/fresh': guarded({ maxAge: 300 }),
  '/now': guarded({ maxAge: 1 }),
  '/method': guarded({ amr: ['mfa', 'hwk'] }),
  '/all': guarded({ acr: MFA, maxAge: 300, amr: 'mfa' }),
  '/torn': [requireAuth({ acr: 'urn:a' }), requireAuth({ acr: 'urn:b' }), strength],
  '/scoped': [requireAuth({ acr: MFA }), requireScope('reports:read'), strength],
}

const stage = createStage({ app: { routes, errorHandler: 'json' } })

/** The parameters of the last authorization request. */
function lastRequest(): URLSearchParams {
  return stage.provider.authorizationRequests.at(-1) ?? new URLSearchParams()
}

function authorizeCalls(): number {
  return stage.provider.calls['/authorize']
}

/** All records in the store as text, to show that a refusal changes nothing. */
async function storeContents(app: TestApp): Promise<string> {
  return JSON.stringify(await app.records())
}

/** The sealed requirement in the login URL of a page. */
async function sealedBy(browser: Browser, path: string): Promise<string> {
  const page = await browser.open(path, { follow: false })
  return new URL(page.headers.location ?? '', page.url).searchParams.get('requirement') ?? ''
}

function statuses({ history }: Page): readonly number[] {
  return history.map(({ status }) => status)
}

describe('a page that requires a stronger login', () => {
  it('redirects to a stronger login once, and the user returns to it', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const page = await browser.open('/strong?a=1&b=%20c')
    assert.deepEqual([page.status, page.url], [200, `${app.origin}/strong?a=1&b=%20c`])
    assert.deepEqual(page.json(), { acr: MFA, amr: ['pwd'], sub: 'user-subject' })
    assert.deepEqual([lastRequest().get('acr_values'), lastRequest().get('max_age'), authorizeCalls()], [MFA, null, 2])
    assert.deepEqual(statuses(page), [303, 303, 302, 303, 200])
    assert.equal((await browser.open('/strong')).history.length, 1)
    assert.equal((await browser.fetch('/strong')).status, 200)
    assert.deepEqual([await app.sessions(), app.errors, stage.provider.complaints], [1, [], []])
  })

  it('requires it in the first login of a user who is not logged in', async () => {
    const app = await stage.start()
    const page = await app.browser().open('/strong?a=1')
    assert.deepEqual([page.status, page.url], [200, `${app.origin}/strong?a=1`])
    assert.deepEqual([lastRequest().get('acr_values'), authorizeCalls()], [MFA, 1])
  })

  it('requests classes in the order of the guard, and accepts any of them', async () => {
    const { browser } = await stage.startLoggedIn()
    assert.equal((await browser.open('/any')).json()['acr'], 'urn:example:hw')
    assert.equal(lastRequest().get('acr_values'), `urn:example:hw ${MFA}`)
    assert.equal((await browser.open('/strong')).json()['acr'], MFA)
    assert.equal((await browser.open('/any')).history.length, 1)
  })

  it('requests a recent login by max_age', async () => {
    const { browser } = await stage.startLoggedIn()
    assert.equal((await browser.open('/fresh')).status, 200)
    assert.deepEqual([lastRequest().get('max_age'), lastRequest().get('acr_values')], ['300', null])
    assert.equal((await browser.open('/fresh')).history.length, 1)
  })

  it('accepts methods in any order, and further ones', async () => {
    stage.provider.amr = ['hwk', 'pwd', 'mfa']
    const { browser } = await stage.startLoggedIn()
    assert.deepEqual([(await browser.open('/method')).history.length, authorizeCalls()], [1, 1])
  })

  it('requires another login when the last one is too old', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const app = await stage.start({ clockTolerance: 0 })
    const browser = app.browser()
    await browser.open('/fresh')
    mock.timers.tick(299_000)
    assert.equal((await browser.open('/fresh')).history.length, 1)
    mock.timers.tick(2000)
    assert.deepEqual([(await browser.open('/fresh')).status, authorizeCalls()], [200, 2])
  })

  it('redirects a HEAD request too', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const head = await browser.go({ method: 'HEAD', url: `${app.origin}/strong?a=1` }, { follow: false })
    const url = new URL(head.headers.location ?? '', app.origin)
    assert.deepEqual([head.status, url.pathname, url.searchParams.get('returnTo')], [303, '/login', '/strong?a=1'])
    assert.ok(url.searchParams.has('requirement'))
  })

  it('redirects a posted form to the stronger login, and then to the home page', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const page = await browser.post('/strong', { amount: '1' })
    assert.deepEqual([page.status, page.url, lastRequest().get('acr_values')], [200, `${app.origin}/`, MFA])
    assert.equal((await browser.post('/strong', { amount: '1' })).json()['acr'], MFA)
  })

  for (const [name, headers] of [
    ['a prefetch', { 'sec-purpose': 'prefetch' }],
    ['a prerendering', { 'sec-purpose': 'prefetch;prerender' }],
    ['a frame', { 'sec-fetch-dest': 'iframe' }],
  ] as const) {
    it(`does not redirect ${name}`, async () => {
      const { browser } = await stage.startLoggedIn()
      const page = await browser.open('/strong', { headers })
      assert.deepEqual([page.status, page.headers.location, page.headers['set-cookie']], [401, undefined, undefined])
      assert.equal(authorizeCalls(), 1)
      if (name === 'a frame') assert.match(page.body, /requirement=[\w-]+" target="_top"/)
      else assert.equal(page.json()['error'], INSUFFICIENT)
    })
  }

  it('logs the user in in two tabs, which share one session', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const tabs = [
      await browser.open('/strong?tab=1', { stopBefore: isCallback }),
      await browser.open('/strong?tab=2', { stopBefore: isCallback }),
    ]
    const pages = [await browser.go(tabs[0]?.next), await browser.go(tabs[1]?.next)]
    assert.deepEqual(
      pages.map(({ status, url }) => [status, url]),
      [
        [200, `${app.origin}/strong?tab=1`],
        [200, `${app.origin}/strong?tab=2`],
      ],
    )
    assert.deepEqual([await app.sessions(), app.errors], [1, []])
  })

  it('keeps what the app has stored for the same user, under a new session id', async () => {
    const { app, browser } = await stage.startLoggedIn()
    await browser.open('/write')
    const before = Object.keys(await app.records())
    await browser.open('/strong')
    assert.equal((await browser.fetch('/session')).json()['cart'], 'book')
    const after = Object.keys(await app.records())
    assert.ok(after.length === before.length && after.every((id) => !before.includes(id)))
  })

  it('drops the data of the app if another user logs in', async () => {
    const { app, browser } = await stage.startLoggedIn()
    await browser.open('/write')
    stage.provider.account = ACCOUNTS['bob'] ?? assert.fail()
    assert.equal((await browser.open('/strong')).json()['sub'], 'bob')
    const session = (await browser.fetch('/session')).json()
    assert.deepEqual([session['cart'], session['app'], await app.sessions()], [undefined, undefined, 1])
    const text = await storeContents(app)
    assert.ok(!text.includes('user-subject') && !text.includes('book'))
    assert.equal(Object.keys(await app.records()).filter(isTokens).length, 1)
  })

  it('needs only claims that the session always keeps', async () => {
    for (const sessionClaims of [[], () => ({})]) {
      stage.provider.reset()
      stage.provider.amr = ['mfa']
      const app = await stage.start({ sessionClaims })
      const browser = app.browser()
      assert.equal((await browser.open('/all')).status, 200, String(app.errors))
      assert.deepEqual([(await browser.open('/all')).history.length, authorizeCalls()], [1, 1])
    }
  })

  it('and a scope requests the login first, and denies if the scope is not granted', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const page = await browser.open('/scoped')
    assert.deepEqual([page.status, page.url, authorizeCalls()], [403, `${app.origin}/scoped`, 2])
    assert.deepEqual(codesOf(app), ['ERR_OIDC_INSUFFICIENT_SCOPE'])
    const granted = await stage.start({ scope: 'openid reports:read' })
    assert.equal((await granted.browser().open('/scoped')).status, 200)
  })

  it('works with form_post and with a response JWT', async () => {
    for (const responseMode of ['form_post', 'jwt'] as const) {
      const app = await stage.start({ responseMode })
      const browser = app.browser()
      await browser.open('/profile')
      const page = await browser.open('/strong?a=1')
      assert.deepEqual([page.status, page.url], [200, `${app.origin}/strong?a=1`], String(app.errors))
    }
  })
})

describe('the response to a stronger login', () => {
  const epoch = (): number => Math.floor(Date.now() / 1000)
  type Change = (claims: JsonObject) => JsonObject
  const put =
    (name: string, value: () => unknown): Change =>
    (claims) => ({ ...claims, [name]: value() })
  const rows: readonly (readonly [name: string, path: string, change: Change])[] = [
    ['no acr', '/strong', put('acr', () => undefined)],
    ['an acr that is null', '/strong', put('acr', () => null)],
    ['an empty acr', '/strong', put('acr', () => '')],
    ['a weaker acr', '/strong', put('acr', () => 'urn:example:pwd')],
    ['the acr in capitals', '/strong', put('acr', () => MFA.toUpperCase())],
    ['the beginning of the acr', '/strong', put('acr', () => MFA.slice(0, -1))],
    ['the acr and more', '/strong', put('acr', () => `${MFA} urn:example:pwd`)],
    ['the acr in a list', '/strong', put('acr', () => [MFA])],
    ['all requested classes as one acr', '/any', put('acr', () => `urn:example:hw ${MFA}`)],
    ['an acr that is a number', '/strong', put('acr', () => 2)],
    ['no amr', '/method', put('amr', () => undefined)],
    ['one of two methods', '/method', put('amr', () => ['mfa', 'pwd'])],
    ['the methods as a string', '/method', put('amr', () => 'mfa hwk')],
    ['the methods in one string of a list', '/method', put('amr', () => ['mfa hwk'])],
    ['the methods one level too deep', '/method', put('amr', () => [['mfa', 'hwk']])],
    ['the methods as an object', '/method', put('amr', () => ({ 0: 'mfa', 1: 'hwk', length: 2 }))],
    ['no auth_time', '/fresh', put('auth_time', () => undefined)],
    ['an auth_time of too long ago', '/fresh', put('auth_time', () => epoch() - 362)],
    ['an auth_time of 1970', '/fresh', put('auth_time', () => 0)],
    ['an auth_time in the future', '/fresh', put('auth_time', () => epoch() + 63)],
    ['an auth_time in milliseconds', '/fresh', put('auth_time', () => Date.now())],
    ['an auth_time as a string', '/fresh', put('auth_time', () => String(epoch()))],
    ['an auth_time that is null', '/fresh', put('auth_time', () => null)],
    [
      'a weaker acr, but a recent login and the method',
      '/all',
      (claims) => ({ ...claims, amr: ['mfa'], acr: 'urn:example:pwd' }),
    ],
    ['another method, but a recent login and the acr', '/all', (claims) => ({ ...claims, amr: ['pwd'] })],
    [
      'an old login, but the method and the acr',
      '/all',
      (claims) => ({ ...claims, amr: ['mfa'], auth_time: epoch() - 400 }),
    ],
  ]
  let app: TestApp
  let browser: Browser
  beforeEach(async () => {
    const started = await stage.startLoggedIn()
    app = started.app
    browser = started.browser
  })

  for (const [name, path, change] of rows) {
    it(`is refused with ${name}, once, and the previous login stays`, async () => {
      const before = await storeContents(app)
      stage.provider.change.idTokenClaims = change
      const page = await browser.open(path)
      assert.deepEqual([page.status, page.headers.location, codesOf(app)], [403, undefined, [INSUFFICIENT]])
      assert.equal(authorizeCalls(), 2)
      assert.equal(await storeContents(app), before)
      assert.equal((await browser.open('/profile')).json()['sub'], 'user-subject')
      assert.equal((await browser.fetch(path)).status, 401)
    })
  }

  it('is accepted if it meets the requirement', async () => {
    stage.provider.amr = ['mfa']
    assert.equal((await browser.open('/all')).status, 200)
    assert.deepEqual([authorizeCalls(), app.errors], [2, []])
  })

  it('logs no user in if it is refused', async () => {
    const other = app.browser()
    stage.provider.change.idTokenClaims = ({ acr: _, ...claims }) => claims
    assert.equal((await other.open('/strong')).status, 403)
    assert.equal((await other.fetch('/profile')).status, 401)
    assert.equal(await app.sessions(), 1)
  })

  it('is not completed by claims of UserInfo', async () => {
    const thorough = await stage.start({ userinfo: true })
    const other = thorough.browser()
    await other.open('/profile')
    stage.provider.change.idTokenClaims = ({ acr: _, amr: __, ...claims }) => claims
    stage.provider.change.userinfo = (claims) => ({ ...claims, acr: MFA, amr: ['mfa', 'hwk'] })
    assert.deepEqual([(await other.open('/strong')).status, (await other.open('/method')).status], [403, 403])
    assert.equal((await other.open('/profile')).json()['acr'], undefined)
  })

  for (const [error, status] of [
    ['unmet_authentication_requirements', 403],
    ['access_denied', 403],
    ['server_error', 502],
  ] as const) {
    it(`may be ${error}, and the previous login stays`, async () => {
      const before = await storeContents(app)
      stage.provider.change.authorizationResponse = (params) => {
        params.delete('code')
        params.set('error', error)
        return params
      }
      assert.equal((await browser.open('/strong')).status, status)
      assert.deepEqual(
        [codesOf(app), authorizeCalls(), await storeContents(app)],
        [['ERR_OIDC_AUTHORIZATION'], 2, before],
      )
    })
  }
})

describe('a stronger login', () => {
  it('does not loop if two guards of one page contradict each other', async () => {
    const app = await stage.start()
    const browser = app.browser()
    const page = await browser.open('/torn')
    assert.deepEqual([page.status, codesOf(app), authorizeCalls()], [403, [INSUFFICIENT], 3])
    assert.ok(page.history.length < 20)
    assert.equal(await app.sessions(), 1)
    assert.equal((await browser.open('/strong')).status, 200)
  })

  it('does not loop however slow the browser is', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const slow: Handler = (req, _res, next) => {
      if (req.url === '/now') mock.timers.tick(5000)
      next()
    }
    const app = await stage.start({ clockTolerance: 0 }, { before: [slow] })
    const page = await app.browser().open('/now')
    assert.deepEqual([page.status, authorizeCalls()], [200, 1])
  })

  it('does not loop if the provider returns the same old login again and again', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    stage.provider.authTime = Math.floor(Date.now() / 1000)
    const app = await stage.start()
    const browser = app.browser()
    assert.equal((await browser.open('/now')).status, 200)
    mock.timers.tick(70_000)
    assert.equal((await browser.open('/now')).status, 403)
    assert.equal((await browser.open('/now')).status, 403)
    assert.deepEqual(codesOf(app), [INSUFFICIENT, INSUFFICIENT])
    assert.equal(authorizeCalls(), 3)
  })

  it('does not loop if the cookie of the loop brake expires', async () => {
    const app = await stage.start()
    const browser = app.browser()
    stage.provider.change.idTokenClaims = ({ acr: _, ...claims }) => claims
    await browser.open('/profile')
    for (let count = 2; count < 5; count++) {
      browser.jar.remove(({ name }) => name.startsWith('oidc-landed'))
      assert.equal((await browser.open('/strong')).status, 403)
      assert.equal(authorizeCalls(), count)
    }
  })

  for (const seconds of [-60, 60]) {
    it(`is accepted from a provider whose clock is off by ${seconds} s`, async () => {
      mock.timers.enable({ apis: ['Date'], now: Math.floor(Date.now() / 1000) * 1000 })
      const { browser } = await stage.startLoggedIn()
      stage.provider.change.idTokenClaims = (claims) => ({
        ...claims,
        auth_time: Number(claims['auth_time']) + seconds,
      })
      assert.equal((await browser.open('/now')).status, 200)
      mock.timers.tick(500)
      assert.deepEqual([(await browser.open('/now')).history.length, authorizeCalls()], [1, 2])
    })
  }

  it('may be required by two pages one after the other', async () => {
    const { app, browser } = await stage.startLoggedIn()
    assert.equal((await browser.open('/strong')).status, 200)
    assert.equal((await browser.open('/fresh')).status, 200)
    assert.deepEqual([authorizeCalls(), app.errors], [3, []])
  })
})

describe('a script whose login is too weak', () => {
  const description = 'error_description="A stronger or more recent login is needed"'
  const rows: readonly (readonly [path: string, params: string])[] = [
    ['/strong', `, acr_values="${MFA}"`],
    ['/any', `, acr_values="urn:example:hw ${MFA}"`],
    ['/fresh', ', max_age="300"'],
    ['/method', ''],
    ['/all', `, acr_values="${MFA}", max_age="300"`],
  ]
  for (const [path, params] of rows) {
    it(`gets the challenge of RFC 9470 and the login URL at ${path}`, async () => {
      const { app, browser } = await stage.startLoggedIn()
      const answer = await browser.fetch(path)
      const challenge = `Bearer error="insufficient_user_authentication", ${description}${params}`
      assert.deepEqual([answer.status, answer.headers['www-authenticate']], [401, challenge])
      const { error, message, loginUrl } = answer.json()
      assert.equal(error, INSUFFICIENT)
      assert.match(String(message), /^This page requires a stronger or more recent login \((acr|amr|maxAge)/)
      assert.equal(answer.headers['cache-control'], 'no-store')
      stage.provider.amr = ['mfa', 'hwk']
      const url = new URL(String(loginUrl), app.origin)
      url.searchParams.set('returnTo', '/profile?from=script')
      assert.equal((await browser.open(url.href)).url, `${app.origin}/profile?from=script`)
      assert.deepEqual([(await browser.fetch(path)).status, app.errors], [200, []])
    })
  }

  it('gets a login URL with the requirement if no user is logged in', async () => {
    const app = await stage.start()
    const browser = app.browser()
    const answer = await browser.fetch('/strong')
    assert.deepEqual([answer.status, answer.headers['www-authenticate']], [401, undefined])
    assert.equal(answer.json()['error'], 'ERR_OIDC_LOGIN_REQUIRED')
    await browser.open(String(answer.json()['loginUrl']))
    assert.deepEqual([(await browser.fetch('/strong')).status, authorizeCalls()], [200, 1])
  })

  it('does not pass the guard with a CORS preflight', async () => {
    const { browser } = await stage.startLoggedIn()
    const headers = { 'access-control-request-method': 'POST' }
    assert.equal((await browser.fetch('/strong', { method: 'OPTIONS', headers })).status, 401)
  })
})

describe('the login URL', () => {
  const configured: Partial<AnyOptions> = { authorizationParams: { acr_values: MFA, max_age: 60 } }

  it('ignores acr_values and max_age that are not sealed', async () => {
    const app = await stage.start(configured)
    const words = 'acr_values=urn:weak&acr=urn:weak&max_age=999999&maxAge=99&amr=none&requirement[acr]=urn:weak'
    const page = await app.browser().open(`/login?returnTo=/profile&${words}`)
    assert.deepEqual([page.status, page.json()['acr']], [200, MFA])
    assert.deepEqual([lastRequest().get('acr_values'), lastRequest().get('max_age')], [MFA, '60'])
  })

  it('does not weaken the max_age of the options', async () => {
    const app = await stage.start(configured)
    const browser = app.browser()
    await browser.open('/profile')
    await browser.open('/all')
    assert.equal(lastRequest().get('max_age'), '60')
    stage.provider.change.idTokenClaims = (claims) => ({ ...claims, amr: ['mfa'], auth_time: Date.now() / 1000 - 200 })
    assert.equal((await browser.open('/all')).status, 502)
    assert.equal(codesOf(app).at(-1), 'ERR_OIDC_ID_TOKEN_AUTH_TIME')
  })

  it('encrypts the requirement, which another node with the same secret decrypts', async () => {
    const [first, second] = [await stage.start(), await stage.start()]
    const browser = first.browser()
    const sealed = await sealedBy(browser, '/strong')
    assert.ok(sealed.length > 40 && !Buffer.from(sealed, 'base64url').includes('urn:'))
    await second.browser().open(`/login?requirement=${sealed}`, { stopBefore: isCallback })
    assert.equal(lastRequest().get('acr_values'), MFA)
  })

  it('ignores a requirement that is malformed or forged', async () => {
    const app = await stage.start()
    const other = await stage.start({ secret: 'another secret, of another application' })
    const browser = app.browser()
    const sealed = await sealedBy(browser, '/strong')
    const page = await browser.open('/profile', { stopBefore: isAtProvider })
    const transaction = browser.cookies().find(({ name }) => name.startsWith('oidc-tx.'))?.value
    assert.ok(page.next && transaction)
    const forged = [
      ...['', 'x', '{}', 'e30', Buffer.from(`{"acr":["${MFA}"]}`).toString('base64url'), 'a'.repeat(5000)],
      ...[sealed.slice(1), sealed.slice(0, -2), `A${sealed}`, sealed.toUpperCase(), transaction],
      await sealedBy(other.browser(), '/strong'),
    ]
    for (const requirement of forged) {
      const opened = await app.browser().open(`/login?returnTo=/profile&requirement=${encodeURIComponent(requirement)}`)
      assert.deepEqual(
        [opened.status, lastRequest().get('acr_values'), lastRequest().get('max_age')],
        [200, null, null],
      )
    }
    assert.deepEqual([app.errors, app.otherErrors], [[], []])
  })

  it('does not loop if nodes cannot decrypt the requirement of another node', async () => {
    const app = await stage.start()
    const loop: Handler = (req, _res, next) => {
      req.url = req.url?.replace(/requirement=[\w-]+/, 'requirement=unreadable')
      next()
    }
    const torn = await stage.start({}, { before: [loop] })
    const page = await torn.browser().open('/strong')
    assert.deepEqual([page.status, codesOf(torn), authorizeCalls()], [403, [INSUFFICIENT], 3])
    assert.deepEqual(app.errors, [])
  })
})

describe('req.oidc', () => {
  const requirement = { acr: MFA, maxAge: 300, amr: 'mfa' }
  const own: Routes = {
    '/ask': answerBy(async ({ oidc }) => oidc.login({ returnTo: '/strong', requirement })),
    '/meets': answerJson(({ oidc }) => [
      oidc.meets({ acr: MFA }),
      oidc.meets({ acr: [MFA, 'urn:other'] }),
      oidc.meets({ acr: 'urn:other' }),
      oidc.meets({ amr: ['mfa'] }),
      oidc.meets({ maxAge: 60 }),
      oidc.meets(requirement),
    ]),
    '/guard': answerBy(async ({ oidc }, res) => {
      if (oidc.meets(requirement)) res.end('{"done":true}')
      else await oidc.login({ requirement })
    }),
    '/wrong': answerBy(async ({ oidc }) => oidc.login({ requirement: { acr: [] } })),
  }

  it('starts a stronger login, and refuses an invalid requirement', async () => {
    const app = await stage.start({}, { routes: { ...routes, ...own } })
    const browser = app.browser()
    assert.equal((await browser.open('/ask')).status, 403)
    assert.deepEqual([lastRequest().get('acr_values'), lastRequest().get('max_age')], [MFA, '300'])
    stage.provider.amr = ['mfa']
    assert.equal((await browser.open('/ask')).url, `${app.origin}/strong`)
    assert.deepEqual(codesOf(app), [INSUFFICIENT])
  })

  it('tells whether the login meets a requirement', async () => {
    const app = await stage.start({}, { routes: { ...routes, ...own } })
    const browser = app.browser()
    const meets = async (): Promise<unknown> => (await browser.fetch('/meets')).json()
    assert.deepEqual(await meets(), [false, false, false, false, false, false])
    await browser.open('/strong')
    assert.deepEqual(await meets(), [true, true, false, false, false, false])
    stage.provider.amr = ['mfa', 'otp']
    await browser.open('/ask')
    assert.deepEqual(await meets(), [true, true, false, true, true, true])
  })

  it('can be used for guards of the app that do not loop', async () => {
    const app = await stage.start({}, { routes: { ...routes, ...own } })
    const browser = app.browser()
    assert.equal((await browser.open('/guard')).status, 403)
    assert.equal(authorizeCalls(), 1)
    stage.provider.amr = ['mfa']
    assert.deepEqual([(await browser.open('/guard')).json(), authorizeCalls()], [{ done: true }, 2])
  })

  it('refuses an empty requirement', async () => {
    const wrong: readonly unknown[] = [
      ...[{}, [], null, 'mfa', 7, true, { max_age: 1 }, { acr: [] }, { acr: '' }, { acr: 'a b' }, { acr: 'a"b' }],
      ...[{ acr: undefined }, { acr: undefined, maxAge: 5 }, { amr: undefined, acr: MFA }, { acr: null, maxAge: 5 }],
      ...[{ maxAge: 0 }, { maxAge: -1 }, { maxAge: 1.5 }, { maxAge: '300' }, { maxAge: Number.NaN }, { maxAge: 1e9 }],
      ...[{ amr: [] }, { amr: [['mfa']] }, { amr: [7] }, { acr: Array(21).fill('a') }, { acr: 'a'.repeat(256) }],
      ...[{ acr: 'é' }, { acr: 'a\nb' }, { acr: 'a\\b' }, { acr: 'a', more: 1 }],
    ]
    const refusals: unknown[] = []
    const refuse: Routes = {
      '/refuse': answerJson(({ oidc }) => {
        for (const one of wrong) {
          for (const method of ['meets', 'loginUrl'] as const) {
            const args = method === 'meets' ? [one] : ['/', one]
            assert.throws(
              () => Reflect.apply(oidc[method], oidc, args),
              ConfigError,
              `${method} ${JSON.stringify(one)}`,
            )
            refusals.push(one)
          }
        }
        return { refused: true }
      }),
    }
    const app = await stage.start({}, { routes: { ...refuse, ...own } })
    assert.equal((await app.browser().open('/refuse')).status, 200, String(app.otherErrors))
    assert.equal(refusals.length, 2 * wrong.length)
    for (const one of wrong) assert.throws(() => Reflect.apply(requireAuth, undefined, [one]), ConfigError)
    assert.equal((await app.browser().open('/wrong')).status, 500)
    assert.deepEqual([codesOf(app), authorizeCalls()], [['ERR_OIDC_CONFIG'], 0])
  })
})

describe('an essential acr', () => {
  const claims = { id_token: { acr: { essential: true, values: ['urn:a', MFA] } } }

  it('must be in the ID Token, with one of its values', async () => {
    const app = await stage.start({ authorizationParams: { claims } })
    assert.equal((await app.browser().open('/profile')).json()['acr'], 'urn:a')
    stage.provider.change.idTokenClaims = (good) => ({ ...good, acr: MFA })
    assert.equal((await app.browser().open('/profile')).json()['acr'], MFA)
    assert.deepEqual([lastRequest().get('acr_values'), app.errors], [null, []])
    for (const acr of [undefined, 'urn:example:pwd', ['urn:a']]) {
      stage.provider.change.idTokenClaims = (good) => ({ ...good, acr })
      const browser = app.browser()
      assert.equal((await browser.open('/profile')).status, 403)
      assert.equal((await browser.fetch('/profile')).status, 401)
    }
    assert.deepEqual(codesOf(app), [INSUFFICIENT, INSUFFICIENT, INSUFFICIENT])
  })

  it('is read from claims.id_token.acr only', () => {
    const text = (acr: unknown): string => JSON.stringify({ id_token: { acr } })
    assert.deepEqual(essentialAcr(text({ essential: true, value: 'a' })), ['a'])
    assert.deepEqual(essentialAcr(text({ essential: true, values: ['a', 'b'] })), ['a', 'b'])
    const none = [
      ...[undefined, '', '{', 'null', '[]', '7', '{"id_token":null}', '{"userinfo":{"acr":{"essential":true}}}'],
      ...[text(null), text({ value: 'a' }), text({ essential: 'true', value: 'a' }), text({ essential: true })],
      ...[text({ essential: true, value: 7 }), text({ essential: true, values: [] })],
    ]
    for (const one of none) assert.equal(essentialAcr(one), undefined, String(one))
  })
})

describe('a stronger login that cannot start', () => {
  it('leaves no transaction if the provider is unreachable', async () => {
    const { app, browser } = await stage.startLoggedIn({ requirePushedAuthorizationRequests: false })
    stage.provider.change.tokenResponse = answered(500, '{}')
    const before = await storeContents(app)
    assert.equal((await browser.open('/strong')).status, 502)
    assert.equal(await storeContents(app), before)
    assert.deepEqual(
      browser.cookies().filter(({ name }) => name.startsWith('oidc-tx')),
      [],
    )
  })
})

describe('a stronger login in a real browser', { skip: skipWithoutChromium }, () => {
  const openPage = createChromiumPages()

  it('returns to the page, also when a script starts it', async () => {
    const html: Handler = (_req, res) => {
      res.setHeader('Content-Type', 'text/html')
      res.end(`<!doctype html><button>Pay</button><script>
        document.querySelector('button').addEventListener('click', async () => {
          const answer = await fetch('/strong')
          if (answer.ok) return document.body.append('paid')
          const url = new URL((await answer.json()).loginUrl, location.href)
          url.searchParams.set('returnTo', '/shop?item=1')
          location.assign(url)
        })
      </script>`)
    }
    const app = await stage.start({}, { routes: { ...routes, '/shop': [requireAuth(), html] } })
    const page = await openPage()
    await page.goto(`${app.origin}/shop`)
    await page.click('button')
    await page.waitForURL(`${app.origin}/shop?item=1#`)
    await page.click('button')
    await page.waitForFunction("document.body.textContent.includes('paid')")
    assert.deepEqual([lastRequest().get('acr_values'), authorizeCalls(), app.errors], [MFA, 2, []])
    await page.goto(`${app.origin}/fresh?a=1#part`)
    assert.deepEqual([page.url(), authorizeCalls()], [`${app.origin}/fresh?a=1#`, 3])
  })
})
