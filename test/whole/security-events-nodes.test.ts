import assert from 'node:assert/strict'
import { dirname } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { RedisStore } from 'connect-redis'
import type { Store } from 'express-session'
import type { Pool } from 'pg'
import { createClient } from 'redis'
import { postgresState } from '../../lib/postgres.ts'
import { createVerificationState } from '../../lib/protocol/verification-state.ts'
import { redisState } from '../../lib/redis.ts'
import type { SharedState } from '../../lib/state/shared-state.ts'
import type { TestApp } from '../support/app/app.ts'
import { isIn, subjectOf } from '../support/app/logout-observer.ts'
import { createSharedStores } from '../support/app/nodes.ts'
import { assertAccepted, createSignalsStand } from '../support/app/signals-stand.ts'
import { createStage } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import { connectToPostgres, skipWithoutPostgres, startPostgres } from '../support/servers/postgres.ts'
import { skipWithoutRedis, startRedis } from '../support/servers/redis.ts'
import { SESSION_REVOKED, VERIFICATION } from '../support/servers/transmitter.ts'
import { now } from '../support/strict-provider/context.ts'

const NODES = 4
const HEADER = 'Bearer the-value-of-the-header'

/** What one node has of its own: connections to what all nodes share. */
interface Node {
  readonly sharedState: SharedState
  readonly store: Store
}

interface Server {
  readonly nodes: readonly Node[]
  stop(): Promise<void>
}

async function onRedis(): Promise<Server> {
  const redis = await startRedis()
  assert.ok(redis)
  const clients = Array.from({ length: NODES }, () => createClient({ socket: { path: redis.socketPath, tls: false } }))
  await Promise.all(clients.map((client) => client.connect()))
  return {
    nodes: clients.map((client) => ({ sharedState: redisState({ client }), store: new RedisStore({ client }) })),
    async stop() {
      for (const client of clients) client.destroy()
      await redis.stop()
    },
  }
}

/** The sessions are in one memory, the shared state in PostgreSQL. */
async function onPostgres(): Promise<Server> {
  const postgres = await startPostgres()
  assert.ok(postgres)
  const pools: readonly Pool[] = Array.from({ length: NODES }, () => connectToPostgres(dirname(postgres.socketPath)))
  const stores = createSharedStores(NODES)
  for (const pool of pools.slice(0, 1)) await postgresState({ pool }).createTable()
  return {
    nodes: pools.flatMap((pool, index) => {
      const store = stores[index]
      return store === undefined ? [] : [{ sharedState: postgresState({ pool }), store }]
    }),
    async stop() {
      await Promise.all(pools.map((pool) => pool.end()))
      await postgres.stop()
    },
  }
}

for (const [name, skip, startServer] of [
  ['Redis', skipWithoutRedis, onRedis],
  ['PostgreSQL', skipWithoutPostgres, onPostgres],
] as const) {
  describe(`a security event on four nodes with ${name}`, { skip }, () => {
    const stage = createStage({ app: { errorHandler: 'json' } })
    const stand = createSignalsStand(stage)
    let server: Server

    before(async () => {
      server = await startServer()
    })
    after(() => server?.stop())

    async function startNodes(): Promise<readonly [TestApp, ...TestApp[]]> {
      const sharedSignals = { ...stand.sharedSignals, authorizationHeader: HEADER }
      const [first, ...others] = await Promise.all(
        server.nodes.map(({ sharedState, store }) =>
          stage.start({ sharedSignals, sharedState }, { session: { store } }),
        ),
      )
      assert.ok(first)
      return [first, ...others]
    }

    it('ends the sessions of a user on all of them, and does nothing when it comes again to another', async () => {
      const apps = await startNodes()
      const browsers = apps.flatMap((app) => [app.browser(), app.browser()])
      for (const [index, browser] of browsers.entries()) {
        const app = apps[Math.floor(index / 2)] ?? apps[0]
        assert.equal((await browser.open(`${app.baseUrl}/profile`)).status, 200)
      }
      const { sub } = await subjectOf(browsers[0] ?? apps[0].browser())
      const claims = { jti: `of ${name}`, sub_id: stand.userOf({ sub }), iat: now() }
      const send = (app: TestApp) => stand.send(app, claims, { authorization: HEADER })
      assertAccepted(await send(apps[2] ?? apps[0]))
      for (const browser of browsers) assert.equal(await isIn(browser), false)
      for (const app of apps) assertAccepted(await send(app))
    })

    it('refuses a login in progress on another of them', async () => {
      const apps = await startNodes()
      const [first, second = first] = apps
      const browser = second.browser()
      const { next } = await browser.open('/login?returnTo=/profile', { stopBefore: isCallback })
      const sub_id = stand.userOf({ sub: 'user-subject' })
      assertAccepted(
        await stand.send(
          first,
          { sub_id, iat: now() + 1, events: { [SESSION_REVOKED]: {} } },
          { authorization: HEADER },
        ),
      )
      assert.equal((await browser.go(next)).status, 400)
      assert.equal(await isIn(browser), false)
    })

    it('verifies the stream on each of them, without having told them the state', async () => {
      const state = createVerificationState(HEADER, stand.transmitter.issuer)
      for (const app of await startNodes()) {
        const events = { [VERIFICATION]: { state } }
        assertAccepted(await stand.send(app, { events }, { authorization: HEADER }))
      }
    })
  })
}
