import { fileURLToPath } from 'node:url'

/** Tests run as they are written, by tsx, or compiled in a folder of their own. */
const isCompiled = import.meta.url.endsWith('.js')

/** The top of the repository, with a slash at the end. */
export const ROOT: string = fileURLToPath(new URL(isCompiled ? '../../../../' : '../../../', import.meta.url))

/** Where our modules run from: the top of the repository, or the folder of the compiled ones. */
const MODULES = new URL('../../../', import.meta.url).href

/** What Node needs to run our modules in a child process. */
export const NODE_ARGS: readonly string[] = isCompiled ? [] : ['--import', 'tsx']

/** The URL from which a child process imports one of our modules: `moduleUrl('lib/events.ts')`. */
export function moduleUrl(file: string): string {
  return MODULES + (isCompiled ? file.replace(/\.ts$/, '.js') : file)
}

/** The source of a module that runs, from the top of the repository; undefined for a module that is not ours. */
export function sourceOf(url: string): string | undefined {
  const [path = ''] = url.split(/[?#]/)
  if (!path.startsWith(MODULES) || path.startsWith(`${MODULES}node_modules/`)) return undefined
  return path.slice(MODULES.length).replace(/\.js$/, '.ts')
}

/** The path of one of our modules, for `node <path>`. */
export function modulePath(file: string): string {
  return fileURLToPath(moduleUrl(file))
}
