import { execFile, execFileSync } from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT } from '../app/project.ts'
import { fileNameOf } from '../docs/code-block-compiler.ts'
import { codeBlocks } from '../docs/code-blocks.ts'

/** The blocks of docs/testing.md, by their names. */
export const DOCUMENTED_FILES: ReadonlyMap<string, string> = new Map(
  codeBlocks('docs/testing.md').map((block) => [fileNameOf(block) ?? `no name in line ${block.line}`, block.code]),
)

/** The test runners, each with the package that its tests import. */
export const RUNNER_PACKAGES = ['node:test', 'vitest', '@jest/globals', '@playwright/test'] as const
export type RunnerPackage = (typeof RUNNER_PACKAGES)[number]

/** The names of the documented tests for a runner. */
export function documentedTests(runner: RunnerPackage): readonly string[] {
  return [...DOCUMENTED_FILES].filter(([, code]) => code.includes(` from '${runner}'`)).map(([name]) => name)
}

/** A program that has ended. */
export interface Ended {
  readonly isSuccess: boolean
  /** What it has written, of both streams. */
  readonly output: string
}

/** Projects of users, in which the packed package is installed. */
export interface KitProjects {
  /** Makes a project with these files, and returns its folder. */
  create(name: string, manifest: object, files: ReadonlyMap<string, string>): string
  /** Runs a program of Node in a folder. */
  run(folder: string, args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ended>
  remove(): void
}

const PATIENCE = 300_000

/** What the test runner around these, npm and c8 tell their children is not meant for a stranger's project. */
const ENVIRONMENT = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(?:npm_|NODE_|VITEST|JEST|FORCE_COLOR|CI$)/i.test(name)),
)

/** Packs the package as `npm publish` does. */
export function createKitProjects(): KitProjects {
  const folder = mkdtempSync(join(tmpdir(), 'oidc-test-kit-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  try {
    const tarball = packPackage(folder)
    return {
      create: (name, manifest, files) => createProject(join(folder, name), tarball, manifest, files),
      run,
      remove,
    }
  } catch (error) {
    remove()
    throw error
  }
}

/** As `npm run build` and `npm pack` do, but not in `dist/`, which other tests use at the same time. Returns the tarball. */
export function packPackage(folder: string): string {
  const source = join(folder, 'source')
  const dist = join(source, 'dist')
  mkdirSync(dist, { recursive: true })
  for (const file of ['package.json', 'README.md', 'LICENSE']) copyFileSync(join(ROOT, file), join(source, file))
  const node = (...args: readonly string[]): unknown => execFileSync(process.execPath, args, { cwd: ROOT })
  node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', dist, '--noCheck')
  node('--import', 'tsx', 'build/commonjs.ts', dist)
  const printed = execFileSync('npm', ['pack', '--json', '--pack-destination', folder], {
    cwd: source,
    encoding: 'utf8',
  })
  const [packed] = Object.values<{ readonly filename: string }>(JSON.parse(printed))
  if (packed === undefined) throw new Error('npm has packed nothing')
  return join(folder, packed.filename)
}

function createProject(project: string, tarball: string, manifest: object, files: ReadonlyMap<string, string>): string {
  const modules = join(project, 'node_modules')
  unpackPackage(tarball, modules)
  // The other packages in the versions that this repository develops with.
  for (const name of readdirSync(join(ROOT, 'node_modules')).filter((one) => !one.startsWith('.'))) {
    symlinkSync(join(ROOT, 'node_modules', name), join(modules, name))
  }
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'app', private: true, ...manifest }))
  for (const [name, code] of files) writeFileSync(join(project, name), `${code}\n`)
  return project
}

/** Installs the package in a folder `node_modules`. */
export function unpackPackage(tarball: string, modules: string): void {
  const target = join(modules, 'express-oidc')
  mkdirSync(target, { recursive: true })
  execFileSync('tar', ['-xzf', tarball, '-C', target, '--strip-components=1'])
}

/** Compiles the files of a project, for runners that read JavaScript alone. */
export function compileProject(project: string): void {
  const compilerOptions = {
    ...{ target: 'es2022', module: 'nodenext', verbatimModuleSyntax: true },
    ...{ rewriteRelativeImportExtensions: true, noCheck: true, noResolve: true, types: [] },
  }
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc')
  execFileSync(process.execPath, [compiler, '-p', project])
  for (const name of readdirSync(project).filter((file) => file.endsWith('.ts'))) rmSync(join(project, name))
}

/** The program that a package of the repository brings. */
export function binOf(name: string, bin: string): string {
  const folder = join(ROOT, 'node_modules', name)
  const { bin: bins } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  return join(folder, typeof bins === 'string' ? bins : bins[bin])
}

function run(folder: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const settings = { cwd: folder, env: { ...ENVIRONMENT, NO_COLOR: '1', ...env }, timeout: PATIENCE }
  return new Promise((resolve) => {
    execFile(process.execPath, args, settings, (error, stdout, stderr) => {
      resolve({ isSuccess: error === null, output: stdout + stderr })
    })
  })
}
