import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { describe, it } from 'node:test'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { answerBy } from '../support/app/app-routes.ts'
import { observeLogouts } from '../support/app/logout-observer.ts'
import { destroyRecords, isTokens } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'
import { isAtProvider } from '../support/app/url-predicates.ts'
import { type Browser, createBrowser } from '../support/browser/browser.ts'
import { exchange } from '../support/browser/http-exchange.ts'
import { startProvider } from '../support/servers/provider.ts'
import { firstRequest } from '../support/strict-provider/provider.ts'

const stage = createStage({ app: { errorHandler: 'json' } })
const { startLoggedIn } = stage
const seen = observeLogouts()

async function isLoggedIn(browser: Browser): Promise<boolean> {
  return (await browser.fetch('/profile')).status === 200
}

describe('a logout', () => {
  it('redirects to the provider with id_token_hint, post_logout_redirect_uri and state, and back', async () => {
    const { app, browser } = await startLoggedIn()
    const { idToken } = (await browser.open('/tokens')).json()
    const page = await browser.post('/logout', {}, { stopBefore: isAtProvider })
    assert.equal(page.status, 303)
    const url = new URL(page.next?.url ?? '')
    const { state, ...params } = Object.fromEntries(url.searchParams)
    assert.equal(url.origin + url.pathname, stage.provider.endpointUrls['/logout'])
    assert.deepEqual(params, {
      client_id: stage.provider.clientId,
      id_token_hint: idToken,
      post_logout_redirect_uri: app.baseUrl,
    })
    assert.match(state ?? '', /^[\w-]{43}$/)
    const home = await browser.go(page.next)
    assert.equal(home.url, `${app.baseUrl}/?state=${state}`)
    assert.deepEqual(home.json(), { authenticated: false, claims: null })
    assert.deepEqual([stage.provider.complaints, codesOf(app)], [[], []])
  })

  it('ends the session and its tokens before the redirect', async () => {
    const { app, browser } = await startLoggedIn()
    const thief = browser.clone()
    const page = await browser.post('/logout', {}, { stopBefore: isAtProvider })
    assert.ok(page.next)
    assert.deepEqual(await app.records(), {})
    assert.equal(await isLoggedIn(thief), false)
    assert.equal(await isLoggedIn(browser), false)
  })

  it('deletes the session cookie, and forbids caches and the referrer', async () => {
    const { browser } = await startLoggedIn()
    const page = await browser.post('/logout', {}, { follow: false })
    assert.equal(page.headers['cache-control'], 'no-store')
    assert.equal(page.headers['referrer-policy'], 'no-referrer')
    assert.deepEqual(browser.cookies('127.0.0.1'), [])
  })

  it('deletes a session cookie with another name, path and prefix over https', async () => {
    const cookie = { secure: true, path: '/' }
    const { browser } = await startLoggedIn({}, { tls: true, session: { name: '__Host-app.session', cookie } })
    assert.ok(browser.cookies('127.0.0.1').some(({ name }) => name === '__Host-app.session'))
    await browser.post('/logout', {}, { follow: false })
    assert.deepEqual([browser.cookies('127.0.0.1'), browser.jar.refused], [[], []])
  })

  it('deletes a session cookie with a path and a domain', async () => {
    const session = { cookie: { path: '/portal', domain: 'localhost' } }
    const { app, browser } = await startLoggedIn({}, { mountPath: '/portal', hostname: 'localhost', session })
    assert.ok(browser.cookies().some(({ name, hostOnly }) => name === 'connect.sid' && !hostOnly))
    await browser.post(`${app.baseUrl}/logout`, {}, { follow: false })
    assert.deepEqual(browser.cookies(), [])
  })

  it('deletes a session cookie without a path', async () => {
    const { browser } = await startLoggedIn({}, { session: { cookie: { path: undefined } } })
    await browser.post('/logout', {}, { follow: false })
    assert.deepEqual(browser.cookies('127.0.0.1'), [])
  })

  it('keeps the other cookies of the application', async () => {
    const { app, browser } = await startLoggedIn()
    const others = ['theme=dark; Path=/', 'odd=%E0%A4%A; Path=/', 'empty=; Path=/']
    browser.jar.remove(() => true)
    browser.jar.store(new URL(app.baseUrl), others)
    await browser.open('/profile')
    await browser.post('/logout', {}, { follow: false })
    assert.deepEqual(
      browser.cookies('127.0.0.1').map(({ name }) => name),
      ['theme', 'odd', 'empty'],
    )
  })

  it('redirects to postLogoutRedirectUri if it is a path of the application', async () => {
    const { app, browser } = await startLoggedIn({ postLogoutRedirectUri: '/goodbye' }, { mountPath: '/portal' })
    const page = await browser.post(`${app.baseUrl}/logout`)
    assert.equal(page.url.split('?')[0], `${app.baseUrl}/goodbye`)
  })

  it('passes postLogoutRedirectUri on unchanged if it is an absolute URL', async () => {
    const { browser } = await startLoggedIn({ postLogoutRedirectUri: 'http://127.0.0.1:9/goodbye' })
    const page = await browser.post('/logout', {}, { stopBefore: isAtProvider })
    const { searchParams } = new URL(page.next?.url ?? '')
    assert.equal(searchParams.get('post_logout_redirect_uri'), 'http://127.0.0.1:9/goodbye')
  })

  it('redirects to the home page if the provider has no end_session_endpoint', async () => {
    stage.provider.change.discovery = ({ end_session_endpoint: _, ...metadata }) => metadata
    const { app, browser } = await startLoggedIn()
    const page = await browser.post('/logout')
    assert.equal(page.url, `${app.baseUrl}/`)
    assert.deepEqual([page.json()['authenticated'], stage.provider.calls['/logout']], [false, 0])
  })

  it('N-6: goes on to the end if the tokens cannot be deleted, and publishes the error', async () => {
    const { app, browser } = await startLoggedIn()
    const { destroy } = app.store
    app.store.destroy = (id, done) => {
      if (isTokens(id)) done?.(new Error('the store is down'))
      else destroy.call(app.store, id, done)
    }
    seen.errors.length = 0
    const thief = browser.clone()
    const page = await browser.post('/logout', {}, { stopBefore: isAtProvider })
    assert.ok(new URL(page.next?.url ?? '').searchParams.has('id_token_hint'))
    assert.deepEqual([seen.errors, seen.logouts.length, await app.sessions()], [['ERR_OIDC_SESSION_STORE'], 1, 0])
    assert.deepEqual([browser.cookies('127.0.0.1'), await isLoggedIn(thief)], [[], false])
  })

  it('N-6: deletes the tokens and keeps the cookie if the session cannot be destroyed, so that the user can retry', async () => {
    const { app, browser } = await startLoggedIn()
    const { destroy } = app.store
    app.store.destroy = (id, done) => {
      if (isTokens(id)) destroy.call(app.store, id, done)
      else done?.(new Error('the store is down'))
    }
    assert.equal((await browser.post('/logout', {}, { follow: false })).status, 503)
    assert.deepEqual(Object.keys(await app.records()).filter(isTokens), [])
    app.store.destroy = destroy
    await browser.post('/logout')
    assert.deepEqual([await app.sessions(), browser.cookies('127.0.0.1')], [0, []])
  })

  it('redirects to the home page without a login', async () => {
    const { app, browser } = await startLoggedIn()
    await browser.post('/logout')
    const page = await browser.post('/logout')
    assert.deepEqual([page.status, page.url], [200, `${app.baseUrl}/`])
    assert.equal(stage.provider.calls['/logout'], 1)
    assert.deepEqual(codesOf(app), [])
  })

  it('destroys an anonymous session too', async () => {
    const { app } = await startLoggedIn()
    const browser = app.browser()
    await browser.open('/write')
    await browser.post('/logout')
    assert.equal((await browser.open('/session')).json()['cart'], undefined)
    assert.equal(await app.sessions(), 1)
  })

  it('goes to the provider even if the login has expired', async () => {
    const { app, browser } = await startLoggedIn()
    for (const [id, record] of Object.entries(await app.records())) {
      if (!isTokens(id)) {
        Object.assign(Reflect.get(record, 'oidc'), { end: 1 })
        await new Promise((resolve) => app.store.set(id, record, resolve))
      }
    }
    assert.equal(await isLoggedIn(browser), false)
    await browser.post('/logout')
    assert.deepEqual([stage.provider.calls['/logout'], stage.provider.complaints], [1, []])
  })

  it('redirects to the home page if the store has lost the tokens', async () => {
    const { app, browser } = await startLoggedIn()
    await destroyRecords(app, isTokens)
    assert.equal((await browser.post('/logout')).url, `${app.baseUrl}/`)
    assert.equal(await isLoggedIn(browser), false)
  })

  it('ends the login here while the provider is down', async () => {
    const provider = await stage.startOther()
    const first = await stage.start({}, { provider })
    const second = await stage.start({}, { provider, session: { store: first.store } })
    const browser = first.browser()
    await browser.open('/profile')
    await provider.stop()
    // The second app has not sent any request to the provider yet.
    const page = await browser.post(`${second.baseUrl}/logout`, {}, { from: second.origin })
    assert.deepEqual([page.status, page.url], [200, `${second.baseUrl}/`])
    assert.equal(await isLoggedIn(browser), false)
    assert.deepEqual(codesOf(second), [])
  })

  it('works behind a body parser', async () => {
    const { app, browser } = await startLoggedIn({}, { bodyParser: true })
    const page = await browser.post('/logout', { csrf: 'x', post_logout_redirect_uri: 'https://evil.test/' })
    assert.equal(new URL(page.url).origin, app.origin)
  })

  it('ignores redirect URIs in the request', async () => {
    const { browser } = await startLoggedIn()
    const query = 'returnTo=https://evil.test/&post_logout_redirect_uri=https://evil.test/'
    const page = await browser.post(`/logout?${query}`, {}, { stopBefore: isAtProvider })
    assert.ok(!page.next?.url.includes('evil'))
  })
})

