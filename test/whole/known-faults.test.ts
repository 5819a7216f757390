import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { request } from 'node:http'
import { connect } from 'node:net'
import { beforeEach, describe, it, mock } from 'node:test'
import { inspect } from 'node:util'
import session from 'express-session'
import { requireAuth } from '../../lib/index.ts'
import { createSeal } from '../../lib/session/seal.ts'
import { codesOf } from '../support/app/app.ts'
import { answerBy, answerJson } from '../support/app/app-routes.ts'
import { stopAfterEach } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { readForms } from '../support/browser/html-form.ts'
import { cookieOf, isTransaction, SESSION_COOKIE } from '../support/browser/login-cookies.ts'
import {
  arrive,
  assertLoggedIn,
  assertNobodyLoggedIn,
  createStand,
  EVIL_HTML,
  isLoggedIn,
  logIn,
  paramsOf,
  startStand,
  withParams,
} from '../support/hostile/hostile.ts'
import type { JsonObject } from '../support/strict-provider/context.ts'
import { firstRequest } from '../support/strict-provider/provider.ts'

// Vulnerabilities of other middlewares and relying parties, by their names. Most are rows in the tables of
// hostile-….test.ts; these need several steps. Those of refreshes and logouts are in tokens/faults-refresh-logout.test.ts.

const stopLater = stopAfterEach()

