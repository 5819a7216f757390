import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, normalize } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { startTestProvider, type TestProvider } from '../../lib/testing.ts'
import { ROOT } from '../support/app/project.ts'
import { filesBelow, readText } from '../support/docs/code-blocks.ts'

const CONSUMERS = `${ROOT}test/support/docs/consumer/`
/** In bytes. Twice this would be no disaster, but it would not be an accident either. */
const MOST_UNPACKED = 5_400_000
const PATIENCE = { timeout: 300_000 }

interface Tarball {
  readonly filename: string
  readonly unpackedSize: number
  readonly files: readonly { readonly path: string }[]
}

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}

interface InstalledPackage {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

// What npm, c8 and node:test tell their children through the environment is not meant for a stranger's project.
const ENVIRONMENT = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(npm_(?!config_(registry|cache)$)|NODE_)/i.test(name)),
)

let folder: string
let tarball: Tarball
let provider: TestProvider

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'express-oidc-'))
  await run(ROOT, 'npm', 'run', 'build')
  const printed = await run(ROOT, 'npm', 'pack', '--json', '--pack-destination', folder)
  tarball = Object.values<Tarball>(JSON.parse(printed))[0] ?? assert.fail('npm has packed nothing')
  provider = await startTestProvider({ idTokenSignedResponseAlg: 'RS256' })
}, PATIENCE)

after(async () => {
  await provider?.close()
  await rm(folder, { recursive: true, force: true })
})

describe('the package', () => {
  it('holds what runs, its types, and what one reads first', () => {
    const paths = tarball.files.map(({ path }) => path)
    const built = paths.filter((path) => path.startsWith('dist/'))
    const documents = ['CHANGELOG.md', 'CONTRIBUTING.md', 'README.md', 'SECURITY.md', ...filesBelow('docs', '.md')]
    const linked = ['docs/grafana-dashboard.json', 'docs/images/anatomy.png', 'docs/images/api.png']
    const others = ['LICENSE', 'package.json', ...documents, ...linked, ...filesBelow('lib', '.ts')]
    assert.deepEqual(paths.filter((path) => !built.includes(path)).sort(), others.sort())
    assert.deepEqual(
      built.filter((path) => !/^dist\/([a-z-]+\/)?[a-z0-9-]+\.(js|js\.map|cjs|d\.ts|d\.cts|d\.cts\.map)$/.test(path)),
      [],
    )
  })

  it('has documents whose links and pictures work offline', () => {
    const paths = new Set(tarball.files.map(({ path }) => path))
    const links = [...paths].filter((path) => path.endsWith('.md')).flatMap(linksOf)
    assert.ok(links.length > 200)
    assert.deepEqual(
      links.filter(({ to }) => !paths.has(to)),
      [],
    )
  })

  it('has one module and one declaration for each source, with maps, and two files more for each entry point', async () => {
    const sources = (await readdir(join(ROOT, 'lib'), { recursive: true })).filter((path) => path.endsWith('.ts'))
    const { exports } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
    const entries = Object.keys(exports).filter((path) => path !== './package.json')
    const expected = [
      ...sources.flatMap((path) =>
        ['.js', '.js.map', '.d.cts', '.d.cts.map'].map((end) => `dist/${path.replace(/\.ts$/, end)}`),
      ),
      ...entries.flatMap((path) =>
        ['.cjs', '.d.ts'].map((end) => `dist/${path === '.' ? 'index' : path.slice(2)}${end}`),
      ),
    ]
    const built = tarball.files.map(({ path }) => path).filter((path) => path.startsWith('dist/'))
    assert.deepEqual(built.sort(), expected.sort())
  })

  it('has the sources that its maps lead to, so that debuggers and editors show them', async () => {
    const paths = new Set(tarball.files.map(({ path }) => path))
    const maps = [...paths].filter((path) => path.endsWith('.map'))
    assert.ok(maps.length > 200)
    for (const map of maps) {
      const { file, sources } = JSON.parse(await readFile(join(ROOT, map), 'utf8'))
      assert.deepEqual([join(dirname(map), file)], [map.replace(/\.map$/, '')])
      assert.deepEqual(
        sources.map((source: string) => paths.has(join(dirname(map), source))),
        [true],
        map,
      )
      const mapped = await readFile(join(ROOT, dirname(map), file), 'utf8')
      assert.ok(mapped.trimEnd().endsWith(`//# sourceMappingURL=${basename(map)}`), map)
    }
  })

  it(`is smaller than ${MOST_UNPACKED / 1000} kB unpacked`, () => {
    assert.ok(tarball.unpackedSize < MOST_UNPACKED, `it has ${tarball.unpackedSize} bytes`)
  })
})

