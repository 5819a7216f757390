import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, beforeEach, describe, it } from 'node:test'
import { RedisStore } from 'connect-redis'
import { createClient } from 'redis'
import { redisState } from '../../lib/redis.ts'
import { createSessionIndex } from '../../lib/session/session-index.ts'
import { readOidcSession } from '../../lib/session/stored-session.ts'
import type { StoreLike } from '../../lib/state/shared-state.ts'
import { type Cluster, startCluster } from '../support/app/cluster.ts'
import { isTokens, loginIn } from '../support/app/records.ts'
import { signJws } from '../support/app/signing-keys.ts'
import { createStage } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { skipWithoutRedis, startRedis, type TestRedis } from '../support/servers/redis.ts'

const NODES = 4
/** In seconds. A refresh with its requests fits into twice as long, which is how long a lock outlives its node. */
const TIMEOUT = 10
const LOCK = 2 * TIMEOUT + 2
/** What the index of the sessions needs to know of `oidc()`. */
const INDEX = { basePath: '', sessionKey: 'oidc', loginLifetime: 36_000 }
const EVENT = 'http://schemas.openid.net/event/backchannel-logout'

describe('four nodes behind a round-robin proxy', { skip: skipWithoutRedis }, () => {
  const stage = createStage()
  let redis: TestRedis | undefined
  let client: ReturnType<typeof createClient>
  let cluster: Cluster

  before(async () => {
    redis = await startRedis()
    client = createClient({ socket: { path: redis?.socketPath ?? '', tls: false } })
    await client.connect()
    const { issuer, clientId, clientSecret } = stage.provider
    cluster = await startCluster(NODES, { redisSocket: redis?.socketPath ?? '' }, (baseUrl) => ({
      issuer,
      clientId,
      clientSecret,
      baseUrl,
      scope: 'openid profile email offline_access',
      timeout: TIMEOUT,
      dangerouslyAllowInsecureRequests: true,
    }))
  })
  beforeEach(() => client.flushAll())
  after(async () => {
    await cluster?.stop()
    client?.destroy()
    await redis?.stop()
  })

  async function logIn(browser: Browser = cluster.browser()): Promise<Browser> {
    const page = await browser.open('/profile')
    assert.equal(page.status, 200, page.body)
    return browser
  }

  async function isLoggedIn(browser: Browser): Promise<boolean> {
    return (await browser.fetch('/profile')).status === 200
  }

  /** The sessions in the store that hold a login. */
  async function sessions(): Promise<number> {
    const keys = await client.keys('app:*')
    const records = keys.length === 0 ? [] : await client.mGet(keys)
    return records.filter((record) => loginIn(JSON.parse(record ?? 'null')) !== undefined).length
  }

  /** A logout token for all sessions of the only user. */
  async function logOutAtProvider(claims: object = { sub: 'user-subject' }): Promise<number> {
    const now = Math.floor(Date.now() / 1000)
    const { issuer: iss, clientId: aud, keys } = stage.provider
    const { kid, privateKey } = keys.rsa
    const payload = { iss, aud, iat: now, exp: now + 120, jti: randomUUID(), events: { [EVENT]: {} }, ...claims }
    const token = signJws('RS256', privateKey, { alg: 'RS256', kid, typ: 'logout+jwt' }, payload)
    const body = new URLSearchParams({ logout_token: token })
    const { status } = await fetch(`${cluster.origin}/backchannel-logout`, { method: 'POST', body })
    return status
  }

  it('are four processes', async () => {
    const browser = cluster.browser()
    const pids = await Promise.all(Array.from({ length: 8 }, async () => (await browser.fetch('/node')).json()['pid']))
    assert.equal(new Set(pids).size, NODES)
  })

  it('send one token request for 200 refreshes at the same time', async () => {
    stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
    const browser = await logIn()
    const before = stage.provider.calls['/token']
    const pages = await Promise.all(Array.from({ length: 200 }, () => browser.fetch('/access-token')))
    const tokens = new Set(pages.map((page) => page.json()['token']))
    assert.deepEqual([tokens.size, stage.provider.calls['/token'] - before], [1, 1])
    assert.deepEqual(stage.provider.complaints, [])
  })

  /** Copies one of the logins, in the index too: the sessions of as many users whom no test has to log in. */
  async function copyLogin(count: number): Promise<void> {
    const store = new RedisStore({ client, prefix: 'app:' })
    const state = redisState({ client })
    const { clientId } = stage.provider
    const index = createSessionIndex(
      { ...INDEX, origin: cluster.origin, clientIds: new Map([['default', clientId]]) },
      () => state,
    )
    const keys = await client.keys('app:*')
    const tokens = await client.get(keys.find((key) => isTokens(key.slice(4))) ?? '')
    const session = JSON.parse((await client.get(keys.find((key) => !isTokens(key.slice(4))) ?? '')) ?? 'null')
    const oidcSession = readOidcSession(session, INDEX) ?? assert.fail('nobody is logged in')
    for (let number = 1; number <= count; number++) {
      const tokensId = `copied-${number}`
      const copy = { ...session, oidc: { ...session.oidc, id: tokensId } }
      await client.mSet({ [`app:copy-${number}`]: JSON.stringify(copy), [`app:oidc-tokens-${tokensId}`]: tokens ?? '' })
      await index.add(store as unknown as StoreLike, `copy-${number}`, { ...oidcSession, tokensId })
    }
  }

  it('leave no session of a thousand logins of one user after one logout token', async () => {
    const browsers = Array.from({ length: 100 }, () => cluster.browser())
    const statuses = await inLanes(10, browsers, async (browser) => (await browser.open('/profile')).status)
    assert.deepEqual([...new Set(statuses)], [200])
    await copyLogin(900)
    assert.equal(await sessions(), 1000)
    assert.equal(await logOutAtProvider(), 200)
    assert.equal(await sessions(), 0)
  })

  it('leave no session if the logout token arrives during the logins', async () => {
    const browsers = Array.from({ length: 100 }, () => cluster.browser())
    const waiting = await inLanes(10, browsers, async (browser) => {
      const page = await browser.open('/login', { stopBefore: (url) => url.pathname === '/callback' })
      return { browser, answer: page.next }
    })
    const arriving = inLanes(10, waiting, ({ browser, answer }) => browser.go(answer))
    const [, status] = await Promise.all([arriving, logOutAtProvider()])
    assert.equal(status, 200)
    assert.equal(await sessions(), 0)
  })

  it('end only the session with the sid of the logout token', async () => {
    stage.provider.change.idTokenClaims = (claims) => ({ ...claims, sid: randomUUID() })
    const [one, other] = [await logIn(), await logIn()]
    const { sid } = (await one.fetch('/profile')).json()
    assert.equal(await logOutAtProvider({ sid }), 200)
    assert.deepEqual([await isLoggedIn(one), await isLoggedIn(other)], [false, true])
  })

  it('do not write a session back by a request that saves it after the logout', async () => {
    const browser = await logIn()
    await Promise.all([...Array.from({ length: 20 }, () => browser.fetch('/write')), logOutAtProvider()])
    await Promise.all(Array.from({ length: 20 }, () => browser.fetch('/write')))
    assert.deepEqual([await isLoggedIn(browser), await sessions()], [false, 0])
  })

  it('lose no login in a rolling restart', async () => {
    const browsers = await Promise.all(Array.from({ length: 10 }, () => logIn()))
    const onTheirWay = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const browser = cluster.browser()
        return { browser, page: await browser.open('/login', { stopBefore: (url) => url.pathname === '/callback' }) }
      }),
    )
    for (let index = 0; index < cluster.size; index++) {
      await cluster.restart(index)
      for (const browser of browsers) assert.equal(await isLoggedIn(browser), true)
    }
    for (const { browser, page } of onTheirWay) {
      await browser.go(page.next)
      assert.equal(await isLoggedIn(browser), true)
    }
    await browsers[0]?.post('/logout')
    assert.equal(await isLoggedIn(browsers[0] ?? cluster.browser()), false)
  })

  it('let the user try again after a node was killed during a callback', async () => {
    const browser = cluster.browser()
    const page = await browser.open('/login?returnTo=/profile', { stopBefore: (url) => url.pathname === '/callback' })
    let killed = -1
    stage.provider.change.idToken = async (jwt) => {
      killed = cluster.lastNode()
      await cluster.kill(killed)
      return jwt
    }
    assert.equal((await browser.go(page.next)).status, 502)
    stage.provider.change.idToken = undefined
    await cluster.restart(killed)
    assert.equal(await sessions(), 0)
    await logIn(browser)
  })

  it('wait for the lock of a node that was killed during a refresh, and no longer', async () => {
    stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
    const browser = await logIn()
    const killed = { index: -1, exit: Promise.resolve() }
    stage.provider.change.refreshResponse = (response) => {
      killed.index = cluster.lastNode()
      killed.exit = cluster.kill(killed.index)
      return response
    }
    assert.equal((await browser.fetch('/access-token')).status, 502)
    await killed.exit
    stage.provider.change.refreshResponse = undefined
    await cluster.restart(killed.index)
    const [lock = ''] = await client.keys('oidc-state:lock:*')
    const left = await client.pTTL(lock)
    assert.ok(left > 0 && left <= LOCK * 1000, `${left} ms`)
    const waiting = browser.fetch('/access-token')
    await client.pExpire(lock, 1)
    // The refresh token is used up. What counts is that no node waits longer.
    const page = await waiting
    assert.ok([200, 401].includes(page.status), page.body)
  })
})

/** Runs work for each item, with this many at a time, and returns the results in order. */
async function inLanes<Item, Result>(
  lanes: number,
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<readonly Result[]> {
  const results: Result[] = []
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++
      const item = items[index]
      if (item !== undefined) results[index] = await work(item)
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  return results
}
