import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, it, mock } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createLoginChanges } from '../../lib/session/login-changes.ts'
import type { Login } from '../../lib/types.ts'
import type { TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { createGate, createSharedStores } from '../support/app/nodes.ts'
import { isTokens } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import type { Browser } from '../support/browser/browser.ts'
import type { JsonObject } from '../support/strict-provider/changes.ts'

const SCOPE = 'openid profile email offline_access'
const stage = createStage({ app: { errorHandler: 'json' } })

/** Logs in an administrator whose access token is about to expire. The next ID Token has no group. */
async function startAsAdmin(routes: Routes): Promise<{ app: TestApp; browser: Browser }> {
  stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
  stage.provider.change.idTokenClaims = (good) => ({ ...good, groups: ['admin'] })
  stage.provider.change.refreshedIdTokenClaims = ({ groups: _lost, ...good }: JsonObject) => good
  return await stage.startLoggedIn({ scope: SCOPE }, { routes })
}

describe('a group that a refresh has removed', () => {
  it('is not restored by a request that read its session before the refresh and writes it afterwards', async () => {
    const gate = createGate()
    const slow = answerJson(async ({ session }) => {
      session['cart'] = 'book'
      await gate.pass()
      return {}
    })
    const { browser } = await startAsAdmin({ '/slow': slow })
    const written = browser.fetch('/slow')
    await gate.hasArrived
    assert.equal((await browser.fetch('/access-token')).status, 200)
    gate.open()
    await written
    assert.equal((await browser.fetch('/admin')).status, 403)
    assert.equal((await browser.fetch('/session')).json()['cart'], 'book')
  })

  it('is missing in every request that waited for the same refresh', async () => {
    const read = answerJson(async ({ oidc, session }) => {
      session['visit'] = randomUUID()
      await oidc.accessToken()
      return { groups: oidc.claims?.['groups'] ?? 'none' }
    })
    const { browser } = await startAsAdmin({ '/groups': read })
    const pages = await Promise.all([1, 2, 3, 4].map(() => browser.fetch('/groups')))
    assert.deepEqual(new Set(pages.map((page) => page.json()['groups'])), new Set(['none']))
    assert.equal((await browser.fetch('/admin')).status, 403)
  })
})

describe('a refresh', () => {
  it('removes a group that another node has restored after an earlier refresh', async () => {
    const gate = createGate()
    const slow = answerJson(async ({ session }) => {
      session['cart'] = 'book'
      await gate.pass()
      return {}
    })
    const [store, other] = createSharedStores(2)
    assert.ok(store && other)
    stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
    stage.provider.change.idTokenClaims = (good) => ({ ...good, groups: ['admin'] })
    stage.provider.change.refreshedIdTokenClaims = ({ groups: _lost, ...good }: JsonObject) => good
    const { browser } = await stage.startLoggedIn({ scope: SCOPE }, { session: { store } })
    const second = await stage.start({ scope: SCOPE }, { session: { store: other }, routes: { '/slow': slow } })
    const written = browser.fetch(`${second.baseUrl}/slow`)
    await gate.hasArrived
    await browser.fetch('/access-token')
    gate.open()
    await written
    assert.equal((await browser.fetch('/admin')).status, 200)
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 3_590_000 })
    await browser.fetch('/access-token')
    assert.equal((await browser.fetch('/admin')).status, 403)
  })

  it('removes a scope that is no longer granted', async () => {
    const granted = 'openid offline_access reports:read'
    stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0, scope: granted })
    const { browser } = await stage.startLoggedIn({ scope: SCOPE })
    stage.provider.change.refreshResponse = (response) => ({ ...response, scope: 'openid offline_access' })
    assert.equal((await browser.fetch('/reports')).status, 200)
    await browser.fetch('/access-token')
    assert.equal((await browser.fetch('/reports')).status, 403)
  })
})

/**
 * In bytes, without garbage. Buffers are freed by a thread of their own after a collection, at some time: so the least of several
 * measurements counts.
 */
async function memoryInUse(): Promise<number> {
  setFlagsFromString('--expose_gc')
  const measured: number[] = []
  for (let round = 0; round < 10; round++) {
    runInNewContext('gc')()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    measured.push(heapUsed + arrayBuffers)
    await setTimeout(10)
  }
  return Math.min(...measured)
}

