import type { RoutesOptions } from './options.ts'

/** The names of the providers in an object. They stand in paths and in the query of the login route. */
export function isProviderName(name: string): boolean {
  return /^[A-Za-z0-9_-]{1,32}$/.test(name) && !(name in Object.prototype)
}

/**
 * The names for which a function is asked. Lower case only: a database that ignores case would otherwise find one provider
 * under several names, and a logout under one name would not end the sessions under the others. `default` names the only
 * provider of other apps, in their sessions.
 */
export function isFoundName(name: string): boolean {
  return /^[a-z0-9_-]{1,64}$/.test(name) && name !== 'default' && !(name in Object.prototype)
}

/** The routes that have the name of the provider behind their path, if a function finds the providers. */
export const NAMED_ROUTES: readonly (keyof RoutesOptions)[] = [
  ...(['callback', 'backchannelLogout', 'frontchannelLogout', 'tokenRevocation'] as const),
  ...(['initiateLogin', 'jwks', 'securityEvents'] as const),
]

/** The same routes with the name of a provider behind each that is for one provider alone. */
export function routesFor<Routes extends RoutesOptions>(routes: Routes, name: string): Routes {
  const named = NAMED_ROUTES.flatMap((route) => {
    const path = routes[route]
    return path === undefined || route === 'callback' ? [] : [[route, `${path}/${name}`] as const]
  })
  return { ...routes, ...Object.fromEntries(named) }
}
