import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { SessionRequest } from '../../lib/session/express-session.ts'
import { createSessionIndex } from '../../lib/session/session-index.ts'
import { createStoreWatch, type StoreWatch } from '../../lib/session/store-watch.ts'
import { memoryState } from '../../lib/state/memory-state.ts'
import { type AppRequest, answerBy } from '../support/app/app-routes.ts'
import { createStage } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'

const stage = createStage()

/** A route that waits until it is told to go on, and then writes into its session. */
function createSlowRoute() {
  let arrived = (): void => undefined
  let goOn = (): void => undefined
  const hasArrived = new Promise<void>((resolve) => {
    arrived = resolve
  })
  const mayGoOn = new Promise<void>((resolve) => {
    goOn = resolve
  })
  const route = answerBy(async (req: AppRequest, res) => {
    arrived()
    await mayGoOn
    req.session['seen'] = 'late'
    res.end('done')
  })
  return { route, hasArrived, goOn: () => goOn() }
}

for (const [name, session] of [
  ['as usual', {}],
  ['that are saved at each request', { resave: true }],
  ['whose cookie is set at each answer', { rolling: true, cookie: { maxAge: 600_000 } }],
] as const) {
  describe(`sessions ${name}`, () => {
    it('stay ended when a request that began before the logout writes them afterwards', async () => {
      const slow = createSlowRoute()
      const { app, browser } = await stage.startLoggedIn({}, { routes: { '/slow': slow.route }, session })
      const thief = browser.clone()
      const answer = browser.fetch('/slow')
      await slow.hasArrived
      await browser.post('/logout')
      slow.goOn()
      assert.equal((await answer).body, 'done')
      assert.equal(await app.sessions(), 0)
      for (const one of [browser, thief]) assert.equal((await one.fetch('/profile')).status, 401)
    })

    it('of the person before stay ended when somebody else has logged in', async () => {
      const slow = createSlowRoute()
      const { app, browser } = await stage.startLoggedIn({}, { routes: { '/slow': slow.route }, session })
      const before = browser.clone()
      const answer = browser.fetch('/slow')
      await slow.hasArrived
      stage.provider.account = { sub: 'another', claims: { name: 'Another' } }
      await browser.open('/login?returnTo=/profile')
      slow.goOn()
      await answer
      assert.equal(await app.sessions(), 1)
      assert.equal((await before.fetch('/profile')).status, 401)
    })
  })
}

describe('a login that is completed after its session was ended', () => {
  it('gets a session of its own, although it began together with the one that ended', async () => {
    const { browser } = await stage.startLoggedIn()
    const { next } = await browser.open('/login?returnTo=/profile', { stopBefore: isCallback })
    await browser.open('/login?returnTo=/profile')
    const thief = browser.clone()
    const before = stage.provider.calls['/token']
    let arrived = (): void => undefined
    let goOn = (): void => undefined
    const hasArrived = new Promise<void>((resolve) => {
      arrived = resolve
    })
    const mayGoOn = new Promise<void>((resolve) => {
      goOn = resolve
    })
    stage.provider.change.idToken = async (jwt) => {
      arrived()
      await mayGoOn
      return jwt
    }
    assert.ok(next)
    const page = browser.go(next)
    await hasArrived
    await browser.post('/logout')
    goOn()
    assert.equal((await page).status, 200)
    // No second way over the provider was needed, as it would be had the login been put into the ended session.
    assert.equal(stage.provider.calls['/token'], before + 1)
    assert.equal((await thief.fetch('/profile')).status, 401)
  })
})

describe('the memory of ended sessions', () => {
  const config = {
    origin: 'http://127.0.0.1',
    basePath: '',
    sessionKey: 'oidc',
    clientIds: new Map(),
    loginLifetime: 60,
  }
  const state = memoryState()
  const create = (): StoreWatch =>
    createStoreWatch(
      config,
      createSessionIndex(config, () => state),
    )

  function requestOf(sessionID: string, store: object): SessionRequest {
    return { sessionID, sessionStore: store } as unknown as SessionRequest
  }

  it('forgets the oldest where there are too many, and those of long ago', async (context) => {
    context.mock.timers.enable({ apis: ['Date'] })
    const written: string[] = []
    const store = { set: (id: string, _data: unknown, done: (count: number) => void) => done(written.push(id)) }
    const ended = create()
    for (let index = 0; index <= 10_000; index++) await ended.endSession(requestOf(`s${index}`, store))
    assert.deepEqual([ended.isEnded(requestOf('s0', store)), ended.isEnded(requestOf('s1', store))], [false, true])
    context.mock.timers.tick(600_001)
    await ended.endSession(requestOf('new', store))
    assert.deepEqual([ended.isEnded(requestOf('s10000', store)), ended.isEnded(requestOf('new', store))], [false, true])
  })

  it('calls back where nothing is written', async () => {
    const store = { set: (_id: string, _data: unknown, done: () => void) => done() }
    const request = requestOf('one', store)
    await create().endSession(request)
    await new Promise<void>((resolve) => request.sessionStore.set('one', {}, () => resolve()))
    await new Promise<void>((resolve) => request.sessionStore.set('other', {}, () => resolve()))
  })
})