describe('the logout route', () => {
  const foreign: readonly (readonly [name: string, headers: Record<string, string>])[] = [
    ['cross-site', { 'sec-fetch-site': 'cross-site' }],
    ['same-site, by a sub-domain', { 'sec-fetch-site': 'same-site' }],
    ['cross-site, with our origin', { 'sec-fetch-site': 'cross-site', origin: 'ORIGIN' }],
    ['with an unknown Sec-Fetch-Site', { 'sec-fetch-site': 'of-some-kind' }],
    ['of another origin, from an old browser', { origin: 'https://evil.test' }],
    ['of the same host and another port, from an old browser', { origin: 'http://127.0.0.1:1' }],
    ['of another scheme, from an old browser', { origin: 'HTTPSORIGIN' }],
    ['of an origin that begins like ours, from an old browser', { origin: 'ORIGIN.evil.test' }],
    ['with an opaque origin, from an old browser', { origin: 'null' }],
    ['with an opaque origin and our referrer, from an old browser', { origin: 'null', referer: 'ORIGIN/' }],
    ['with a foreign referrer, from an old browser', { referer: 'https://evil.test/?ORIGIN/' }],
    ['with an invalid referrer, from an old browser', { referer: 'x' }],
    ['without any header that names its origin', {}],
  ]
  const own: readonly (readonly [name: string, headers: Record<string, string>])[] = [
    ['same-origin', { 'sec-fetch-site': 'same-origin' }],
    ['same-origin, from a page with an opaque origin', { 'sec-fetch-site': 'same-origin', origin: 'null' }],
    ['typed in by the user', { 'sec-fetch-site': 'none' }],
    ['with our origin, from an old browser', { origin: 'ORIGIN' }],
    ['with our referrer, from an old browser', { referer: 'ORIGIN/profile?a=1' }],
  ]

  /** Posts with the cookies and exactly these headers. */
  async function postFrom(
    headers: Record<string, string>,
  ): Promise<{ status: number; app: TestApp; stillIn: boolean }> {
    const { app, browser } = await startLoggedIn()
    const url = new URL('/logout', app.origin)
    const cookie = browser.jar.header(url, { sameSite: true, safeNavigation: true })
    const sent = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, at(app, value)]))
    const { status } = await exchange({ method: 'POST', url, headers: { cookie, ...sent } })
    return { status, app, stillIn: await isLoggedIn(browser) }
  }

  function at({ origin }: TestApp, value: string): string {
    return value.replace('HTTPSORIGIN', origin.replace('http:', 'https:')).replace('ORIGIN', origin)
  }

  for (const [name, headers] of foreign) {
    it(`refuses a POST ${name}`, async () => {
      const { status, app, stillIn } = await postFrom(headers)
      assert.deepEqual([status, stillIn, codesOf(app)], [403, true, ['ERR_OIDC_CROSS_SITE_LOGOUT']])
    })
  }

  for (const [name, headers] of own) {
    it(`accepts a POST ${name}`, async () => {
      const { status, stillIn } = await postFrom(headers)
      assert.deepEqual([status, stillIn], [200, false])
    })
  }

  it('refuses a form of another site', async () => {
    const { browser } = await startLoggedIn()
    const page = await browser.post('/logout', {}, { from: 'https://evil.test' })
    assert.equal(page.status, 403)
    assert.equal(await isLoggedIn(browser), true)
  })

  it('accepts a form of our own page that sends no referrer', async () => {
    const { browser } = await startLoggedIn()
    await browser.post('/logout', {}, { referrerPolicy: 'no-referrer' })
    assert.equal(await isLoggedIn(browser), false)
  })

  for (const method of ['GET', 'HEAD', 'PUT', 'DELETE']) {
    it(`refuses ${method} of a script, with the header Allow`, async () => {
      const { app, browser } = await startLoggedIn()
      const page = await browser.fetch('/logout', { method })
      assert.equal(page.status, 405)
      assert.equal(app.errors[0]?.headers['Allow'], 'POST')
      assert.equal(await isLoggedIn(browser), true)
    })
  }
})

