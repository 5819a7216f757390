import { callbackPath } from './config.ts'
import { type AppOptions, DEFAULT_ROUTES } from './option-table.ts'
import { NAMED_ROUTES } from './provider-names.ts'
import { isPlainObject } from './rule.ts'
import { isPlainPath } from './urls.ts'

type RouteOptions = Readonly<Partial<Pick<AppOptions, 'routes' | 'providers' | 'providerChooser'>>>

/** A path at which the middleware responds, and the option that sets it. */
interface Route {
  readonly name: string
  readonly path: string
}

/** All routes. With several providers, their callbacks replace `routes.callback`. */
export function routesOf({ routes, providers }: RouteOptions): readonly Route[] {
  const paths = { ...DEFAULT_ROUTES, ...routes }
  const all = Object.entries(paths).map(([name, path]) => ({ name: `routes.${name}`, path }))
  if (!isPlainObject(providers)) return all
  const callbacks = Object.entries(providers).map(([name, options]) => ({
    name: `providers.${name}.callback`,
    path: callbackPath(paths.callback, name, isPlainObject(options) ? options : {}),
  }))
  // A callback that is not a path has a message of its own.
  return [...all.filter(({ name }) => name !== 'routes.callback'), ...callbacks.filter(({ path }) => isPlainPath(path))]
}

/**
 * Routers may ignore case, so paths that differ only in case are equal. With one callback for two providers, a response
 * of one could be taken for the other's (RFC 9700 4.4.2.2).
 */
export function equalRoutes({ providerChooser, ...options }: RouteOptions): readonly string[] {
  const chooser = isPlainPath(providerChooser) ? [{ name: 'providerChooser', path: providerChooser }] : []
  const all = [...routesOf(options), ...chooser]
  const equal = all.flatMap(({ name, path }, index) => {
    const twin = all.slice(0, index).find((other) => other.path.toLowerCase() === path.toLowerCase())
    return twin === undefined ? [] : [`${name} must differ from ${twin.name}: both are ${path}.`]
  })
  return typeof options.providers === 'function' ? [...equal, ...namedLikeProvider(all)] : equal
}

/** `/callback/acme` is the callback of the provider acme. */
function namedLikeProvider(all: readonly Route[]): readonly string[] {
  const named = all.filter(({ name }) => NAMED_ROUTES.some((route) => name === `routes.${route}`))
  return all.flatMap(({ name, path }) => {
    const above = named.find((route) => path.toLowerCase().replace(/\/[^/]*$/, '') === route.path.toLowerCase())
    return above === undefined
      ? []
      : [`${name} must not be below ${above.name}, where the names of providers are: ${path}.`]
  })
}
