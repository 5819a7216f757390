import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import session from 'express-session'
import type { SharedState } from '../../lib/state/shared-state.ts'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { HOSTS } from '../support/app/hosts.ts'
import { isIn, logoutUri, observeLogouts, subjectOf } from '../support/app/logout-observer.ts'
import { createMortalState } from '../support/app/mortal-state.ts'
import { createGate, createSharedStores } from '../support/app/nodes.ts'
import { isTokens } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { FaultyStore } from '../support/hostile/fault-injection.ts'

const stage = createStage({ app: { errorHandler: 'json' } })
const seen = observeLogouts()

/** What is left of a login in the store: its sessions and its token records. */
async function leftIn(app: TestApp): Promise<readonly [number, number]> {
  return [await app.sessions(), Object.keys(await app.records()).filter(isTokens).length]
}

async function logOut(app: TestApp, subject: object): Promise<void> {
  const answer = await stage.provider.postLogoutToken(logoutUri(app), subject)
  assert.equal(answer.status, 200, answer.body)
}

/** Two nodes with one session store. Each has its own shared state if that is what the test is about. */
async function startNodes(...states: readonly [SharedState | undefined, SharedState | undefined]) {
  const stores = createSharedStores(2)
  const [one, other] = await Promise.all(
    states.map((sharedState, index) =>
      stage.start({ ...(sharedState && { sharedState }) }, { session: { store: stores[index] ?? assert.fail() } }),
    ),
  )
  assert.ok(one && other)
  const browser = one.browser()
  assert.equal((await browser.open('/profile')).status, 200)
  return { one, other, browser }
}

async function logInAgain(browser: Browser, app: TestApp): Promise<void> {
  assert.equal((await browser.open(`${app.baseUrl}/profile`)).status, 200)
}