describe('the logout route with logoutByGet', () => {
  it('accepts a link on our own page', async () => {
    const { app, browser } = await startLoggedIn({ logoutByGet: true })
    const page = await browser.open('/logout', { from: app.origin })
    assert.equal(page.json()['authenticated'], false)
    assert.equal(await isLoggedIn(browser), false)
  })

  it('accepts a URL that the user typed in', async () => {
    const { browser } = await startLoggedIn({ logoutByGet: true })
    await browser.open('/logout')
    assert.equal(await isLoggedIn(browser), false)
  })

  it('accepts a link in a browser without fetch metadata', async () => {
    const { browser, app } = await startLoggedIn({ logoutByGet: true })
    const cookie = browser.jar.header(new URL(app.baseUrl), { sameSite: true, safeNavigation: true })
    const old = createBrowser({ origin: app.origin, fetchMetadata: 'absent' })
    await old.open('/logout', { headers: { cookie }, follow: false })
    assert.equal(await isLoggedIn(browser), false)
  })

  it('still accepts a POST', async () => {
    const { browser } = await startLoggedIn({ logoutByGet: true })
    await browser.post('/logout')
    assert.equal(await isLoggedIn(browser), false)
  })

  it('refuses a link and an image of another site', async () => {
    const { app, browser } = await startLoggedIn({ logoutByGet: true })
    const link = await browser.open('/logout', { from: 'https://evil.test' })
    const image = await browser.fetch('/logout', { from: 'https://evil.test' })
    assert.deepEqual([link.status, image.status], [403, 403])
    assert.equal(await isLoggedIn(browser), true)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_CROSS_SITE_LOGOUT', 'ERR_OIDC_CROSS_SITE_LOGOUT'])
  })

  it('refuses other methods, with the header Allow', async () => {
    const { app, browser } = await startLoggedIn({ logoutByGet: true })
    assert.equal((await browser.fetch('/logout', { method: 'PUT' })).status, 405)
    assert.equal(app.errors[0]?.headers['Allow'], 'POST, GET')
  })
})

