import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import session, { type Store } from 'express-session'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { isIn, logoutUri, subjectOf } from '../support/app/logout-observer.ts'
import { isTokens } from '../support/app/records.ts'
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

// The session store is silent, away, slow, unreliable or forgetful. What must come of it: an error that says so in good time,
// no login that nobody has checked, no logout that is none, and all well again when it is, without a restart.

describe('a store that answers nothing any more', () => {
  const stage = createStage()

  /** From now on, and so much later for whoever looks at the clock. */
  function fallSilent(store: FaultyStore): void {
    mock.timers.enable({ apis: ['setTimeout'] })
    store.act = () => void setImmediate(() => mock.timers.tick(11_000))
  }

  it('ends a login in 503 within ten seconds', async () => {
    const store = new FaultyStore()
    const app = await stage.start({}, { session: { store } })
    const { browser, next } = await onItsWay(app)
    fallSilent(store)
    const page = await inTime(() => browser.go(next))
    assert.deepEqual([page.status, codesOf(app)], [503, ['ERR_OIDC_SESSION_STORE']])
    assertNoSecret(stage, app, page)
    store.heal()
    mock.timers.reset()
    assert.equal((await browser.open('/profile')).status, 200)
  })

  it('ends a logout of the provider in 503 within ten seconds, and the next attempt works', async () => {
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

  it('leaves no session of a login that it saves when nobody waits for it any more', async () => {
    const store = new FaultyStore()
    const app = await stage.start({}, { session: { store } })
    const { browser, next } = await onItsWay(app)
    const late: (() => void)[] = []
    mock.timers.enable({ apis: ['setTimeout'] })
    store.act = (name, run) => {
      if (!name.startsWith('set ') || /oidc-(tokens|state)/.test(name)) return run()
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

describe('a store that says that it is disconnected', () => {
  const stage = createStage()

  it('lets express-session serve pages without sessions; what needs one says so', async () => {
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

  it('is waited for: logins, refreshes and logouts work, one refresh for all who ask', async () => {
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

  /** Whatever express-session says of it is its own. */
  function assertTold(app: TestApp): void {
    for (const { code, status } of app.errors) assert.ok(CODES.has(code) && status === 503, code)
    for (const error of app.otherErrors) assert.match(String(error), /the store has failed/)
  }

  for (const first of [0, 1, 2]) {
    it(`ends each login in a session or in an error, and never in both; beginning with ${first}`, async () => {
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

    it(`says of nobody that he is logged out who is not; beginning with ${first}`, async () => {
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

    it(`answers 200 to no logout of the provider that has not been done; beginning with ${first}`, async () => {
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

    it(`spends no refresh token twice; beginning with ${first}`, async () => {
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

  it('has lost a login with its session: the person is a visitor, and logs in', async () => {
    const { app, browser } = await stage.startLoggedIn()
    await destroyAll(app, (id) => !id.startsWith('oidc-'))
    assert.deepEqual((await browser.fetch('/')).json(), { authenticated: false, claims: null })
    assert.equal((await browser.open('/profile')).status, 200)
    assert.deepEqual([app.errors, app.otherErrors], [[], []])
  })

  it('has lost tokens: pages are served, whoever wants a token is told, and a logout is one here', async () => {
    const { app, browser } = await stage.startLoggedIn({ scope: REFRESH_SCOPE })
    await destroyAll(app, isTokens)
    assert.equal(await isIn(browser), true)
    assert.equal((await browser.fetch('/tokens')).body, 'null')
    for (const path of ['/access-token', '/id-token']) assert.equal((await browser.fetch(path)).status, 401)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_TOKEN_UNAVAILABLE', 'ERR_OIDC_TOKEN_UNAVAILABLE'])
    assert.equal((await browser.post('/logout')).status, 200)
    assert.deepEqual([await isIn(browser), await app.sessions()], [false, 0])
  })

  it('has lost tokens while they are refreshed: nothing of them comes back', async () => {
    const { app, browser } = await startAged(stage)
    stage.provider.change.refreshedIdToken = async (jwt) => {
      await destroyAll(app, (id) => !id.startsWith('oidc-state:'))
      return jwt
    }
    assert.equal((await browser.fetch('/access-token')).status, 401)
    assert.deepEqual(Object.keys(await app.records()), [])
  })

  it('has lost the session while the callback saves it: the person is sent to log in once more, and no further', async () => {
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

  it('has lost what it knew of sessions: a logout of the provider ends in 200, and the login by its own time', async () => {
    const { app, browser } = await stage.startLoggedIn({ loginLifetime: 600 })
    const subject = await subjectOf(browser)
    await destroyAll(app, (id) => id.startsWith('oidc-state:'))
    assert.equal((await stage.provider.postLogoutToken(logoutUri(app), subject)).status, 200)
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 601_000 })
    assert.equal(await isIn(browser), false)
  })
})

describe('a MemoryStore', () => {
  const stage = createStage()
  const sizeOf = ({ store }: TestApp): number => Object.keys(Object(Reflect.get(store, 'sessions'))).length
  /** It looks at the end of a record when somebody reads it: `all` reads each. */
  const sweep = ({ store }: TestApp): Promise<void> => new Promise((resolve) => store.all?.(() => resolve()))

  it('grows by nothing for visitors, nor for logins that nobody finishes', async () => {
    const app = await stage.start()
    for (let count = 0; count < 30; count++) {
      const browser = app.browser()
      await browser.open('/')
      await browser.fetch('/profile')
      await onItsWay(app)
    }
    assert.equal(sizeOf(app), 0)
  })

  it('holds five records at most for each login, and nothing of it once their time has passed', async () => {
    const app = await stage.start({ loginLifetime: 600 }, { session: { cookie: { maxAge: 600_000 } } })
    for (let count = 0; count < 20; count++) {
      stage.provider.account = { sub: `person ${count}`, claims: {} }
      await app.browser().open('/profile')
    }
    assert.ok(sizeOf(app) <= 100, String(sizeOf(app)))
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 601_000 })
    await sweep(app)
    assert.equal(sizeOf(app), 0)
  })

  it('keeps for ten minutes that a login has ended, and nothing longer', async () => {
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

  it('is enough for one process: two that are given one each know nothing of the other, and end in a clear error', async () => {
    const [one, other] = [await stage.start(), await stage.start()]
    const browser = one.browser()
    await browser.open('/profile')
    assert.deepEqual([await isIn(browser, one), await isIn(browser, other)], [true, false])
  })
})
