import { arch, cpus, platform } from 'node:os'
import { parseArgs } from 'node:util'
import { RedisStore } from 'connect-redis'
import session from 'express-session'
import { createClient } from 'redis'
import { startRedis } from '../test/support/servers/redis.ts'
import { measureLogin, profileLogin } from './login.ts'
import { summarizeProfile } from './profile-summary.ts'
import { type Figure, tableOf } from './report.ts'
import { measureRequests, measureSession, type StoreKind } from './requests.ts'
import { measureStartup } from './startup.ts'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '12' }, profile: { type: 'boolean' } } })
const rounds = Number(values.rounds)
const memory: StoreKind = { name: 'memory', create: () => new session.MemoryStore() }

async function measureRedis(): Promise<Figure[]> {
  const redis = await startRedis()
  if (redis === undefined) return []
  const client = createClient({ socket: { path: redis.socketPath, tls: false } })
  await client.connect()
  try {
    return await measureRequests({ name: 'Redis', create: () => new RedisStore({ client }) }, { rounds, block: 4000 })
  } finally {
    client.destroy()
    await redis.stop()
  }
}

async function measureAll(): Promise<void> {
  const figures = [
    ...(await measureRequests(memory, { rounds, block: 4000 })),
    ...(await measureRedis()),
    await measureLogin({ rounds, logins: 300 }),
    await measureSession(memory),
    await measureStartup(Math.max(rounds, 15)),
  ]
  console.log(`Node ${process.version}, ${platform()} ${arch()}, ${cpus()[0]?.model}, ${rounds} rounds\n`)
  console.log(tableOf(figures))
}

async function profile(): Promise<void> {
  const settings = { rounds, logins: 300 }
  for (const [name, recorded] of Object.entries(await profileLogin(settings))) {
    console.log(`\n${name}: microseconds of each login\n`)
    console.log(summarizeProfile(recorded, settings.rounds * settings.logins))
  }
}

await (values.profile ? profile() : measureAll())
