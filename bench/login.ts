import type { Profiler } from 'node:inspector'
import { type ChildApp, startChild, startChildApp } from './child-app.ts'
import { visit } from './login-visit.ts'
import type { Figure } from './report.ts'

export interface LoginSettings {
  readonly rounds: number
  /** Logins at each app in each round. */
  readonly logins: number
}

const CLIENT = { CLIENT_ID: 'benchmark', CLIENT_SECRET: 'a-Secret_of.40-characters_0123456789abcd' }
/** How many people log in at a time. */
const AT_A_TIME = 4

/**
 * Whole logins over HTTP: CPU time of the app's process for each, ours with every check against one that is written by hand
 * with openid-client, which takes the ID Token's signature on trust as it comes from the token endpoint.
 */
export async function measureLogin({ rounds, logins }: LoginSettings): Promise<Figure> {
  return withApps(async (plain, own) => {
    const bare: number[] = []
    const ours: number[] = []
    for (let round = -1; round < rounds; round++) {
      const order = round % 2 === 0 ? ([plain, own] as const) : ([own, plain] as const)
      const first = await cpuOfLogins(order[0], logins)
      const second = await cpuOfLogins(order[1], logins)
      // The first round warms up.
      if (round < 0) continue
      bare.push(order[0] === plain ? first : second)
      ours.push(order[0] === plain ? second : first)
    }
    return { name: 'whole login, CPU', unit: 'ms', bare, ours, aim: { of: 'ours', most: 1.5 } }
  })
}

/** CPU profiles of both apps while people log in. */
export async function profileLogin({ rounds, logins }: LoginSettings): Promise<Record<string, Profiler.Profile>> {
  return withApps(async (plain, own) => ({
    'express-oidc': await profileOf(own, rounds * logins),
    'openid-client by hand': await profileOf(plain, rounds * logins),
  }))
}

async function profileOf(app: ChildApp, logins: number): Promise<Profiler.Profile> {
  await logIn(app, 300)
  await app.startProfile()
  await logIn(app, logins)
  return app.stopProfile()
}

async function withApps<T>(run: (plain: ChildApp, own: ChildApp) => Promise<T>): Promise<T> {
  const provider = await startChild('provider.ts', CLIENT)
  const env = { ...CLIENT, ISSUER: provider.baseUrl }
  const plain = await startChildApp('login-plain.js', env)
  const own = await startChildApp('login-ours.js', env)
  try {
    return await run(plain, own)
  } finally {
    await Promise.all([provider, plain, own].map((child) => child.stop()))
  }
}

/** CPU milliseconds for each login. */
async function cpuOfLogins(app: ChildApp, logins: number): Promise<number> {
  const before = await app.cpu()
  await logIn(app, logins)
  return ((await app.cpu()) - before) / 1000 / logins
}

async function logIn(app: ChildApp, logins: number): Promise<void> {
  const person = async (): Promise<void> => {
    for (let login = 0; login < logins / AT_A_TIME; login++) await visit(app.baseUrl)
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, person))
}
