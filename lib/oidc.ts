import type { IncomingMessage } from 'node:http'
import { createContext } from './context.ts'
import { publishPassedError } from './events.ts'
import { findHost, hostUnknown } from './http/host.ts'
import { findMisplacement, foldRoute, ownRoutes } from './http/own-routes.ts'
import { type Next, type Request, type Response, requestPath } from './http/request.ts'
import { redirect } from './http/response.ts'
import { usesClientSecret } from './jose/algorithms.ts'
import { createOperating } from './oidc/operating.ts'
import { createRouter, type FoundRoute } from './oidc/routes.ts'
import { traced } from './operations.ts'
import type { Config } from './options/config.ts'
import type { Options } from './options/options.ts'
import { parseOptions } from './options/parse-options.ts'
import { contentsOf } from './options/response-type.ts'
import { type Client, createRelyingParty, type RelyingParty, relyingPartyAt, runCounted } from './relying-party.ts'
import { recordActivity } from './session/current-login.ts'
import { endUnknownLogin, needsProvider } from './session/login-provider.ts'
import type { SessionInfo, SessionQuery, SessionTarget } from './session/session-list.ts'
import { createSetupCheck } from './session/setup-check.ts'
import type { Operating } from './status.ts'
import { loadOnce } from './time/single-flight.ts'
import type { OidcContext, UpgradeLogin, UpgradeOptions } from './types.ts'

/** The middleware that `oidc()` returns. */
export interface OidcMiddleware extends Operating {
  (req: Request, res: Response, next: Next): void
  /**
   * Loads the metadata and the keys of every provider now. Call it at startup if the app should not start with a wrong
   * issuer or an unreachable provider; otherwise the first login loads them.
   *
   * Call it after `listen()`: with `registration`, a provider may fetch the app's `/jwks` before `ready()` resolves.
   *
   * Rejects with a `ProviderError`.
   *
   * @example
   * ```ts
   * const auth = oidc(options)
   * app.use(auth)
   * app.listen(3000, () => {
   *   auth.ready().catch((error: unknown) => console.error('The provider is not reachable', error))
   * })
   * ```
   */
  ready(): Promise<void>
  /**
   * Says who sends an upgrade request (RFC 6455), which passes no middleware of Express: the user of the session, or, with
   * the option `bearer`, the access token in `Authorization`. It reads no token from anywhere else. It also says when the
   * login ends, so that you can close the WebSocket. The session is only read: an open WebSocket does not extend it.
   *
   * Rejects with `ERR_OIDC_CROSS_ORIGIN_REQUEST` (403) for a page of another origin, unless it is one of `trustedOrigins`;
   * `ERR_OIDC_LOGIN_REQUIRED` (401) without a login; `ERR_OIDC_UPGRADE_TOKEN` (401) for an access token that is refused, even
   * if there is a session; `ERR_OIDC_SESSION_MISSING` and `ERR_OIDC_SESSION_STORE` if the session cannot be read; and
   * `ERR_OIDC_CONFIG` for wrong options.
   *
   * @example
   * ```ts
   * import { createServer } from 'node:http'
   * import { WebSocketServer } from 'ws'
   *
   * const sessions = session({ secret: sessionSecret, resave: false, saveUninitialized: false })
   * const auth = oidc(options)
   * const sockets = new WebSocketServer({ noServer: true })
   * createServer(app).on('upgrade', async (req, socket, head) => {
   *   const login = await auth.authenticateUpgrade(req, { session: sessions }).catch(() => undefined)
   *   if (login === undefined) socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n')
   *   else sockets.handleUpgrade(req, socket, head, (webSocket) => {
   *     webSocket.send(`Hello ${login.oidc.claims.name}`)
   *     login.ended.then(() => webSocket.close(4401, 'logged out'))
   *   })
   * })
   * ```
   */
  authenticateUpgrade(req: IncomingMessage, options: UpgradeOptions): Promise<UpgradeLogin>
  /** The logins of all users, on all nodes: for an operator, and for a user's own page. See {@link Sessions}. */
  readonly sessions: Sessions
}

export type { SessionInfo, SessionQuery, SessionTarget } from './session/session-list.ts'

