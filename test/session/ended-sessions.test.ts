import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { TestApp } from '../support/app/app.ts'
import { type AppRequest, answerBy } from '../support/app/app-routes.ts'
import { createGate } from '../support/app/nodes.ts'
import { isTokens } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'

const stage = createStage({ app: { errorHandler: 'json' } })

/** A route that waits at a gate, and then writes into its session. */
function createSlowRoute() {
  const gate = createGate()
  const route = answerBy(async (req: AppRequest, res) => {
    await gate.pass()
    req.session['seen'] = 'late'
    res.end('done')
  })
  return { route, gate }
}

for (const [name, session] of [
  ['by default', {}],
  ['that are saved at each request', { resave: true }],
  ['whose cookie is set at each answer', { rolling: true, cookie: { maxAge: 600_000 } }],
] as const) {
  describe(`sessions ${name}`, () => {
    it('stay ended if a request that started before the logout writes them afterwards', async () => {
      const slow = createSlowRoute()
      const { app, browser } = await stage.startLoggedIn({}, { routes: { '/slow': slow.route }, session })
      const thief = browser.clone()
      const answer = browser.fetch('/slow')
      await slow.gate.hasArrived
      await browser.post('/logout')
      slow.gate.open()
      assert.equal((await answer).body, 'done')
      assert.equal(await app.sessions(), 0)
      for (const one of [browser, thief]) assert.equal((await one.fetch('/profile')).status, 401)
    })

    it('of the previous user stay ended after another user has logged in', async () => {
      const slow = createSlowRoute()
      const { app, browser } = await stage.startLoggedIn({}, { routes: { '/slow': slow.route }, session })
      const before = browser.clone()
      const answer = browser.fetch('/slow')
      await slow.gate.hasArrived
      stage.provider.account = { sub: 'another', claims: { name: 'Another' } }
      await browser.open('/login?returnTo=/profile')
      slow.gate.open()
      await answer
      assert.equal(await app.sessions(), 1)
      assert.equal((await before.fetch('/profile')).status, 401)
    })
  })
}

describe('a login that is completed after its session was ended', () => {
  it('gets a new session, although it was started together with the login that ended', async () => {
    const { browser } = await stage.startLoggedIn()
    const { next } = await browser.open('/login?returnTo=/profile', { stopBefore: isCallback })
    await browser.open('/login?returnTo=/profile')
    const thief = browser.clone()
    const before = stage.provider.calls['/token']
    const gate = createGate()
    stage.provider.change.idToken = async (jwt) => {
      await gate.pass()
      return jwt
    }
    assert.ok(next)
    const page = browser.go(next)
    await gate.hasArrived
    await browser.post('/logout')
    gate.open()
    assert.equal((await page).status, 200)
    // One login request was enough. With the login in the ended session, a second one would be needed.
    assert.equal(stage.provider.calls['/token'], before + 1)
    assert.equal((await thief.fetch('/profile')).status, 401)
  })
})

describe('a session that could not be ended', () => {
  /** The store cannot delete anything, until the result is called. */
  function breakDestroy(store: TestApp['store']): () => void {
    const destroy = store.destroy.bind(store)
    store.destroy = (_id, done) => void process.nextTick(() => done?.(new Error('The store is down.')))
    return () => {
      store.destroy = destroy
    }
  }
  const note = answerBy(async (req: AppRequest, res) => {
    req.session['seen'] = 'again'
    res.end('noted')
  })
  const read = answerBy(async (req: AppRequest, res) => void res.end(String(req.session['seen'])))
  const routes = { '/note': note, '/read': read }

  it('is still written after a login that has failed because of it', async () => {
    const { app, browser } = await stage.startLoggedIn({}, { routes })
    const repair = breakDestroy(app.store)
    assert.equal((await browser.open('/login?returnTo=/profile')).status, 503)
    repair()
    assert.equal((await browser.fetch('/profile')).status, 200)
    await browser.fetch('/note')
    assert.equal((await browser.fetch('/read')).body, 'again')
  })

  it('is still written after a logout that has failed because of it, and ends with the next one', async () => {
    const { app, browser } = await stage.startLoggedIn({}, { routes })
    const repair = breakDestroy(app.store)
    assert.equal((await browser.post('/logout')).status, 503)
    repair()
    await browser.fetch('/note')
    assert.equal((await browser.fetch('/read')).body, 'again')
    await browser.post('/logout')
    assert.equal((await browser.fetch('/profile')).status, 401)
  })
})

describe('a logout during a refresh', () => {
  it('leaves no tokens, whenever the refresh stores its own', async () => {
    const [refresh, removal] = [createGate(), createGate()]
    let isHeld = false
    const slowly = async (url: string, init: RequestInit): Promise<Response> => {
      if (isHeld && url.endsWith('/token')) await refresh.pass()
      return await fetch(url, init)
    }
    stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
    const { app, browser } = await stage.startLoggedIn({
      scope: 'openid profile email offline_access',
      fetch: slowly,
      revokeTokens: false,
    })
    isHeld = true
    const refreshed = browser.fetch('/access-token')
    await refresh.hasArrived
    const { store } = app
    const destroy = store.destroy.bind(store)
    let isFirst = true
    // The record is deleted at once, but the store calls back late.
    store.destroy = (id, done) => {
      if (!isTokens(id) || !isFirst) return destroy(id, done)
      isFirst = false
      destroy(id, () => void removal.pass().then(() => done?.()))
    }
    const loggedOut = browser.post('/logout', {}, { follow: false })
    await removal.hasArrived
    refresh.open()
    assert.equal((await refreshed).status, 401)
    removal.open()
    await loggedOut
    assert.deepEqual([await app.sessions(), Object.keys(await app.records()).filter(isTokens)], [0, []])
  })
})