describe('known vulnerabilities of sessions', () => {
  const stand = createStand()

  it('CVE-2021-41246: a login changes the session id with a custom store too', async () => {
    const records = new Map<string, string>()
    const store = new (class extends session.Store {
      get(id: string, done: (error: unknown, data?: session.SessionData | null) => void): void {
        const text = records.get(id)
        setImmediate(done, null, text === undefined ? null : JSON.parse(text))
      }
      set(id: string, data: session.SessionData, done?: (error?: unknown) => void): void {
        records.set(id, JSON.stringify(data))
        if (done) setImmediate(done)
      }
      destroy(id: string, done?: (error?: unknown) => void): void {
        records.delete(id)
        if (done) setImmediate(done)
      }
    })()
    const own = stopLater(await startStand({ app: { session: { store } } }))
    const attacker = own.app.browser()
    await attacker.open('/write')
    const planted = cookieOf(attacker)
    const victim = attacker.clone()
    assert.equal((await victim.open('/login?returnTo=/profile')).status, 200)
    assert.notEqual(cookieOf(victim), planted)
    assert.deepEqual([await isLoggedIn(victim), await isLoggedIn(attacker)], [true, false])
    assert.equal([...records.keys()].filter((id) => !id.startsWith('oidc-')).length, 1)
  })

  it('CVE-2022-25896: a login and a logout each change the session id', async () => {
    const browser = stand.app.browser()
    const ids: string[] = []
    for (const path of ['/write', '/login', '/write']) {
      await browser.open(path)
      ids.push(cookieOf(browser))
    }
    await browser.post('/logout')
    await browser.open('/write')
    ids.push(cookieOf(browser))
    assert.deepEqual(
      ids.map((id) => ids.indexOf(id)),
      [0, 1, 1, 3],
    )
    assert.equal(await isLoggedIn(browser), false)
  })

  it('CVE-2023-20862: a cookie that was copied before the logout is not accepted', async () => {
    const { browser } = await logIn(stand)
    const copy = browser.clone()
    assert.equal(await isLoggedIn(copy), true)
    await browser.post('/logout')
    assert.equal(await isLoggedIn(copy), false)
    assert.equal((await copy.fetch('/tokens')).body, 'null')
    await assertNobodyLoggedIn(stand.app, copy)
  })

  it('CVE-2025-55162: a logout deletes cookies with __Host- and __Secure-', async () => {
    const prefixed = { name: '__Host-sid', proxy: true, cookie: { secure: true, path: '/' } }
    const secure = stopLater(await startStand({ app: { tls: true, session: prefixed } }))
    const browser = secure.app.browser()
    assert.equal((await browser.open('/login?returnTo=/profile')).status, 200)
    assert.notEqual(cookieOf(browser, '__Host-sid'), '')
    await browser.post('/logout', {}, { follow: false })
    assert.deepEqual(
      browser.cookies().map(({ name }) => name),
      [],
    )
    assert.deepEqual(browser.jar.refused, [])
  })

  it('CVE-2026-53516, CVE-2015-9284: a login with the same e-mail and another sub is another user', async () => {
    const account = { sub: 'victim', claims: { email: 'shared@example.test', email_verified: true } }
    stand.provider.account = account
    const { browser } = await logIn(stand)
    await browser.open('/write')
    stand.provider.account = { ...account, sub: 'attacker' }
    // A link on a page of another site.
    const page = await browser.open('/login?returnTo=/session', { from: 'https://evil.example' })
    assert.equal(page.json()['cart'], undefined)
    assert.equal((await browser.fetch('/profile')).json()['sub'], 'attacker')
    assert.equal(await stand.app.sessions(), 1)
  })

  it('GHSA-f24x-5g9q-753f: an expired login stays expired while a new one fails', async () => {
    const { browser } = await logIn(stand)
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 86_401_000 })
    assert.equal(await isLoggedIn(browser), false)
    stand.provider.change.authorizationResponse = (params) => {
      params.delete('code')
      params.set('error', 'access_denied')
      return params
    }
    assert.equal((await browser.open('/profile')).status, 403)
    assert.equal(await isLoggedIn(browser), false)
    assert.equal((await browser.fetch('/tokens')).body, 'null')
  })

  it('CVE-2024-51987, CVE-2025-26620: logins of several users at the same moment are not mixed up', async () => {
    const arrivals = []
    for (const name of ['ann', 'bea', 'cay', 'dot', 'eve', 'flo']) {
      stand.provider.account = { sub: name, claims: { name } }
      arrivals.push({ name, ...(await arrive(stand)) })
    }
    await Promise.all(arrivals.map(({ browser, answer }) => browser.go(answer)))
    const people = await Promise.all(
      arrivals.map(async ({ browser }) => {
        const [profile, tokens] = await Promise.all([browser.fetch('/profile'), browser.fetch('/tokens')])
        const authorization = `Bearer ${tokens.json()['accessToken']}`
        const userinfo = await browser.fetch(stand.provider.endpointUrls['/userinfo'], { headers: { authorization } })
        return [profile.json()['sub'], userinfo.json()['sub']]
      }),
    )
    assert.deepEqual(
      people,
      arrivals.map(({ name }) => [name, name]),
    )
    assert.equal(await stand.app.sessions(), 6)
  })
})

