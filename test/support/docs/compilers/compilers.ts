import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ROOT } from '../../app/project.ts'

/** A TypeScript that users have. */
export interface Compiler {
  readonly version: string
  /** Its folder in `node_modules`. */
  readonly folder: string
  /** Its module resolutions. */
  readonly resolutions: readonly string[]
}

const WITHOUT_NODE16 = ['node10', 'nodenext', 'bundler']
const ALL = ['node10', 'node16', 'nodenext', 'bundler']

/**
 * The oldest that has every module resolution; those around what changed for packages of ES modules (resolution modes of
 * type imports in 5.3, `require()` in 5.8) and for inference (5.9); and those that follow. The last one develops this package.
 * Before 5.8 `node16` and `nodenext` are the same, and 5.9 has both as 5.8.
 */
export const compilers: readonly Compiler[] = [
  { version: '5.0', folder: 'typescript-5.0', resolutions: WITHOUT_NODE16 },
  { version: '5.4', folder: 'typescript-5.4', resolutions: WITHOUT_NODE16 },
  { version: '5.8', folder: 'typescript-5.8', resolutions: ALL },
  { version: '5.9', folder: 'typescript-5.9', resolutions: WITHOUT_NODE16 },
  { version: '6.0', folder: 'typescript-6.0', resolutions: ALL },
  { version: '7.0', folder: 'typescript', resolutions: ALL.filter((name) => name !== 'node10') },
].map((compiler) => ({ ...compiler, folder: join(ROOT, 'node_modules', compiler.folder) }))

/** The reason to skip a compiler that is not installed. */
export function skipWithout({ version, folder }: Compiler): string | false {
  return existsSync(folder) ? false : `skipped: TypeScript ${version} is not installed; npm ci does that`
}

const DIAGNOSE = `${ROOT}test/support/docs/compilers/diagnose.cjs`

/** Checks projects of a folder, and returns one line for each error in them or in the declarations of the package. */
export async function checkWith(
  { version, folder }: Compiler,
  root: string,
  projects: readonly string[],
): Promise<readonly string[]> {
  if (version === '7.0') return (await Promise.all(projects.map((name) => checkByCommand(folder, root, name)))).flat()
  return run([DIAGNOSE, folder, root, ...projects], root)
}

/** TypeScript 7 is a native program. It also checks other packages, whose errors are not ours. */
async function checkByCommand(folder: string, root: string, project: string): Promise<readonly string[]> {
  const args = [join(folder, 'bin/tsc'), '-p', join(root, project), '--pretty', 'false']
  const lines = (await run(args, join(root, project))).filter((line) => /^[^ ].*error TS/.test(line))
  return lines
    .filter((line) => !/^\.\.\/\.\.\/(?!.*node_modules\/express-oidc\/)/.test(line))
    .map((line) => line.replace(/^(.*)\((\d+),\d+\): error /, `${project}: $1:$2: `))
}

/** The lines that a Node program prints, whether or not it succeeds. */
async function run(args: readonly string[], cwd: string): Promise<readonly string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd, maxBuffer: 2 ** 24 }).catch((error) => {
    if (error.stderr || typeof error.code !== 'number') throw error
    return error
  })
  return stdout.split('\n').filter(Boolean)
}
