import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { RedisStore } from 'connect-redis'
import { createClient } from 'redis'
import { atNode, codesOf, type TestApp } from '../support/app/app.ts'
import { isSharedRecord } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import type { Browser } from '../support/browser/browser.ts'
import { skipWithoutRedis, startRedis, type TestRedis } from '../support/servers/redis.ts'

type Client = ReturnType<typeof createClient>

/** A connection of one node to the Redis that both share. */
async function connect(socketPath: string): Promise<Client> {
  const client = createClient({ socket: { path: socketPath, tls: false } })
  client.on('error', () => undefined)
  return (await client.connect()) as Client
}

describe('two nodes with one Redis', { skip: skipWithoutRedis }, () => {
  const stage = createStage({ app: { errorHandler: 'json' } })
  let redis: TestRedis | undefined
  let clients: Client[] = []
  let first: TestApp
  let second: TestApp

  before(async () => {
    redis = await startRedis()
    const socketPath = redis?.socketPath ?? ''
    clients = [await connect(socketPath), await connect(socketPath)]
  })
  beforeEach(async () => {
    await clients[0]?.flushAll()
    ;[first, second] = (await Promise.all(clients.map(startNode))) as [TestApp, TestApp]
  })
  after(async () => {
    for (const client of clients) client.destroy()
    await redis?.stop()
  })

  function startNode(client: Client): Promise<TestApp> {
    const store = new RedisStore({ client, prefix: 'app:' })
    return stage.start({}, { session: { store } })
  }

  async function allKeys(): Promise<readonly string[]> {
    return (await clients[0]?.keys('*')) ?? []
  }

  /** The keys of sessions and tokens, without those of the shared state. */
  async function keys(): Promise<readonly string[]> {
    return (await allKeys()).filter((key) => !isSharedRecord(key.slice('app:'.length)))
  }

  async function isLoggedIn(browser: Browser, node: TestApp): Promise<boolean> {
    return (await browser.fetch(`${node.baseUrl}/profile`)).status === 200
  }

  it('share a login and its tokens', async () => {
    const browser = first.browser()
    assert.equal((await browser.open('/profile')).status, 200)
    assert.equal((await browser.open(`${second.baseUrl}/profile`)).status, 200)
    const here = (await browser.open('/tokens')).json()
    const there = (await browser.open(`${second.baseUrl}/tokens`)).json()
    assert.deepEqual(there, here)
    assert.ok(String(here['accessToken']).length > 20)
    assert.equal(stage.provider.calls['/authorize'], 1)
  })

  it('complete a login that was started at the other node', async () => {
    const browser = first.browser()
    const { next } = await browser.open('/profile', { stopBefore: isCallback })
    const page = await browser.go(atNode(next, second))
    assert.deepEqual([page.status, page.url], [200, `${second.baseUrl}/profile`])
    assert.equal(await isLoggedIn(browser, first), true)
    assert.deepEqual(stage.provider.complaints, [])
  })

  for (const [name, index] of [
    ['the node of the login', 0],
    ['the other node', 1],
  ] as const) {
    it(`end the login at both by a logout at ${name}, and leave only an expiring mark in Redis`, async () => {
      const browser = first.browser()
      await browser.open('/profile')
      const thief = browser.clone()
      const node = index === 0 ? first : second
      const page = await browser.post(`${node.baseUrl}/logout`, {}, { from: node.origin })
      assert.equal(page.url.split('?')[0], `${node.baseUrl}/`)
      assert.deepEqual([await isLoggedIn(thief, first), await isLoggedIn(thief, second)], [false, false])
      const left = await allKeys()
      assert.ok(left.every((key) => isSharedRecord(key.slice('app:'.length))))
      // The longest is the mark of the state: transactionLifetime.
      for (const key of left) assert.ok(((await clients[0]?.ttl(key)) ?? 0) <= 1801, key)
      assert.deepEqual([stage.provider.calls['/logout'], stage.provider.complaints], [1, []])
    })
  }

  it('store the session and the tokens in two records, which expire', async () => {
    const browser = first.browser()
    await browser.open('/profile')
    const found = await keys()
    assert.equal(found.length, 2)
    assert.equal(found.filter((key) => /^app:oidc-tokens-[\w-]{16}$/.test(key)).length, 1)
    for (const key of found) {
      const life = (await clients[0]?.ttl(key)) ?? 0
      assert.ok(life > 86_000 && life <= 86_400, `${key}: ${life}`)
    }
  })

  it('store no token that can be read in Redis', async () => {
    const browser = first.browser()
    await browser.open('/profile')
    const tokens = (await browser.open('/tokens')).json()
    const values = await Promise.all((await keys()).map((key) => clients[0]?.get(key)))
    for (const name of ['idToken', 'accessToken']) {
      assert.ok(values.every((value) => !value?.includes(String(tokens[name]))))
    }
  })

  it('keep the data of an anonymous session at a login at the other node', async () => {
    const browser = first.browser()
    await browser.open('/write')
    const { next } = await browser.open('/profile', { stopBefore: isCallback })
    await browser.go(atNode(next, second))
    assert.equal((await browser.open('/session')).json()['cart'], 'book')
    assert.equal((await keys()).length, 2)
  })
})

describe('a node whose Redis is gone', { skip: skipWithoutRedis }, () => {
  const { start } = createStage({ app: { errorHandler: 'json' } })

  it('fails a login with 503, and the user is not logged in', async () => {
    const redis = await startRedis()
    const client = await connect(redis?.socketPath ?? '')
    const store = new RedisStore({ client })
    try {
      const app = await start({}, { session: { store } })
      const browser = app.browser()
      const { next } = await browser.open('/profile', { stopBefore: isCallback })
      client.destroy()
      assert.equal((await browser.go(next)).status, 503)
      assert.deepEqual(codesOf(app), ['ERR_OIDC_SESSION_STORE'])
    } finally {
      await redis?.stop()
    }
  })
})
