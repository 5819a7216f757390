import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { TokenRecord } from '../../lib/index.ts'
import { memoryState } from '../../lib/state/memory-state.ts'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { isIn } from '../support/app/logout-observer.ts'
import { createSharedStores } from '../support/app/nodes.ts'
import { isTokens } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { FaultyStore, REFRESH_SCOPE, startAged } from '../support/hostile/fault-injection.ts'
import type { RawHandler } from '../support/strict-provider/changes.ts'

// Two nodes that use the same refresh token.

const routes: Routes = {
  '/token-for': answerJson(async ({ oidc, url }) => {
    const resource = new URLSearchParams(url?.split('?')[1]).get('resource') ?? undefined
    return { token: await oidc.accessToken({ resource }) }
  }),
}

const stage = createStage({ app: { errorHandler: 'json', routes } })

async function tokensOf(browser: Browser): Promise<TokenRecord> {
  // The route sends what req.oidc.tokens() returned.
  return (await browser.fetch('/tokens')).json() as unknown as TokenRecord
}

describe('a refresh that is refused, since another node has used the refresh token', () => {
  interface Race {
    readonly slow: TestApp
    readonly fast: TestApp
    readonly browser: Browser
    /** The store of the slow node. */
    readonly store: FaultyStore
  }

  /** Two nodes with one session store and no common lock, so both use the same refresh token. */
  async function startRace(): Promise<Race> {
    const [inner, second] = createSharedStores(2)
    if (inner === undefined || second === undefined) throw new Error('there are no stores')
    const store = Object.assign(new FaultyStore(), { inner })
    const { app: slow, browser } = await startAged(stage, { sharedState: memoryState() }, { session: { store } })
    const options = { scope: REFRESH_SCOPE, sharedState: memoryState() }
    return { slow, browser, store, fast: await stage.start(options, { session: { store: second } }) }
  }

  /** Refuses this many refresh requests of the slow node. Before each response it does what is given here. */
  function refuseWith(meanwhile: () => Promise<unknown>, times = Number.POSITIVE_INFINITY): void {
    const { raw } = stage.provider.change
    let refused = 0
    const refuse: RawHandler = async (_req, res) => {
      Reflect.deleteProperty(raw, '/token')
      await meanwhile()
      if (++refused < times) raw['/token'] = refuse
      res.writeHead(400, { 'Content-Type': 'application/json' }).end('{"error":"invalid_grant"}')
    }
    raw['/token'] = refuse
  }

  /** Calls this before the second time that the slow node reads the tokens again. */
  function beforeSecondRead(store: FaultyStore, act: () => Promise<unknown>): void {
    let reads = 0
    store.act = (name, run, fail) => {
      if (!name.startsWith('get ') || !isTokens(name.slice(4)) || ++reads !== 2) run()
      else act().then(run, fail)
    }
  }

  it('N-7: returns the access token that the other node has stored', async () => {
    const { slow, fast, browser } = await startRace()
    const tokens: unknown[] = []
    refuseWith(async () => tokens.push((await browser.fetch(`${fast.baseUrl}/access-token`)).json()['token']))
    tokens.push((await browser.fetch(`${slow.baseUrl}/access-token`)).json()['token'])
    assert.deepEqual([tokens.length, new Set(tokens).size, typeof tokens[0]], [2, 1, 'string'])
    assert.deepEqual([codesOf(slow), await isIn(browser, slow), await isIn(browser, fast)], [[], true, true])
  })

  it('N-7: returns it too if the other node stores it a moment later', async () => {
    const { slow, fast, browser, store } = await startRace()
    const storeLater = async (): Promise<void> => {
      beforeSecondRead(store, () => browser.fetch(`${fast.baseUrl}/access-token`))
    }
    refuseWith(storeLater, 1)
    const { token } = (await browser.fetch(`${slow.baseUrl}/access-token`)).json()
    assert.deepEqual([token, codesOf(slow)], [(await tokensOf(browser)).accessToken, []])
    assert.deepEqual([await isIn(browser, slow), await isIn(browser, fast)], [true, true])
  })

  it('N-7: uses the new refresh token for a token that the other node did not need', async () => {
    const { slow, fast, browser } = await startRace()
    refuseWith(() => browser.fetch(`${fast.baseUrl}/access-token`), 1)
    const { token } = (await browser.fetch(`${slow.baseUrl}/token-for?resource=https://a.example`)).json()
    assert.deepEqual([typeof token, codesOf(slow), stage.provider.complaints], ['string', [], []])
  })

  it('N-7: keeps the login, and sends no third request, if that happens twice', async () => {
    const { slow, fast, browser } = await startRace()
    let refused = 0
    refuseWith(() => browser.fetch(`${fast.baseUrl}/token-for?resource=https://${++refused}.example`))
    assert.equal((await browser.fetch(`${slow.baseUrl}/token-for?resource=https://a.example`)).status, 401)
    assert.deepEqual([refused, codesOf(slow), await isIn(browser, slow)], [2, ['ERR_OIDC_REFRESH_REFUSED'], true])
  })

  it('N-7: ends the login if its refresh token is still the one that was refused', async () => {
    const { slow, browser } = await startRace()
    let refused = 0
    refuseWith(async () => ++refused)
    assert.equal((await browser.fetch(`${slow.baseUrl}/access-token`)).status, 401)
    assert.deepEqual([refused, codesOf(slow), await isIn(browser, slow)], [1, ['ERR_OIDC_REFRESH_REFUSED'], false])
  })
})
