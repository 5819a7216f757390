import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import session, { type SessionData } from 'express-session'
import { codesOf } from '../support/app/app.ts'
import { createStage } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'

const stage = createStage({ app: { errorHandler: 'json' } })

async function isLoggedIn(browser: Browser): Promise<boolean> {
  return (await browser.fetch('/profile')).status === 200
}

/** Lets this many seconds pass. */
function pass(seconds: number): void {
  const now = Date.now() + seconds * 1000
  mock.timers.reset()
  mock.timers.enable({ apis: ['Date'], now })
}

/** A store that counts its writes. */
class CountingStore extends session.MemoryStore {
  writes = 0
  override set(id: string, data: SessionData, done?: (error?: unknown) => void): void {
    this.writes++
    super.set(id, data, done)
  }
}

describe('loginLifetime', () => {
  it('expires a login, however much it is used', async () => {
    const { browser } = await stage.startLoggedIn({ loginLifetime: 600 })
    for (let count = 0; count < 5; count++) {
      pass(119)
      assert.equal(await isLoggedIn(browser), true)
    }
    pass(6)
    assert.equal(await isLoggedIn(browser), false)
  })
})

describe('idleTimeout', () => {
  it('expires a login that is not used', async () => {
    const { browser } = await stage.startLoggedIn({ idleTimeout: 600 })
    pass(601)
    assert.equal(await isLoggedIn(browser), false)
  })

  it('does not expire a login that is used', async () => {
    const { browser } = await stage.startLoggedIn({ idleTimeout: 600 })
    for (let count = 0; count < 5; count++) {
      pass(590)
      assert.equal(await isLoggedIn(browser), true)
    }
  })

  it('counts requests for open pages of the application too', async () => {
    const { browser } = await stage.startLoggedIn({ idleTimeout: 600 })
    pass(590)
    await browser.fetch('/')
    pass(590)
    assert.equal(await isLoggedIn(browser), true)
  })

  it('does not revive a login that has expired', async () => {
    const { browser } = await stage.startLoggedIn({ idleTimeout: 600 })
    pass(601)
    await browser.fetch('/')
    await browser.fetch('/')
    assert.equal(await isLoggedIn(browser), false)
  })

  it('does not extend loginLifetime', async () => {
    const { browser } = await stage.startLoggedIn({ idleTimeout: 600, loginLifetime: 900 })
    pass(500)
    assert.equal(await isLoggedIn(browser), true)
    pass(401)
    assert.equal(await isLoggedIn(browser), false)
  })

  it('writes the session sometimes, not at every request', async () => {
    const store = new CountingStore()
    const { browser } = await stage.startLoggedIn({ idleTimeout: 600 }, { session: { store } })
    const before = store.writes
    for (let count = 0; count < 20; count++) {
      pass(1)
      await browser.fetch('/profile')
    }
    assert.equal(store.writes - before, 0)
    pass(30)
    await browser.fetch('/profile')
    await browser.fetch('/profile')
    assert.equal(store.writes - before, 1)
  })

  it('does not write sessions without a login', async () => {
    const store = new CountingStore()
    const app = await stage.start({ idleTimeout: 600 }, { session: { store } })
    const browser = app.browser()
    await browser.fetch('/write')
    const before = store.writes
    pass(300)
    await browser.fetch('/')
    assert.equal(store.writes - before, 0)
  })
})

describe('without idleTimeout', () => {
  it('an unchanged session is not written', async () => {
    const store = new CountingStore()
    const { browser } = await stage.startLoggedIn({}, { session: { store } })
    const before = store.writes
    for (let count = 0; count < 5; count++) {
      pass(1000)
      await browser.fetch('/profile')
    }
    assert.equal(store.writes - before, 0)
  })
})

