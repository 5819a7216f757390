import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../support/app/project.ts'

/** Test files that run in one process. */
export interface Group {
  readonly name: string
  readonly files: readonly string[]
  /** There is one file, with an `await` at its top. */
  readonly isAsync: boolean
}

/**
 * Files that have a process of their own, slowest first. Most of them wait for browsers, servers or other processes, while
 * the others compute. Some look at what belongs to the whole process.
 */
const ALONE: readonly string[] = [
  'whole/fault-injection',
  'whole/example-app',
  'whole/browser-module',
  'whole/cluster',
  'whole/doubled-callback',
  'whole/fault-injection-redis',
  'logout/session-management',
  'package/compilers',
  // Measures the heap.
  'state/large-memory-state',
  'state/shared-state',
  'whole/fault-injection-stores',
  // Builds the site.
  'package/docs-site',
  'package/package',
  'package/start-pages',
  // Starts the servers of frameworks.
  'package/framework-guides',
  'whole/glewlwyd',
  'whole/frozen-store',
  // Each starts several servers.
  'whole/security-events-nodes',
  'session/real-stores',
  'logout/many-sessions',
  // Measures the heap.
  'session/login-changes',
  'testing/runners',
  // Loads other middlewares, which keep state in their modules, and changes the environment.
  'package/migration',
  // Counts the timers of the process, and listens to its unhandled rejections.
  'time/limit',
  // Listens to the warnings of the process.
  'login/response-types',
  // Reads what is written to the console of the process, and changes NODE_ENV.
  'whole/mistakes',
  'whole/developer-console',
].map((name) => `test/${name}.test.ts`)

/**
 * Files that take as long as a hundred others: they install packages, build the site, start browsers, servers or nodes, fill
 * the memory, break a connection at every byte, or combine every form of a message with every fault. Of the Foundation's
 * plans, they are those that combine others. `npm test` leaves them out.
 */
const LONG: readonly string[] = [
  ...['package/compilers', 'package/docs-site', 'package/framework-guides', 'package/migration'],
  ...['package/package', 'package/public-api'],
  ...['package/start-pages', 'testing/runners', 'logout/many-sessions', 'logout/session-management'],
  ...['whole/fault-injection', 'whole/fault-injection-redis', 'whole/fault-injection-stores', 'whole/frozen-store'],
  ...['whole/browser-module', 'whole/cluster', 'whole/doubled-callback', 'whole/example-app', 'whole/glewlwyd'],
  ...['whole/security-events-nodes', 'conformance/comprehensive', 'conformance/front-channel'],
  ...['conformance/fapi1-advanced', 'conformance/fapi2-message-signing', 'login/hostile-front-channel'],
  ...['login/response-types', 'protocol/userinfo-forms', 'session/login-changes', 'session/real-stores'],
  ...['state/large-memory-state', 'telemetry/failure-metrics'],
].map((name) => `test/${name}.test.ts`)

/** Whether `npm test` leaves this file out. */
export function isLong(file: string): boolean {
  return LONG.includes(file)
}

/** The folders that take longest, by the figures at the end of a run. */
const SLOW_FOLDERS: readonly string[] = ['login', 'conformance', 'protocol', 'provider', 'logout', 'session', 'okta']

/** One process for each folder, and one for each file that is alone. To start a process takes longer than most files do. */
export function groupFiles(files: readonly string[]): readonly Group[] {
  const alone = [...new Set([...ALONE, ...files.filter(isAsync)])].filter((file) => files.includes(file))
  const folders = new Map<string, string[]>()
  for (const file of files.filter((name) => !alone.includes(name))) {
    const folder = file.split('/')[1] ?? ''
    folders.set(folder, [...(folders.get(folder) ?? []), file])
  }
  const byRank = [...folders.keys()].sort((one, other) => rankOf(one) - rankOf(other))
  return interleave(
    byRank.map((folder) => ({ name: folder, files: folders.get(folder) ?? [], isAsync: false })),
    alone.map((file) => ({ name: nameOf(file), files: [file], isAsync: isAsync(file) })),
  )
}

/** Whether an `await` stands at the beginning of a line, or behind a declaration there. */
function isAsync(file: string): boolean {
  return /^(?!.*\basync\b)\S.*\bawait\b|^await\b/m.test(readFileSync(join(ROOT, file), 'utf8'))
}

function rankOf(folder: string): number {
  return SLOW_FOLDERS.includes(folder) ? SLOW_FOLDERS.indexOf(folder) : SLOW_FOLDERS.length
}

function nameOf(file: string): string {
  return file
    .replace(/^test\//, '')
    .replace(/\.test\.ts$/, '')
    .replace('/', '-')
}

/** A group that waits runs beside one that computes. */
function interleave<Item>(some: readonly Item[], others: readonly Item[]): readonly Item[] {
  const longer = Math.max(some.length, others.length)
  return Array.from({ length: longer }, (_, index) => [
    ...some.slice(index, index + 1),
    ...others.slice(index, index + 1),
  ]).flat()
}