describe('N-10: a logout at the provider, after the shared state has lost its sessions,', () => {
  for (const host of HOSTS) {
    it(`ends the session with its next request, in ${host}`, async () => {
      const sharedState = createMortalState()
      const { app, browser } = await stage.startLoggedIn({ sharedState }, { host })
      const subject = await subjectOf(browser)
      sharedState.lose()
      await logOut(app, subject)
      assert.equal(await isIn(browser), false)
      assert.deepEqual(await leftIn(app), [0, 0])
      const { issuer } = stage.provider
      const told = { provider: 'default', how: 'backchannel', issuer, sub: subject.sub }
      assert.deepEqual([seen.logouts, seen.errors, app.otherErrors], [[told], [], []])
      await logInAgain(browser, app)
      assert.equal(await isIn(browser), true)
    })
  }

  it('ends the session also while the index cannot take it again', async () => {
    const sharedState = createMortalState()
    const { app, browser } = await stage.startLoggedIn({ sharedState })
    const subject = await subjectOf(browser)
    sharedState.lose()
    await logOut(app, subject)
    sharedState.beforeAdd = async (key) => {
      if (key !== 'epoch') throw new Error('full')
    }
    assert.equal(await isIn(browser), false)
    assert.deepEqual(await leftIn(app), [0, 0])
  })

  it('ends the session on every node', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const sharedState = createMortalState()
    const { one, other, browser } = await startNodes(sharedState, sharedState)
    const subject = await subjectOf(browser)
    sharedState.lose()
    await logOut(other, subject)
    mock.timers.tick(10_000)
    assert.deepEqual([await isIn(browser, one), await isIn(browser, other)], [false, false])
    assert.deepEqual(await leftIn(one), [0, 0])
  })

  it('ends it at once if the session has had a request in between', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const sharedState = createMortalState()
    const { one, other, browser } = await startNodes(sharedState, sharedState)
    const subject = await subjectOf(browser)
    sharedState.lose()
    mock.timers.tick(10_000)
    assert.equal(await isIn(browser, one), true)
    await logOut(other, subject)
    assert.deepEqual(await leftIn(one), [0, 0])
  })

  for (const [name, before, after] of [
    ['is added', undefined, createMortalState()],
    ['is replaced', createMortalState(), createMortalState()],
    ['is removed', createMortalState(), undefined],
  ] as const) {
    it(`ends it if the shared state ${name}`, async () => {
      const { one, other, browser } = await startNodes(before, after)
      const subject = await subjectOf(browser)
      await logOut(other, subject)
      assert.equal(await isIn(browser, other), false)
      assert.deepEqual(await leftIn(one), [0, 0])
    })

    it(`finds it after its next request if the shared state ${name}`, async () => {
      const { one, other, browser } = await startNodes(before, after)
      const subject = await subjectOf(browser)
      assert.equal(await isIn(browser, other), true)
      await logOut(other, subject)
      assert.deepEqual(await leftIn(one), [0, 0])
    })
  }

  for (const [name, subjectFor] of [
    ['by its sid', ({ sid }: { sid: string }) => ({ sid })],
    ['by its user', ({ sub }: { sub: string }) => ({ sub })],
  ] as const) {
    it(`ends a session that it names ${name}, and no other`, async () => {
      const sharedState = createMortalState()
      stage.provider.change.idTokenClaims = (good) => ({ ...good, sid: 'first' })
      const { app, browser } = await stage.startLoggedIn({ sharedState })
      stage.provider.change.idTokenClaims = (good) => ({ ...good, sub: 'another', sid: 'second' })
      const other = app.browser()
      await logInAgain(other, app)
      sharedState.lose()
      await logOut(app, subjectFor({ sub: 'user-subject', sid: 'first' }))
      assert.deepEqual([await isIn(browser), await isIn(other)], [false, true])
    })
  }

  it('does not end a login that came after it', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const sharedState = createMortalState()
    const { app, browser } = await stage.startLoggedIn({ sharedState })
    await logOut(app, { sub: 'user-subject' })
    mock.timers.tick(2000)
    await logInAgain(browser, app)
    sharedState.lose()
    mock.timers.tick(10_000)
    assert.deepEqual([await isIn(browser), await isIn(browser)], [true, true])
  })

  it('is remembered for as long as the login lasts', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const sharedState = createMortalState()
    const { app, browser } = await stage.startLoggedIn({ sharedState, loginLifetime: 86_400 })
    const subject = await subjectOf(browser)
    sharedState.lose()
    await logOut(app, subject)
    mock.timers.tick(86_390_000)
    assert.equal(await isIn(browser), false)
    assert.deepEqual(seen.logouts.length, 1)
  })

  it('ends a login that is older than the remembered logouts, because loginLifetime is shorter now', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const store = new session.MemoryStore()
    const { browser } = await stage.startLoggedIn({ loginLifetime: 86_400 }, { session: { store } })
    const options = { loginLifetime: 7200, sharedState: createMortalState() }
    const app = await stage.start(options, { session: { store } })
    mock.timers.tick(7_190_000)
    const young = browser.clone()
    assert.equal(await isIn(young, app), true)
    const replaced = await stage.start({ ...options, sharedState: createMortalState() }, { session: { store } })
    mock.timers.tick(20_000)
    assert.equal(await isIn(browser, replaced), false)
  })

  it('keeps what the application stores in the session while nobody is logged out', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const sharedState = createMortalState()
    const { browser } = await stage.startLoggedIn({ sharedState }, { routes: { '/count': count } })
    const first = (await browser.fetch('/count')).json()
    sharedState.lose()
    mock.timers.tick(10_000)
    const rest = [(await browser.fetch('/count')).json(), (await browser.fetch('/count')).json()]
    assert.deepEqual([first, ...rest], [{ count: 1 }, { count: 2 }, { count: 3 }])
  })

  it('does not give what the application stored in the ended session to the request', async () => {
    const sharedState = createMortalState()
    const { app, browser } = await stage.startLoggedIn({ sharedState }, { routes: { '/count': count } })
    const subject = await subjectOf(browser)
    await browser.fetch('/count')
    sharedState.lose()
    await logOut(app, subject)
    assert.deepEqual((await browser.fetch('/count')).json(), { count: 1 })
    assert.deepEqual([await isIn(browser), app.otherErrors], [false, []])
  })
})

const count = answerJson((req) => {
  const data = Object(req.session)
  data.count = (data.count ?? 0) + 1
  return { count: data.count }
})

