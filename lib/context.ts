import { parseAuthorizationParams } from './config/authorization-params.ts'
import { OidcError } from './errors.ts'
import type { Request, Response } from './http.ts'
import type { AuthorizationParams } from './options.ts'
import type { LoginRequest } from './protocol/authorization-request.ts'
import { readUserInfo } from './protocol/userinfo.ts'
import type { RelyingParty } from './relying-party.ts'
import { appPath, safeReturnTo } from './return-to.ts'
import { startLogin } from './routes/login.ts'
import { endLogin } from './routes/logout.ts'
import { requireSession } from './session/express-session.ts'
import { readLogin } from './session/login-session.ts'
import type { IdTokenClaims, Json, Login, TokenRecord } from './types.ts'

/** What one login wants in particular. */
export interface LoginOptions {
  /**
   * The path of this application to come back to.
   * @default the page that is asked for, where it was asked for by GET
   */
  returnTo?: string
  /** Authorization request parameters for this login alone, for example `{ prompt: 'login', login_hint: 'ada' }`. */
  authorizationParams?: AuthorizationParams
}

interface OidcMethods {
  /** The address of the login route, to come back to a path of this application: by default to the present page. */
  loginUrl(returnTo?: string): string
  /** Sends the browser to the provider to log in. Answers the request. */
  login(options?: LoginOptions): Promise<void>
  /** Ends the login here and at the provider. Answers the request. The caller sees to it that the person asked for it. */
  logout(): Promise<void>
  /** The tokens of this login, read from the session store; `undefined` where there are none. */
  tokens(): Promise<TokenRecord | undefined>
  /** The raw ID Token. Throws `ERR_OIDC_TOKEN_UNAVAILABLE`. */
  idToken(): Promise<string>
  /** The access token. Throws `ERR_OIDC_TOKEN_UNAVAILABLE` where there is none or it has ended. */
  accessToken(): Promise<string>
  /** Asks the UserInfo endpoint anew. Throws what `accessToken()` does, `ERR_OIDC_USERINFO`, `ERR_OIDC_USERINFO_SUBJECT`. */
  userinfo(): Promise<Readonly<Record<string, Json>>>
}

/** `req.oidc` where somebody is logged in. */
export interface AuthenticatedContext<Claims extends IdTokenClaims = IdTokenClaims> extends OidcMethods {
  readonly isAuthenticated: true
  /** The claims of the validated ID Token, and of UserInfo where it was asked. */
  readonly claims: Claims
  /** The granted scopes, separated by spaces. */
  readonly scope: string
  /** The end of this login, in seconds since 1970. */
  readonly expiresAt: number
}

/** `req.oidc` where nobody is logged in. */
export interface AnonymousContext extends OidcMethods {
  readonly isAuthenticated: false
  readonly claims: undefined
  readonly scope: undefined
  readonly expiresAt: undefined
}

/** `req.oidc`: who is logged in, and what can be done about it. `isAuthenticated` tells the two kinds apart. */
export type OidcContext<Claims extends IdTokenClaims = IdTokenClaims> = AuthenticatedContext<Claims> | AnonymousContext

declare global {
  namespace Express {
    interface Request {
      /** Who is logged in. Set by `oidc()`. */
      oidc: OidcContext
    }
  }
}

/** `req.oidc` for one request. Everything in it is read when it is asked for: a request that asks nothing costs nothing. */
export function createContext(rp: RelyingParty, req: Request, res: Response): OidcContext {
  const { config } = rp
  const current = (): Login | undefined => readLogin(req, config)
  const tokens = async (): Promise<TokenRecord | undefined> => {
    return current() === undefined ? undefined : rp.tokenRecords.read(requireSession(req))
  }
  const context = {
    get isAuthenticated() {
      return current() !== undefined
    },
    get claims() {
      return current()?.claims
    },
    get scope() {
      return current()?.scope
    },
    get expiresAt() {
      return current()?.expiresAt
    },
    loginUrl: (returnTo?: string) => loginUrl(rp, returnTo ?? pageOf(rp, req)),
    login: async (options: LoginOptions = {}) => startLogin(rp, req, res, readLoginOptions(rp, req, options)),
    logout: () => endLogin(rp, req, res),
    tokens,
    idToken: async () => (await tokens())?.idToken ?? unavailable('There is no ID Token: nobody is logged in.'),
    accessToken: async () => usableAccessToken(await tokens()),
    userinfo: async () => askUserInfo(rp, usableAccessToken(await tokens()), current()),
  }
  return context as OidcContext
}

function loginUrl({ config }: RelyingParty, returnTo: string): string {
  return `${config.basePath}${config.routes.login}?returnTo=${encodeURIComponent(returnTo)}`
}

/** The page that this request is for; a request that changes something cannot be come back to. */
function pageOf({ config }: RelyingParty, req: Request): string {
  const isRead = req.method === 'GET' || req.method === 'HEAD'
  return isRead ? appPath(req.originalUrl ?? req.url ?? '/', config) : `${config.basePath}/`
}

function readLoginOptions(rp: RelyingParty, req: Request, options: LoginOptions): LoginRequest {
  const wanted = options.returnTo ?? pageOf(rp, req)
  const returnTo = safeReturnTo(wanted, rp.config)
  if (returnTo === undefined && options.returnTo !== undefined) {
    throw new OidcError('ERR_OIDC_RETURN_TO', 'returnTo is not a path of this application that one can come back to.')
  }
  return {
    returnTo: returnTo ?? `${rp.config.basePath}/`,
    authorizationParams: parseAuthorizationParams(options.authorizationParams ?? {}),
  }
}

function usableAccessToken(tokens: TokenRecord | undefined): string {
  if (tokens?.accessToken === undefined) return unavailable('There is no access token for this request.')
  const isOver = tokens.expiresAt !== undefined && tokens.expiresAt <= Date.now() / 1000
  return isOver ? unavailable('The access token has expired: a new login brings a new one.') : tokens.accessToken
}

function unavailable(message: string): never {
  throw new OidcError('ERR_OIDC_TOKEN_UNAVAILABLE', message)
}

async function askUserInfo(
  rp: RelyingParty,
  accessToken: string,
  login: Login | undefined,
): Promise<Readonly<Record<string, Json>>> {
  const sub = login?.claims.sub ?? unavailable('Nobody is logged in.')
  return (await readUserInfo(await rp.findProvider(), accessToken, sub)) ?? { sub }
}
