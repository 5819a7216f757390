import { foldRoute, ownRoutes } from './http/own-routes.ts'
import type { Request, Response } from './http/request.ts'
import { clientOf, type RelyingParty } from './relying-party.ts'
import { loadOnce } from './time/single-flight.ts'

/** Maps every path to its route. With several providers each has its own callback, and `routes.callback` alone has none. */
export function createRoutes(rp: RelyingParty): ReadonlyMap<string, FoundRoute> {
  const loaders = createLoaders(rp)
  const callbacks = new Map([...rp.clients.values()].map(({ config }) => [config.callback, config.name]))
  return new Map(
    ownRoutes(rp.config).flatMap(({ name, route, path }) => {
      const provider = name === 'callback' ? callbacks.get(route) : undefined
      const load = provider === undefined ? loaders[name] : () => loadCallback(provider)
      return load === undefined
        ? []
        : [[foldRoute(path), { load: loadOnce(load), kind: KINDS[name] ?? 'other', how: LOGOUT_ROUTES[name] }] as const]
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

type Route = (rp: RelyingParty, req: Request, res: Response) => Promise<void>

/** Loads a route at its first request, so that an app starts without loading openid-client and jose. */
type LoadRoute = () => Promise<Route>

/** How each route is loaded, by its name in the option `routes`. A route that is not listed here does not exist. */
function createLoaders(rp: RelyingParty): Readonly<Record<string, LoadRoute>> {
  const configs = [...rp.clients.values()].map(({ config }) => config)
  return {
    login: async () => (await import('./login/start.ts')).loginRoute,
    logout: async () => (await import('./logout/logout.ts')).logoutRoute,
    backchannelLogout: async () => (await import('./logout/back-channel.ts')).backchannelLogoutRoute,
    frontchannelLogout: async () => (await import('./logout/front-channel.ts')).frontchannelLogoutRoute,
    sessionCheck: async () => (await import('./logout/session-check.ts')).sessionCheckRoute,
    tokenRevocation: async () => (await import('./logout/back-channel.ts')).tokenRevocationRoute,
    keptForm: async () => (await import('./login/kept-form.ts')).keptFormRoute,
    user: async () => (await import('./login/user.ts')).userRoute,
    initiateLogin: async () => (await import('./login/initiate-login.ts')).initiateLoginRoute,
    ...(configs.some(({ clientKeys }) => clientKeys.length > 0)
      ? { jwks: async () => (await import('./login/published-documents.ts')).createJwksRoute(rp) }
      : {}),
    clientMetadata: async () => (await import('./login/published-documents.ts')).createClientMetadataRoute(rp),
    ...(configs.some(({ sharedSignals }) => sharedSignals !== undefined)
      ? { securityEvents: async () => (await import('./logout/security-events.ts')).securityEventsRoute }
      : {}),
    ...(configs.some(({ requestObjectBy }) => requestObjectBy === 'reference')
      ? { requestObjects: async () => (await import('./login/published-documents.ts')).requestObjectsRoute }
      : {}),
  }
}

async function loadCallback(provider: string): Promise<Route> {
  const { callbackRoute } = await import('./login/callback.ts')
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