describe('N-10: a session whose place in the shared state is not certain', () => {
  it('is added again once, however many requests come at once', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const sharedState = createMortalState()
    const { browser } = await stage.startLoggedIn({ sharedState })
    sharedState.lose()
    mock.timers.tick(10_000)
    const added: string[] = []
    sharedState.beforeAdd = async (key) => void added.push(key)
    const pages = await Promise.all(Array.from({ length: 20 }, () => browser.clone().fetch('/profile')))
    assert.deepEqual([...new Set(pages.map(({ status }) => status))], [200])
    // The session has two keys.
    assert.equal(added.filter((key) => key !== 'epoch').length, 2)
    await browser.fetch('/profile')
    assert.equal(added.length, 3)
  })

  it('costs no operation of the shared state, and no more of the session store, while the epoch stays', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const [sharedState, store] = [createMortalState(), new FaultyStore()]
    const names: string[] = []
    const { browser } = await stage.startLoggedIn({ sharedState }, { session: { store } })
    await isIn(browser)
    store.act = (name, run) => {
      names.push(name.slice(0, 3))
      run()
    }
    sharedState.operations = 0
    for (let second = 0; second < 20; second++) {
      for (let request = 0; request < 5; request++) assert.equal(await isIn(browser), true)
      mock.timers.tick(1000)
    }
    assert.deepEqual(new Set(names.filter((name) => name !== 'tou')), new Set(['get']))
    assert.equal(names.filter((name) => name === 'get').length, 100)
    // The epoch and the mark are read every two seconds at most, and a mark is left every ten.
    assert.ok(sharedState.operations <= 23, String(sharedState.operations))
  })

  it('ends after a logout while the shared state is out of reach, and otherwise stays', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const [away, here] = [createMortalState(), createMortalState()]
    const { one, other, browser } = await startNodes(away, here)
    const subject = await subjectOf(browser)
    away.isDown = true
    mock.timers.tick(60_000)
    assert.deepEqual([await isIn(browser, one), await isIn(browser, one)], [true, true])
    await logOut(other, subject)
    assert.equal(await isIn(browser, one), false)
    assert.deepEqual([codesOf(one), one.otherErrors], [[], []])
  })

  it('is reported once in an outage, and is added when the state is back', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const sharedState = createMortalState()
    const { app, browser } = await stage.startLoggedIn({ sharedState })
    const subject = await subjectOf(browser)
    sharedState.lose()
    sharedState.isDown = true
    for (let second = 0; second < 20; second++) {
      mock.timers.tick(1000)
      assert.equal(await isIn(browser), true)
    }
    assert.deepEqual(seen.errors, ['ERR_OIDC_SHARED_STATE'])
    sharedState.isDown = false
    mock.timers.tick(3000)
    // The first request learns that the state is back.
    assert.deepEqual([await isIn(browser), await isIn(browser)], [true, true])
    await logOut(app, subject)
    assert.deepEqual(await leftIn(app), [0, 0])
  })

  it('is refused with 503 if the session store does not say whether it was logged out', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const [sharedState, store] = [createMortalState(), new FaultyStore()]
    const { app, browser } = await stage.startLoggedIn({ sharedState }, { session: { store } })
    sharedState.lose()
    mock.timers.tick(10_000)
    let gets = 0
    // The session itself is read, the logouts are not.
    store.act = (name, run, fail) => (name.startsWith('get') && ++gets > 1 ? fail(new Error('no')) : run())
    const page = await browser.fetch('/profile')
    assert.deepEqual([page.status, codesOf(app)], [503, ['ERR_OIDC_SESSION_STORE']])
    store.heal()
    assert.equal(await isIn(browser), true)
  })

  it('does not become certain because a request that came before writes it', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const sharedState = createMortalState()
    const gate = createGate()
    const slow = answerJson(async (req) => {
      await gate.pass()
      Object(req.session).written = true
      return {}
    })
    const { app, browser } = await stage.startLoggedIn({ sharedState }, { routes: { '/slow': slow } })
    const subject = await subjectOf(browser)
    const answer = browser.clone().fetch('/slow')
    await gate.hasArrived
    sharedState.lose()
    await logOut(app, subject)
    gate.open()
    await answer
    assert.equal(await isIn(browser), false)
    assert.deepEqual(await leftIn(app), [0, 0])
  })

  it('finds a logout at the very moment in which it is added again', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const sharedState = createMortalState()
    const { app, browser } = await stage.startLoggedIn({ sharedState })
    const subject = await subjectOf(browser)
    sharedState.lose()
    mock.timers.tick(10_000)
    let token: Promise<void> | undefined
    sharedState.beforeAdd = async (key) => {
      if (key !== 'epoch') token ??= logOut(app, subject)
      await token
    }
    assert.equal(await isIn(browser), false)
    assert.ok(token, 'no logout has come in between')
    await token
    assert.deepEqual(await leftIn(app), [0, 0])
  })
})