describe('loginExpiry', () => {
  it("'id_token' expires a login with its ID Token", async () => {
    const { browser } = await stage.startLoggedIn({ loginExpiry: 'id_token' })
    const { exp } = (await browser.fetch('/profile')).json()
    pass(Number(exp) - Date.now() / 1000 - 2)
    assert.equal(await isLoggedIn(browser), true)
    pass(3)
    assert.equal(await isLoggedIn(browser), false)
  })

  it("'id_token' lets refreshed ID Tokens extend the login, up to loginLifetime", async () => {
    stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
    const options = { loginExpiry: 'id_token', scope: 'openid offline_access', loginLifetime: 7200 } as const
    const { browser } = await stage.startLoggedIn(options)
    const { exp } = (await browser.fetch('/profile')).json()
    const now = Math.floor(Date.now() / 1000)
    stage.provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, exp: now + 6000 })
    await browser.fetch('/access-token')
    pass(Number(exp) - now + 10)
    assert.equal(await isLoggedIn(browser), true)
    pass(6000)
    assert.equal(await isLoggedIn(browser), false)
  })

  it('session_expiry of the ID Token expires a login by default', async () => {
    const end = Math.floor(Date.now() / 1000) + 500
    stage.provider.change.idTokenClaims = (claims) => ({ ...claims, session_expiry: end })
    const { browser } = await stage.startLoggedIn()
    pass(490)
    assert.equal(await isLoggedIn(browser), true)
    pass(11)
    assert.equal(await isLoggedIn(browser), false)
  })

  // [the options, the claims of the ID Token, when the login has expired, in seconds from now]
  const EARLIEST: readonly (readonly [name: string, options: object, claims: object, seconds: number])[] = [
    ['loginLifetime before session_expiry', { loginLifetime: 100 }, { session_expiry: 500 }, 100],
    ['session_expiry before loginLifetime', { loginLifetime: 700 }, { session_expiry: 500 }, 500],
    ['session_expiry before exp', { loginExpiry: 'id_token' }, { session_expiry: 200, exp: 300 }, 200],
    ['exp before session_expiry', { loginExpiry: 'id_token' }, { session_expiry: 500, exp: 300 }, 300],
    ['idleTimeout before session_expiry', { idleTimeout: 60 }, { session_expiry: 500 }, 60],
    ['a part of a second', {}, { session_expiry: 200.9 }, 200],
  ]

  for (const [name, options, claims, seconds] of EARLIEST) {
    it(`expires a login at the earliest of all: ${name}`, async () => {
      const now = Math.floor(Date.now() / 1000)
      const times = Object.fromEntries(Object.entries(claims).map(([claim, value]) => [claim, now + value]))
      stage.provider.change.idTokenClaims = (good) => ({ ...good, ...times })
      const { browser } = await stage.startLoggedIn(options)
      pass(seconds - 5)
      assert.equal(await isLoggedIn(browser), true)
      pass(options === EARLIEST[4]?.[1] ? 61 : 6)
      assert.equal(await isLoggedIn(browser), false)
    })
  }

  it('session_expiry of UserInfo has no effect', async () => {
    stage.provider.change.userinfo = (claims) => ({ ...claims, session_expiry: 1 })
    const { browser } = await stage.startLoggedIn({ userinfo: true })
    assert.equal((await browser.fetch('/profile')).json()['session_expiry'], undefined)
  })

  it('session_expiry has no effect with dangerouslyIgnoreSessionExpiry', async () => {
    stage.provider.change.idTokenClaims = (claims) => ({ ...claims, session_expiry: 'never' })
    const { browser } = await stage.startLoggedIn({ dangerouslyIgnoreSessionExpiry: true })
    assert.equal(await isLoggedIn(browser), true)
  })

  const milliseconds = (Math.floor(Date.now() / 1000) + 500) * 1000
  const UNUSABLE = ['2030-01-01', true, {}, [], -1, milliseconds, 1e300]
  for (const value of UNUSABLE) {
    it(`a login is refused whose ID Token has session_expiry ${JSON.stringify(value)}`, async () => {
      stage.provider.change.idTokenClaims = (claims) => ({ ...claims, session_expiry: value })
      const app = await stage.start()
      await app.browser().open('/profile')
      assert.deepEqual([codesOf(app), await app.sessions()], [['ERR_OIDC_ID_TOKEN_SESSION_EXPIRY'], 0])
    })
  }

  it("'session_expiry' expires a login at the time that the provider sends", async () => {
    const end = Math.floor(Date.now() / 1000) + 500
    stage.provider.change.idTokenClaims = (claims) => ({ ...claims, session_expiry: end })
    const { browser } = await stage.startLoggedIn({ loginExpiry: 'session_expiry' })
    pass(490)
    assert.equal(await isLoggedIn(browser), true)
    pass(11)
    assert.equal(await isLoggedIn(browser), false)
  })

  for (const [loginExpiry, claim] of [
    ['session_expiry', 'session_expiry'],
    ['lifetime', 'session_expiry'],
    ['id_token', 'exp'],
  ] as const) {
    it(`N-50: '${loginExpiry}' refuses a login whose ${claim} is in the past`, async () => {
      const past = Math.floor(Date.now() / 1000) - 5
      stage.provider.change.idTokenClaims = (claims) => ({ ...claims, [claim]: past })
      const app = await stage.start({ loginExpiry })
      const page = await app.browser().open('/profile')
      assert.deepEqual([page.status, codesOf(app), await app.sessions()], [400, ['ERR_OIDC_LOGIN_EXPIRED'], 0])
      assert.equal(stage.provider.calls['/authorize'], 1)
    })
  }

  it("'session_expiry' never extends a login", async () => {
    stage.provider.change.idTokenClaims = (claims) => ({ ...claims, session_expiry: 9_999_999_999 })
    const { browser } = await stage.startLoggedIn({ loginExpiry: 'session_expiry', loginLifetime: 600 })
    pass(601)
    assert.equal(await isLoggedIn(browser), false)
  })

  for (const value of [undefined, '2030-01-01', null, {}]) {
    it(`'session_expiry' refuses a login whose ID Token has session_expiry ${JSON.stringify(value)}`, async () => {
      stage.provider.change.idTokenClaims = (claims) => ({ ...claims, session_expiry: value })
      const app = await stage.start({ loginExpiry: 'session_expiry' })
      await app.browser().open('/profile')
      assert.deepEqual([codesOf(app), await app.sessions()], [['ERR_OIDC_ID_TOKEN_SESSION_EXPIRY'], 0])
    })
  }
})
