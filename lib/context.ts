import { parseAuthorizationParams } from './config/authorization-params.ts'
import { OidcError } from './errors.ts'
import type { Request, Response } from './http.ts'
import type { LoginOptions, OidcContext, OidcMethods } from './oidc-context.ts'
import type { LoginRequest } from './protocol/authorization-request.ts'
import type { RelyingParty } from './relying-party.ts'
import { appPath, safeReturnTo } from './return-to.ts'
import { requireSession } from './session/express-session.ts'
import { readLogin, readTokensId } from './session/login-session.ts'
import type { IdTokenClaims, Json, Login, TokenRecord } from './types.ts'

/** `req.oidc` for one request. Everything in it is read when it is asked for: a request that asks nothing costs nothing. */
export function createContext(rp: RelyingParty, req: Request, res: Response): OidcContext {
  // Whether somebody is logged in, and so which of the two kinds it is, is found out at each look.
  return new Context(rp, req, res) as OidcContext
}

/**
 * A class, where the library has records otherwise: one of these is made for every request of the application, and a
 * record of getters and functions would cost a quarter of what express-session does.
 */
class Context implements OidcMethods {
  readonly #rp: RelyingParty
  readonly #req: Request
  readonly #res: Response

  constructor(rp: RelyingParty, req: Request, res: Response) {
    this.#rp = rp
    this.#req = req
    this.#res = res
  }

  get isAuthenticated(): boolean {
    return this.#login !== undefined
  }

  get claims(): IdTokenClaims | undefined {
    return this.#login?.claims
  }

  get scope(): string | undefined {
    return this.#login?.scope
  }

  get expiresAt(): number | undefined {
    return this.#login?.expiresAt
  }

  loginUrl(returnTo: string = pageOf(this.#rp, this.#req)): string {
    return loginUrl(this.#rp, returnTo)
  }

  async login(options: LoginOptions = {}): Promise<void> {
    const { startLogin } = await import('./routes/login.ts')
    await startLogin(this.#rp, this.#req, this.#res, readLoginOptions(this.#rp, this.#req, options))
  }

  async logout(): Promise<void> {
    const { endLogin } = await import('./routes/logout.ts')
    await endLogin(this.#rp, this.#req, this.#res)
  }

  async tokens(): Promise<TokenRecord | undefined> {
    const id = this.#login === undefined ? undefined : readTokensId(requireSession(this.#req), this.#rp.config)
    return id === undefined ? undefined : this.#rp.tokenRecords.read(requireSession(this.#req).sessionStore, id)
  }

  async idToken(): Promise<string> {
    return (await this.tokens())?.idToken ?? unavailable('There is no ID Token: nobody is logged in.')
  }

  async accessToken(): Promise<string> {
    return usableAccessToken(await this.tokens())
  }

  async userinfo(): Promise<Readonly<Record<string, Json>>> {
    return askUserInfo(this.#rp, await this.accessToken(), this.#login)
  }

  get #login(): Login | undefined {
    return readLogin(this.#req, this.#rp.config)
  }
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
  const { readUserInfo } = await import('./protocol/userinfo.ts')
  return (await readUserInfo(await rp.findProvider(), accessToken, sub)) ?? { sub }
}