describe('known vulnerabilities of cookies', () => {
  const stand = createStand()

  const SECRET = 'a secret of a test, with 40 characters x'
  const NAME = 'oidc-tx.name'

  it('CVE-2021-32791: the same value is never encrypted with the same IV', () => {
    const seal = createSeal([SECRET], 'transaction')
    const sealed = Array.from({ length: 100 }, () => seal.seal('text', NAME))
    assert.equal(new Set(sealed.map((text) => text.slice(0, 16))).size, 100)
  })

  it('CVE-2026-40372: an encrypted value that was changed, cut or extended cannot be decrypted', () => {
    const seal = createSeal([SECRET], 'transaction')
    const sealed = seal.seal(JSON.stringify({ state: 'x'.repeat(43) }), NAME)
    const bytes = Buffer.from(sealed, 'base64url')
    assert.notEqual(seal.open(sealed, NAME), undefined)
    for (let index = 0; index < bytes.length; index++) {
      for (let bit = 0; bit < 8; bit++) {
        const changed = Buffer.from(bytes)
        changed[index] = (changed[index] ?? 0) ^ (1 << bit)
        assert.equal(seal.open(changed.toString('base64url'), NAME), undefined, `byte ${index}, bit ${bit}`)
      }
      assert.equal(seal.open(bytes.subarray(0, index).toString('base64url'), NAME), undefined, `cut at ${index}`)
    }
    assert.equal(seal.open(Buffer.concat([bytes, Buffer.alloc(1)]).toString('base64url'), NAME), undefined)
  })

  it('CVE-2023-35941: the value of a cookie cannot be decrypted under another name or for another purpose', () => {
    const seal = createSeal([SECRET], 'transaction')
    const sealed = seal.seal('value', 'oidc-tx.ab')
    for (const place of ['oidc-tx.a', 'oidc-tx.abv', 'oidc-tx.', '', 'oidc-tx.ab\0']) {
      assert.equal(seal.open(sealed, place), undefined)
    }
    assert.equal(createSeal([SECRET], 'tokens').open(sealed, 'oidc-tx.ab'), undefined)
    assert.equal(createSeal([`${SECRET}x`], 'transaction').open(sealed, 'oidc-tx.ab'), undefined)
  })

  it('CVE-2023-48309, CVE-2026-114607: a transaction is not accepted as a session, nor tokens as either', async () => {
    const { browser } = await arrive(stand)
    const transaction = browser.cookies().find(isTransaction)
    const { browser: loggedIn } = await logIn(stand)
    const records = Object.entries(await stand.app.records())
    const tokens = records.map(([, record]) => Reflect.get(record, 'tokens')).find((value) => value !== undefined)
    assert.ok(transaction && typeof tokens === 'string')
    const thief = stand.app.browser()
    for (const value of [transaction.value, `s%3A${transaction.value}`, tokens]) {
      thief.jar.store(new URL(stand.app.origin), [`${SESSION_COOKIE}=${value}; Path=/`])
      assert.equal(await isLoggedIn(thief), false)
    }
    browser.jar.store(new URL(stand.app.origin), [`${transaction.name}=${tokens}; Path=/`])
    assert.equal((await browser.open('/callback?code=x&state=x')).status, 400)
    assert.deepEqual([await isLoggedIn(browser), await isLoggedIn(loggedIn)], [false, true])
  })

  it('CVE-2023-27490: a transaction without a value to compare fails the login', async () => {
    for (const member of ['state', 'nonce', 'codeVerifier', 'issuer', 'redirectUri']) {
      await stand.reset()
      const { browser, answer } = await arrive(stand)
      const cookie = browser.cookies().find(isTransaction)
      assert.ok(cookie)
      const seal = createSeal([stand.provider.clientSecret], 'transaction')
      const { [member]: _dropped, ...rest } = JSON.parse(seal.open(cookie.value, cookie.name) ?? '')
      const value = seal.seal(JSON.stringify(rest), cookie.name)
      browser.jar.store(new URL(stand.app.origin), [`${cookie.name}=${value}; Path=/`])
      assert.ok((await browser.go(answer)).status >= 400, member)
      await assertNobodyLoggedIn(stand.app, browser)
    }
  })

  it('CVE-2023-28625: no Cookie header causes an error', async () => {
    const headers = [
      ...[
        '',
        ';',
        ';;;',
        '=',
        '==',
        ' = ; = ',
        'a',
        'a;b;c',
        '=a=b=c',
        ';=;=;',
        '\t',
        '"',
        '"="',
        ',',
        '\u00ff=\u00ff',
      ],
      ...['__proto__=1', 'constructor=1; toString=2', 'oidc-tx.', 'oidc-tx.=', 'oidc-tx.x=%', 'connect.sid=%zz%'],
      ...['connect.sid=s%3A', 'connect.sid=j%3A%7B', 'oidc-landed', 'oidc-landed=%', `a=${'x'.repeat(8000)}`],
      Array.from({ length: 900 }, (_, index) => `c${index}=`).join(';'),
    ]
    for (const cookie of headers) {
      for (const path of ['/', '/profile', '/callback?state=x&code=y', '/login', '/logout']) {
        const { status } = await stand.app.browser().open(path, { headers: { cookie }, follow: false })
        assert.ok(status < 500, `${path} ${JSON.stringify(cookie).slice(0, 50)}`)
      }
    }
    assert.deepEqual(stand.app.otherErrors, [])
    assert.equal(await stand.app.sessions(), 0)
  })

  it('CVE-2021-22119: fifty abandoned logins leave six cookies in the browser, and nothing in the store', async () => {
    const browser = stand.app.browser()
    for (let count = 0; count < 50; count++) await browser.open('/login?returnTo=/profile', { follow: false })
    assert.equal(browser.cookies().filter(isTransaction).length, 6)
    assert.deepEqual(await stand.app.records(), {})
    await assertLoggedIn(stand, { browser, page: await browser.open('/login?returnTo=/profile') })
  })
})

