import type { Profiler } from 'node:inspector'

/** Self time by package and by function, as text: microseconds for each of so many logins. */
export function summarizeProfile(profile: Profiler.Profile, logins: number, functions = 25): string {
  const times = selfTimes(profile)
  const byPackage = new Map<string, number>()
  const byFunction = new Map<string, number>()
  for (const { callFrame, id } of profile.nodes) {
    const time = times.get(id) ?? 0
    if (callFrame.functionName === '(idle)') continue
    const home = homeOf(callFrame)
    add(byPackage, home, time)
    add(byFunction, `${home}  ${callFrame.functionName || '(anonymous)'}  ${placeOf(callFrame)}`, time)
  }
  const lines = (times: ReadonlyMap<string, number>, most: number): string =>
    [...times]
      .sort(([, one], [, other]) => other - one)
      .slice(0, most)
      .map(([name, time]) => `${(time / logins).toFixed(1).padStart(8)}  ${name}`)
      .join('\n')
  return `${lines(byPackage, 20)}\n\n${lines(byFunction, functions)}`
}

function selfTimes({ samples = [], timeDeltas = [] }: Profiler.Profile): ReadonlyMap<number, number> {
  const times = new Map<number, number>()
  for (const [index, id] of samples.entries()) add(times, id, timeDeltas[index + 1] ?? 0)
  return times
}

function add<Key>(sums: Map<Key, number>, key: Key, amount: number): void {
  sums.set(key, (sums.get(key) ?? 0) + amount)
}

/** The package that a function is in. */
function homeOf({ url, functionName }: Profiler.Profile['nodes'][number]['callFrame']): string {
  const [, name] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url) ?? []
  if (name !== undefined) return name
  if (url.includes('/dist/')) return 'ours'
  if (url.startsWith('node:')) return url.startsWith('node:internal/deps/undici') ? 'undici' : 'node'
  return url === '' ? `native ${/^\(/.test(functionName) ? functionName : ''}`.trim() : 'the app itself'
}

function placeOf({ url, lineNumber }: Profiler.Profile['nodes'][number]['callFrame']): string {
  return url === '' ? '' : `${url.replace(/.*\/(node_modules|dist|bench)\//, '')}:${lineNumber + 1}`
}
