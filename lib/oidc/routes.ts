import { foldRoute, namedRouteOf, ownRoutes } from '../http/own-routes.ts'
import type { Request, Response } from '../http/request.ts'
import { NAMED_ROUTES } from '../options/provider-names.ts'
import { findClient, providerUnknown } from '../relying-party/provider-lookup.ts'
import { clientOf, type RelyingParty } from '../relying-party.ts'
import { loadOnce } from '../time/single-flight.ts'

/** Finds the route for a path, which is folded as `foldRoute()` does. */
export function createRouter(rp: RelyingParty): (path: string) => FoundRoute | undefined {
  const routes = createRoutes(rp)
  if (!rp.config.findsProviders) return (path) => routes.get(path)
  const load = createNamedRoutes(rp)
  return (path) => {
    const named = namedRouteOf(path, rp.config)
    if (named !== undefined) return load(named.route, named.provider)
    return routes.get(path)
  }
}

/**
 * The routes for one provider, if a function finds it: `/callback/acme`. The route sees no other provider, so that no message
 * of one is taken for another's. A node that has never seen the name finds it, too.
 */
function createNamedRoutes(rp: RelyingParty): (route: string, provider: string) => FoundRoute | undefined {
  const loaders: Readonly<Record<string, LoadRoute>> = { ...createLoaders(rp), ...NAMED_LOADERS }
  return (route, provider) => {
    const load = loaders[route]
    if (load === undefined) return undefined
    const run: Route = async (at, req, res) => {
      const client = await findClient(at, provider, req)
      if (client === undefined) throw providerUnknown()
      const runFor = await load()
      await runFor({ ...at, clients: new Map([[provider, client]]) }, req, res)
    }
    return found(route, async () => run)
  }
}

/** The routes that need the only client of `rp`, or exist for some clients only. */
const NAMED_LOADERS: Readonly<Record<string, LoadRoute>> = {
  callback: async () => async (rp, req, res) => {
    for (const { config } of rp.clients.values()) await (await loadCallback(config.name))(rp, req, res)
  },
  jwks: async () => async (rp, req, res) => {
    const { createJwksRoute } = await import('../login/published-documents.ts')
    await createJwksRoute(rp)(rp, req, res)
  },
  securityEvents: async () => (await import('../logout/security-events.ts')).securityEventsRoute,
}

/** Maps every path to its route. With several providers each has its own callback, and `routes.callback` alone has none. */
function createRoutes(rp: RelyingParty): ReadonlyMap<string, FoundRoute> {
  const loaders = createLoaders(rp)
  const callbacks = new Map([...rp.clients.values()].map(({ config }) => [config.callback, config.name]))
  return new Map(
    ownRoutes(rp.config).flatMap(({ name, route, path }) => {
      // These are at the name of each provider.
      if (rp.config.findsProviders && NAMED_ROUTES.some((named) => named === name)) return []
      const provider = name === 'callback' ? callbacks.get(route) : undefined
      const load = provider === undefined ? loaders[name] : () => loadCallback(provider)
      return load === undefined ? [] : [[foldRoute(path), found(name, loadOnce(load))] as const]
    }),
  )
}

/** A route of this middleware, found by its path. */
export interface FoundRoute {
  readonly load: LoadRoute
  /** Its kind for `status()` and `drain()`. */
  readonly kind: string
  /** For a route at which the provider ends logins: its name in events. */
  readonly how: string | undefined
}

function found(name: string, load: LoadRoute): FoundRoute {
  return { load, kind: KINDS[name] ?? 'other', how: LOGOUT_ROUTES[name] }
}

type Route = (rp: RelyingParty, req: Request, res: Response) => Promise<void>

/** Loads a route at its first request, so that an app starts without loading openid-client and jose. */
type LoadRoute = () => Promise<Route>

/** How each route is loaded, by its name in the option `routes`. A route that is not listed here does not exist. */
function createLoaders(rp: RelyingParty): Readonly<Record<string, LoadRoute>> {
  const configs = [...rp.clients.values()].map(({ config }) => config)
  return {
    login: async () => (await import('../login/start.ts')).loginRoute,
    logout: async () => (await import('../logout/logout.ts')).logoutRoute,
    backchannelLogout: async () => (await import('../logout/back-channel.ts')).backchannelLogoutRoute,
    frontchannelLogout: async () => (await import('../logout/front-channel.ts')).frontchannelLogoutRoute,
    sessionCheck: async () => (await import('../logout/session-check.ts')).sessionCheckRoute,
    tokenRevocation: async () => (await import('../logout/back-channel.ts')).tokenRevocationRoute,
    keptForm: async () => (await import('../login/kept-form.ts')).keptFormRoute,
    user: async () => (await import('../login/user.ts')).userRoute,
    initiateLogin: async () => (await import('../login/initiate-login.ts')).initiateLoginRoute,
    ...(configs.some(({ clientKeys }) => clientKeys.length > 0)
      ? { jwks: async () => (await import('../login/published-documents.ts')).createJwksRoute(rp) }
      : {}),
    clientMetadata: async () => (await import('../login/published-documents.ts')).createClientMetadataRoute(rp),
    ...(configs.some(({ sharedSignals }) => sharedSignals !== undefined)
      ? { securityEvents: async () => (await import('../logout/security-events.ts')).securityEventsRoute }
      : {}),
    ...(rp.config.findsProviders || configs.some(({ requestObjectBy }) => requestObjectBy === 'reference')
      ? { requestObjects: async () => (await import('../login/published-documents.ts')).requestObjectsRoute }
      : {}),
  }
}

async function loadCallback(provider: string): Promise<Route> {
  const { callbackRoute } = await import('../login/callback.ts')
  return (rp, req, res) => callbackRoute(rp, clientOf(rp, { provider }), req, res)
}

/** The routes at which the provider ends logins, and their names in events. */
const LOGOUT_ROUTES: Readonly<Record<string, string>> = {
  backchannelLogout: 'backchannel',
  frontchannelLogout: 'frontchannel',
  tokenRevocation: 'token-revocation',
  securityEvents: 'security-event',
}

/** The kind of each route for `status()` and `drain()`. Each other route is of the kind `other`. */
const KINDS: Readonly<Record<string, string>> = {
  initiateLogin: 'login',
  login: 'login',
  callback: 'callback',
  logout: 'logout',
}