/** Lists and ends the logins of a user. The value of `sessions` of the middleware that `oidc()` returns. */
export interface Sessions {
  /**
   * Lists the logins of a user (`sub`), or of one session at the provider (`sid`), the newest first. The result has no token
   * and no value of a cookie, so a page may show it. A login that has expired or ended is not in it.
   *
   * Rejects with `ERR_OIDC_CONFIG` for a query that names nobody, `ERR_OIDC_SESSION_MISSING` if no session store is known yet,
   * and `ERR_OIDC_SESSION_STORE` or `ERR_OIDC_SHARED_STATE` if the list cannot be read: it is never silently incomplete.
   *
   * @example
   * ```ts
   * const auth = oidc(options)
   * app.use(auth)
   * app.get('/sessions', requireAuth().before(async (req, res) => {
   *   res.json(await auth.sessions.list({ sub: req.oidc.claims.sub, current: req.sessionID }))
   * }))
   * ```
   */
  list(query: SessionQuery): Promise<readonly SessionInfo[]>
  /**
   * Ends all logins of a user (`sub`) or of a session at the provider (`sid`), or one login (`sessionId`), with their tokens.
   * `except` keeps one session: the one that the user is using. Logins that are in progress do not complete. The tokens are
   * revoked at the provider, unless `revokeTokens` is off; the user's session there stays.
   *
   * It does not ask who calls it: your route does. Pass the user's own `sub` together with a `sessionId` that comes from a
   * request, so that only a session of this user can end. Resolves with the number of logins that have ended. If it rejects,
   * some may have ended: call it again. It rejects as `list()` does.
   *
   * @example
   * ```ts
   * const auth = oidc(options)
   * app.use(auth)
   * app.post('/log-out-elsewhere', requireAuth().before(async (req, res) => {
   *   await auth.sessions.end({ sub: req.oidc.claims.sub, except: req.sessionID })
   *   res.redirect('/sessions')
   * }))
   * ```
   */
  end(target: SessionTarget): Promise<number>
}

/**
 * Makes an Express or Connect app an OpenID Connect relying party. The middleware responds at the login, callback and
 * logout routes, sets `req.oidc` for every request, and keeps the login in `req.session`.
 *
 * Mount it after express-session and before your routes. It calls the provider when the first user logs in, not earlier.
 *
 * @throws {ConfigError} `ERR_OIDC_CONFIG` with all problems of the options.
 * @example
 * ```ts
 * app.use(session({ secret, resave: false, saveUninitialized: false }))
 * app.use(oidc({ issuer, clientId, clientSecret, baseUrl: 'https://app.example.com' }))
 * app.get('/profile', requireAuth(), (req, res) => res.json(req.oidc.claims))
 * ```
 */