describe('req.oidc.logout()', () => {
  it('logs out from a route of the application', async () => {
    const logOut = answerBy(({ oidc }) => oidc.logout())
    const { app, browser } = await startLoggedIn({}, { routes: { '/leave': logOut } })
    const page = await browser.open('/leave')
    assert.equal(page.json()['authenticated'], false)
    assert.deepEqual([await app.records(), stage.provider.calls['/logout']], [{}, 1])
  })
})

describe('a logout at oidc-provider', () => {
  it('ends the session there too, so that the next login shows the sign-in page', async () => {
    const provider = stage.stopLater(await startProvider())
    const app = await stage.start({ scope: 'openid' }, { provider })
    const browser = app.browser()
    await browser.open('/profile')
    const page = await browser.post('/logout')
    assert.deepEqual([page.status, new URL(page.url).pathname], [200, '/'])
    provider.account = 'bob'
    assert.equal((await browser.open('/profile')).json()['sub'], 'bob')
  })
})

describe('a logout by a script', () => {
  it('returns the URL to open next', async () => {
    const { app, browser } = await startLoggedIn()
    const page = await browser.fetch('/logout', { method: 'POST', headers: { 'sec-fetch-site': 'same-origin' } })
    assert.equal(page.status, 200)
    const url = new URL(String(page.json()['logoutUrl']))
    assert.equal(url.origin, new URL(stage.provider.issuer).origin)
    assert.equal(url.searchParams.get('post_logout_redirect_uri'), app.baseUrl)
    assert.equal(await isLoggedIn(browser), false)
  })
})

