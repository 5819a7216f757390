import { arch, cpus, platform } from 'node:os'
import { parseArgs } from 'node:util'
import { startRedis } from '../test/support/servers/redis.ts'
import { type ChildProvider, startProvider } from './child-app.ts'
import { measureLogin, measureTracedLogin, profileLogin } from './login.ts'
import { summarizeProfile } from './profile-summary.ts'
import { type Figure, tableOf } from './report.ts'
import { measureLoginStart, measurePages, measurePagesInRedis, measureTracedPages } from './requests.ts'
import { measureStartup } from './startup.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '12' },
    only: { type: 'string', multiple: true },
    profile: { type: 'boolean' },
  },
})
const rounds = Number(values.rounds)

type Measure = (provider: ChildProvider) => Promise<readonly Figure[]>

/** By the name that `--only` takes. */
const MEASURES: Readonly<Record<string, Measure>> = {
  pages: (provider) => measurePages({ provider, rounds, block: 2000 }),
  redis: measureRedis,
  'login-start': (provider) => measureLoginStart({ provider, rounds, block: 2000 }),
  login: (provider) => measureLogin({ provider, rounds, logins: 200 }),
  telemetry: async (provider) => [
    ...(await measureTracedPages({ provider, rounds, block: 2000 })),
    ...(await measureTracedLogin({ provider, rounds, logins: 200 })),
  ],
  startup: (provider) => measureStartup(provider, Math.max(rounds, 15)),
}

async function measureRedis(provider: ChildProvider): Promise<readonly Figure[]> {
  const redis = await startRedis()
  if (redis === undefined) return []
  try {
    return await measurePagesInRedis({ provider, rounds, block: 2000 }, redis.socketPath)
  } finally {
    await redis.stop()
  }
}

async function measureAll(provider: ChildProvider): Promise<void> {
  const figures: Figure[] = []
  for (const [name, measure] of Object.entries(MEASURES)) {
    if (values.only?.includes(name) ?? true) figures.push(...(await measure(provider)))
  }
  console.log(`Node ${process.version}, ${platform()} ${arch()}, ${cpus()[0]?.model}, ${rounds} rounds\n`)
  console.log(tableOf(figures))
}

async function profile(provider: ChildProvider): Promise<void> {
  const settings = { provider, rounds, logins: 200 }
  for (const [name, recorded] of Object.entries(await profileLogin(settings))) {
    console.log(`\n${name}: microseconds of each login\n`)
    console.log(summarizeProfile(recorded, settings.rounds * settings.logins))
  }
}

const provider = await startProvider()
try {
  await (values.profile ? profile(provider) : measureAll(provider))
} finally {
  await provider.stop()
}