describe('known vulnerabilities of guards', () => {
  let calls: number
  const counted = answerJson(() => {
    calls += 1
    return { secret: 'seen' }
  })
  const stand = createStand({ app: { routes: { '/counted': [requireAuth(), counted] } } })
  beforeEach(() => {
    calls = 0
  })

  it('CVE-2025-31492: the route does not run after a guard has sent a response', async () => {
    const browser = stand.app.browser()
    for (const page of [await browser.open('/counted', { follow: false }), await browser.fetch('/counted')]) {
      assert.doesNotMatch(page.body, /seen/)
    }
    assert.equal(calls, 0)
  })

  it('CVE-2017-6062, CVE-2025-64484, CVE-2026-34457, CVE-2022-29226: no header replaces a login', async () => {
    const headers = {
      authorization: 'Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.',
      'oidc-claim-sub': 'admin',
      oidc_claim_sub: 'admin',
      'x-forwarded-user': 'admin',
      x_forwarded_user: 'admin',
      'x-remote-user': 'admin',
      'remote-user': 'admin',
      'x-auth-request-user': 'admin',
      'x-forwarded-access-token': 'x',
      'x-original-url': '/',
      'x-rewrite-url': '/',
      'x-http-method-override': 'OPTIONS',
      'user-agent': 'GoogleHC/1.0 kube-probe/1.0 ELB-HealthChecker/2.0',
      'access-control-request-method': 'GET',
      'sec-purpose': 'prefetch',
      purpose: 'prefetch',
      upgrade: 'h2c',
    }
    for (const [name, value] of Object.entries(headers)) {
      const page = await stand.app.browser().fetch('/counted', { headers: { [name]: value } })
      assert.equal(page.status, 401, name)
    }
    assert.equal((await stand.app.browser().fetch('/counted', { headers })).status, 401)
    assert.equal(calls, 0)
  })

  it('GHSA-xmf8-cvqr-rfgj: no Authorization header causes an error', async () => {
    for (const authorization of [
      '',
      'Bearer',
      'Bearer ',
      'Bearer %',
      'Bearer a b',
      'Basic',
      'Basic %%%',
      '=',
      EVIL_HTML,
    ]) {
      const page = await stand.app.browser().fetch('/counted', { headers: { authorization } })
      assert.equal(page.status, 401)
    }
    assert.deepEqual([stand.app.errors, stand.app.otherErrors], [[], []])
  })

  it('CVE-2025-54576, CVE-2026-41059, GHSA-x732-6j76-qmhm: no spelling of a path bypasses a guard', async () => {
    const spellings = [
      ...[
        '/counted?/login',
        '/counted?x=/callback',
        '/counted?a#/login',
        '/counted/',
        '/COUNTED',
        '/counted//',
        '//counted',
      ],
      ...[
        '/%63ounted',
        '/counted%2f',
        '/./counted',
        '/x/../counted',
        '/counted;a=b',
        '/counted%00',
        '/login/../counted',
      ],
      ...['/callback/counted', '/counted/login', '/login%2f..%2fcounted', '/counted.json', '\\counted'],
    ]
    for (const path of spellings) {
      const { status, body } = await stand.app.browser().fetch(stand.app.origin + path)
      assert.ok([401, 404].includes(status), `${path}: ${status}`)
      assert.doesNotMatch(body, /seen/)
    }
    assert.deepEqual([calls, stand.app.otherErrors], [0, []])
  })

  it('mod_auth_openidc, 2026-08-07: only a preflight passes a guard without a login', async () => {
    const preflight = {
      method: 'OPTIONS',
      headers: { 'access-control-request-method': 'GET', origin: 'https://evil.example' },
    }
    const seen = await stand.app.browser().fetch('/', preflight)
    assert.equal(seen.json()['authenticated'], false)
    for (const method of ['GET', 'POST', 'PUT', 'HEAD', 'DELETE']) {
      const page = await stand.app.browser().fetch('/counted', { ...preflight, method })
      assert.equal(page.status, 401, method)
    }
    assert.equal(calls, 0)
  })

  it('GHSA-8fpg-xm3f-6cx3: without a session, or with the provider down, there is no login', async () => {
    const without = stopLater(await startStand({ app: { session: false } }))
    without.provider.change.raw['/discovery'] = (_req, res) => void res.destroy()
    const browser = without.app.browser()
    assert.deepEqual((await browser.fetch('/')).json(), { authenticated: false, claims: null })
    assert.deepEqual([(await browser.fetch('/profile')).status, (await browser.fetch('/tokens')).body], [401, 'null'])
    assert.equal((await browser.fetch('/login')).status, 500)
    assert.deepEqual(codesOf(without.app), ['ERR_OIDC_SESSION_MISSING'])
  })
})

