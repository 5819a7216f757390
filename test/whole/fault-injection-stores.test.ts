import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import session, { type Store } from 'express-session'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { isIn, logoutUri, subjectOf } from '../support/app/logout-observer.ts'
import { isSharedRecord, isTokens } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'
import {
  assertNoSecret,
  FaultyStore,
  inTime,
  onItsWay,
  postToken,
  REFRESH_SCOPE,
  startAged,
  tokenCalls,
} from '../support/hostile/fault-injection.ts'

// The session store is silent, away, slow, unreliable or loses records. Every case must result in: an error in time, no login
// without all checks, no false report of a logout, and recovery without a restart.

describe('a store that no longer responds', () => {
  const stage = createStage()

  /** Makes the store silent, and moves the clock on. */
  function fallSilent(store: FaultyStore): void {
    mock.timers.enable({ apis: ['setTimeout'] })
    store.act = () => void setImmediate(() => mock.timers.tick(11_000))
  }

  it('fails a login with 503 within ten seconds', async () => {
    const store = new FaultyStore()
    const app = await stage.start({}, { session: { store } })
    const { browser, next } = await onItsWay(app)
    fallSilent(store)
    const page = await inTime(() => browser.go(next))
    assert.deepEqual([page.status, codesOf(app)], [503, ['ERR_OIDC_SESSION_STORE']])
    assertNoSecret(stage, app, page)
    const { isReachable, lastError } = app.auth.status().sessionStore
    assert.deepEqual([isReachable, lastError?.code], [false, 'ERR_OIDC_SESSION_STORE'])
    store.heal()
    mock.timers.reset()
    assert.equal((await browser.open('/profile')).status, 200)
    assert.equal(app.auth.status().sessionStore.isReachable, true)
  })

  it('fails a logout of the provider with 503 within ten seconds, and the next attempt works', async () => {
    const store = new FaultyStore()
    const { app, browser } = await stage.startLoggedIn({}, { session: { store } })
    const token = await stage.provider.issueLogoutToken(await subjectOf(browser))
    fallSilent(store)
    const answer = await postToken(app, token)
    assert.equal(answer.status, 503)
    store.heal()
    mock.timers.reset()
    assert.deepEqual([(await postToken(app, token)).status, await isIn(browser)], [200, false])
  })

  it('leaves no session of a login that it saves after the time limit', async () => {
    const store = new FaultyStore()
    const app = await stage.start({}, { session: { store } })
    const { browser, next } = await onItsWay(app)
    const late: (() => void)[] = []
    mock.timers.enable({ apis: ['setTimeout'] })
    store.act = (name, run) => {
      if (!name.startsWith('set ') || name.startsWith('set oidc-')) return run()
      late.push(run)
      setImmediate(() => mock.timers.tick(11_000))
    }
    assert.equal((await inTime(() => browser.go(next))).status, 503)
    store.heal()
    mock.timers.reset()
    assert.equal(late.length, 1)
    for (const run of late) run()
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.deepEqual([await app.sessions(), await isIn(browser)], [0, false])
  })
})

describe('a store that emits disconnect', () => {
  const stage = createStage()

  it('lets express-session serve pages without sessions, and a login fails with a clear error', async () => {
    const store = new session.MemoryStore()
    const { app, browser } = await stage.startLoggedIn({}, { session: { store } })
    const { browser: visitor, next } = await onItsWay(app)
    const token = await stage.provider.issueLogoutToken(await subjectOf(browser))
    store.emit('disconnect')
    assert.deepEqual((await browser.open('/')).json(), { authenticated: false, claims: null })
    assert.equal((await browser.fetch('/profile')).status, 401)
    const pages = [
      await browser.open('/profile'),
      await visitor.go(next),
      await browser.post('/logout'),
      await browser.fetch('/frontchannel-logout'),
    ]
    assert.deepEqual(new Set(pages.map(({ status }) => status)), new Set([500]))
    assert.equal((await postToken(app, token)).status, 500)
    assert.deepEqual([new Set(codesOf(app)), codesOf(app).length], [new Set(['ERR_OIDC_SESSION_MISSING']), 5])
    store.emit('connect')
    assert.equal(await isIn(browser), true)
    assert.equal((await visitor.open('/profile')).status, 200)
    assert.deepEqual([(await postToken(app, token)).status, await isIn(browser)], [200, false])
  })
})

