import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { describe, it, mock } from 'node:test'
import { createLoginChanges } from '../../lib/session/store-watch.ts'
import type { Login } from '../../lib/types.ts'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { createGate, createSharedStores } from '../support/app/nodes.ts'
import { isTokens } from '../support/app/records.ts'
import { signJws } from '../support/app/signing-keys.ts'
import { createStage } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import type { Browser } from '../support/browser/browser.ts'
import { listen } from '../support/servers/http-server.ts'
import type { JsonObject } from '../support/strict-provider/changes.ts'

const SCOPE = 'openid profile email offline_access'
const stage = createStage({ app: { errorHandler: 'json' } })

/** An administrator is logged in whose access token is about to end: with the next one, the group is gone. */
async function startAsAdmin(routes: Routes): Promise<{ app: TestApp; browser: Browser }> {
  stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
  stage.provider.change.idTokenClaims = (good) => ({ ...good, groups: ['admin'] })
  stage.provider.change.refreshedIdTokenClaims = ({ groups: _lost, ...good }: JsonObject) => good
  return await stage.startLoggedIn({ scope: SCOPE }, { routes })
}

describe('a group that a refresh has taken away', () => {
  it('is not brought back by a request that read its session before and writes it afterwards', async () => {
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

  it('is gone for every request that waited for the same refresh', async () => {
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
  it('takes away what another node has brought back of a refresh before', async () => {
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

  it('takes away a scope that is granted no longer', async () => {
    const granted = 'openid offline_access reports:read'
    stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0, scope: granted })
    const { browser } = await stage.startLoggedIn({ scope: SCOPE })
    stage.provider.change.refreshResponse = (response) => ({ ...response, scope: 'openid offline_access' })
    assert.equal((await browser.fetch('/reports')).status, 200)
    await browser.fetch('/access-token')
    assert.equal((await browser.fetch('/reports')).status, 403)
  })
})

describe('logins that were superseded', () => {
  const loginOf = (group: string): Login => {
    return { claims: { iss: 'i', sub: 's', groups: [group] } as never, scope: '', loggedInAt: 1, expiresAt: 2 }
  }
  const held = (tokensId: string, group: string) => ({ tokensId, login: loginOf(group), seenAt: 7 })

  it('are known whatever they were, and what they have become again is none', () => {
    const logins = createLoginChanges()
    logins.add('t', loginOf('a'), loginOf('b'))
    logins.add('t', loginOf('b'), loginOf('c'))
    assert.deepEqual(logins.latest(held('t', 'a')), held('t', 'c'))
    assert.deepEqual(logins.latest(held('t', 'b')), held('t', 'c'))
    logins.add('t', loginOf('c'), loginOf('a'))
    assert.deepEqual(logins.latest(held('t', 'a')), held('t', 'a'))
    assert.deepEqual(logins.latest(held('t', 'c')), held('t', 'a'))
    // Another node has changed it since: that is newer than anything here.
    assert.deepEqual(logins.latest(held('t', 'elsewhere')), held('t', 'elsewhere'))
    assert.deepEqual(logins.latest(held('other', 'c')), held('other', 'c'))
  })

  it('are forgotten where there are too many', () => {
    const logins = createLoginChanges()
    for (let count = 0; count <= 2000; count++) logins.add(`t${count}`, loginOf('a'), loginOf('b'))
    assert.deepEqual(logins.latest(held('t0', 'a')), held('t0', 'a'))
    assert.deepEqual(logins.latest(held('t1', 'a')), held('t1', 'b'))
  })
})

describe('a logout while tokens are refreshed', () => {
  it('leaves no tokens, at whatever moment the refresh keeps its own', async () => {
    const [refresh, removal] = [createGate(), createGate()]
    let isHeld = false
    const slowly = async (url: string, init: RequestInit): Promise<Response> => {
      if (isHeld && url.endsWith('/token')) await refresh.pass()
      return await fetch(url, init)
    }
    stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
    const { app, browser } = await stage.startLoggedIn({ scope: SCOPE, fetch: slowly, revokeTokens: false })
    isHeld = true
    const refreshed = browser.fetch('/access-token')
    await refresh.hasArrived
    const { store } = app
    const destroy = store.destroy.bind(store)
    let isFirst = true
    // The record is gone at once, but the store tells so late.
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

describe('a demand that all sessions of a person end', () => {
  it('ends a login that is on its way', async () => {
    const tokenRevocation = '/global-token-revocation'
    const app = await stage.start({ routes: { tokenRevocation } })
    const browser = app.browser()
    const { next } = await browser.open('/login?returnTo=/profile', { stopBefore: isCallback })
    const { issuer, clientId, keys } = stage.provider
    const { kid, privateKey } = keys.rsa
    const [now, aud] = [Math.floor(Date.now() / 1000), app.baseUrl + tokenRevocation]
    const header = { alg: 'RS256', kid, typ: 'global-token-revocation+jwt' }
    const claims = { iss: issuer, sub: clientId, aud, jti: randomUUID(), iat: now, exp: now + 300 }
    const answer = await fetch(aud, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        Authorization: `Bearer ${signJws('RS256', privateKey, header, claims)}`,
      },
      body: JSON.stringify({ sub_id: { format: 'iss_sub', iss: issuer, sub: 'user-subject' } }),
    })
    assert.equal(answer.status, 204)
    await browser.go(next)
    assert.deepEqual([codesOf(app), await app.sessions()], [['ERR_OIDC_LOGIN_ENDED'], 0])
  })
})

describe('a request to an API that answers 401', () => {
  it('is not sent again with nothing in it, where its body is gone', async () => {
    const bodies: string[] = []
    const api = await listen(
      createServer(async (req, res) => {
        bodies.push(Buffer.concat(await req.toArray()).toString())
        res.writeHead(401).end()
      }),
    )
    stage.stopLater(api)
    async function* read(): AsyncGenerator<Buffer> {
      yield Buffer.from('an order')
    }
    const bodiesOf = { '/iterated': read, '/text': () => 'an order', '/bytes': () => Buffer.from('an order') }
    const routes = Object.fromEntries(
      Object.entries(bodiesOf).map(([path, body]) => {
        const ask = answerJson(async ({ oidc }) => {
          // Node takes what can be iterated, which the types of browsers do not know.
          const init = { method: 'POST', body: body(), duplex: 'half' } as unknown as RequestInit
          return { status: (await oidc.fetch(`http://127.0.0.1:${api.port}/`, init)).status }
        })
        return [path, ask]
      }),
    )
    const { browser } = await stage.startLoggedIn({ scope: SCOPE }, { routes })
    for (const path of Object.keys(bodiesOf)) assert.equal((await browser.fetch(path)).json()['status'], 401)
    assert.deepEqual(
      bodies,
      Array.from({ length: 5 }, () => 'an order'),
    )
  })
})

describe('a login that another tab has completed in the same session', () => {
  it('stays in the place of the one before, whatever requests of that were under way', async () => {
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
    const ofTheLatest = Object.keys(await app.records()).filter(isTokens)
    refresh.open()
    assert.equal((await refreshed).status, 401)
    write.open()
    await written
    const { oidc: held } = (await browser.fetch('/session')).json()
    assert.deepEqual(ofTheLatest, [`oidc-tokens:${Object(held).tokensId}`])
    await browser.post('/logout', {}, { follow: false })
    assert.deepEqual([await app.sessions(), Object.keys(await app.records()).filter(isTokens)], [0, []])
  })
})