describe('the memory of changed logins', () => {
  const loginOf = (group: string): Login => {
    return { claims: { iss: 'i', sub: 's', groups: [group] } as never, scope: '', loggedInAt: 1, expiresAt: 2 }
  }
  const held = (tokensId: string, group: string) => ({ tokensId, login: loginOf(group), seenAt: 7 })

  it('knows all earlier states of a login, but not one that is the latest again', () => {
    const logins = createLoginChanges()
    logins.add('t', loginOf('a'), loginOf('b'))
    logins.add('t', loginOf('b'), loginOf('c'))
    assert.deepEqual(logins.latest(held('t', 'a')), held('t', 'c'))
    assert.deepEqual(logins.latest(held('t', 'b')), held('t', 'c'))
    logins.add('t', loginOf('c'), loginOf('a'))
    assert.deepEqual(logins.latest(held('t', 'a')), held('t', 'a'))
    assert.deepEqual(logins.latest(held('t', 'c')), held('t', 'a'))
    // Another node has changed it since, so it is newer than anything here.
    assert.deepEqual(logins.latest(held('t', 'elsewhere')), held('t', 'elsewhere'))
    assert.deepEqual(logins.latest(held('other', 'c')), held('other', 'c'))
  })

  /** A login with so many bytes of claims. */
  const bigLogin = (bytes: number, version: number): Login => {
    return {
      claims: { iss: 'i', sub: 's', big: 'x'.repeat(bytes), version } as never,
      scope: '',
      loggedInAt: 1,
      expiresAt: 2,
    }
  }

  it('N-42: holds one copy of each login, however often it was refreshed', async () => {
    const logins = createLoginChanges()
    const before = await memoryInUse()
    for (let version = 0; version < 9; version++) {
      for (let user = 0; user < 300; user++)
        logins.add(`t${user}`, bigLogin(35_000, version), bigLogin(35_000, version + 1))
    }
    const grown = (await memoryInUse()) - before
    assert.ok(grown < 25_000_000, `${grown} bytes`)
    const stale = { tokensId: 't7', login: bigLogin(35_000, 8) }
    assert.deepEqual(logins.latest(stale).login, bigLogin(35_000, 9))
  })

  it('N-42: forgets the oldest when the logins have more than 16 MiB', () => {
    const logins = createLoginChanges()
    for (let user = 0; user < 17; user++) logins.add(`t${user}`, bigLogin(2 ** 20, 1), bigLogin(2 ** 20, 2))
    const stale = (user: number) => ({ tokensId: `t${user}`, login: bigLogin(2 ** 20, 1) })
    assert.deepEqual(logins.latest(stale(0)), stale(0))
    assert.deepEqual(logins.latest(stale(1)), stale(1))
    assert.deepEqual(logins.latest(stale(2)).login, bigLogin(2 ** 20, 2))
    assert.deepEqual(logins.latest(stale(16)).login, bigLogin(2 ** 20, 2))
  })

  it('N-42: counts what a login has now, not what it had', () => {
    const logins = createLoginChanges()
    logins.add('small', loginOf('a'), loginOf('b'))
    for (let version = 0; version < 100; version++)
      logins.add('big', bigLogin(2 ** 20, version), bigLogin(2 ** 20, version + 1))
    assert.deepEqual(logins.latest(held('small', 'a')), held('small', 'b'))
  })

  it('N-42: forgets a change after ten minutes, when every request that it concerns is over', (t) => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    t.after(() => mock.timers.reset())
    const logins = createLoginChanges()
    logins.add('t', loginOf('a'), loginOf('b'))
    logins.replace('r', held('other', 'c'))
    mock.timers.tick(599_999)
    assert.deepEqual(logins.latest(held('t', 'a')), held('t', 'b'))
    assert.deepEqual(logins.latest(held('r', 'a')), held('other', 'c'))
    mock.timers.tick(1)
    assert.deepEqual(logins.latest(held('t', 'a')), held('t', 'a'))
    assert.deepEqual(logins.latest(held('r', 'a')), held('r', 'a'))
  })

  it('forgets the oldest of more than 2,000', () => {
    const logins = createLoginChanges()
    for (let count = 0; count <= 2000; count++) logins.add(`t${count}`, loginOf('a'), loginOf('b'))
    assert.deepEqual(logins.latest(held('t0', 'a')), held('t0', 'a'))
    assert.deepEqual(logins.latest(held('t1', 'a')), held('t1', 'b'))
  })
})

describe('a login that another tab has completed in the same session', () => {
  it('replaces the previous one, whatever requests of that are in progress', async () => {
    const [refresh, write] = [createGate(), createGate()]
    let isHeld = false
    const slowly = async (url: string, init: RequestInit): Promise<Response> => {
      if (isHeld && String(init.body).includes('grant_type=refresh_token')) await refresh.pass()
      return await fetch(url, init)
    }
    const slow = answerJson(async ({ session }) => {
      session['cart'] = 'book'
      await write.pass()
      return {}
    })
    stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
    stage.provider.change.refreshedIdTokenClaims = (good) => ({ ...good, email: 'new@example.com' })
    const app = await stage.start({ scope: SCOPE, fetch: slowly }, { routes: { '/slow': slow } })
    const browser = app.browser()
    const { next } = await browser.open('/login?returnTo=/profile', { stopBefore: isCallback })
    await browser.open('/profile')
    isHeld = true
    const [refreshed, written] = [browser.fetch('/access-token'), browser.fetch('/slow')]
    await Promise.all([refresh.hasArrived, write.hasArrived])
    await browser.go(next)
    const latestTokens = Object.keys(await app.records()).filter(isTokens)
    refresh.open()
    assert.equal((await refreshed).status, 401)
    write.open()
    await written
    const { oidc: held } = (await browser.fetch('/session')).json()
    assert.deepEqual(latestTokens, [`oidc-tokens-${Object(held).id}`])
    await browser.post('/logout', {}, { follow: false })
    assert.deepEqual([await app.sessions(), Object.keys(await app.records()).filter(isTokens)], [0, []])
  })
})
