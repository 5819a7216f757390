import { createContext } from './context.ts'
import { OidcError } from './errors.ts'
import { publish } from './events.ts'
import { type Next, type Request, type Response, requestPath } from './http/request.ts'
import { redirect } from './http/response.ts'
import type { Config } from './options/config.ts'
import type { Options } from './options/options.ts'
import { parseOptions } from './options/parse-options.ts'
import { contentsOf } from './options/response-type.ts'
import { type Client, createRelyingParty, type RelyingParty } from './relying-party.ts'
import { recordActivity } from './session/current-login.ts'
import type { OidcContext } from './types.ts'

/** The middleware that `oidc()` makes. */
export interface OidcMiddleware {
  (req: Request, res: Response, next: Next): void
  /**
   * Asks each provider for its metadata and keys now, for those who want to fail at start rather than at the first login.
   * Rejects with a `ProviderError`.
   */
  ready(): Promise<void>
}

type Route = (rp: RelyingParty, req: Request, res: Response) => Promise<void>

/** Routes are loaded at their first request: until then an application does without openid-client and jose. */
type LoadRoute = () => Promise<Route>

/**
 * Makes an Express or Connect application an OpenID Connect relying party: mounts the login, callback and logout routes,
 * and sets `req.oidc`. Mount it after express-session. Nothing is asked of the provider before the first login.
 *
 * @throws {ConfigError} with all faults of the options
 * @example
 * ```ts
 * app.use(session({ secret, resave: false, saveUninitialized: false }))
 * app.use(oidc({ issuer, clientId, clientSecret, baseUrl: 'https://app.example.com' }))
 * app.get('/profile', requireAuth(), (req, res) => res.json(req.oidc.claims))
 * ```
 */
export function oidc(options: Options): OidcMiddleware {
  const rp = createRelyingParty(parseOptions(options))
  for (const { config } of rp.clients.values()) warnOfToken(config)
  const routes = createRoutes(rp)
  const { silentLogin, idleTimeout } = rp.config

  function oidcMiddleware(req: Request & { oidc?: OidcContext }, res: Response, next: Next): void {
    const context = createContext(rp, req, res)
    req.oidc = context
    if (idleTimeout !== undefined) recordActivity(req, rp.config)
    rp.storeWatch.watch(req)
    const loadRoute = routes.get(requestPath(req))
    if (loadRoute !== undefined) return void answer(loadRoute, rp, req, res).catch((error) => fail(error, next))
    const url = silentLogin ? context.silentLoginUrl() : undefined
    if (url === undefined) next()
    else redirect(res, url)
  }

  return Object.assign(oidcMiddleware, {
    async ready() {
      await Promise.all([...rp.clients.values()].map(prepare))
    },
  })
}

async function prepare({ findProvider, config }: Client): Promise<void> {
  const { keys } = await findProvider()
  const alg = config.idTokenSignedResponseAlg
  if (!alg.startsWith('HS')) await keys.keysFor({ alg })
}

/** RFC 9700 2.1.2. */
function warnOfToken({ responseType }: Config): void {
  if (!contentsOf(responseType).token) return
  process.emitWarning(`responseType '${responseType}' sends an access token through the browser: 'code' does not.`, {
    code: 'EXPRESS_OIDC_FRONT_CHANNEL_TOKEN',
    type: 'SecurityWarning',
  })
}

async function answer(loadRoute: LoadRoute, rp: RelyingParty, req: Request, res: Response): Promise<void> {
  const route = await loadRoute()
  await route(rp, req, res)
}

/** The one place where a route's failure leaves the library. */
function fail(reason: unknown, next: Next): void {
  // Express takes nothing, or the word 'route', for leave to go on: a hook may reject with either.
  const error = reason instanceof Error ? reason : new Error('A hook failed without an error.', { cause: reason })
  publish['express-oidc:error'](() => ({ code: error instanceof OidcError ? error.code : 'unknown', error }))
  next(error)
}

/** A route answers below the mount path, and where the application sees the whole path of `baseUrl`, there too. */
function createRoutes(rp: RelyingParty): ReadonlyMap<string, LoadRoute> {
  const { routes: paths, basePath } = rp.config
  const clients = [...rp.clients.values()]
  const hasReference = clients.some(({ config }) => config.requestObjectBy === 'reference')
  const hasKeys = clients.some(({ config }) => config.clientKeys.length > 0)
  const routes: readonly (readonly [string | undefined, LoadRoute])[] = [
    [paths.login, async () => (await import('./login/start.ts')).loginRoute],
    ...clients.map((client) => [client.config.callback, () => loadCallback(client)] as const),
    [paths.logout, async () => (await import('./logout/logout.ts')).logoutRoute],
    [paths.backchannelLogout, async () => (await import('./logout/back-channel.ts')).backchannelLogoutRoute],
    [paths.frontchannelLogout, async () => (await import('./logout/front-channel.ts')).frontchannelLogoutRoute],
    [paths.sessionCheck, async () => (await import('./logout/session-check.ts')).sessionCheckRoute],
    [paths.tokenRevocation, async () => (await import('./logout/back-channel.ts')).tokenRevocationRoute],
    [paths.initiateLogin, async () => (await import('./login/start.ts')).initiateLoginRoute],
    [hasKeys ? paths.jwks : undefined, createJwksLoader(rp)],
    [
      hasReference ? paths.requestObjects : undefined,
      async () => (await import('./login/published-documents.ts')).requestObjectsRoute,
    ],
  ]
  const mounted = routes.flatMap(([path, load]) => (path === undefined ? [] : [[path, load] as const]))
  return new Map(mounted.flatMap(([path, load]) => [[path, load] as const, [basePath + path, load] as const]))
}

/** The keys are imported once, not for each request. */
function createJwksLoader(rp: RelyingParty): LoadRoute {
  let route: Promise<Route> | undefined
  return () => {
    route ??= import('./login/published-documents.ts').then(({ createJwksRoute }) => createJwksRoute(rp))
    return route
  }
}

async function loadCallback(client: Client): Promise<Route> {
  const { callbackRoute } = await import('./login/callback.ts')
  return (rp, req, res) => callbackRoute(rp, client, req, res)
}
