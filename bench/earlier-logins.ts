import { createServer } from 'node:http'
import express from 'express'
import session, { type Store } from 'express-session'
import { oidc, requireAuth } from '../lib/index.ts'
import { parseOptions } from '../lib/options/parse-options.ts'
import { createSessionIndex, keysOfLogin } from '../lib/session/session-index.ts'
import type { SharedState, StoreLike } from '../lib/state/shared-state.ts'
import { createStoreState } from '../lib/state/store-state.ts'
import { listen } from '../test/support/servers/http-server.ts'
import { fifteenClaims } from './claims.ts'
import type { ProviderSettings } from './logged-in-app.ts'
import { visit } from './login-visit.ts'
import { spreadOf } from './statistics.ts'

/** Where sessions and their index lie. Without `state` the index is in the store. */
export interface Place {
  readonly name: string
  readonly store: Store
  readonly state?: SharedState
}

/** What a login costs, without and with many earlier logins of its user. */
export interface LoginReading {
  readonly place: string
  readonly earlier: number
  /** CPU milliseconds of one login without earlier logins, and with them. */
  readonly without: number
  readonly with: number
  /** With earlier logins, divided by without: median and quartiles of the rounds. */
  readonly ratio: { readonly lower: number; readonly median: number; readonly upper: number }
}

const ROUNDS = 10
const LOGINS = 100

/** Measures whole logins of one user at two apps of this process in turns. The provider is in a process of its own. */
export async function measureEarlierLogins(
  provider: ProviderSettings,
  create: () => Promise<readonly [Place, Place]>,
  earlier: number,
): Promise<LoginReading> {
  const [few, many] = await create()
  const apps = await Promise.all([startAppAt(provider, few), startAppAt(provider, many)])
  try {
    await apps[1].fill(earlier)
    const values: [number[], number[]] = [[], []]
    for (let round = -1; round < ROUNDS; round++) {
      const sums: [number, number] = [0, 0]
      for (const which of [0, 1, 1, 0] as const) {
        // The app without earlier logins gets none of the other rounds.
        if (which === 0) await apps[0].empty()
        sums[which] += await cpuOf(() => logIn(apps[which].baseUrl))
      }
      // The first round warms up.
      if (round >= 0) for (const which of [0, 1] as const) values[which].push(sums[which] / 2)
    }
    const ratio = spreadOf(values[1].map((value, round) => value / (values[0][round] ?? Number.NaN)))
    return { place: few.name, earlier, without: spreadOf(values[0]).median, with: spreadOf(values[1]).median, ratio }
  } finally {
    await Promise.all(apps.map((app) => app.stop()))
  }
}

interface BenchApp {
  readonly baseUrl: string
  /** Adds so many logins of the user to the index. */
  fill(count: number): Promise<void>
  /** Empties the index of the user. */
  empty(): Promise<void>
  stop(): Promise<void>
}

async function startAppAt(provider: ProviderSettings, { store, state }: Place): Promise<BenchApp> {
  const app = express()
  const { port, stop } = await listen(createServer(app))
  const baseUrl = `http://127.0.0.1:${port}`
  const { issuer, clientId, clientSecret } = provider
  const usual = { issuer, clientId, clientSecret, baseUrl, dangerouslyAllowInsecureRequests: true }
  const options = state === undefined ? usual : { ...usual, sharedState: state }
  app.use(session({ secret: 'only for benchmarks', resave: false, saveUninitialized: false, store }))
  app.use(oidc(options))
  app.get('/profile', requireAuth(), (_req, res) => void res.end('Lovelace'))
  const { app: config } = parseOptions(options)
  const like = store as unknown as StoreLike
  const shared = state ?? createStoreState(like)
  const index = createSessionIndex(config, () => shared)
  const claims = fifteenClaims(issuer, clientId)
  const loggedInAt = Math.floor(Date.now() / 1000)
  const login = { claims, scope: 'openid', loggedInAt, expiresAt: loggedInAt + 86_400 }
  return {
    baseUrl,
    async fill(count) {
      for (let number = 0; number < count; number++) {
        await index.add(like, `earlier-session-${number}`, { login, tokensId: `tokens-${number}` })
      }
    },
    async empty() {
      for (const key of keysOfLogin(config, login)) await shared.take(key)
    },
    stop,
  }
}

async function logIn(baseUrl: string): Promise<void> {
  for (let login = 0; login < LOGINS; login++) await visit(baseUrl)
}

/** CPU milliseconds of this process for one of the logins. It is browser and app in one: the browser costs the same each time. */
async function cpuOf(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000 / LOGINS
}

/** The readings as a Markdown table. */
export function earlierLoginsTable(readings: readonly LoginReading[]): string {
  const rows = readings.map(({ place, earlier, without, with: many, ratio }) => [
    place,
    earlier.toLocaleString('en'),
    `${without.toFixed(2)} ms`,
    `${many.toFixed(2)} ms`,
    ratio.median.toFixed(3),
    `${ratio.lower.toFixed(3)} to ${ratio.upper.toFixed(3)}`,
  ])
  const head = ['sessions and index', 'earlier logins', 'login without', 'login with', 'ratio', 'quartiles']
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
