import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ROOT } from '../app/project.ts'
import { packPackage, unpackPackage } from '../test-kit/projects.ts'
import { readText } from './code-blocks.ts'
import { type AppCommand, type StartedApp, startApp } from './started-app.ts'

/** The frameworks of docs/guides are installed here, with other packages of these guides: most tests do without their 400 MB. */
const FRAMEWORKS = join(ROOT, 'frameworks')

/** Why the tests that need the frameworks are skipped, or `false`: for node:test's `skip`. */
export const skipWithoutFrameworks: string | false = existsSync(join(FRAMEWORKS, 'node_modules/next/package.json'))
  ? false
  : 'skipped: needs npm ci --prefix frameworks'

/** The path of a file of an installed package. */
export function installedFile(file: string): string {
  return join(FRAMEWORKS, 'node_modules', file)
}

/** Projects of users that have express-oidc and the frameworks installed. */
export interface FrameworkProjects {
  /** The folder of all projects. */
  readonly folder: string
  /** Makes a project with these files, or adds them to one, and returns its folder. */
  create(name: string, files: Files): string
  remove(): void
}

/** Texts, by their paths in the project. */
export type Files = ReadonlyMap<string, string>

/** The projects are in the folder of the frameworks, because Turbopack follows no link to a package elsewhere. */
export function createFrameworkProjects(): FrameworkProjects {
  const folder = mkdtempSync(join(FRAMEWORKS, '.projects-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  try {
    unpackPackage(packPackage(folder), join(folder, 'node_modules'))
    return { folder, create: (name, files) => createProject(join(folder, name), files), remove }
  } catch (error) {
    remove()
    throw error
  }
}

function createProject(project: string, files: Files): string {
  for (const [name, text] of files) {
    const path = join(project, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
  }
  return project
}

/** The code blocks of a guide by the paths of their files: that in their first line, or else that in the line before them. */
export function filesOfGuide(guide: string): Files {
  const blocks = readText(guide).matchAll(/(?:`([\w./-]+)`:\n\n)?^```(?:js|jsx|ts|tsx|typescript)\n([\s\S]*?)^```$/gm)
  return new Map(
    [...blocks].map(([block, before, code = '']) => {
      const name = /^\/\/ (\S+\.\w+)\n/.exec(code)?.[1] ?? before
      if (name === undefined) throw new Error(`A block of ${guide} has no file name: ${block}`)
      return [name, code]
    }),
  )
}

/** Runs the TypeScript compiler, and throws what it reports. */
export function compile(folder: string, ...args: readonly string[]): void {
  runNode(folder, join(ROOT, 'node_modules/typescript/bin/tsc'), ...args)
}

/** Runs a program of Node to its end. If it fails, the error has what it has printed. */
export function runNode(folder: string, ...args: readonly string[]): void {
  try {
    execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8', stdio: 'pipe' })
  } catch (error) {
    throw new Error(`${args.join(' ')}: ${Reflect.get(Object(error), 'stdout')}`, { cause: error })
  }
}

/** Starts a program, calls `use` with its origin, and stops it. */
export async function withApp(command: AppCommand, use: (origin: string) => Promise<void>): Promise<void> {
  const app: StartedApp = await startApp(command)
  try {
    await use(app.origin)
  } finally {
    await app.stop()
  }
}
