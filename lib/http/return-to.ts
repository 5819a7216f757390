import { type AppConfig, ONLY_PROVIDER } from '../options/config.ts'
import { decodePath, parseLocalPath } from '../options/urls.ts'
import type { Login } from '../types.ts'
import type { Request } from './request.ts'

/** What must be known of the application to judge a path. */
interface AppNamespace extends Pick<AppConfig, 'origin' | 'basePath'> {
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
export function safeReturnTo(value: unknown, config: AppNamespace): string | undefined {
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
function isOwnRoute(path: string, { basePath, routes, callbacks = [], providerChooser }: AppNamespace): boolean {
  const wanted = foldPath(path)
  const chooser = providerChooser === undefined ? [] : [providerChooser]
  return [...Object.values(routes), ...callbacks, ...chooser].some(
    (route) => wanted === foldPath(route) || wanted === foldPath(basePath + route),
  )
}

function foldPath(path: string): string | undefined {
  return decodePath(path)?.normalize('NFKC').toLowerCase().replace(/\/+$/, '')
}

/** The address of the login route, with these parameters. */
export function loginUrl(config: AppConfig, params: Readonly<Record<string, string>>): string {
  return config.basePath + config.routes.login + queryOf(params)
}

/** The address of the application's own page where people choose among the providers; `undefined` where there is none. */
export function providerChooserUrl(config: AppConfig, returnTo: string): string | undefined {
  return config.providerChooser && config.basePath + config.providerChooser + queryOf({ returnTo })
}

/** The parameter that names the provider of a login, where there is more than one. */
export function providerParam(config: AppConfig, login: Login | undefined): Readonly<Record<string, string>> {
  return login === undefined || config.issuers.size === 1 ? {} : { provider: login.provider ?? ONLY_PROVIDER }
}

/** The page that this request is for; a request that changes something cannot be come back to. */
export function currentPage(config: AppConfig, req: Request): string {
  const isRead = req.method === 'GET' || req.method === 'HEAD'
  return isRead ? appPath(req.originalUrl ?? req.url ?? '/', config) : `${config.basePath}/`
}

function queryOf(params: Readonly<Record<string, string>>): string {
  return `?${Object.entries(params)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&')}`
}
