import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { describe, it } from 'node:test'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { answerBy } from '../support/app/app-routes.ts'
import { destroyRecords, isTokens } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'
import { isAtProvider } from '../support/app/url-predicates.ts'
import { type Browser, createBrowser } from '../support/browser/browser.ts'
import { exchange } from '../support/browser/http-exchange.ts'
import { startProvider } from '../support/servers/provider.ts'
import { firstRequest } from '../support/strict-provider/provider.ts'

const stage = createStage({ app: { errorHandler: 'json' } })
const { startLoggedIn } = stage

async function isLoggedIn(browser: Browser): Promise<boolean> {
  return (await browser.fetch('/profile')).status === 200
}

describe('a logout', () => {
  it('goes to the provider with id_token_hint, post_logout_redirect_uri and state, and comes back', async () => {
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
    const landed = await browser.go(page.next)
    assert.equal(landed.url, `${app.baseUrl}/?state=${state}`)
    assert.deepEqual(landed.json(), { authenticated: false, claims: null })
    assert.deepEqual([stage.provider.complaints, codesOf(app)], [[], []])
  })

  it('ends the session and its tokens before the browser leaves', async () => {
    const { app, browser } = await startLoggedIn()
    const thief = browser.clone()
    const page = await browser.post('/logout', {}, { stopBefore: isAtProvider })
    assert.ok(page.next)
    assert.deepEqual(await app.records(), {})
    assert.equal(await isLoggedIn(thief), false)
    assert.equal(await isLoggedIn(browser), false)
  })

  it('deletes the cookie of the session, and leaves nothing in caches and no referrer', async () => {
    const { browser } = await startLoggedIn()
    const page = await browser.post('/logout', {}, { follow: false })
    assert.equal(page.headers['cache-control'], 'no-store')
    assert.equal(page.headers['referrer-policy'], 'no-referrer')
    assert.deepEqual(browser.cookies('127.0.0.1'), [])
  })

  it('deletes a cookie of another name, path and prefix over https', async () => {
    const cookie = { secure: true, path: '/' }
    const { browser } = await startLoggedIn({}, { tls: true, session: { name: '__Host-app.session', cookie } })
    assert.ok(browser.cookies('127.0.0.1').some(({ name }) => name === '__Host-app.session'))
    await browser.post('/logout', {}, { follow: false })
    assert.deepEqual([browser.cookies('127.0.0.1'), browser.jar.refused], [[], []])
  })

  it('deletes a cookie with a path and a domain of its own', async () => {
    const session = { cookie: { path: '/portal', domain: 'localhost' } }
    const { app, browser } = await startLoggedIn({}, { mountPath: '/portal', hostname: 'localhost', session })
    assert.ok(browser.cookies().some(({ name, hostOnly }) => name === 'connect.sid' && !hostOnly))
    await browser.post(`${app.baseUrl}/logout`, {}, { follow: false })
    assert.deepEqual(browser.cookies(), [])
  })

  it('deletes a cookie that names no path', async () => {
    const { browser } = await startLoggedIn({}, { session: { cookie: { path: undefined } } })
    await browser.post('/logout', {}, { follow: false })
    assert.deepEqual(browser.cookies('127.0.0.1'), [])
  })

  it('leaves the other cookies of the application', async () => {
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

  it('ends at postLogoutRedirectUri, a path of this application', async () => {
    const { app, browser } = await startLoggedIn({ postLogoutRedirectUri: '/goodbye' }, { mountPath: '/portal' })
    const page = await browser.post(`${app.baseUrl}/logout`)
    assert.equal(page.url.split('?')[0], `${app.baseUrl}/goodbye`)
  })

  it('ends at postLogoutRedirectUri, an absolute URL, exactly as it was given', async () => {
    const { browser } = await startLoggedIn({ postLogoutRedirectUri: 'http://127.0.0.1:9/goodbye' })
    const page = await browser.post('/logout', {}, { stopBefore: isAtProvider })
    const { searchParams } = new URL(page.next?.url ?? '')
    assert.equal(searchParams.get('post_logout_redirect_uri'), 'http://127.0.0.1:9/goodbye')
  })

  it('ends at home where the provider has no end_session_endpoint', async () => {
    stage.provider.change.discovery = ({ end_session_endpoint: _, ...metadata }) => metadata
    const { app, browser } = await startLoggedIn()
    const page = await browser.post('/logout')
    assert.equal(page.url, `${app.baseUrl}/`)
    assert.deepEqual([page.json()['authenticated'], stage.provider.calls['/logout']], [false, 0])
  })

  it('ends at home where nobody is logged in', async () => {
    const { app, browser } = await startLoggedIn()
    await browser.post('/logout')
    const page = await browser.post('/logout')
    assert.deepEqual([page.status, page.url], [200, `${app.baseUrl}/`])
    assert.equal(stage.provider.calls['/logout'], 1)
    assert.deepEqual(codesOf(app), [])
  })

  it('ends what an anonymous visitor had, too', async () => {
    const { app } = await startLoggedIn()
    const browser = app.browser()
    await browser.open('/write')
    await browser.post('/logout')
    assert.equal((await browser.open('/session')).json()['cart'], undefined)
    assert.equal(await app.sessions(), 1)
  })

  it('ends at the provider too where the login has ended by itself', async () => {
    const { app, browser } = await startLoggedIn()
    for (const [id, record] of Object.entries(await app.records())) {
      if (!isTokens(id)) {
        Object.assign(Reflect.get(record, 'oidc').login, { expiresAt: 1 })
        await new Promise((resolve) => app.store.set(id, record, resolve))
      }
    }
    assert.equal(await isLoggedIn(browser), false)
    await browser.post('/logout')
    assert.deepEqual([stage.provider.calls['/logout'], stage.provider.complaints], [1, []])
  })

  it('ends at home where the tokens are gone from the store', async () => {
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
    // The second app has never asked the provider for anything.
    const page = await browser.post(`${second.baseUrl}/logout`, {}, { from: second.origin })
    assert.deepEqual([page.status, page.url], [200, `${second.baseUrl}/`])
    assert.equal(await isLoggedIn(browser), false)
    assert.deepEqual(codesOf(second), [])
  })

  it('works with a body that somebody has read before', async () => {
    const { app, browser } = await startLoggedIn({}, { bodyParser: true })
    const page = await browser.post('/logout', { csrf: 'x', post_logout_redirect_uri: 'https://evil.test/' })
    assert.equal(new URL(page.url).origin, app.origin)
  })

  it('goes nowhere that the request says', async () => {
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
    ['of a kind that nobody knows', { 'sec-fetch-site': 'of-some-kind' }],
    ['of another origin, from an old browser', { origin: 'https://evil.test' }],
    ['of the same host and another port, from an old browser', { origin: 'http://127.0.0.1:1' }],
    ['of another scheme, from an old browser', { origin: 'HTTPSORIGIN' }],
    ['of an origin that begins like ours, from an old browser', { origin: 'ORIGIN.evil.test' }],
    ['of an origin that is hidden, from an old browser', { origin: 'null' }],
    ['of a hidden origin with our referrer, from an old browser', { origin: 'null', referer: 'ORIGIN/' }],
    ['with a foreign referrer, from an old browser', { referer: 'https://evil.test/?ORIGIN/' }],
    ['with a referrer that is none, from an old browser', { referer: 'x' }],
    ['with no word of where it comes from', {}],
  ]
  const own: readonly (readonly [name: string, headers: Record<string, string>])[] = [
    ['same-origin', { 'sec-fetch-site': 'same-origin' }],
    ['same-origin, from a page that hides its origin', { 'sec-fetch-site': 'same-origin', origin: 'null' }],
    ['typed in by the person', { 'sec-fetch-site': 'none' }],
    ['with our origin, from an old browser', { origin: 'ORIGIN' }],
    ['with our referrer, from an old browser', { referer: 'ORIGIN/profile?a=1' }],
  ]

  /** Posts with exactly these headers, and the cookies. */
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
    it(`takes a POST ${name}`, async () => {
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

  it('takes a form of a page of ours that sends no referrer', async () => {
    const { browser } = await startLoggedIn()
    await browser.post('/logout', {}, { referrerPolicy: 'no-referrer' })
    assert.equal(await isLoggedIn(browser), false)
  })

  for (const method of ['GET', 'HEAD', 'PUT', 'DELETE']) {
    it(`refuses ${method}, and says what it takes`, async () => {
      const { app, browser } = await startLoggedIn()
      const page = await browser.fetch('/logout', { method })
      assert.equal(page.status, 405)
      assert.equal(app.errors[0]?.headers['Allow'], 'POST')
      assert.equal(await isLoggedIn(browser), true)
    })
  }
})

describe('the logout route with logoutByGet', () => {
  it('takes a link on a page of ours', async () => {
    const { app, browser } = await startLoggedIn({ logoutByGet: true })
    const page = await browser.open('/logout', { from: app.origin })
    assert.equal(page.json()['authenticated'], false)
    assert.equal(await isLoggedIn(browser), false)
  })

  it('takes an address that was typed in', async () => {
    const { browser } = await startLoggedIn({ logoutByGet: true })
    await browser.open('/logout')
    assert.equal(await isLoggedIn(browser), false)
  })

  it('takes a link in a browser without fetch metadata', async () => {
    const { browser, app } = await startLoggedIn({ logoutByGet: true })
    const cookie = browser.jar.header(new URL(app.baseUrl), { sameSite: true, safeNavigation: true })
    const old = createBrowser({ origin: app.origin, fetchMetadata: 'absent' })
    await old.open('/logout', { headers: { cookie }, follow: false })
    assert.equal(await isLoggedIn(browser), false)
  })

  it('still takes a POST', async () => {
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

  it('refuses other methods, and says what it takes', async () => {
    const { app, browser } = await startLoggedIn({ logoutByGet: true })
    assert.equal((await browser.fetch('/logout', { method: 'PUT' })).status, 405)
    assert.equal(app.errors[0]?.headers['Allow'], 'POST, GET')
  })
})

describe('req.oidc.logout()', () => {
  it('logs out from a route of the application', async () => {
    const leave = answerBy(({ oidc }) => oidc.logout())
    const { app, browser } = await startLoggedIn({}, { routes: { '/leave': leave } })
    const page = await browser.open('/leave')
    assert.equal(page.json()['authenticated'], false)
    assert.deepEqual([await app.records(), stage.provider.calls['/logout']], [{}, 1])
  })
})

describe('a logout at oidc-provider', () => {
  it('ends the session there too: the next login asks again', async () => {
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
  it('tells the script where to send the person', async () => {
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
  it('does not happen because a browser fetches the page in advance', async () => {
    const { app, browser } = await startLoggedIn({ logoutByGet: true })
    const page = await browser.open('/logout', { headers: { 'sec-purpose': 'prefetch;prerender' }, follow: false })
    assert.deepEqual([page.status, codesOf(app)], [403, ['ERR_OIDC_CROSS_SITE_LOGOUT']])
    assert.equal(await isLoggedIn(browser), true)
  })
})

describe('a very long ID Token', () => {
  const groups = Array(300).fill('a group of some length')

  it('is posted to the provider by a page, since no address would hold it', async () => {
    stage.provider.change.idTokenClaims = (claims) => ({ ...claims, groups })
    const { app, browser } = await startLoggedIn()
    const { idToken } = (await browser.open('/tokens')).json()
    const page = await browser.post('/logout')
    assert.match(page.url, new RegExp(`^${app.baseUrl}/\\?state=[\\w-]{43}$`))
    const asked = firstRequest(stage.provider, '/logout')
    assert.deepEqual([asked?.method, asked?.form.get('id_token_hint')], ['POST', idToken])
    assert.deepEqual([[...(asked?.query ?? [])], stage.provider.complaints], [[], []])
  })

  it('is no part of the address that a script is given', async () => {
    stage.provider.change.idTokenClaims = (claims) => ({ ...claims, groups })
    const { browser } = await startLoggedIn()
    const { logoutUrl } = (await browser.fetch('/logout', { method: 'POST' })).json()
    const { searchParams } = new URL(String(logoutUrl))
    assert.equal(searchParams.get('id_token_hint'), null)
    assert.equal(searchParams.get('client_id'), stage.provider.clientId)
  })

  it('stands in a page that runs nothing but its own script and shows nothing unescaped', async () => {
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

describe('the tokens of a login that is logged out', () => {
  const scope = 'openid profile email offline_access'

  it('are revoked at the provider: the refresh token, and all that came of it', async () => {
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

  it('are revoked at the provider: the access token where there is nothing else', async () => {
    const { browser } = await startLoggedIn()
    const { accessToken } = (await browser.open('/tokens')).json()
    await browser.post('/logout')
    const asked = firstRequest(stage.provider, '/revoke')
    assert.deepEqual([asked?.form.get('token'), asked?.form.get('token_type_hint')], [accessToken, 'access_token'])
  })

  it('are left alone where revokeTokens is false', async () => {
    const { browser } = await startLoggedIn({ revokeTokens: false })
    await browser.post('/logout')
    assert.equal(stage.provider.calls['/revoke'], 0)
  })

  for (const [name, raw] of [
    ['refuses', (_req: unknown, res: ServerResponse) => void res.writeHead(503).end()],
    ['hangs up', (_req: unknown, res: ServerResponse) => void res.destroy()],
  ] as const) {
    it(`do not keep anybody logged in where the provider ${name}`, async () => {
      const { app, browser } = await startLoggedIn()
      stage.provider.change.raw['/revoke'] = raw
      const page = await browser.post('/logout')
      assert.match(page.url, /\?state=/)
      assert.deepEqual([await app.sessions(), codesOf(app)], [0, []])
    })
  }
})

describe('further parameters of the logout at the provider', () => {
  async function paramsWith(options: Partial<AnyOptions>): Promise<URLSearchParams> {
    const { browser } = await startLoggedIn(options)
    const page = await browser.post('/logout', {}, { stopBefore: isAtProvider })
    return new URL(page.next?.url ?? '').searchParams
  }

  it('are sent as they are given', async () => {
    const params = await paramsWith({ endSessionParams: { logout_hint: 'ada', ui_locales: 'nl' } })
    assert.deepEqual([params.get('logout_hint'), params.get('ui_locales')], ['ada', 'nl'])
  })

  it('are made of the claims of the login that ends', async () => {
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
  it('is sent where it is asked for, and not otherwise', async () => {
    const { browser } = await startLoggedIn({ clearSiteData: ['cache', 'storage'] })
    const page = await browser.post('/logout', {}, { follow: false })
    assert.equal(page.headers['clear-site-data'], '"cache", "storage"')
    const other = await startLoggedIn()
    assert.equal((await other.browser.post('/logout', {}, { follow: false })).headers['clear-site-data'], undefined)
  })
})
