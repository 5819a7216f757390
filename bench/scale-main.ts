import { RedisStore } from 'connect-redis'
import { createClient } from 'redis'
import { redisState } from '../lib/redis.ts'
import type { StoreLike } from '../lib/state/shared-state.ts'
import { startRedis } from '../test/support/servers/redis.ts'
import { inMemory, measureLogouts, scaleTable } from './scale.ts'

/** `npm run bench:scale`: what one logout costs among few and among many. */
const sizes = [
  { sessions: 1000, entries: 1000 },
  { sessions: 50_000, entries: 50_000 },
  { sessions: 50_000, entries: 500_000 },
]

const readings = [...(await measureLogouts('memory', inMemory, sizes))]
const redis = await startRedis()
if (redis !== undefined) {
  const client = createClient({ socket: { path: redis.socketPath, tls: false } })
  await client.connect()
  try {
    const create = () => ({
      state: redisState({ client }),
      store: new RedisStore({ client }) as unknown as StoreLike,
    })
    for (const size of sizes.slice(0, 2)) {
      await client.flushAll()
      readings.push(...(await measureLogouts('Redis', create, [size])))
    }
  } finally {
    client.destroy()
    await redis.stop()
  }
}
console.log(`Node ${process.version}\n`)
console.log(scaleTable(readings))
