import { isPlainPath } from '../local-path.ts'
import type { ApplicationOptions } from '../options.ts'
import type { ProviderOptions } from '../provider-options.ts'
import { callbackPath, DEFAULT_ROUTES } from './app-config.ts'
import { type Conflict, conflict, findConflicts, insecureUrl } from './conflict.ts'
import { isPlainObject } from './frozen-copy.ts'

/** What the application's options are held against: of the provider's, only what means something for all of it. */
type Given = ApplicationOptions & Pick<ProviderOptions, 'issuer' | 'clientSecret'> & { readonly providers: unknown }

const CONFLICTS: readonly Conflict<Given>[] = [
  conflict(
    ['secret', 'clientSecret'],
    'secret must be given where there is no clientSecret: at least 32 random characters.',
    ({ secret, clientSecret, providers }) =>
      secret === undefined && providers === undefined && typeof clientSecret !== 'string',
  ),
  conflict(
    ['secret'],
    'secret must be given where there are providers: at least 32 random characters, which none of them knows.',
    ({ secret, providers }) => secret === undefined && providers !== undefined,
  ),
  conflict(
    ['issuer'],
    'issuer must be left out where there are providers: each has its own.',
    ({ issuer, providers }) => issuer !== undefined && providers !== undefined,
  ),
  conflict(
    ['secret', 'clientSecret'],
    'secret must be given where clientSecret has fewer than 32 characters: who sees a cookie could guess it.',
    ({ secret, clientSecret, providers }) =>
      secret === undefined && providers === undefined && typeof clientSecret === 'string' && clientSecret.length < 32,
  ),
  conflict(
    ['providerChooser'],
    'providerChooser needs providers: with one alone there is nothing to choose.',
    ({ providerChooser, providers }) => providerChooser !== undefined && providers === undefined,
  ),
  conflict(
    ['postLogoutRedirectUri', 'baseUrl', 'routes'],
    'postLogoutRedirectUri must not be one of routes: name the page that people see after a logout.',
    ({ postLogoutRedirectUri: landing, baseUrl = '', ...options }) =>
      routesOf(options).some(({ path }) => {
        return [path, baseUrl.replace(/\/$/, '') + path].some((own) => isSamePath(own, landing))
      }),
  ),
  { between: ['routes', 'providerChooser'], faults: equalRoutes },
  insecure('baseUrl'),
  insecure('postLogoutRedirectUri'),
]

/** One sentence for each contradiction between the application's options. */
export function findAppConflicts(
  options: Readonly<Record<string, unknown>>,
  isSound: (name: string) => boolean,
): readonly string[] {
  return findConflicts(CONFLICTS, options as Readonly<Partial<Given>>, isSound)
}

function isSamePath(path: string, landing: string | undefined): boolean {
  return landing?.toLowerCase().replace(/\/$/, '') === path.toLowerCase()
}

/** A path, and the option that it comes from. */
interface Route {
  readonly name: string
  readonly path: string
}

/** Where the middleware answers: several providers have callbacks of their own in the place of the one. */
function routesOf({ routes, providers }: Readonly<Partial<Given>>): readonly Route[] {
  const all = Object.entries({ ...DEFAULT_ROUTES, ...routes }).map(([name, path]) => ({ name: `routes.${name}`, path }))
  if (!isPlainObject(providers)) return all
  const callbacks = Object.entries(providers).map(([name, options]) => ({
    name: `providers.${name}.callback`,
    path: callbackPath(routes, name, isPlainObject(options) ? options : {}),
  }))
  // A path that is none is a fault of its own.
  return [...all.filter(({ name }) => name !== 'routes.callback'), ...callbacks.filter(({ path }) => isPlainPath(path))]
}

/**
 * Routers may leave case aside, so two routes that differ in nothing else are one. With one callback for two providers
 * nobody could tell whose answer it is (RFC 9700 4.4.2.2).
 */
function equalRoutes({ providerChooser, ...options }: Readonly<Partial<Given>>): readonly string[] {
  const chooser = isPlainPath(providerChooser) ? [{ name: 'providerChooser', path: providerChooser }] : []
  const all = [...routesOf(options), ...chooser]
  return all.flatMap(({ name, path }, index) => {
    const twin = all.slice(0, index).find((other) => other.path.toLowerCase() === path.toLowerCase())
    return twin === undefined ? [] : [`${name} must differ from ${twin.name}: both are ${path}.`]
  })
}

function insecure(name: 'baseUrl' | 'postLogoutRedirectUri'): Conflict<Given> {
  return {
    between: ['dangerouslyAllowInsecureRequests', name],
    faults: (options) => insecureUrl(options.dangerouslyAllowInsecureRequests, options[name], name),
  }
}
