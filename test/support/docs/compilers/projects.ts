import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../../app/project.ts'
import { headerOf, PRELUDE } from '../code-block-compiler.ts'
import { codeBlocks } from '../code-blocks.ts'

/** A tsconfig.json of a user. */
interface Settings {
  readonly module: string
  readonly moduleResolution: string
  readonly express: 4 | 5
  /** `mts` and `cts` are ES modules and CommonJS, whatever `module` says. */
  readonly endings: readonly ('ts' | 'mts' | 'cts')[]
  readonly more: Readonly<Record<string, unknown>>
}

/**
 * The module resolutions of users, each with another choice of the other settings: as few programs as have every value of
 * each setting, because a program costs each compiler about a second.
 */
const SETTINGS: Readonly<Record<string, Settings>> = {
  node10: {
    module: 'es2022',
    moduleResolution: 'node10',
    express: 4,
    endings: ['ts'],
    more: { strict: false, esModuleInterop: true },
  },
  node16: {
    module: 'node16',
    moduleResolution: 'node16',
    express: 4,
    endings: ['mts', 'cts'],
    more: { strict: true },
  },
  nodenext: {
    module: 'nodenext',
    moduleResolution: 'nodenext',
    express: 5,
    endings: ['mts', 'cts'],
    more: { strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true },
  },
  bundler: {
    module: 'esnext',
    moduleResolution: 'bundler',
    express: 5,
    endings: ['ts'],
    more: { strict: true, lib: ['es2022', 'dom'], isolatedModules: true },
  },
}

/** A folder with the package as users install it, and a project for each setting. */
export interface Projects {
  readonly folder: string
  remove(): void
}

/** Builds the declarations and writes the projects. */
export function createProjects(): Projects {
  const cache = join(ROOT, 'node_modules/.cache')
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'compilers-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  try {
    installPackage(join(folder, 'node_modules/express-oidc'))
    for (const [name, settings] of Object.entries(SETTINGS)) writeProject(join(folder, name), settings)
    writeMistake(join(folder, 'mistake'))
    return { folder, remove }
  } catch (error) {
    remove()
    throw error
  }
}

/** As `npm run build` does, but not into `dist/`, which other tests use at the same time. */
function installPackage(target: string): void {
  mkdirSync(target, { recursive: true })
  copyFileSync(join(ROOT, 'package.json'), join(target, 'package.json'))
  const dist = join(target, 'dist')
  const run = (...args: readonly string[]): unknown => execFileSync(process.execPath, args, { cwd: ROOT })
  run('node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', dist, '--noCheck')
  run('--import', 'tsx', 'build/commonjs.ts', dist)
}

function writeProject(folder: string, { module, moduleResolution, express, endings, more }: Settings): void {
  mkdirSync(folder)
  const compilerOptions = {
    target: 'es2022',
    lib: ['es2022'],
    types: ['node'],
    noEmit: true,
    skipLibCheck: false,
    ...{ module, moduleResolution, paths: express === 4 ? EXPRESS_4 : {} },
    ...more,
  }
  writeProjectFiles(folder, compilerOptions)
  writeFileSync(join(folder, 'prelude.d.ts'), PRELUDE)
  const [first] = endings
  for (const { name, code } of [...readmeCode(), guardedHandlers()])
    writeFileSync(join(folder, `${name}.${first}`), code)
  for (const ending of endings) {
    for (const { name, code } of entryPoints()) writeFileSync(join(folder, `${name}.${ending}`), code)
  }
}

/** Without a package.json of its own, `express-oidc` is this repository itself, whose `dist/` another test may be building. */
function writeProjectFiles(folder: string, compilerOptions: object): void {
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['.'] }))
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
}

/** What a compiler must refuse, each on a line of its own. */
const MISTAKES = [
  "import { oidc, requireScope } from 'express-oidc'",
  'requireScope(1)',
  "const ISSUER = process.env['ISSUER']",
  "const app = { clientId: 'app', baseUrl: 'https://app.example.com' }",
  'oidc({ ...app, issuer: ISSUER })',
  "oidc({ ...app, issuer: 'https://id.example.com', idTokenSignedResponseAlg: 'RS265' })",
  "oidc({ ...app, issuer: 'https://id.example.com', responseType: 'token' })",
]

/** A project that a compiler must refuse. */
function writeMistake(folder: string): void {
  mkdirSync(folder)
  const compilerOptions = {
    target: 'es2022',
    module: 'esnext',
    moduleResolution: 'bundler',
    types: ['node'],
    noEmit: true,
    strict: true,
  }
  writeProjectFiles(folder, compilerOptions)
  writeFileSync(join(folder, 'mistake.ts'), `${MISTAKES.join('\n')}\n`)
}

const TYPES = join(ROOT, 'node_modules/@types')

const EXPRESS_4 = {
  express: [join(TYPES, 'express4')],
  'express-serve-static-core': [join(TYPES, 'express4/node_modules/@types/express-serve-static-core')],
}

/** A module of a project, without its ending. */
interface Module {
  readonly name: string
  readonly code: string
}

/** A module for each entry point of the package: fails if its types are missing, or are `any`. */
function entryPoints(): readonly Module[] {
  const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  const paths = Object.keys(exports).filter((path) => path !== './package.json')
  return paths.map((path) => ({
    name: `entry${path.slice(1).replaceAll('/', '-')}`,
    code: [
      `import * as entry from 'express-oidc${path.slice(1)}'`,
      'type IsAny<T> = 0 extends 1 & T ? true : false',
      'export const isAny: IsAny<typeof entry> = false',
      'export const isAnyInside: IsAny<(typeof entry)[keyof typeof entry]> = false',
      '',
    ].join('\n'),
  }))
}

/** The code of the README, each block with the imports that it leaves to the reader. */
function readmeCode(): readonly Module[] {
  return codeBlocks('README.md').map((block) => ({
    name: `readme-line-${block.line}`,
    code: `${[...headerOf(block), block.code].join('\n')}\n`,
  }))
}

/** Handlers of Express and Connect behind `before()`. */
function guardedHandlers(): Module {
  return {
    name: 'guarded-handlers',
    code: readFileSync(`${ROOT}test/support/docs/compilers/guarded-handlers.ts.txt`, 'utf8'),
  }
}
