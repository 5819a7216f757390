import { OidcError } from './errors.ts'
import { type Request, type Response, wantsPage } from './http/request.ts'
import { currentPage, loginUrl, providerParam, safeReturnTo } from './http/return-to.ts'
import { ONLY_PROVIDER } from './options/config.ts'
import { meetsRequirement, parseRequirement } from './protocol/step-up.ts'
import { clientOf, type RelyingParty } from './relying-party.ts'
import { checkInterval, isCheckedWithin, readLastLogin, readLogin, readTokensId } from './session/current-login.ts'
import { requireSession } from './session/express-session.ts'
import type {
  AccessToken,
  AccessTokenRequest,
  ApiRequestInit,
  AuthRequirement,
  IdTokenClaims,
  Json,
  Login,
  LoginOptions,
  OidcContext,
  OidcMethods,
  TokenRecord,
} from './types.ts'

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

  get provider(): string | undefined {
    const login = this.#login
    return login === undefined ? undefined : (login.provider ?? ONLY_PROVIDER)
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

  loginUrl(returnTo: string = currentPage(this.#rp.config, this.#req), requirement?: AuthRequirement): string {
    if (requirement === undefined) return loginUrl(this.#rp.config, { returnTo })
    // The same person has to prove more, so it has to be at the same provider.
    const sealed = this.#rp.requirements.seal(parseRequirement(requirement))
    return loginUrl(this.#rp.config, { returnTo, ...providerParam(this.#rp.config, this.#login), requirement: sealed })
  }

  silentLoginUrl(): string | undefined {
    if (!this.#rp.silentLogins.shouldTry(this.#req) || this.isAuthenticated) return undefined
    const returnTo = safeReturnTo(currentPage(this.#rp.config, this.#req), this.#rp.config)
    // Whoever would not come back to this page is left on it.
    if (returnTo === undefined) return undefined
    this.#rp.silentLogins.rememberAttempt(this.#res)
    const last = providerParam(this.#rp.config, readLastLogin(this.#req, this.#rp.config))
    return loginUrl(this.#rp.config, { returnTo, ...last, prompt: 'none' })
  }

  sessionCheckUrl(seconds: number): string | undefined {
    const [interval, login] = [checkInterval(seconds), this.#login]
    const isPage = this.#req.method === 'GET' && wantsPage(this.#req)
    if (!isPage || login === undefined || isCheckedWithin(interval, this.#req, this.#rp.config)) return undefined
    const provider = providerParam(this.#rp.config, login)
    return loginUrl(this.#rp.config, { returnTo: currentPage(this.#rp.config, this.#req), ...provider, prompt: 'none' })
  }

  meets(requirement: AuthRequirement): boolean {
    const [login, required] = [this.#login, parseRequirement(requirement)]
    const { clockTolerance } = this.#rp.config
    if (login === undefined) return false
    return meetsRequirement(login.claims, required, { clockTolerance, loggedInAt: login.loggedInAt })
  }

  async login(options: LoginOptions = {}): Promise<void> {
    const { findClientByName, startLogin } = await import('./login/start.ts')
    const { readLoginOptions } = await import('./login/start.ts')
    const client = findClientByName(this.#rp, options.provider ?? this.provider)
    await startLogin(this.#rp, client, this.#req, this.#res, readLoginOptions(this.#rp, this.#req, options))
  }

  async logout(): Promise<void> {
    const { logOut } = await import('./logout/logout.ts')
    await logOut(this.#rp, this.#req, this.#res)
  }

  async tokens(): Promise<TokenRecord | undefined> {
    const id = this.#login === undefined ? undefined : readTokensId(requireSession(this.#req), this.#rp.config)
    return id === undefined ? undefined : this.#rp.tokenRecords.read(requireSession(this.#req).sessionStore, id)
  }

  async idToken(): Promise<string> {
    return (await this.tokens())?.idToken ?? unavailable('There is no ID Token: nobody is logged in.')
  }

  async accessToken(request: AccessTokenRequest = {}): Promise<string> {
    return (await this.#freshTokens(request)).accessToken
  }

  async fetch(url: string | URL, init: ApiRequestInit = {}): Promise<globalThis.Response> {
    const { requestApi } = await import('./tokens/api-request.ts')
    return requestApi(this.#rp, requireSession(this.#req), this.#login, url, init)
  }

  async userinfo(): Promise<Readonly<Record<string, Json>>> {
    return askUserInfo(this.#rp, await this.#freshTokens({}), this.#login)
  }

  async #freshTokens(request: AccessTokenRequest): Promise<AccessToken> {
    const { freshTokens } = await import('./tokens/refresh.ts')
    const { scope, resource } = request
    return freshTokens(this.#rp, requireSession(this.#req), this.#login, { scope, resource })
  }

  get #login(): Login | undefined {
    return readLogin(this.#req, this.#rp.config)
  }
}

function unavailable(message: string): never {
  throw new OidcError('ERR_OIDC_TOKEN_UNAVAILABLE', message)
}

async function askUserInfo(
  rp: RelyingParty,
  token: AccessToken,
  login: Login | undefined,
): Promise<Readonly<Record<string, Json>>> {
  if (login === undefined) return unavailable('Nobody is logged in.')
  const { sub } = login.claims
  const { readUserInfo } = await import('./protocol/userinfo.ts')
  return (await readUserInfo(await clientOf(rp, login).findProvider(), token, sub)) ?? { sub }
}
