import { parseOptions } from './config/config.ts'
import { createContext } from './context.ts'
import { OidcError } from './errors.ts'
import { publish } from './events.ts'
import { type Next, type Request, type Response, requestPath } from './http.ts'
import type { Options } from './options.ts'
import { createRelyingParty, type RelyingParty } from './relying-party.ts'
import { partsOf } from './response-type.ts'

/** The middleware that `oidc()` makes. */
export interface OidcMiddleware {
  (req: Request, res: Response, next: Next): void
  /**
   * Asks the provider for its metadata and keys now, for those who want to fail at start rather than at the first login.
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
  if (partsOf(rp.config.responseType).token) warnOfToken(rp.config.responseType)
  const routes = createRoutes(rp)

  function oidcMiddleware(req: Request & { oidc?: unknown }, res: Response, next: Next): void {
    req.oidc = createContext(rp, req, res)
    const loadRoute = routes.get(requestPath(req))
    if (loadRoute === undefined) next()
    else answer(loadRoute, rp, req, res).catch((error: unknown) => fail(error, next))
  }

  return Object.assign(oidcMiddleware, {
    async ready() {
      const { keys } = await rp.findProvider()
      const alg = rp.config.idTokenSignedResponseAlg
      if (!alg.startsWith('HS')) await keys.keysFor({ alg })
    },
  })
}

/** RFC 9700 2.1.2. */
function warnOfToken(responseType: string): void {
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
function createRoutes({ config }: RelyingParty): ReadonlyMap<string, LoadRoute> {
  const routes: readonly (readonly [string, LoadRoute])[] = [
    [config.routes.login, async () => (await import('./routes/login.ts')).loginRoute],
    [config.routes.callback, async () => (await import('./routes/callback.ts')).callbackRoute],
    [config.routes.logout, async () => (await import('./routes/logout.ts')).logoutRoute],
  ]
  return new Map(routes.flatMap(([path, route]) => [[path, route] as const, [config.basePath + path, route] as const]))
}