describe('a store that takes 500 ms for each operation', () => {
  const stage = createStage()

  it('still allows logins, refreshes and logouts, with one refresh for all requests', async () => {
    const store = new FaultyStore()
    store.act = (_name, run) => void setTimeout(run, 500)
    stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
    const app = await stage.start({ scope: REFRESH_SCOPE }, { session: { store } })
    const [browser, phone] = [app.browser(), app.browser()]
    const logins = await inTime(() => Promise.all([browser.open('/profile'), phone.open('/profile')]))
    assert.deepEqual(
      logins.map(({ status }) => status),
      [200, 200],
    )
    const before = tokenCalls(stage)
    const pages = await inTime(() => Promise.all(Array.from({ length: 10 }, () => browser.fetch('/access-token'))))
    assert.deepEqual(new Set(pages.map(({ status }) => status)), new Set([200]))
    assert.equal(new Set(pages.map((page) => page.json()['token'])).size, 1)
    assert.equal(tokenCalls(stage) - before, 1)
    const token = await stage.provider.issueLogoutToken(await subjectOf(phone))
    const [page, answer] = await inTime(() => Promise.all([browser.post('/logout'), postToken(app, token)]))
    assert.deepEqual([page.status, answer.status], [200, 200])
    assert.deepEqual([await isIn(browser), await isIn(phone), await app.sessions()], [false, false, 0])
    assert.deepEqual([app.errors, app.otherErrors, stage.provider.complaints], [[], [], []])
  })
})

describe('a store that fails at every third operation', () => {
  const stage = createStage()
  const CODES = new Set(['ERR_OIDC_SESSION_STORE', 'ERR_OIDC_SHARED_STATE'])

  function failAtEveryThird(store: FaultyStore, first: number): void {
    let count = first
    store.act = (_name, run, fail) => {
      count += 1
      if (count % 3 === 0) setImmediate(fail, new Error('the store has failed'))
      else run()
    }
  }

  /** Errors that express-session itself reports are ignored. */
  function assertTold(app: TestApp): void {
    for (const { code, status } of app.errors) assert.ok(CODES.has(code) && status === 503, code)
    for (const error of app.otherErrors) assert.match(String(error), /the store has failed/)
  }

  for (const first of [0, 1, 2]) {
    it(`results in a session or an error of each login, never both; from operation ${first} on`, async () => {
      const store = new FaultyStore()
      const app = await stage.start({}, { session: { store } })
      for (let count = 0; count < 12; count++) {
        const { browser, next } = await onItsWay(app)
        failAtEveryThird(store, first + count)
        const { status } = await inTime(() => browser.go(next, { follow: false }))
        store.heal()
        assert.ok([303, 500, 503].includes(status), String(status))
        assert.equal(await isIn(browser), status === 303)
      }
      assertTold(app)
      assert.ok(app.errors.length > 0)
      assert.equal((await app.browser().open('/profile')).status, 200)
    })

    it(`reports no logout that has not been done; from operation ${first} on`, async () => {
      const store = new FaultyStore()
      const app = await stage.start({}, { session: { store } })
      for (let count = 0; count < 12; count++) {
        const browser = app.browser()
        await browser.open('/profile')
        failAtEveryThird(store, first + count)
        const { status } = await inTime(() => browser.post('/logout', {}, { follow: false }))
        store.heal()
        assert.ok([303, 500, 503].includes(status), String(status))
        if (status === 303) assert.equal(await isIn(browser), false)
        assert.equal((await browser.post('/logout')).status, 200)
        assert.equal(await isIn(browser), false)
      }
      assertTold(app)
      assert.equal(await app.sessions(), 0)
    })

    it(`responds with 200 only to a logout of the provider that has been done; from operation ${first} on`, async () => {
      const store = new FaultyStore()
      const app = await stage.start({}, { session: { store } })
      for (let count = 0; count < 12; count++) {
        const browser = app.browser()
        await browser.open('/profile')
        const token = await stage.provider.issueLogoutToken(await subjectOf(browser))
        failAtEveryThird(store, first + count)
        const { status } = await postToken(app, token)
        store.heal()
        assert.ok([200, 503].includes(status), String(status))
        if (status === 200) assert.equal(await isIn(browser), false)
        else assert.equal((await postToken(app, token)).status, 200)
        assert.equal(await isIn(browser), false)
      }
      assertTold(app)
      assert.equal(await app.sessions(), 0)
    })

    it(`uses no refresh token twice; from operation ${first} on`, async () => {
      const store = new FaultyStore()
      for (let count = 0; count < 6; count++) {
        const { app, browser } = await startAged(stage, {}, { session: { store } })
        failAtEveryThird(store, first + count)
        const spent = tokenCalls(stage)
        const { status } = await inTime(() => browser.fetch('/access-token'))
        store.heal()
        assert.ok([200, 500, 503].includes(status) && tokenCalls(stage) - spent <= 1, String(status))
        assertTold(app)
        await app.stop()
      }
      assert.deepEqual(stage.provider.complaints, [])
    })
  }
})

