import type { Profiler } from 'node:inspector'
import { type ChildApp, startChildApp } from './child-app.ts'
import { type Contender, LIBRARIES, OURS, OURS_TRACED, PASSPORT } from './contenders.ts'
import type { ProviderSettings } from './logged-in-app.ts'
import { visit } from './login-visit.ts'
import type { Figure } from './report.ts'

export interface LoginSettings {
  readonly provider: ProviderSettings
  readonly rounds: number
  /** Logins at each app in each half of a round. */
  readonly logins: number
}

/** How many users log in at a time. */
const AT_A_TIME = 4

/** Whole logins over HTTP: CPU time of the app's process for each. Every library beside Passport, which checks no signature. */
export async function measureLogin(settings: LoginSettings): Promise<readonly Figure[]> {
  return await compareLogins(settings, LIBRARIES, PASSPORT)
}

/** Whole logins with OpenTelemetry beside those without. */
export async function measureTracedLogin(settings: LoginSettings): Promise<readonly Figure[]> {
  return await compareLogins(settings, [OURS, OURS_TRACED], OURS)
}

async function compareLogins(
  { provider, rounds, logins }: LoginSettings,
  contenders: readonly Contender[],
  reference: Contender,
): Promise<readonly Figure[]> {
  const apps = await Promise.all(contenders.map((library) => startChildApp(library, provider)))
  const values = new Map<ChildApp, number[]>(apps.map((app) => [app, []]))
  try {
    for (let round = -1; round < rounds; round++) {
      const sums = new Map<ChildApp, number>()
      for (const app of [...apps, ...[...apps].reverse()]) {
        sums.set(app, (sums.get(app) ?? 0) + (await cpuOfLogins(app, logins)))
      }
      // The first round warms up.
      if (round >= 0) for (const [app, sum] of sums) values.get(app)?.push(sum / 2)
    }
  } finally {
    await Promise.all(apps.map((app) => app.stop()))
  }
  const valuesOf = (library: Contender): readonly number[] => [...values.values()][contenders.indexOf(library)] ?? []
  return contenders
    .filter((library) => library !== reference)
    .map((library) => ({
      measure: 'whole login, CPU',
      library: library.name,
      reference: reference.name,
      unit: 'ms',
      values: valuesOf(library),
      referenceValues: valuesOf(reference),
      mostRatio: 1.1,
    }))
}

/** A CPU profile of each app while users log in. */
export async function profileLogin({
  provider,
  rounds,
  logins,
}: LoginSettings): Promise<Record<string, Profiler.Profile>> {
  const profiles: Record<string, Profiler.Profile> = {}
  for (const library of LIBRARIES) {
    const app = await startChildApp(library, provider)
    try {
      await logIn(app, 300)
      await app.startProfile()
      await logIn(app, rounds * logins)
      profiles[library.name] = await app.stopProfile()
    } finally {
      await app.stop()
    }
  }
  return profiles
}

/** CPU milliseconds for each login. */
async function cpuOfLogins(app: ChildApp, logins: number): Promise<number> {
  const before = await app.cpu()
  await logIn(app, logins)
  return ((await app.cpu()) - before) / 1000 / logins
}

async function logIn(app: ChildApp, logins: number): Promise<void> {
  const user = async (): Promise<void> => {
    for (let login = 0; login < logins / AT_A_TIME; login++) await visit(app.baseUrl)
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, user))
}