describe('a project that installs the package', { concurrency: true }, () => {
  /** npm takes longer than all the rest: the project of CommonJS is a folder of the one in TypeScript. */
  let withTypes: Promise<string>
  before(() => {
    const types = ['@types/express', '@types/express-session', '@types/node']
    withTypes = createProject('typescript', { type: 'module' }, types)
    // The tests that wait for it report it.
    withTypes.catch(() => undefined)
  })

  it('logs in from an ES module, with three more packages in production', PATIENCE, async () => {
    const project = await createProject('esm', { type: 'module' })
    await copyFile(join(CONSUMERS, 'esm.js'), join(project, 'main.js'))
    await assertLogin(project, 'main.js')
    assert.deepEqual(await packagesBeside(project, ['express', 'express-session']), [
      'express-oidc',
      'jose',
      'oauth4webapi',
      'openid-client',
    ])
  })

  it('logs in from CommonJS', PATIENCE, async () => {
    const project = join(await withTypes, 'commonjs')
    await mkdir(project)
    await writeFile(join(project, 'package.json'), JSON.stringify({ name: 'commonjs', private: true }))
    await copyFile(join(CONSUMERS, 'commonjs.cjs'), join(project, 'main.js'))
    await assertLogin(project, 'main.js')
  })

  it('compiles as TypeScript with every declaration checked, and logs in', PATIENCE, async () => {
    const project = await withTypes
    await copyFile(join(CONSUMERS, 'typescript.ts.txt'), join(project, 'main.ts'))
    const flags = ['--module', 'nodenext', '--target', 'es2022', '--strict', '--types', 'node']
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
    await run(project, process.execPath, tsc, ...flags, '--skipLibCheck', 'false', 'main.ts')
    await assertLogin(project, 'main.js')
  })
})

/** The files that a document links to. Whether their headings are there is tested for the repository. */
function linksOf(file: string): readonly { readonly from: string; readonly to: string }[] {
  return [...readText(file).matchAll(/\]\(([^)\s#]+)[^)]*\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^\w+:/.test(target))
    .map((target) => ({ from: file, to: normalize(join(dirname(file), target)) }))
}

/** A project with the packed package, and with others in the versions that this repository develops with. */
async function createProject(name: string, manifest: object, more: readonly string[] = []): Promise<string> {
  const project = join(folder, name)
  const { devDependencies: known }: Manifest = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  const others = ['express', 'express-session', ...more].map((other) => [other, known[other]])
  const dependencies = { 'express-oidc': `file:../${tarball.filename}`, ...Object.fromEntries(others) }
  await mkdir(project)
  await writeFile(join(project, 'package.json'), JSON.stringify({ name, private: true, ...manifest, dependencies }))
  await run(project, 'npm', 'install', '--prefer-offline', '--no-audit', '--no-fund')
  return project
}

async function assertLogin(project: string, script: string): Promise<void> {
  const { issuer, clientId, clientSecret = '' } = provider
  const child = spawn(process.execPath, [script], {
    cwd: project,
    env: { ...ENVIRONMENT, ISSUER: issuer, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret },
    stdio: ['ignore', 'pipe', 'inherit'],
    ...PATIENCE,
  })
  try {
    const origin = await firstLine(child)
    const { cookie } = await provider.login(origin)
    const page = await fetch(`${origin}/profile`, { headers: { cookie } })
    const { iss, sub, name } = Object(await page.json())
    assert.deepEqual({ iss, sub, name }, { iss: issuer, sub: 'alice', name: 'Alice Example' })
  } finally {
    if (child.exitCode === null && child.kill()) await once(child, 'exit')
  }
}

async function firstLine(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stdout ?? assert.fail('there is no output') })) return line
  return assert.fail('the project ended without a word')
}

/** The packages of a project that none of these need, neither themselves nor through others. */
async function packagesBeside(project: string, roots: readonly string[]): Promise<string[]> {
  const lock = await readFile(join(project, 'node_modules', '.package-lock.json'), 'utf8')
  const installed: Readonly<Record<string, InstalledPackage>> = JSON.parse(lock).packages
  const needed = new Set<string>()
  const need = (path: string): void => {
    if (needed.has(path)) return
    needed.add(path)
    for (const name of Object.keys(installed[path]?.dependencies ?? {})) need(resolveIn(installed, path, name))
  }
  for (const root of roots) need(`node_modules/${root}`)
  const others = Object.keys(installed).filter((path) => !needed.has(path))
  return others.map((path) => path.replace(/^node_modules\//, '')).sort()
}

/** Where a package finds another: nested in it or in one of those around it. */
function resolveIn(installed: Readonly<Record<string, unknown>>, from: string, name: string): string {
  for (let place = from; place !== ''; place = place.replace(/\/?node_modules\/(@[^/]+\/)?[^/]+$/, '')) {
    if (`${place}/node_modules/${name}` in installed) return `${place}/node_modules/${name}`
  }
  return `node_modules/${name}`
}

/** Runs a program in a folder; resolves to what it prints, and rejects with all of it. */
async function run(cwd: string, program: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(program, args, { cwd, env: ENVIRONMENT, ...PATIENCE }).catch((error) => {
    throw new Error(`${program} ${args.join(' ')} failed:\n${error.stdout}${error.stderr}`, { cause: error })
  })
  return stdout
}