describe('a store that loses records', () => {
  const stage = createStage()
  const destroyAll = async (app: TestApp, which: (id: string) => boolean): Promise<void> => {
    const ids = Object.keys(await allOf(app.store)).filter(which)
    await Promise.all(ids.map((id) => new Promise((resolve) => app.store.destroy(id, resolve))))
  }
  const allOf = (store: Store): Promise<object> =>
    new Promise((resolve) => store.all?.((_error, records) => resolve(records ?? {})))

  it('treats the user as a visitor, who can log in, after it lost a session', async () => {
    const { app, browser } = await stage.startLoggedIn()
    await destroyAll(app, (id) => !id.startsWith('oidc-'))
    assert.deepEqual((await browser.fetch('/')).json(), { authenticated: false, claims: null })
    assert.equal((await browser.open('/profile')).status, 200)
    assert.deepEqual([app.errors, app.otherErrors], [[], []])
  })

  it('still serves pages and a local logout after it lost the tokens', async () => {
    const { app, browser } = await stage.startLoggedIn({ scope: REFRESH_SCOPE })
    await destroyAll(app, isTokens)
    assert.equal(await isIn(browser), true)
    assert.equal((await browser.fetch('/tokens')).body, 'null')
    for (const path of ['/access-token', '/id-token']) assert.equal((await browser.fetch(path)).status, 401)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_TOKEN_UNAVAILABLE', 'ERR_OIDC_TOKEN_UNAVAILABLE'])
    assert.equal((await browser.post('/logout')).status, 200)
    assert.deepEqual([await isIn(browser), await app.sessions()], [false, 0])
  })

  it('does not store tokens that it lost during their refresh', async () => {
    const { app, browser } = await startAged(stage)
    stage.provider.change.refreshedIdToken = async (jwt) => {
      await destroyAll(app, (id) => !isSharedRecord(id))
      return jwt
    }
    assert.equal((await browser.fetch('/access-token')).status, 401)
    assert.deepEqual(Object.keys(await app.records()), [])
  })

  it('leads to one more login, and no loop, after it lost the session during the callback', async () => {
    const store = new FaultyStore()
    const app = await stage.start({}, { session: { store } })
    store.act = (name, run) => {
      run()
      if (name.startsWith('set ') && !name.includes('oidc-')) store.inner.destroy(name.slice(4))
    }
    const page = await app.browser().open('/profile')
    assert.deepEqual([page.status, codesOf(app)], [500, ['ERR_OIDC_SESSION_NOT_KEPT']])
    assert.ok(stage.provider.calls['/authorize'] <= 2)
  })

  it('responds with 200 to a logout of the provider after it lost the index, and the login expires by itself', async () => {
    const { app, browser } = await stage.startLoggedIn({ loginLifetime: 600 })
    const subject = await subjectOf(browser)
    await destroyAll(app, isSharedRecord)
    assert.equal((await stage.provider.postLogoutToken(logoutUri(app), subject)).status, 200)
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 601_000 })
    assert.equal(await isIn(browser), false)
  })
})

describe('a MemoryStore', () => {
  const stage = createStage()
  const sizeOf = ({ store }: TestApp): number => Object.keys(Object(Reflect.get(store, 'sessions'))).length
  /** It checks the expiry of a record when it is read: `all` reads each. */
  const sweep = ({ store }: TestApp): Promise<void> => new Promise((resolve) => store.all?.(() => resolve()))

  it('does not grow by visitors or by abandoned logins', async () => {
    const app = await stage.start()
    for (let count = 0; count < 30; count++) {
      const browser = app.browser()
      await browser.open('/')
      await browser.fetch('/profile')
      await onItsWay(app)
    }
    assert.equal(sizeOf(app), 0)
  })

  it('holds at most five records for each login, and none after they have expired', async () => {
    const app = await stage.start({ loginLifetime: 600 }, { session: { cookie: { maxAge: 600_000 } } })
    for (let count = 0; count < 20; count++) {
      stage.provider.account = { sub: `person ${count}`, claims: {} }
      await app.browser().open('/profile')
    }
    assert.ok(sizeOf(app) <= 100, String(sizeOf(app)))
    // The marks of the used states live longest: transactionLifetime.
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 1_802_000 })
    await sweep(app)
    assert.equal(sizeOf(app), 0)
  })

  it('keeps the mark of an ended login for ten minutes', async () => {
    const app = await stage.start({ loginLifetime: 600 })
    for (let count = 0; count < 10; count++) {
      const browser = app.browser()
      await browser.open('/profile')
      const subject = await subjectOf(browser)
      if (count % 2 === 0) await browser.post('/logout')
      else await stage.provider.postLogoutToken(logoutUri(app), subject)
    }
    assert.equal(await app.sessions(), 0)
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 1_801_000 })
    await sweep(app)
    assert.equal(sizeOf(app), 0)
  })

  it('results in a clear error if two processes have one each', async () => {
    const [one, other] = [await stage.start(), await stage.start()]
    const browser = one.browser()
    await browser.open('/profile')
    assert.deepEqual([await isIn(browser, one), await isIn(browser, other)], [true, false])
  })
})
