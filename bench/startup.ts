import { once } from 'node:events'
import { appEnvironment, forkChild } from './child-app.ts'
import { BARE, type Contender, LIBRARIES } from './contenders.ts'
import type { ProviderSettings } from './logged-in-app.ts'
import type { Figure } from './report.ts'

/** The time from the first import to the answer to the first request, each in a new process. */
export async function measureStartup(provider: ProviderSettings, starts: number): Promise<readonly Figure[]> {
  const apps = [BARE, ...LIBRARIES]
  const values = new Map<Contender, number[]>(apps.map((app) => [app, []]))
  for (let start = -1; start < starts; start++) {
    for (const app of start % 2 === 0 ? apps : [...apps].reverse()) {
      const milliseconds = await timeOf(app, provider)
      // The first of each reads from the disk.
      if (start >= 0) values.get(app)?.push(milliseconds)
    }
  }
  return LIBRARIES.map((library) => ({
    measure: 'import to first answer',
    library: library.name,
    reference: BARE.name,
    unit: 'ms',
    values: values.get(library) ?? [],
    referenceValues: values.get(BARE) ?? [],
    mostRatio: 1.2,
  }))
}

async function timeOf(app: Contender, provider: ProviderSettings): Promise<number> {
  const child = forkChild('apps/start.js', appEnvironment(app, provider))
  const exit = once(child, 'exit')
  const [milliseconds] = await once(child, 'message')
  child.disconnect()
  // Some keep connections or timers that would keep the process alive.
  child.kill()
  await exit
  return Number(milliseconds)
}
