import assert from 'node:assert/strict'
import { dirname } from 'node:path'
import { after, before, describe, it } from 'node:test'
import connectPgSimple from 'connect-pg-simple'
import session from 'express-session'
import { type Cluster, startCluster } from '../support/app/cluster.ts'
import type { NodeSettings } from '../support/app/cluster-node.ts'
import { createGate } from '../support/app/nodes.ts'
import { createStage } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import type { Browser, Navigation, Page } from '../support/browser/browser.ts'
import { connectToPostgres, skipWithoutPostgres, startPostgres } from '../support/servers/postgres.ts'
import { skipWithoutRedis, startRedis } from '../support/servers/redis.ts'

// A double click, or a proxy that sends a request again, brings one response of the provider to two nodes. A provider that
// gets a code twice revokes its tokens (RFC 6749 4.1.2), and the user must not see an error.

interface Server {
  readonly server: NodeSettings['server']
  stop(): Promise<void>
}

async function openRedis(): Promise<Server> {
  const redis = await startRedis()
  return { server: { redisSocket: redis?.socketPath ?? '' }, stop: async () => redis?.stop() }
}

async function openPostgres(): Promise<Server> {
  const postgres = await startPostgres()
  const postgresFolder = dirname(postgres?.socketPath ?? '')
  const pool = connectToPostgres(postgresFolder)
  const store = new (connectPgSimple(session))({ pool, createTableIfMissing: true, pruneSessionInterval: false })
  await new Promise((resolve) => store.get('the first operation creates the table', resolve))
  await pool.end()
  return { server: { postgresFolder }, stop: async () => postgres?.stop() }
}

for (const [name, skip, open] of [
  ['Redis', skipWithoutRedis, openRedis],
  ['PostgreSQL', skipWithoutPostgres, openPostgres],
] as const) {
  describe(`a doubled callback at two processes that share ${name}`, { skip, timeout: 120_000 }, () => {
    const stage = createStage()
    let shared: Server | undefined
    let cluster: Cluster

    before(async () => {
      shared = await open()
      const { issuer, clientId, clientSecret } = stage.provider
      cluster = await startCluster(2, shared.server, (baseUrl) => ({
        issuer,
        clientId,
        clientSecret,
        baseUrl,
        dangerouslyAllowInsecureRequests: true,
      }))
    })
    after(async () => {
      await cluster?.stop()
      await shared?.stop()
    })

    /** A browser whose response of the provider is ready, but not sent yet. */
    async function arrive(): Promise<{ browser: Browser; next: Navigation; code: string }> {
      const browser = cluster.browser()
      const { next } = await browser.open('/login?returnTo=/profile', { stopBefore: isCallback })
      assert.ok(next)
      return { browser, next, code: new URL(next.url).searchParams.get('code') ?? '' }
    }

    /** How often each code has come to the provider. */
    function redemptions(): readonly number[] {
      const codes = stage.provider.requests.flatMap(({ form }) => form.getAll('code'))
      return [...new Set(codes)].map((code) => codes.filter((one) => one === code).length)
    }

    function assertNoError(...pages: readonly Page[]): void {
      for (const page of pages) {
        assert.ok(page.status < 400, page.body)
        assert.deepEqual(
          page.history.filter(({ status }) => status >= 400),
          [],
        )
      }
      assert.deepEqual(stage.provider.complaints, [])
    }

    it('N-3: is redeemed once if the second request comes while the first is in progress, and the user is logged in', async () => {
      const { browser, next, code } = await arrive()
      const gate = createGate()
      stage.provider.change.idToken = async (jwt) => {
        await gate.pass()
        return jwt
      }
      const first = browser.go(next, { follow: false })
      await gate.hasArrived
      stage.provider.change.idToken = undefined
      // The proxy sends each request to the next node. The browser shows the response of the last click.
      const second = await browser.go(next)
      gate.open()
      assertNoError(second, await first)
      assert.equal(new URL(second.url).pathname, '/profile')
      assert.equal((await browser.fetch('/profile')).status, 200)
      assert.deepEqual(redemptions(), [1, 1])
      assert.ok(stage.provider.requests.some(({ form }) => form.get('code') === code))
    })

    it('N-3: is redeemed once for each of ten users who click twice at the same moment', async () => {
      const users = await Promise.all(Array.from({ length: 10 }, arrive))
      await Promise.all(
        users.map(async ({ browser, next }) => {
          const clicks = await Promise.all([browser.go(next, { follow: false }), browser.go(next, { follow: false })])
          assertNoError(...clicks)
          assertNoError(await browser.go(clicks[1]?.next))
          assert.equal((await browser.fetch('/profile')).status, 200)
        }),
      )
      assert.deepEqual(new Set(redemptions()), new Set([1]))
      for (const { code } of users) assert.ok(stage.provider.requests.some(({ form }) => form.get('code') === code))
    })

    it('N-3: leads to the home page if the browser has the response of the first, which ended the login in progress', async () => {
      const { browser, next } = await arrive()
      assertNoError(await browser.go(next, { follow: false }))
      const again = await browser.go(next)
      assertNoError(again)
      assert.deepEqual([new URL(again.url).pathname, again.json()['authenticated']], ['/', true])
      assert.deepEqual([redemptions(), stage.provider.calls['/authorize']], [[1], 1])
    })

    it('N-3: starts the login again if the second request comes after the first, without its session', async () => {
      const { browser, next } = await arrive()
      const other = browser.clone()
      assertNoError(await browser.go(next))
      const again = await other.go(next)
      assertNoError(again)
      assert.equal(new URL(again.url).pathname, '/profile')
      assert.deepEqual([redemptions(), stage.provider.calls['/authorize']], [[1, 1], 2])
      for (const one of [browser, other]) assert.equal((await one.fetch('/profile')).status, 200)
    })

    // Starting nodes takes long, and what they share makes no difference here.
    if (name !== 'Redis') return
    it('N-3: starts the login again if the node that redeemed the code has died, as a proxy repeats the request', async () => {
      const { browser, next } = await arrive()
      let died: Promise<unknown> | undefined
      stage.provider.change.idToken = async (jwt) => {
        died ??= Promise.all([cluster.kill(0), cluster.kill(1)])
        await died
        return jwt
      }
      assert.equal((await browser.go(next, { follow: false })).status, 502)
      stage.provider.change.idToken = undefined
      await Promise.all([cluster.restart(0), cluster.restart(1)])
      const again = await browser.go(next)
      assertNoError(again)
      assert.equal(new URL(again.url).pathname, '/profile')
      assert.deepEqual(redemptions(), [1, 1])
    })
  })
}