describe('known vulnerabilities of routes', () => {
  const routes = {
    '/own-login': answerBy(({ oidc }) => oidc.login({ authorizationParams: { state: 'x', nonce: 'y', scope: 'all' } })),
    '/fresh-login': answerBy(({ oidc }) => oidc.login({ authorizationParams: { max_age: 60 }, returnTo: '/profile' })),
  }
  const stand = createStand({ app: { routes, errorHandler: 'json' } })

  const authorizeQuery = (): URLSearchParams =>
    firstRequest(stand.provider, '/authorize')?.query ?? new URLSearchParams()

  it('CVE-2025-67716: nothing in returnTo or the query becomes a parameter of the authorization request', async () => {
    const injected =
      'client_id=evil&scope=admin&prompt=login&claims=x&redirect_uri=https://evil.example&response_mode=fragment'
    const returnTo = encodeURIComponent(`/profile?${injected}#&${injected}`)
    await stand.app.browser().open(`/login?returnTo=${returnTo}&${injected}&iss=https://evil.example&login_hint=x`)
    const names = [...authorizeQuery().keys()]
    assert.deepEqual(names.sort(), [
      ...['client_id', 'code_challenge', 'code_challenge_method', 'nonce', 'redirect_uri'],
      ...['response_type', 'scope', 'state'],
    ])
    assert.equal(authorizeQuery().get('client_id'), stand.provider.clientId)
    assert.deepEqual(stand.provider.complaints, [])
  })

  it('mod_auth_openidc, 2026-08-07: no parameter that protects the login can be overridden', async () => {
    const page = await stand.app.browser().open('/own-login')
    assert.deepEqual([page.status, page.json()['error']], [500, 'ERR_OIDC_CONFIG'])
    assert.equal(stand.provider.calls['/authorize'], 0)
  })

  it('CVE-2026-107371: a requested max_age is checked', async () => {
    stand.provider.authTime = Math.floor(Date.now() / 1000) - 600
    const browser = stand.app.browser()
    const page = await browser.open('/fresh-login')
    await assertRefusedByJson(browser, page.status, 'ERR_OIDC_ID_TOKEN_AUTH_TIME')
    stand.app.errors.length = 0
    stand.provider.authTime = undefined
    assert.equal((await browser.open('/fresh-login')).status, 200)
  })

  async function assertRefusedByJson(browser: Browser, status: number, code: string): Promise<void> {
    assert.deepEqual([status, stand.app.errors.map((error) => error.code)], [502, [code]])
    await assertNobodyLoggedIn(stand.app, browser)
  }

  const ORIGINS = [
    ...[
      'null',
      '',
      'https://evil.example',
      'https://127.0.0.1',
      'http://127.0.0.1',
      'http://localhost',
      'http://',
      '/',
    ],
    ...[
      'ORIGIN.evil.example',
      'ORIGIN@evil.example',
      'ORIGIN0',
      'http://evil.example/ORIGIN',
      'http://evil.example#ORIGIN',
    ],
    ...['xORIGIN', 'ORIGIN, https://evil.example', 'https://evil.example, ORIGIN', EVIL_HTML],
  ]
  for (const source of ['origin', 'referer']) {
    it(`express-openid-connect and keycloak-connect, logout CSRF: a foreign ${source} logs no user out`, async () => {
      const { browser } = await logIn(stand)
      const cookie = `${SESSION_COOKIE}=${cookieOf(browser)}`
      for (const text of ORIGINS) {
        const headers = { cookie, [source]: text.replace('ORIGIN', stand.app.origin) }
        assert.equal(await statusOf({ method: 'POST', headers }), 403, text)
      }
      for (const site of ['cross-site', 'same-site', '', 'SAME-ORIGIN', 'none, cross-site', EVIL_HTML]) {
        const headers = { cookie, 'sec-fetch-site': site, [source]: stand.app.origin }
        assert.equal(await statusOf({ method: 'POST', headers }), 403, site)
      }
      assert.equal(await statusOf({ method: 'POST', headers: { cookie } }), 403)
      assert.equal(await statusOf({ method: 'GET', headers: { cookie, [source]: stand.app.origin } }), 405)
      assert.equal(await isLoggedIn(browser), true)
      assert.equal(await statusOf({ method: 'POST', headers: { cookie, [source]: stand.app.origin } }), 200)
      assert.equal(await isLoggedIn(browser), false)
    })
  }

  /** Sends a request to the logout route with exactly these headers. */
  function statusOf(how: { readonly method: string; readonly headers: Record<string, string> }): Promise<number> {
    return new Promise((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port: stand.app.port, path: '/logout', agent: false, ...how })
      sent.on('error', reject)
      sent.on('response', (answer) => {
        answer.resume()
        resolve(answer.statusCode ?? 0)
      })
      sent.end()
    })
  }

  it('Logto: a browser that disconnects during the callback leaves no unhandled rejection and no login', async () => {
    for (const isBroken of [true, false]) {
      await stand.reset()
      const { browser, answer } = await arrive(stand)
      const url = new URL(answer.url)
      const cookie = browser.jar.header(url, { sameSite: false, safeNavigation: true })
      const socket = connect(stand.app.port, '127.0.0.1')
      const gone = new Promise((resolve) => socket.on('close', resolve))
      stand.provider.change.tokenResponse = (good) => {
        socket.destroy()
        if (isBroken) throw new Error('the provider fails')
        return { ...good, id_token: 'x' }
      }
      socket.write(`GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\nCookie: ${cookie}\r\n\r\n`)
      await gone
      await stand.app.browser().open('/')
      await assertNobodyLoggedIn(stand.app, browser)
    }
  })
})

