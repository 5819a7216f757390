// `npm test`: runs the compiled tests but the long ones. With `--all`: those too. With words: those whose path contains one of
// them. See CONTRIBUTING.md.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { run } from 'node:test'
import { modulePath, moduleUrl, ROOT } from '../support/app/project.ts'
import { shareChromium } from '../support/browser/chromium.ts'
import { type Group, groupFiles, isLong } from './groups.ts'
import { createSpec, noteOutcome, type Outcome, slowest, withoutPasses } from './report.ts'

const LISTED = 10

/** For every process of the tests. */
const NODE_OPTIONS = [
  '--enable-source-maps',
  // Each test leaves an app and a provider behind: with room for them, there is less to collect.
  '--max-semi-space-size=64',
  '--disable-warning=ExperimentalWarning',
  '--disable-warning=EXPRESS_OIDC_FRONT_CHANNEL_TOKEN',
]

/** All test files, from the top of the repository: `test/login/callback.test.ts`. */
function findFiles(): readonly string[] {
  return readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
    .map((path) => `test/${path.replaceAll('\\', '/')}`)
    .filter((path) => path.endsWith('.test.ts'))
    .sort()
}

/** What compiled modules read beside them. */
function copyAssets(): void {
  for (const path of ['package.json', 'docs/errors.md', 'example-app/public']) {
    if (modulePath(path) !== join(ROOT, path)) cpSync(join(ROOT, path), modulePath(path), { recursive: true })
  }
}

/** A module for node:test, which runs each in a process of its own. */
function writeEntry(folder: string, { name, files, isAsync }: Group): string {
  const path = join(folder, `${name}.mjs`)
  const lines = [
    // Where a file awaits at its top, node:test has to follow the promises, to find the suite of the tests behind it.
    ...(isAsync ? [] : [`await import(${JSON.stringify(moduleUrl('test/run/untracked-promises.ts'))})`]),
    `const { describeAsyncFile, describeFiles } = await import(${JSON.stringify(moduleUrl('test/run/describe-files.ts'))})`,
    `await ${isAsync ? `describeAsyncFile(${JSON.stringify(files[0])})` : `describeFiles(${JSON.stringify(files)})`}`,
  ]
  writeFileSync(path, `${lines.join('\n')}\n`)
  return path
}

async function runFiles(files: readonly string[], folder: string): Promise<Outcome> {
  process.env['OIDC_TEST_KEYS'] = join(folder, 'keys')
  mkdirSync(process.env['OIDC_TEST_KEYS'])
  // Each process loads the same modules. Coverage needs them compiled anew (and Node 20 knows no such cache).
  if (!process.env['NODE_V8_COVERAGE']) process.env['NODE_COMPILE_CACHE'] = join(folder, 'compiled')
  process.env['NODE_OPTIONS'] = [process.env['NODE_OPTIONS'], ...NODE_OPTIONS].filter(Boolean).join(' ')
  const outcome: Outcome = { durations: new Map(), hasFailed: false }
  const entries = groupFiles(files).map((group) => writeEntry(folder, group))
  // Twice as many as there are processors, because many tests wait.
  const events = run({ files: entries, concurrency: availableParallelism() * 2 })
  await pipeline(events, noteOutcome(outcome), withoutPasses, createSpec(), process.stdout, { end: false })
  return outcome
}

async function main(words: readonly string[], isAll: boolean): Promise<void> {
  const found = findFiles().filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  const files = found.filter((file) => isAll || words.length > 0 || !isLong(file))
  const folder = mkdtempSync(join(tmpdir(), 'oidc-tests-'))
  copyAssets()
  const chromium = words.length === 0 ? await shareChromium() : undefined
  try {
    const outcome = await runFiles(files, folder)
    const missing = files.filter((file) => !outcome.durations.has(file))
    for (const file of missing) console.error(`✖ ${file} did not run to its end`)
    console.log(`\nSlowest files:\n${slowest(outcome, LISTED)}`)
    const left = found.length - files.length
    if (left > 0)
      console.log(`
${left} files that take long did not run. Run them too: npm test -- --all`)
    if (outcome.hasFailed || missing.length > 0 || files.length === 0) process.exitCode = 1
  } finally {
    await chromium?.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

const words = process.argv.slice(2)
await main(
  words.filter((word) => word !== '--all'),
  words.includes('--all'),
)
