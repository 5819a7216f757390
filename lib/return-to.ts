import type { AppConfig } from './config/config.ts'
import { decodePath, parseLocalPath } from './local-path.ts'

/** What must be known of the application to judge a path. */
interface Place extends Pick<AppConfig, 'origin' | 'basePath'> {
  readonly routes: Readonly<Record<string, string>>
  /** The callbacks of several providers. */
  readonly callbacks?: readonly string[]
  readonly providerChooser?: string | undefined
}

/**
 * The path of this application that `value` stands for, with query and fragment, serialised by the WHATWG parser, so
 * that it can be sent in a `Location` header as it is. Undefined for everything that leaves the application: other
 * origins in any disguise, paths outside of `basePath`, what is no string. Our own routes are refused as well: to return
 * to login would loop, to return to logout would log out; who has chosen a provider does not want to choose again.
 *
 * @example
 * ```ts
 * safeReturnTo('/reports?year=2026#q3', config) // '/reports?year=2026#q3'
 * safeReturnTo('//evil.example', config)        // undefined
 * ```
 */
export function safeReturnTo(value: unknown, config: Place): string | undefined {
  const url = parseLocalPath(value, config.origin)
  if (url === undefined || !isAtOrBelow(url.pathname, config.basePath)) return undefined
  // A proxy in front may strip basePath: what is left must be a path of one slash too.
  const rest = url.pathname.slice(config.basePath.length)
  if (parseLocalPath(rest || '/', config.origin) === undefined) return undefined
  return isOwnRoute(url.pathname, config) ? undefined : url.pathname + url.search + url.hash
}

/**
 * The path of a request as browsers see it. Give it `req.originalUrl ?? req.url`: a framework takes off the path it is
 * mounted at, and a proxy may take off `basePath`, which is then put in front again. It is not checked:
 * {@link safeReturnTo} does that.
 */
export function appPath(url: string, config: Pick<AppConfig, 'basePath'>): string {
  return isAtOrBelow(url.replace(/[?#].*$/s, ''), config.basePath) ? url : config.basePath + url
}

function isAtOrBelow(path: string, basePath: string): boolean {
  return path === basePath || path.startsWith(`${basePath}/`)
}

/** Routers differ in what they take for the same path, so case, encoding and slashes at the end are left aside. */
function isOwnRoute(path: string, { basePath, routes, callbacks = [], providerChooser }: Place): boolean {
  const wanted = foldPath(path)
  const chooser = providerChooser === undefined ? [] : [providerChooser]
  return [...Object.values(routes), ...callbacks, ...chooser].some(
    (route) => wanted === foldPath(route) || wanted === foldPath(basePath + route),
  )
}

function foldPath(path: string): string | undefined {
  return decodePath(path)?.normalize('NFKC').toLowerCase().replace(/\/+$/, '')
}