describe('known vulnerabilities of forms', () => {
  const stand = createStand({ app: { options: { responseMode: 'form_post' } } })

  it('CVE-2021-32792: the fields in the page that posts the response again are escaped', async () => {
    const texts = [
      `' onfocus='alert(1)`,
      `" autofocus onfocus="alert(1)`,
      '</form><form action=//evil.example>',
      '&quot;&#39;',
    ]
    const { browser, answer } = await arrive(stand)
    const params = paramsOf(answer)
    for (const [index, text] of texts.entries()) params.set(`x${index}${text}`, text)
    const page = await browser.go(withParams(answer, params), { follow: false })
    const forms = readForms(page.body, page.url)
    assert.equal(forms.length, 1)
    assert.equal(forms[0]?.action, `${stand.app.origin}/callback`)
    const sent = new Map(forms[0]?.fields)
    for (const [index, text] of texts.entries()) assert.equal(sent.get(`x${index}${text}`), text)
    for (const [, text = ''] of page.body.matchAll(/(?:name|value)="([^"]*)"/g)) assert.doesNotMatch(text, /['<>]/)
    await assertLoggedIn(stand, { browser, page: await browser.go(page.next) })
  })

  it('CVE-2021-20718, CVE-2025-3891, CVE-2023-49 of Envoy: the app still runs after invalid responses of every kind', async () => {
    const bodies = [undefined, '', '&', '=', 'state', 'state=', '%', '\0', 'state=x&state=y', EVIL_HTML]
    const types = [undefined, '', 'application/x-www-form-urlencoded', 'application/json', 'multipart/form-data', ';']
    for (const body of bodies) {
      for (const type of types) {
        const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type }
        const options = body === undefined ? { headers } : { headers, body }
        const page = await stand.app.browser().fetch('/callback', { method: 'POST', ...options })
        assert.ok([200, 400].includes(page.status))
      }
    }
    assert.deepEqual(stand.app.otherErrors, [])
    stand.app.errors.length = 0
    await assertLoggedIn(stand, await logIn(stand))
  })
})

