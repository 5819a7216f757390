import { RedisStore } from 'connect-redis'
import session, { type Store } from 'express-session'
import { createClient } from 'redis'
import { redisState } from '../lib/redis.ts'
import { memoryState } from '../lib/state/memory-state.ts'
import type { SharedState, StoreLike } from '../lib/state/shared-state.ts'
import { startRedis } from '../test/support/servers/redis.ts'
import { startProvider } from './child-app.ts'
import { earlierLoginsTable, measureEarlierLogins, type Place } from './earlier-logins.ts'
import { heapTable, measureRefreshHeap } from './heap.ts'
import { inMemory, measureLogouts, scaleTable } from './scale.ts'

// As a server runs. In development, errors and advice go to the console.
process.env['NODE_ENV'] = 'production'

/** `npm run bench:scale`: what one login and one logout cost among few sessions and among many. */
const sizes = [
  { sessions: 1000, entries: 1000 },
  { sessions: 50_000, entries: 50_000 },
  { sessions: 50_000, entries: 500_000 },
]
const EARLIER_LOGINS = 10_000

/** Two apps that share nothing. */
async function twice(create: (number: number) => Promise<Place>): Promise<readonly [Place, Place]> {
  return [await create(1), await create(2)]
}

async function createMemory(state?: SharedState): Promise<Place> {
  const store: Store = new session.MemoryStore()
  return state === undefined ? { name: 'MemoryStore', store } : { name: 'MemoryStore, memoryState()', store, state }
}

const heap = measureRefreshHeap()
const provider = await startProvider('one user')
const redis = await startRedis()
try {
  const logins = [
    await measureEarlierLogins(provider, () => twice(() => createMemory()), EARLIER_LOGINS),
    await measureEarlierLogins(provider, () => twice(() => createMemory(memoryState())), EARLIER_LOGINS),
  ]
  const readings = [...(await measureLogouts('memory', inMemory, sizes))]
  if (redis !== undefined) {
    const client = createClient({ socket: { path: redis.socketPath, tls: false } })
    await client.connect()
    const storeOf = (number: number): Store => new RedisStore({ client, prefix: `app-${number}:` })
    const inRedis = async (number: number): Promise<Place> => ({ name: 'connect-redis', store: storeOf(number) })
    const byScripts = async (number: number): Promise<Place> => ({
      name: 'connect-redis, redisState()',
      store: storeOf(number),
      state: redisState({ client, prefix: `state-${number}:` }),
    })
    const create = () => ({
      state: redisState({ client }),
      store: new RedisStore({ client }) as unknown as StoreLike,
    })
    try {
      logins.push(await measureEarlierLogins(provider, () => twice(inRedis), EARLIER_LOGINS))
      logins.push(await measureEarlierLogins(provider, () => twice(byScripts), EARLIER_LOGINS))
      for (const size of sizes.slice(0, 2)) {
        await client.flushAll()
        readings.push(...(await measureLogouts('Redis', create, [size])))
      }
    } finally {
      client.destroy()
    }
  }
  console.log(`Node ${process.version}\n`)
  console.log(earlierLoginsTable(logins))
  console.log(`\n${scaleTable(readings)}`)
  console.log(`\n${heapTable(heap)}`)
} finally {
  await redis?.stop()
  await provider.stop()
}
