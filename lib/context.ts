import { type AccessDeniedError, OidcError } from './errors.ts'
import { type Request, type Response, wantsPage } from './http/request.ts'
import { crossOriginError } from './http/request-origin.ts'
import { callingPage, currentPage, loginUrl, providerParam, safeReturnTo } from './http/return-to.ts'
import { findWayOn, type WayOn } from './http/way-on.ts'
import { ONLY_PROVIDER } from './options/config.ts'
import { meetsRequirement, parseRequirement } from './protocol/step-up.ts'
import { type RelyingParty, runCounted } from './relying-party.ts'
import { checkInterval, isCheckedWithin, readLastLogin, readLogin, readTokensId } from './session/current-login.ts'
import { requireSession } from './session/express-session.ts'
import { loadOnce } from './time/single-flight.ts'
import type {
  AccessTokenRequest,
  ApiRequestInit,
  AuthorizationDetail,
  AuthRequirement,
  IdTokenClaims,
  Json,
  Login,
  LoginOptions,
  OidcContext,
  OidcMethods,
  TokenHeaders,
  TokenRecord,
} from './types.ts'

const loadLogin = loadOnce(() => import('./login/start.ts'))
const loadKeptForm = loadOnce(() => import('./login/kept-form.ts'))
const loadLogout = loadOnce(() => import('./logout/logout.ts'))
const loadRefresh = loadOnce(() => import('./tokens/refresh.ts'))
const loadExchange = loadOnce(() => import('./tokens/exchange.ts'))
const loadApiRequest = loadOnce(() => import('./tokens/api-request.ts'))

/** Creates `req.oidc` for one request. Each member reads the session when it is used, so a request that uses none is cheap. */
export function createContext(rp: RelyingParty, req: Request, res: Response): OidcContext {
  // The type says that `isAuthenticated` decides which members exist. The getters below make that true at each access.
  return new Context(rp, req, res) as OidcContext
}

/**
 * A class, unlike the records elsewhere in this library: it is created for every request, and a record of getters and
 * closures would add a quarter to the cost of express-session (decision 0011).
 */
class Context implements OidcMethods {
  readonly #rp: RelyingParty
  readonly #req: Request
  readonly #res: Response
  #keepsForm = false

  constructor(rp: RelyingParty, req: Request, res: Response) {
    this.#rp = rp
    this.#req = req
    this.#res = res
  }

  get #login(): Login | undefined {
    return readLogin(this.#req, this.#rp.config)
  }

  get isAuthenticated(): boolean {
    return this.#login !== undefined
  }