describe('known vulnerabilities of logs', () => {
  const CHANNELS = ['login-start', 'login', 'logout', 'denied', 'error', 'provider'].map(
    (name) => `express-oidc:${name}`,
  )

  it('mod_auth_openidc, 2026-05-23 and 2026-07-28: no event holds a token, code or secret', async () => {
    const published = new Map<string | symbol, string>()
    const listen = (message: unknown, name: string | symbol): void => {
      published.set(name, `${published.get(name) ?? ''}\n${inspect(message, { depth: 10 })}`)
    }
    for (const channel of CHANNELS) subscribe(channel, listen)
    const options = { userinfo: true, scope: 'openid offline_access' }
    const stand = stopLater(await startStand({ app: { options } }))
    const secrets = new Set([stand.provider.clientSecret])
    const remember = (good: JsonObject): JsonObject => {
      for (const name of ['access_token', 'id_token', 'refresh_token']) secrets.add(String(good[name]))
      return good
    }
    try {
      stand.provider.change.tokenResponse = remember
      const { browser } = await logIn(stand)
      await browser.fetch('/reports')
      await browser.post('/logout')
      stand.provider.change.tokenResponse = (good, answer) => {
        answer.status = 400
        return { ...remember(good), error: 'invalid_grant' }
      }
      await logIn(stand)
      stand.provider.change.tokenResponse = (good) => ({ ...remember(good), token_type: 'mac' })
      await logIn(stand)
      for (const name of ['code', 'state', 'nonce', 'code_verifier']) {
        const sources = stand.provider.requests.flatMap(({ query, form }) => [query, form])
        for (const value of sources.flatMap((source) => source.getAll(name))) secrets.add(value)
      }
    } finally {
      for (const channel of CHANNELS) unsubscribe(channel, listen)
    }
    assert.deepEqual([...published.keys()].sort(), CHANNELS.sort())
    assert.ok(secrets.size >= 22)
    for (const text of published.values()) {
      for (const secret of secrets) assert.ok(secret.length >= 16 && !text.includes(secret), text)
    }
  })
})