describe('a logout by GET', () => {
  it('refuses a prefetch', async () => {
    const { app, browser } = await startLoggedIn({ logoutByGet: true })
    const page = await browser.open('/logout', { headers: { 'sec-purpose': 'prefetch;prerender' }, follow: false })
    assert.deepEqual([page.status, codesOf(app)], [403, ['ERR_OIDC_CROSS_SITE_LOGOUT']])
    assert.equal(await isLoggedIn(browser), true)
  })
})

describe('a very long ID Token', () => {
  const groups = Array(300).fill('a group of some length')

  it('is posted to the provider, because it is too long for a URL', async () => {
    stage.provider.change.idTokenClaims = (claims) => ({ ...claims, groups })
    const { app, browser } = await startLoggedIn()
    const { idToken } = (await browser.open('/tokens')).json()
    const page = await browser.post('/logout')
    assert.match(page.url, new RegExp(`^${app.baseUrl}/\\?state=[\\w-]{43}$`))
    const asked = firstRequest(stage.provider, '/logout')
    assert.deepEqual([asked?.method, asked?.form.get('id_token_hint')], ['POST', idToken])
    assert.deepEqual([[...(asked?.query ?? [])], stage.provider.complaints], [[], []])
  })

  it('is not in the URL for a script', async () => {
    stage.provider.change.idTokenClaims = (claims) => ({ ...claims, groups })
    const { browser } = await startLoggedIn()
    const { logoutUrl } = (await browser.fetch('/logout', { method: 'POST' })).json()
    const { searchParams } = new URL(String(logoutUrl))
    assert.equal(searchParams.get('id_token_hint'), null)
    assert.equal(searchParams.get('client_id'), stage.provider.clientId)
  })

  it('is in a page whose policy allows only its own script', async () => {
    stage.provider.change.idTokenClaims = (claims) => ({ ...claims, groups })
    const { browser } = await startLoggedIn()
    const page = await browser.post('/logout', {}, { follow: false })
    assert.match(
      String(page.headers['content-security-policy']),
      /^default-src 'none'; script-src 'nonce-[^']+'; base-uri/,
    )
    assert.equal(page.headers['cache-control'], 'no-store')
  })
})

