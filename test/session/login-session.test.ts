import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import session from 'express-session'
import { stopAfterEach } from '../support/app/stage.ts'
import { cookieOf } from '../support/browser/login-cookies.ts'
import { arrive, assertNobodyLoggedIn, createStand, isLoggedIn, logIn, startStand } from '../support/hostile/hostile.ts'

// What a login and a logout do to the session, and whose login it is.

const stopLater = stopAfterEach()

describe('the session of a login', () => {
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
