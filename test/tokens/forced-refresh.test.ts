import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import { MemoryStore, type Store } from 'express-session'
import { memoryState } from '../../lib/state/memory-state.ts'
import { codesOf } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { createGate, createSharedStores } from '../support/app/nodes.ts'
import { isTokens } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'

const SCOPE = 'openid profile email offline_access'

const routes: Routes = {
  '/refresh': answerJson(async ({ oidc, url }) => {
    const resource = new URLSearchParams(url?.split('?')[1]).get('resource') ?? undefined
    return { token: await oidc.accessToken({ refresh: true, resource }) }
  }),
  '/no-refresh': answerJson(async ({ oidc }) => ({ token: await oidc.accessToken({ refresh: false }) })),
}

const stage = createStage({ app: { errorHandler: 'json', routes } })

function refreshes(): readonly URLSearchParams[] {
  return stage.provider.requests.map(({ form }) => form).filter((form) => form.get('grant_type') === 'refresh_token')
}

async function tokenOf(browser: Browser, url: string): Promise<unknown> {
  return (await browser.fetch(url)).json()['token']
}

describe('accessToken({ refresh: true })', () => {
  it('refreshes a token that has not expired, and the token of the login is the new one', async () => {
    const { app, browser } = await stage.startLoggedIn({ scope: SCOPE })
    const before = await tokenOf(browser, '/access-token')
    const after = await tokenOf(browser, '/refresh')
    assert.notEqual(after, before)
    assert.deepEqual([await tokenOf(browser, '/access-token'), refreshes().length, codesOf(app)], [after, 1, []])
  })

  it('refreshes again at each call, and with refresh: false only if necessary', async () => {
    const { browser } = await stage.startLoggedIn({ scope: SCOPE })
    const first = await tokenOf(browser, '/refresh')
    const second = await tokenOf(browser, '/refresh')
    assert.notEqual(second, first)
    assert.deepEqual([await tokenOf(browser, '/no-refresh'), refreshes().length], [second, 2])
  })

  it('brings the claims of the login up to date', async () => {
    const { browser } = await stage.startLoggedIn({ scope: SCOPE })
    stage.provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, groups: ['admin'] })
    assert.equal((await browser.fetch('/admin')).status, 403)
    await browser.fetch('/refresh')
    assert.equal((await browser.fetch('/admin')).status, 200)
  })

  it('refreshes the token of one API, and leaves that of the login', async () => {
    const { browser } = await stage.startLoggedIn({ scope: SCOPE })
    const before = await tokenOf(browser, '/access-token')
    const [first, second] = [
      await tokenOf(browser, '/refresh?resource=https://api.example.com'),
      await tokenOf(browser, '/refresh?resource=https://api.example.com'),
    ]
    assert.notEqual(second, first)
    assert.equal(await tokenOf(browser, '/access-token'), before)
    assert.deepEqual(
      refreshes().map((form) => form.get('resource')),
      ['https://api.example.com', 'https://api.example.com'],
    )
  })

  it('sends one token request for 50 concurrent requests', async () => {
    const store = new MemoryStore()
    const { app, browser } = await stage.startLoggedIn({ scope: SCOPE }, { session: { store } })
    holdTokenEndpoint([store], 50)
    const tokens = await Promise.all(Array.from({ length: 50 }, () => tokenOf(browser, '/refresh')))
    assert.deepEqual([new Set(tokens).size, refreshes().length, codesOf(app)], [1, 1, []])
  })

  it('sends one token request for concurrent requests on two nodes', async () => {
    const stores = createSharedStores(2)
    const [store, other] = stores
    const options = { scope: SCOPE, sharedState: memoryState() }
    const { app, browser } = await stage.startLoggedIn(options, { session: { store } })
    const node = await stage.start(options, { session: { store: other } })
    holdTokenEndpoint(stores, 2)
    const tokens = await Promise.all([app, node].map(({ baseUrl }) => tokenOf(browser, `${baseUrl}/refresh`)))
    assert.deepEqual([new Set(tokens).size, typeof tokens[0], refreshes().length], [1, 'string', 1])
    assert.deepEqual([codesOf(app), codesOf(node)], [[], []])
  })

  it('rejects without a refresh token, and the unexpired token stays', async () => {
    const { app, browser } = await stage.startLoggedIn()
    assert.equal((await browser.fetch('/refresh')).status, 401)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_TOKEN_UNAVAILABLE'])
    assert.equal(typeof (await tokenOf(browser, '/access-token')), 'string')
  })

  it('rejects if no user is logged in', async () => {
    const app = await stage.start({ scope: SCOPE })
    assert.equal((await app.browser().fetch('/refresh')).status, 401)
    assert.deepEqual([codesOf(app), refreshes().length], [['ERR_OIDC_TOKEN_UNAVAILABLE'], 0])
  })

  it('ends the login if the provider has revoked the refresh token', async () => {
    const { app, browser } = await stage.startLoggedIn({ scope: SCOPE })
    stage.provider.change.raw['/token'] = (_req, res) =>
      void res.writeHead(400, { 'Content-Type': 'application/json' }).end('{"error":"invalid_grant"}')
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    assert.equal((await browser.fetch('/refresh')).status, 401)
    assert.deepEqual([codesOf(app), await app.sessions()], [['ERR_OIDC_REFRESH_REFUSED'], 0])
  })
})

/** Holds the token response until this many calls have read the tokens of the login, and the refresh once more. */
function holdTokenEndpoint(stores: readonly Store[], calls: number): void {
  const gate = createGate()
  let reads = 0
  for (const store of stores) {
    const get = store.get.bind(store)
    store.get = (id, done) => {
      if (isTokens(id) && ++reads === calls + 1) gate.open()
      get(id, done)
    }
  }
  stage.provider.change.refreshedIdToken = async (idToken) => {
    await gate.pass()
    return idToken
  }
}
