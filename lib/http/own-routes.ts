import { ConfigError } from '../errors.ts'
import type { AppConfig } from '../options/config.ts'
import { NAMED_ROUTES } from '../options/provider-names.ts'
import { decodePath } from '../options/urls.ts'
import { type Request, requestPath } from './request.ts'

/** The part of the configuration that says where the middleware responds. */
export interface RoutesConfig extends Pick<AppConfig, 'basePath'> {
  readonly routes: Readonly<Record<string, string | undefined>>
  /** The callback paths of all providers. */
  readonly callbacks?: readonly string[]
  readonly providerChooser?: string | undefined
  /** True if the routes for one provider have its name behind them. */
  readonly findsProviders?: boolean
}

/** A path at which the middleware responds. */
export interface OwnRoute {
  /** The name of the route in the option `routes`. */
  readonly name: string
  /** The path as the options name it, without `basePath`. */
  readonly route: string
  /** The path as `req.url` shows it. */
  readonly path: string
}

/**
 * Lists every path at which the middleware responds, for routing and for {@link isOwnRoute}. Below a mount path, or behind
 * a proxy that removes `basePath`, `req.url` is the route alone. Otherwise it begins with `basePath`.
 */
export function ownRoutes({ basePath, routes, callbacks = [] }: RoutesConfig): readonly OwnRoute[] {
  const all = [...Object.entries(routes), ...callbacks.map((route) => ['callback', route] as const)]
  return all.flatMap(([name, route]) =>
    route === undefined ? [] : [route, basePath + route].map((path) => ({ name, route, path })),
  )
}

/** Folds a path as Express does by default: routes match in any case, and with one slash at the end. */
export function foldRoute(path: string): string {
  return (path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path).toLowerCase()
}

/**
 * True if a browser that opens this path reaches a route of ours, or the provider chooser. A mount path or a proxy may
 * remove `basePath` first, so `/portal/portal/logout` can be a route too. Routers differ in what they match: case, encoding
 * and trailing slashes are ignored.
 */
export function isOwnRoute(path: string, config: RoutesConfig): boolean {
  const paths = browserPaths.get(config) ?? collectBrowserPaths(config)
  browserPaths.set(config, paths)
  const folded = foldPath(path)
  return paths.has(folded) || (config.findsProviders === true && isBelowNamedRoute(folded ?? '', config))
}

/** True for `/callback/acme`. Other paths below a route of a provider are not ours, but nobody needs them either. */
function isBelowNamedRoute(folded: string, { basePath, routes }: RoutesConfig): boolean {
  return NAMED_ROUTES.some((name) => {
    const route = routes[name]
    const own = route === undefined ? [] : [route, basePath + route, basePath + basePath + route]
    return own.some((one) => folded.startsWith(`${foldPath(one)}/`))
  })
}

/** Finds the route of one provider that a path is, and the name of the provider behind it. `path` is folded. */
export function namedRouteOf(
  path: string,
  { basePath, routes }: RoutesConfig,
): { readonly route: string; readonly provider: string } | undefined {
  const end = path.lastIndexOf('/')
  const [above, provider] = [path.slice(0, end), path.slice(end + 1)]
  const route = NAMED_ROUTES.find((name) => {
    const own = routes[name]
    return own !== undefined && (foldRoute(own) === above || foldRoute(basePath + own) === above)
  })
  return route === undefined || provider === '' ? undefined : { route, provider }
}

/** Collected once for each configuration, because a login and a silent login need them at every request. */
const browserPaths = new WeakMap<RoutesConfig, ReadonlySet<string | undefined>>()

function collectBrowserPaths(config: RoutesConfig): ReadonlySet<string | undefined> {
  const { basePath, providerChooser } = config
  // The login leads to the page that posts a kept form again.
  const { keptForm: _, ...routes } = config.routes
  const own = ownRoutes({ ...config, routes: { ...routes, providerChooser } })
  return new Set(own.flatMap(({ path }) => [foldPath(path), foldPath(basePath + path)]))
}

/** True for the address of the page that posts a kept form again. */
export function isKeptFormPage(page: string, { basePath, routes }: RoutesConfig): boolean {
  return foldPath(page.replace(/[?#].*$/s, '')) === foldPath(`${basePath}${routes['keptForm']}`)
}

function foldPath(path: string): string | undefined {
  return decodePath(path)?.normalize('NFKC').toLowerCase().replace(/\/+$/, '')
}

/**
 * Below a mount path that `baseUrl` does not have, the browser would be sent to routes where nobody responds. A proxy may
 * remove the beginning of the path of `baseUrl`, so its end counts.
 */
export function findMisplacement(config: AppConfig, req: Request): ConfigError | undefined {
  const mountPath: unknown = Reflect.get(req, 'baseUrl')
  if (typeof mountPath !== 'string' || isAtEndOf(config, mountPath)) return undefined
  return new ConfigError([misplacementText(config)])
}

/**
 * True if a path in front of `req.url` was removed that `baseUrl` does not have. Connect removes a mount path without saying
 * so, and a middleware that rewrites URLs does the same, so this proves no mistake.
 */
export function isShortened(config: AppConfig, req: Request): boolean {
  if (Reflect.has(req, 'baseUrl')) return false
  const [path, original] = [requestPath(req), requestPath({ url: req.originalUrl } as Request)]
  return original.endsWith(path) && !isAtEndOf(config, original.slice(0, -path.length))
}

/** What is wrong if `baseUrl` does not have the mount path. */
export function misplacementText({ origin, basePath }: AppConfig): string {
  return (
    `baseUrl is ${origin}${basePath}, but oidc() is mounted below another path, so the browser does not find its routes. ` +
    'Mount it with app.use(oidc({ ... })), or add the mount path to baseUrl.'
  )
}

function isAtEndOf({ basePath }: AppConfig, mountPath: string): boolean {
  return mountPath === '' || foldRoute(basePath).endsWith(foldRoute(mountPath))
}
