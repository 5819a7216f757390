import assert from 'node:assert/strict'
import { request } from 'node:http'
import { connect } from 'node:net'
import { describe, it } from 'node:test'
import { answerBy } from '../support/app/app-routes.ts'
import type { Browser } from '../support/browser/browser.ts'
import { cookieOf, SESSION_COOKIE } from '../support/browser/login-cookies.ts'
import { arrive, assertNobodyLoggedIn, createStand, EVIL_HTML, isLoggedIn, logIn } from '../support/hostile/hostile.ts'
import { firstRequest } from '../support/strict-provider/provider.ts'

// Attempts to change a login or a logout by a request to our routes.

describe('a request to our routes', () => {
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
