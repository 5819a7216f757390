import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { isIn, logoutUri, subjectOf } from '../support/app/logout-observer.ts'
import { createStage } from '../support/app/stage.ts'
import { isAtProvider } from '../support/app/url-predicates.ts'
import type { Browser } from '../support/browser/browser.ts'
import { cookieOf, SESSION_COOKIE } from '../support/browser/login-cookies.ts'
import { FaultyStore, startAged } from '../support/hostile/fault-injection.ts'
import { answered } from '../support/strict-provider/context.ts'

// What is left of a login that has ended: nothing.

const routes: Routes = {
  '/token-for': answerJson(async ({ oidc, url }) => {
    const query = new URLSearchParams(url?.split('?')[1])
    const [scope, resource] = [query.get('scope') ?? undefined, query.get('resource') ?? undefined]
    return { token: await oidc.accessToken({ scope, resource }) }
  }),
  '/userinfo': answerJson(({ oidc }) => oidc.userinfo()),
}

const stage = createStage({ app: { errorHandler: 'json', routes } })

async function logIn(app: TestApp, browser: Browser = app.browser()): Promise<Browser> {
  const page = await browser.open(`${app.baseUrl}/login?returnTo=/profile`)
  assert.equal(page.status, 200, page.body)
  return browser
}

/** Each way in which a login can end before it expires. */
const ENDS: readonly (readonly [name: string, end: (app: TestApp, browser: Browser) => Promise<unknown>])[] = [
  ['a logout', (_app, browser) => browser.post('/logout')],
  [
    'a logout token of the provider',
    async (app, browser) => stage.provider.postLogoutToken(logoutUri(app), await subjectOf(browser)),
  ],
  [
    'a front-channel logout',
    async (app, browser) => {
      const { sid } = await subjectOf(browser)
      const query = String(new URLSearchParams({ iss: stage.provider.issuer, sid }))
      return app.browser().open(`/frontchannel-logout?${query}`)
    },
  ],
  [
    'a refresh that the provider refuses',
    (_app, browser) => {
      stage.provider.change.refreshResponse = answered(400, { error: 'invalid_grant' })
      return browser.fetch('/access-token')
    },
  ],
  [
    'a login of another user',
    (app, browser) => {
      stage.provider.account = { sub: 'another-user', claims: {} }
      return logIn(app, browser)
    },
  ],
]

describe('a login that has ended', () => {
  for (const [name, end] of ENDS) {
    it(`EOC #440, CVE-2023-20862, CVE-2024-52553: a copied cookie is worthless after ${name}`, async () => {
      const { app, browser } = await startAged(stage)
      const thief = browser.clone()
      assert.equal((await thief.fetch('/profile')).json()['sub'], 'user-subject')
      await end(app, browser)
      assert.deepEqual([await isIn(thief), (await thief.fetch('/tokens')).body], [false, 'null'])
      for (const path of ['/write', '/access-token', '/profile']) await thief.fetch(path)
      assert.equal(await isIn(thief), false)
    })

    it(`CVE-2022-25896, CVE-2021-41246: ${name} changes the session id and deletes the data`, async () => {
      const { app, browser } = await startAged(stage)
      await browser.fetch('/write')
      const before = cookieOf(browser)
      await end(app, browser)
      await browser.fetch('/write')
      assert.notEqual(cookieOf(browser), before)
      stage.provider.change.refreshResponse = undefined
      stage.provider.account = { sub: 'a third', claims: {} }
      await logIn(app, browser)
      const profile = (await browser.fetch('/profile')).json()
      assert.equal(profile['sub'], 'a third')
    })
  }

  it('of mod_auth_openidc, 2026-08-07: a login does not use a session id that the browser chose', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const planted = ['s%3Aplanted.x', cookieOf(browser).replace(/^s%3A[^.]+/, 's%3Aplanted'), 'planted']
    for (const value of planted) {
      const visitor = app.browser()
      visitor.jar.store(new URL(app.origin), [`${SESSION_COOKIE}=${value}; Path=/`])
      await logIn(app, visitor)
      assert.ok(!cookieOf(visitor).includes('planted'))
    }
    assert.ok(Object.keys(await app.records()).every((id) => !id.includes('planted')))
  })

  it('CVE-2025-55162: a front-channel logout deletes a cookie with the prefix __Host-', async () => {
    const prefixed = { name: '__Host-sid', proxy: true, cookie: { secure: true, path: '/' } }
    const { app, browser } = await stage.startLoggedIn({}, { tls: true, session: prefixed })
    const { sid } = await subjectOf(browser)
    assert.notEqual(cookieOf(browser, '__Host-sid'), '')
    await browser.open(`/frontchannel-logout?${new URLSearchParams({ iss: stage.provider.issuer, sid })}`)
    assert.deepEqual([cookieOf(browser, '__Host-sid'), browser.jar.refused, await app.sessions()], ['', [], 0])
  })

  it('of mod_auth_openidc, 2026-08-07: a front-channel logout, which is not authenticated, revokes no token', async () => {
    const { app, browser } = await startAged(stage)
    const { sid } = await subjectOf(browser)
    const query = String(new URLSearchParams({ iss: stage.provider.issuer, sid }))
    await browser.open(`/frontchannel-logout?${query}`)
    assert.deepEqual([await isIn(browser), stage.provider.calls['/revoke']], [false, 0])
    for (const token of stage.provider.refreshTokens.values()) assert.equal(token.isRevoked, false)
    assert.deepEqual(codesOf(app), [])
  })

  it('EOC #332, #393, #345, #227, #210: there is one session, the one of the app', async () => {
    const { app, browser } = await startAged(stage)
    await browser.fetch('/write')
    await browser.fetch('/access-token')
    assert.equal((await browser.fetch('/session')).json()['cart'], 'book')
    const names = browser.cookies('127.0.0.1').map(({ name }) => name)
    assert.deepEqual(
      names.filter((name) => !name.startsWith('oidc-landed')),
      [SESSION_COOKIE],
    )
    await browser.post('/logout')
    assert.equal((await browser.fetch('/session')).json()['cart'], undefined)
    assert.equal(await app.sessions(), 0)
  })

  for (const milliseconds of [0, 30]) {
    it(`EOC #45, passport #306, #482, #703: the session is saved before the redirect, with a store that takes ${milliseconds} ms`, async () => {
      const store = new FaultyStore()
      const app = await stage.start({}, { session: { store } })
      for (let count = 0; count < 5; count++) {
        const browser = app.browser()
        store.act = (_name, run) => void setTimeout(run, milliseconds)
        const login = await browser.open('/login?returnTo=/profile', {
          stopBefore: ({ pathname }) => pathname === '/profile',
        })
        store.heal()
        assert.equal((await browser.go(login.next)).status, 200)
        store.act = (_name, run) => void setTimeout(run, milliseconds)
        const logout = await browser.post('/logout', {}, { stopBefore: isAtProvider })
        store.heal()
        assert.ok(logout.next)
        assert.equal(await isIn(browser), false)
      }
    })
  }
})