describe('the tokens at a logout', () => {
  const scope = 'openid profile email offline_access'

  it('are revoked at the provider by the refresh token', async () => {
    const { browser } = await startLoggedIn({ scope })
    const { refreshToken } = (await browser.open('/tokens')).json()
    await browser.post('/logout')
    const asked = firstRequest(stage.provider, '/revoke')
    assert.deepEqual(
      [asked?.form.get('token'), asked?.form.get('token_type_hint'), stage.provider.calls['/revoke']],
      [refreshToken, 'refresh_token', 1],
    )
    assert.deepEqual(stage.provider.complaints, [])
  })

  it('are revoked at the provider by the access token if there is no refresh token', async () => {
    const { browser } = await startLoggedIn()
    const { accessToken } = (await browser.open('/tokens')).json()
    await browser.post('/logout')
    const asked = firstRequest(stage.provider, '/revoke')
    assert.deepEqual([asked?.form.get('token'), asked?.form.get('token_type_hint')], [accessToken, 'access_token'])
  })

  it('are not revoked with revokeTokens: false', async () => {
    const { browser } = await startLoggedIn({ revokeTokens: false })
    await browser.post('/logout')
    assert.equal(stage.provider.calls['/revoke'], 0)
  })

  for (const [name, raw] of [
    ['refuses to revoke them', (_req: unknown, res: ServerResponse) => void res.writeHead(503).end()],
    ['closes the connection', (_req: unknown, res: ServerResponse) => void res.destroy()],
  ] as const) {
    it(`do not keep the user logged in if the provider ${name}`, async () => {
      const { app, browser } = await startLoggedIn()
      stage.provider.change.raw['/revoke'] = raw
      const page = await browser.post('/logout')
      assert.match(page.url, /\?state=/)
      assert.deepEqual([await app.sessions(), codesOf(app)], [0, []])
    })
  }
})

describe('endSessionParams', () => {
  async function paramsWith(options: Partial<AnyOptions>): Promise<URLSearchParams> {
    const { browser } = await startLoggedIn(options)
    const page = await browser.post('/logout', {}, { stopBefore: isAtProvider })
    return new URL(page.next?.url ?? '').searchParams
  }

  it('are sent to the provider', async () => {
    const params = await paramsWith({ endSessionParams: { logout_hint: 'ada', ui_locales: 'nl' } })
    assert.deepEqual([params.get('logout_hint'), params.get('ui_locales')], ['ada', 'nl'])
  })

  it('can depend on the claims of the login', async () => {
    const params = await paramsWith({ endSessionParams: (claims) => ({ logout_hint: String(claims?.email) }) })
    assert.match(String(params.get('logout_hint')), /@/)
  })

  for (const given of [{ state: 'x' }, { id_token_hint: 'x' }, { 'a b': 'x' }, { logout_hint: '' }, null]) {
    it(`cannot be ${JSON.stringify(given)}`, async () => {
      const { app, browser } = await startLoggedIn({ endSessionParams: () => given as never })
      await browser.post('/logout')
      assert.deepEqual([codesOf(app), await app.sessions()], [['ERR_OIDC_CONFIG'], 0])
    })
  }
})

describe('Clear-Site-Data', () => {
  it('is sent only with the option clearSiteData', async () => {
    const { browser } = await startLoggedIn({ clearSiteData: ['cache', 'storage'] })
    const page = await browser.post('/logout', {}, { follow: false })
    assert.equal(page.headers['clear-site-data'], '"cache", "storage"')
    const other = await startLoggedIn()
    assert.equal((await other.browser.post('/logout', {}, { follow: false })).headers['clear-site-data'], undefined)
  })
})