export function oidc(options: Options): OidcMiddleware {
  const rp = createRelyingParty(parseOptions(options))
  for (const { config } of rp.clients.values()) warnOfFrontChannelToken(config)
  rp.providers?.watch((_name, client) => client && warnOfFrontChannelToken(client.config))
  const findRelyingParty = createHostFinder(rp)
  const findRoute = createRouter(rp)
  const { silentLogin, idleTimeout } = rp.config
  const checkSetup = createSetupCheck(rp.config, rp.notices)
  const userPaths = new Set(
    ownRoutes(rp.config).flatMap(({ name, path }) => (name === 'user' ? [foldRoute(path)] : [])),
  )

  function oidcMiddleware(req: Request & { oidc?: OidcContext }, res: Response, next: Next): void {
    const misplaced = findMisplacement(rp.config, req)
    if (misplaced !== undefined) return void passError(misplaced, next)
    const atHost = findRelyingParty(req)
    if (atHost === undefined) return void passError(hostUnknown(), next)
    const context = createContext(atHost, req, res)
    req.oidc = context
    checkSetup?.(req)
    const path = foldRoute(requestPath(req))
    // The route `user` decides itself whether it is an activity of the user.
    if (idleTimeout !== undefined && !userPaths.has(path)) recordActivity(req, rp.config)
    rp.storeWatch.watch(req)
    const request = { atHost, context, path, req, res, next }
    const isUnknownLogin = needsProvider(rp, req)
    if (!isUnknownLogin && !rp.indexCheck.isNeeded(req)) return void handOn(request)
    prepare(rp, req, isUnknownLogin).then(
      // Outside of the promise, whose rejection an error that `next` throws would become.
      () => process.nextTick(handOn, request),
      (error: unknown) => passError(error, next),
    )
  }

  function handOn({ atHost, context, path, req, res, next }: HandledRequest): void {
    const found = findRoute(path)
    if (found !== undefined)
      return void runCounted(atHost, found.kind, () => runRoute(found, atHost, req, res)).catch((error) =>
        passError(error, next),
      )
    rp.loopBrake.noteSession(req, res, () => context.isAuthenticated)
    const url = silentLogin ? context.silentLoginUrl() : undefined
    if (url === undefined) next()
    else redirect(res, url)
  }

  return Object.assign(oidcMiddleware, {
    async ready() {
      await Promise.all([...rp.clients.values()].map(loadProvider))
    },
    ...createOperating(rp),
    sessions: createSessions(rp),
    async authenticateUpgrade(req: IncomingMessage, options: UpgradeOptions) {
      const { authenticateUpgrade } = await import('./login/upgrade.ts')
      const atHost = findRelyingParty(req)
      if (atHost === undefined) throw hostUnknown()
      return authenticateUpgrade(atHost, req, options, createContext)
    },
  })
}

/** Finds out whether the login of a request is still one, where that takes time. */
async function prepare(rp: RelyingParty, req: Request, isUnknownLogin: boolean): Promise<void> {
  if (isUnknownLogin) await endUnknownLogin(rp, req)
  if (rp.indexCheck.isNeeded(req)) await rp.indexCheck.run(req)
}

/** A request, after it is known which host of the application it is for. */
interface HandledRequest {
  readonly atHost: RelyingParty
  readonly context: OidcContext
  readonly path: string
  readonly req: Request
  readonly res: Response
  readonly next: Next
}

/** Finds the relying party at the host of a request; `undefined` if the application has no such host. */
function createHostFinder(rp: RelyingParty): (req: Request) => RelyingParty | undefined {
  const { hosts } = rp.config
  if (hosts.length === 1) return () => rp
  const byOrigin = new Map(hosts.map((host) => [host.origin, relyingPartyAt(rp, host)]))
  return (req) => byOrigin.get(findHost(req, hosts)?.origin ?? '')
}

const loadSessions = loadOnce(() => import('./logout/sessions.ts'))

function createSessions(rp: RelyingParty): Sessions {
  return {
    list: async (query) => (await loadSessions()).listSessions(rp, query),
    end: async (target) => (await loadSessions()).endSessions(rp, target),
  }
}

async function loadProvider({ findProvider, config }: Client): Promise<void> {
  const { keys } = await findProvider()
  const alg = config.idTokenSignedResponseAlg
  if (!usesClientSecret(alg)) await keys.keysFor({ alg })
}

/** Access tokens should not go through the browser (RFC 9700 2.1.2). */
function warnOfFrontChannelToken({ responseType }: Config): void {
  if (!contentsOf(responseType).token) return
  process.emitWarning(`responseType '${responseType}' sends an access token through the browser. Prefer 'code'.`, {
    code: 'EXPRESS_OIDC_FRONT_CHANNEL_TOKEN',
    type: 'SecurityWarning',
  })
}

async function runRoute({ load, how }: FoundRoute, rp: RelyingParty, req: Request, res: Response): Promise<void> {
  const route = await load()
  if (how === undefined) return await route(rp, req, res)
  await traced(
    'express-oidc:logout',
    () => ({ how }),
    () => route(rp, req, res),
  )
}

/** Every error of a route leaves the library here. */
function passError(reason: unknown, next: Next): void {
  // A hook may reject with undefined or 'route', but next(undefined) and next('route') would let the request through.
  const error =
    reason instanceof Error ? reason : new Error('A hook rejected without an Error. Throw an Error.', { cause: reason })
  publishPassedError(error)
  next(error)
}
