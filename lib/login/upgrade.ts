import { type IncomingMessage, ServerResponse } from 'node:http'
import { ConfigError, OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import { countHeaders } from '../http/authorization.ts'
import { headerOf, type Next, type Request, type Response, requestPath } from '../http/request.ts'
import { crossOriginHandshakeError } from '../http/request-origin.ts'
import { objectOf, option, required } from '../options/option-row.ts'
import { functionRule } from '../options/rule.ts'
import type { RelyingParty } from '../relying-party.ts'
import { readTokensId } from '../session/current-login.ts'
import { requireSession } from '../session/express-session.ts'
import { findProviderOfLogin } from '../session/login-provider.ts'
import type { LoginEnd, WatchedLogin } from '../session/login-watch.ts'
import type {
  AuthenticatedContext,
  OidcContext,
  TokenContext,
  UpgradeLogin,
  UpgradeMiddleware,
  UpgradeOptions,
} from '../types.ts'

const upgradeRule = objectOf({ session: required(functionRule), bearer: option(functionRule) })

type CreateContext = (rp: RelyingParty, req: Request, res: Response) => OidcContext

/**
 * `auth.authenticateUpgrade()`: authenticates a WebSocket handshake by its session or access token. It only reads the
 * session. It never creates, writes or extends it, because no response is ever sent.
 */
export async function authenticateUpgrade(
  rp: RelyingParty,
  req: IncomingMessage,
  options: UpgradeOptions,
  createContext: CreateContext,
): Promise<UpgradeLogin> {
  const problems = upgradeRule(options, 'options')
  if (problems.length > 0) throw new ConfigError(problems)
  try {
    const originError = crossOriginHandshakeError(req, rp.config)
    if (originError !== undefined) throw originError
    // If the request has an access token, only the token counts. A session does not make up for an invalid token.
    return hasAccessToken(req)
      ? await authenticateByToken(rp, req, options)
      : await authenticateBySession(rp, req, options, createContext)
  } catch (error) {
    if (error instanceof OidcError && error.status < 500) {
      publish['express-oidc:denied'](() => ({ code: error.code, path: requestPath(req) }))
    }
    throw error
  }
}

/**
 * Ignores other schemes. A proxy in front may use `Basic`, for example. Node keeps only the first of several headers, so a token
 * may be in another: `bearer()` refuses such a request.
 */
function hasAccessToken(req: IncomingMessage): boolean {
  if (countHeaders(req, 'authorization') > 1) return true
  return /^\s*(?:bearer|dpop)\b/i.test(headerOf(req, 'authorization') ?? '')
}

async function authenticateBySession(
  rp: RelyingParty,
  req: Request,
  { session }: UpgradeOptions,
  createContext: CreateContext,
): Promise<UpgradeLogin> {
  const res = new ServerResponse(req)
  await runMiddleware(session, req, res, sessionRefused)
  const sessionReq = requireSession(req)
  const { sessionStore: store, sessionID: sessionId } = sessionReq
  rp.storeWatch.watch(req)
  if (!(await findProviderOfLogin(rp, req))) throw loginRequired()
  const oidc = createContext(rp, req, res)
  Object.assign(req, { oidc })
  const tokensId = readTokensId(sessionReq, rp.config)
  // A logout deletes the token record before the session, so a login without a record is over: see store-watch.ts.
  const isLive = tokensId !== undefined && (await rp.tokenRecords.has(store, tokensId))
  if (!isLive || oidc.authenticatedBy !== 'session') throw loginRequired()
  if (rp.indexCheck.isNeeded(req) && (await rp.indexCheck.isOver(sessionReq))) throw loginRequired()
  const watched = { expiresAt: oidc.expiresAt, session: { store, sessionId, tokensId } }
  return { authenticatedBy: 'session', oidc, ended: watchLoginEnd(rp, req, watched) }
}

async function authenticateByToken(rp: RelyingParty, req: Request, { bearer }: UpgradeOptions): Promise<UpgradeLogin> {
  if (bearer === undefined)
    throw tokenRefused('To accept access tokens, pass the middleware of bearer() to authenticateUpgrade().')
  const res = new ServerResponse(req)
  await runMiddleware(bearer, req, res, () =>
    tokenRefused('The middleware in the option bearer of authenticateUpgrade() refused it.', res),
  )
  const oidc: unknown = Reflect.get(req, 'oidc')
  if (!isAuthenticatedContext(oidc))
    throw tokenRefused(
      'The middleware in the option bearer of authenticateUpgrade() let it pass without a login. Pass that of bearer().',
    )
  return { authenticatedBy: 'access_token', oidc, ended: watchLoginEnd(rp, req, { expiresAt: oidc.expiresAt }) }
}

function isAuthenticatedContext(oidc: unknown): oidc is AuthenticatedContext | TokenContext {
  const { isAuthenticated, expiresAt } = Object(oidc)
  return isAuthenticated === true && typeof expiresAt === 'number'
}

/** Runs a middleware. Rejects if it passes an error to `next`, throws, or ends the response itself: then with `refused()`. */
function runMiddleware(
  middleware: UpgradeMiddleware,
  req: Request,
  res: Response,
  refused: () => OidcError,
): Promise<void> {
  const handler = middleware as (req: Request, res: Response, next: Next) => unknown
  return new Promise((resolve, reject) => {
    res.end = () => {
      reject(refused())
      return res
    }
    const next: Next = (error) => (error === undefined || error === null ? resolve() : reject(error))
    Promise.resolve(handler(req, res, next)).catch(reject)
  })
}

/** Resolves when the login ends. Stops watching when the connection closes. */
function watchLoginEnd(rp: RelyingParty, { socket }: Request, login: WatchedLogin): Promise<LoginEnd> {
  return new Promise((resolve) => {
    const stop = rp.loginWatch.watch(login, resolve)
    if (socket.destroyed) stop()
    else socket.once('close', stop)
  })
}

function loginRequired(): OidcError {
  return new OidcError(
    'ERR_OIDC_LOGIN_REQUIRED',
    'The request of authenticateUpgrade() has no login in its session. Respond 401, and have the page log in first.',
  )
}

function sessionRefused(): OidcError {
  return new OidcError(
    'ERR_OIDC_SESSION_MISSING',
    'The middleware in the option session of authenticateUpgrade() responded instead of calling next(), so there is no ' +
      'session. Pass the middleware of express-session itself.',
  )
}

/**
 * If the middleware ended the response itself, the error takes over its status and the headers that say why:
 * `WWW-Authenticate` and `Retry-After`.
 */
function tokenRefused(advice: string, res?: Response): OidcError {
  const headers = Object.entries(res?.getHeaders() ?? {}).filter(([name]) =>
    /^(?:www-authenticate|retry-after)$/.test(name),
  )
  return new OidcError('ERR_OIDC_UPGRADE_TOKEN', `The upgrade request has an access token that is refused. ${advice}`, {
    ...(res === undefined || res.statusCode < 400 ? {} : { status: res.statusCode }),
    headers: Object.fromEntries(headers.map(([name, value]) => [name, String(value)])),
  })
}
