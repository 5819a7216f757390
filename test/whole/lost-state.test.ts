import assert from 'node:assert/strict'
import { dirname } from 'node:path'
import { before, beforeEach, describe, it, mock } from 'node:test'
import type { Pool } from 'pg'
import { postgresState } from '../../lib/postgres.ts'
import { redisState } from '../../lib/redis.ts'
import type { SharedState } from '../../lib/state/shared-state.ts'
import type { TestApp } from '../support/app/app.ts'
import { isIn, logoutUri, subjectOf } from '../support/app/logout-observer.ts'
import { createSharedStores } from '../support/app/nodes.ts'
import { isTokens } from '../support/app/records.ts'
import { createStage, share } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { connectToRedis, type RedisClient, untilReady } from '../support/hostile/fault-injection.ts'
import { connectToPostgres, skipWithoutPostgres, startPostgres } from '../support/servers/postgres.ts'
import { skipWithoutRedis, startRedis } from '../support/servers/redis.ts'

// A server of the shared state loses its data while the sessions stay. Two nodes of an application have their own clients.

const stage = createStage()

interface Nodes {
  readonly one: TestApp
  readonly other: TestApp
  /** Logged in at the first node. */
  readonly browser: Browser
  readonly subject: object
}

async function startNodes(states: readonly SharedState[]): Promise<Nodes> {
  mock.timers.enable({ apis: ['Date'], now: Date.now() })
  const stores = createSharedStores(2)
  const marked = states.map(watchMarks)
  const start = (index: number): Promise<TestApp> =>
    stage.start(
      { sharedState: marked[index]?.state ?? assert.fail() },
      { session: { store: stores[index] ?? assert.fail() } },
    )
  const [one, other] = [await start(0), await start(1)]
  const browser = one.browser()
  assert.equal((await browser.open('/profile')).status, 200)
  assert.equal(await isIn(browser, other), true)
  // Marks are left in the background. A state that is lost before the first one has nothing by which to notice.
  await Promise.all(marked.map(({ hasMark }) => hasMark))
  return { one, other, browser, subject: await subjectOf(browser) }
}

/** The state, and when a node has left its first mark in it. */
function watchMarks(state: SharedState): { readonly state: SharedState; readonly hasMark: Promise<void> } {
  let leave = (): void => undefined
  const hasMark = new Promise<void>((resolve) => {
    leave = resolve
  })
  const once: SharedState['once'] = async (key, seconds) => {
    const isFirst = await state.once(key, seconds)
    if (key.startsWith('epoch-mark:')) leave()
    return isFirst
  }
  return { state: { ...state, once }, hasMark }
}

/** The next requests learn whether the state is still the same. */
function passTime(): void {
  mock.timers.tick(10_000)
}

async function logOutAt(app: TestApp, subject: object): Promise<void> {
  const answer = await stage.provider.postLogoutToken(logoutUri(app), subject)
  assert.equal(answer.status, 200, answer.body)
}

/** Sessions and tokens in the store. */
async function leftIn(app: TestApp): Promise<number> {
  return (await app.sessions()) + Object.keys(await app.records()).filter(isTokens).length
}

/** What every state must show that was lost between the login and the logout. */
function itEndsSessions(start: () => Promise<Nodes>, lose: () => Promise<void>): void {
  it('N-10: a logout token at one node ends the session at the other with its next request', async () => {
    const { one, other, browser, subject } = await start()
    await lose()
    await logOutAt(other, subject)
    passTime()
    assert.deepEqual([await isIn(browser, one), await isIn(browser, other)], [false, false])
    assert.equal(await leftIn(one), 0)
    // A new login is another one.
    passTime()
    assert.equal((await browser.open(`${one.baseUrl}/profile`)).status, 200)
    assert.deepEqual([await isIn(browser, one), await isIn(browser, other)], [true, true])
  })

  it('N-10: a logout token ends a session at once that has had a request in between', async () => {
    const { one, other, browser, subject } = await start()
    await lose()
    passTime()
    assert.equal(await isIn(browser, one), true)
    await logOutAt(other, subject)
    assert.equal(await leftIn(one), 0)
  })

  it('N-10: requests in between at both nodes do not disturb one another', async () => {
    const { one, other, browser, subject } = await start()
    await lose()
    passTime()
    const nodes = [one, other, one, other].map((app) => isIn(browser, app))
    assert.deepEqual(await Promise.all(nodes), [true, true, true, true])
    await logOutAt(one, subject)
    assert.equal(await leftIn(one), 0)
  })
}

describe('a Redis of the shared state', { skip: skipWithoutRedis }, () => {
  const redis = share(async () => {
    const server = await startRedis()
    const clients = await Promise.all([1, 2].map(() => connectToRedis(server?.socketPath ?? '')))
    const stop = async (): Promise<void> => {
      for (const client of clients) client.destroy()
      await server?.stop()
    }
    return { server, clients, stop }
  })
  const start = (): Promise<Nodes> => startNodes(redis().clients.map((client) => redisState({ client })))

  async function restart(): Promise<void> {
    const { server, clients } = redis()
    await server?.kill()
    // The clients notice with their next command, if not before.
    await Promise.all(clients.map((client: RedisClient) => client.ping().catch(() => undefined)))
    await server?.start()
    await Promise.all(clients.map(untilReady))
  }

  describe('that is emptied', () => {
    itEndsSessions(start, async () => void (await redis().clients[0]?.flushAll()))
  })

  describe('that is killed and started again without its data', () => {
    itEndsSessions(start, restart)
  })

  describe('that is killed and started again with an older snapshot of its data', () => {
    const startSaved = async (): Promise<Nodes> => {
      const { clients } = redis()
      await clients[0]?.flushAll()
      const state = redisState({ client: clients[0] ?? assert.fail() })
      // The epoch is in the snapshot, the login is not.
      await stage.startLoggedIn({ sharedState: state })
      await clients[0]?.sendCommand(['SAVE'])
      return start()
    }

    itEndsSessions(startSaved, restart)

    it('N-10: a node that has added nothing notices it too', async () => {
      const { other, browser, subject } = await startSaved()
      await restart()
      await logOutAt(other, subject)
      passTime()
      assert.equal(await isIn(browser, other), false)
    })
  })
})

describe('a PostgreSQL of the shared state', { skip: skipWithoutPostgres }, () => {
  const postgres = share(async () => {
    const server = await startPostgres()
    const pools = [1, 2].map(() => connectToPostgres(dirname(server?.socketPath ?? '')))
    const stop = async (): Promise<void> => {
      await Promise.all(pools.map((pool: Pool) => pool.end()))
      await server?.stop()
    }
    return { server, pools, stop }
  })
  before(async () => {
    for (const pool of postgres().pools.slice(0, 1)) await postgresState({ pool }).createTable()
  })
  const empty = async (): Promise<void> => void (await postgres().pools[0]?.query('TRUNCATE oidc_state'))
  beforeEach(empty)

  describe('whose table is emptied', () => {
    itEndsSessions(() => startNodes(postgres().pools.map((pool) => postgresState({ pool }))), empty)
  })
})