  get authenticatedBy(): 'session' | undefined {
    return this.isAuthenticated ? 'session' : undefined
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

  get authorizationDetails(): readonly AuthorizationDetail[] | undefined {
    const login = this.#login
    return login === undefined ? undefined : (login.authorizationDetails ?? [])
  }

  get expiresAt(): number | undefined {
    return this.#login?.expiresAt
  }

  loginUrl(returnTo: string = currentPage(this.#rp.config, this.#req), requirement?: AuthRequirement): string {
    if (requirement === undefined) return loginUrl(this.#rp.config, { returnTo })
    // Only the same provider can authenticate the same user more strongly.
    const sealed = this.#rp.requirements.seal(parseRequirement(requirement))
    return loginUrl(this.#rp.config, { returnTo, ...providerParam(this.#rp.config, this.#login), requirement: sealed })
  }

  /** For guards: the page that runs the script which has sent this request. */
  callingPage(): string {
    return callingPage(this.#rp.config, this.#req)
  }

  /** For guards: the error for an unsafe request that a page of another origin has sent. */
  crossOriginError(trustedOrigins: readonly string[]): AccessDeniedError | undefined {
    return crossOriginError(this.#req, this.#rp.config, [...this.#rp.config.trustedOrigins, ...trustedOrigins])
  }

  /** For guards: the same, unless the option `csrfProtection` is false. */
  csrfError(): AccessDeniedError | undefined {
    const { config } = this.#rp
    return config.csrfProtection ? crossOriginError(this.#req, config, config.trustedOrigins) : undefined
  }

  /** For `keepForm()`: a guard that sends this request to the login keeps its form. */
  keepForm(): void {
    this.#keepsForm = true
  }

  /** For guards: the page to return to if the form of this request is kept. `undefined` if none is. */
  async keptFormPage(): Promise<string | undefined> {
    if (!this.#keepsForm || this.#req.method !== 'POST') return undefined
    const { keepForm } = await loadKeptForm()
    return keepForm(this.#rp, this.#req, this.#res)
  }

  /** For `errorPage()`: where this request has failed, and where the user can go on. */
  wayOn(): WayOn {
    return findWayOn(this.#rp.config, this.#req)
  }

  silentLoginUrl(): string | undefined {
    if (!this.#rp.silentLogins.shouldTry(this.#req) || this.isAuthenticated) return undefined
    const returnTo = safeReturnTo(currentPage(this.#rp.config, this.#req), this.#rp.config)
    // A silent login must lead back to this page. If it cannot, the user stays here.
    if (returnTo === undefined) return undefined
    const provider = providerParam(this.#rp.config, readLastLogin(this.#req, this.#rp.config))
    // A function finds the providers, and nothing says which one it should be.
    if (this.#rp.config.findsProviders && provider['provider'] === undefined) return undefined
    this.#rp.silentLogins.rememberAttempt(this.#res)
    return loginUrl(this.#rp.config, { returnTo, ...provider, prompt: 'none' })
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
    const { claims, loggedInAt, scope } = login
    return meetsRequirement(claims, required, { clockTolerance, loggedInAt, scope })
  }

  async login(options: LoginOptions = {}): Promise<void> {
    const { logIn } = await loadLogin()
    checkUnsent(this.#res, 'login')
    await runCounted(this.#rp, 'login', () => logIn(this.#rp, this.#req, this.#res, options))
  }

  async logout(): Promise<void> {
    const { logOut } = await loadLogout()
    checkUnsent(this.#res, 'logout')
    await runCounted(this.#rp, 'logout', () => logOut(this.#rp, this.#req, this.#res))
  }

  tokens(): Promise<TokenRecord | undefined> {
    return mustBeAwaited('tokens', this.#tokens())
  }

  async #tokens(): Promise<TokenRecord | undefined> {
    if (this.#login === undefined) return undefined
    const req = requireSession(this.#req)
    const id = readTokensId(req, this.#rp.config)
    return id === undefined ? undefined : this.#rp.tokenRecords.read(req.sessionStore, id)
  }

  idToken(): Promise<string> {
    return mustBeAwaited('idToken', this.#idToken())
  }

  async #idToken(): Promise<string> {
    const tokens = await this.#tokens()
    if (tokens !== undefined) return tokens.idToken
    throw new OidcError(
      'ERR_OIDC_TOKEN_UNAVAILABLE',
      'No user is logged in, so there is no ID Token. Guard the route with requireAuth().',
    )
  }

  accessToken(request?: AccessTokenRequest): Promise<string> {
    return mustBeAwaited('accessToken', this.#accessToken(request))
  }

  async #accessToken({ scope, resource, refresh, exchange }: AccessTokenRequest = {}): Promise<string> {
    const req = requireSession(this.#req)
    const [rp, login] = [this.#rp, this.#login]
    const query = { scope, resource, refresh }
    const { accessToken } = await runCounted(rp, 'tokens', async () => {
      if (exchange !== undefined) {
        const { exchangedAccessToken } = await loadExchange()
        return exchangedAccessToken(rp, req, login, { ...query, exchange })
      }
      const { freshAccessToken } = await loadRefresh()
      return freshAccessToken(rp, req, login, query)
    })
    return accessToken
  }

  fetch(url: string | URL, init: ApiRequestInit = {}): Promise<globalThis.Response> {
    return mustBeAwaited('fetch', this.#fetch(url, init))
  }

  async #fetch(url: string | URL, init: ApiRequestInit): Promise<globalThis.Response> {
    const { requestApi } = await loadApiRequest()
    const [rp, req, login] = [this.#rp, requireSession(this.#req), this.#login]
    return runCounted(rp, 'tokens', () => requestApi(rp, req, login, url, init))
  }

  /** For `attachAccessToken()`: the headers that carry an access token to this URL. */
  async tokenHeaders(url: string, request: AccessTokenRequest & { readonly method: string }): Promise<TokenHeaders> {
    const { createTokenHeaders } = await loadApiRequest()
    const [rp, req, login] = [this.#rp, requireSession(this.#req), this.#login]
    return runCounted(rp, 'tokens', () => createTokenHeaders(rp, req, login, url, request))
  }

  userinfo(): Promise<Readonly<Record<string, Json>>> {
    return mustBeAwaited('userinfo', this.#userinfo())
  }

  async #userinfo(): Promise<Readonly<Record<string, Json>>> {
    const { requestUserInfo } = await loadApiRequest()
    const [rp, req, login] = [this.#rp, requireSession(this.#req), this.#login]
    return runCounted(rp, 'tokens', () => requestUserInfo(rp, req, login))
  }
}

/**
 * The promise of this method, which cannot be used as text or as JSON. Without it, an application that has forgotten an `await`
 * would send `Bearer [object Promise]` to its API.
 */
function mustBeAwaited<Result>(method: string, promise: Promise<Result>): Promise<Result> {
  const refuse = (): never => {
    // Nobody waits for it, so its failure would end the process.
    promise.catch(() => undefined)
    throw notAwaited(
      `req.oidc.${method}() returns a promise, which is used like its result. Write await req.oidc.${method}().`,
    )
  }
  return Object.defineProperties(promise, {
    [Symbol.toPrimitive]: { value: refuse },
    toJSON: { value: refuse },
  })
}

/** The handler may have gone on without waiting, and so sent the response that is needed here. */
function checkUnsent(res: Response, method: 'login' | 'logout'): void {
  if (!res.headersSent) return
  throw notAwaited(
    `req.oidc.${method}() did nothing, because the response was sent before it could redirect the browser. ` +
      `Write await req.oidc.${method}(), and send no response of your own.`,
  )
}

function notAwaited(message: string): OidcError {
  return new OidcError('ERR_OIDC_NOT_AWAITED', message)
}
