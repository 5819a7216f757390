import type { AccessTokenClaims, AuthorizationDetail, IdTokenClaims, Json } from './claims.ts'
import type { AuthenticationRequirement, AuthRequirement, LoginOptions, ResponseType } from './login-options.ts'
import type { AccessTokenRequest } from './token-request.ts'

export type {
  AccessTokenClaims,
  AddressClaim,
  AuthorizationDetail,
  IdTokenClaims,
  Json,
  LanguageTaggedClaim,
  StandardClaims,
  VerifiedClaim,
} from './claims.ts'
export type {
  AuthenticationRequirement,
  AuthorizationParams,
  AuthRequirement,
  LoginOptions,
  ResponseType,
} from './login-options.ts'
export type {
  AccessTokenRequest,
  ClientAssertionRequest,
  OtherAuthorizationServer,
  TokenExchange,
} from './token-request.ts'

/** A login in progress, between the redirect to the provider and the callback. It is kept encrypted in a cookie of its own. */
export interface Transaction {
  /** Absent for `code`. `none`: the response brings nothing, and the login stays as it is. */
  readonly responseType?: ResponseType | 'none'
  readonly state: string
  readonly nonce: string
  readonly codeVerifier: string
  readonly issuer: string
  readonly redirectUri: string
  /** A path of this app, already checked. */
  readonly returnTo: string
  /** The name of the provider. Absent if there is only one. */
  readonly provider?: string
  /** The requested scopes, separated by spaces. Absent if they are those of the option `scope`. */
  readonly scope?: string
  /** The requested `max_age`, in seconds. */
  readonly maxAge?: number
  /** The callback refuses a login that does not meet this. */
  readonly requirement?: AuthenticationRequirement
  /** A silent login (`prompt=none`). It is no error if the user is not logged in at the provider. */
  readonly isSilent?: true
  /** For a recheck: the tokens id of the login that is compared with the provider's session. The response affects no other. */
  readonly recheckedTokensId?: string
  /** The private key that the tokens will be bound to (RFC 9449). */
  readonly dpopKey?: DpopKey
  /** The trace of the login, for who observes it (W3C Trace Context). */
  readonly traceparent?: string
  /** Seconds since 1970, with their fraction. */
  readonly startedAt: number
}

/** A private key as a JWK, with the algorithm that it signs with. The tokens of one login are bound to it (RFC 9449). */
export interface DpopKey {
  readonly alg: string
  readonly kty: string
  readonly crv: string
  readonly x: string
  readonly y?: string
  readonly d: string
}

/** The tokens of one login. */
export interface TokenRecord {
  /** The raw ID Token. */
  readonly idToken: string
  readonly accessToken?: string
  readonly refreshToken?: string
  /** `Bearer`, or `DPoP` for an access token that is bound to `dpopKey`. */
  readonly tokenType?: string
  /** The key that the tokens are bound to (RFC 9449). */
  readonly dpopKey?: DpopKey
  /** When the access token expires, in seconds since 1970. Absent if the provider did not say. */
  readonly expiresAt?: number
  /** When the access token was requested, in seconds since 1970. */
  readonly issuedAt?: number
  /** The nonce of the login. A refreshed ID Token may contain it too (OIDC Core 12.2). */
  readonly nonce?: string
  /** The state of the user's session at the provider (OIDC Session Management 2), if the provider sent it. */
  readonly sessionState?: string
  /** The scopes that the login requested, separated by spaces. Absent if they are those of the option `scope`. */
  readonly requestedScope?: string
  /** The names of claims that an earlier ID Token of this login had, and the current one has not. */
  readonly pastClaims?: readonly string[]
  /** Access tokens for single APIs (RFC 8707), by the scope and resource that were requested. */
  readonly others?: Readonly<Record<string, AccessToken>>
}

/** An access token for an API. */
export interface AccessToken {
  readonly accessToken: string
  /** `Bearer` or `DPoP`. */
  readonly tokenType: string
  /** When it expires, in seconds since 1970. Absent if the provider did not say. */
  readonly expiresAt?: number
  /** When it was requested, in seconds since 1970. */
  readonly issuedAt?: number
  /** The key that it is bound to, for `DPoP`. */
  readonly dpopKey?: DpopKey
}

/** The headers that carry an access token to an API. */
export interface TokenHeaders {
  readonly authorization: string
  /** The proof of possession, for a token that is bound to a key (RFC 9449 7.1). */
  readonly dpop?: string
  /** Remembers the nonce that a response demands for the next proof (RFC 9449 8.2). */
  readonly keepNonce: (headers: { get(name: string): string | null }) => void
}

/** A completed login. Only validated data gets this type. */
export interface Login {
  /** The name of the provider. Absent if there is only one. */
  readonly provider?: string
  readonly claims: IdTokenClaims
  /** The granted scopes, separated by spaces. */
  readonly scope: string
  readonly authorizationDetails?: readonly AuthorizationDetail[]
  /** Seconds since 1970. */
  readonly loggedInAt: number
  /** When this login expires, in seconds since 1970. */
  readonly expiresAt: number
  /** When this login was started, in seconds since 1970. Only with `sharedSignals`. */
  readonly startedAt?: number
}

/** The second argument of the global `fetch`, and which access token to send. */
export type ApiRequestInit = RequestInit & AccessTokenRequest

/** The methods of `req.oidc`. They exist whether or not a user is logged in. */
export interface OidcMethods {
  /**
   * Returns the URL of the login route, for a link or a redirect. The user returns to `returnTo`, by default to the current
   * page. With a requirement, the login must meet it, at the same provider.
   *
   * @throws {ConfigError} `ERR_OIDC_CONFIG` for an invalid requirement.
   * @example
   * ```ts
   * app.get('/', (req, res) => res.send(`<a href="${req.oidc.loginUrl('/account')}">Log in</a>`))
   * ```
   */
  loginUrl(returnTo?: string, requirement?: AuthRequirement): string
  /**
   * Returns a URL that logs the visitor in without a sign-in page (`prompt=none`), if they have a session at the provider.
   * It is `undefined` if a silent login makes no sense: the user is logged in, it was tried before, or the request is not
   * the navigation of a browser. `attemptSilentLogin()` calls this for you.
   *
   * The call counts as an attempt: the response sets a cookie, and the browser is not sent again for an hour.
   */
  silentLoginUrl(): string | undefined
  /**
   * Returns a URL that checks whether the user still has a session at the provider, and leads back to the current page. It
   * is `undefined` if no check is due: no user is logged in, the last check was less than `seconds` ago, or the request is
   * not the navigation of a browser. `checkSession()` calls this for you.
   *
   * @throws {ConfigError} `ERR_OIDC_CONFIG` if `seconds` is not an integer of at least 10.
   */
  sessionCheckUrl(seconds: number): string | undefined
  /**
   * True if a user is logged in, the login is as strong and as recent as this (RFC 9470), and has these scopes.
   *
   * @throws {ConfigError} `ERR_OIDC_CONFIG` for an invalid requirement.
   */
  meets(requirement: AuthRequirement): boolean
  /**
   * Redirects the browser to the provider to log in. It sends the response, so do not send another one.
   *
   * Rejects with `ERR_OIDC_RETURN_TO` if `returnTo` is not a path of this app, `ERR_OIDC_PROVIDER_UNKNOWN`,
   * `ERR_OIDC_CONFIG` for an invalid scope or parameter, and the codes of requests to the provider.
   *
   * @example
   * ```ts
   * app.get('/admin/login', (req, res) => req.oidc.login({ returnTo: '/admin', authorizationParams: { prompt: 'login' } }))
   * ```
   */
  login(options?: LoginOptions): Promise<void>
  /**
   * Ends the login in this app, then redirects the browser to the provider to end its session too. It sends the response,
   * so do not send another one. Unlike the logout route it does not check where the request comes from: protect your
   * route against CSRF.
   */
  logout(): Promise<void>
  /** Reads the tokens of this login from the session store. The result is `undefined` if no user is logged in. */
  tokens(): Promise<TokenRecord | undefined>
  /** Reads the raw ID Token. Rejects with `ERR_OIDC_TOKEN_UNAVAILABLE` if no user is logged in. */
  idToken(): Promise<string>
  /**
   * Returns an access token that does not expire within a minute. If necessary it refreshes the token, once for all
   * concurrent requests. `{ refresh: true }` refreshes it now: the claims of the login are then up to date too.
   *
   * Rejects with `ERR_OIDC_TOKEN_UNAVAILABLE` if there is no token and no refresh token, `ERR_OIDC_REFRESH_REFUSED` if the
   * provider has revoked the refresh token (the login has ended then), `ERR_OIDC_INTERACTION_REQUIRED` if it wants the user to
   * log in first (the login has expired then), and the codes of the token endpoint.
   *
   * @example
   * ```ts
   * app.get('/token-type', async (req, res) => {
   *   const token = await req.oidc.accessToken({ resource: 'https://api.example.com' })
   *   res.send(token.startsWith('eyJ') ? 'JWT' : 'opaque')
   * })
   * ```
   */
  accessToken(request?: AccessTokenRequest): Promise<string>
  /**
   * Calls an API on the user's behalf: the global `fetch` with the access token, and with a DPoP proof if the token is bound
   * to a key (RFC 9449 7). If the API responds with 401, it retries once with a new token.
   *
   * With `tlsClientCertificate`, `agent` or `ca` the request uses that certificate, agent or authority (RFC 8705 3), and a
   * redirect to another origin is returned instead of followed: neither the token nor the certificate is for that origin.
   *
   * Rejects as `accessToken()` and the global `fetch` do (`ERR_OIDC_TOKEN_UNAVAILABLE` also for a URL that is not https), and
   * with a `StepUpError` if the API wants a stronger or more recent login (RFC 9470 3).
   *
   * @example
   * ```ts
   * app.get('/orders', async (req, res) => {
   *   const response = await req.oidc.fetch('https://api.example.com/orders')
   *   res.status(response.status).json(await response.json())
   * })
   * ```
   */
  fetch(url: string | URL, init?: ApiRequestInit): Promise<Response>
  /**
   * Requests the claims of UserInfo now (OIDC Core 5.3), after a 401 once more with a new token. The session keeps its own.
   *
   * Rejects as `accessToken()` does, and with `ERR_OIDC_USERINFO` and `ERR_OIDC_USERINFO_SUBJECT`.
   */
  userinfo(): Promise<Readonly<Record<string, Json>>>
}

/** `req.oidc` when a user is logged in. */
export interface AuthenticatedContext<Claims extends IdTokenClaims = IdTokenClaims> extends OidcMethods {
  readonly isAuthenticated: true
  /** What authenticates the request: `session` here, `access_token` behind `bearer()`. */
  readonly authenticatedBy: 'session'
  /** The name of the provider. It is `default` if there is only one. */
  readonly provider: string
  /** The claims of the validated ID Token, and of UserInfo if the option `userinfo` requests them. */
  readonly claims: Claims
  /** The granted scopes, separated by spaces. */
  readonly scope: string
  /** What is granted in detail (RFC 9396 7): the `authorization_details` of the token response. Empty if the provider named none. */
  readonly authorizationDetails: readonly AuthorizationDetail[]
  /** When this login expires, in seconds since 1970. */
  readonly expiresAt: number
}

/**
 * `req.oidc` when an access token authenticates the request: see `bearer()`. There is no session, so the methods to log in
 * and out throw `ERR_OIDC_NO_SESSION`, and those that read the tokens of a login reject with it.
 */
export interface TokenContext<Claims extends AccessTokenClaims = AccessTokenClaims> extends OidcMethods {
  readonly isAuthenticated: true
  readonly authenticatedBy: 'access_token'
  /** The issuer of the token: its claim `iss`. */
  readonly provider: string
  /** The claims of the verified token, deeply frozen. */
  readonly claims: Claims
  /** The granted scopes, separated by spaces, whether the token has them in `scope` or in `scp`. */
  readonly scope: string
  /** What is granted in detail (RFC 9396 9): the claim `authorization_details`. Empty if the token has none. */
  readonly authorizationDetails: readonly AuthorizationDetail[]
  /** When the token expires, in seconds since 1970. */
  readonly expiresAt: number
  /** The access token as it was received. Never log it. */
  readonly token: string
  /** How it was sent: `DPoP` with a proof of the key that it is bound to (RFC 9449), or else `Bearer`. */
  readonly tokenType: 'Bearer' | 'DPoP'
  /** The client that the token was issued to: `client_id`, `cid`, `azp` or `appid`. */
  readonly clientId: string | undefined
}

/** `req.oidc` when nobody is authenticated. */
export interface AnonymousContext extends OidcMethods {
  readonly isAuthenticated: false
  readonly authenticatedBy: undefined
  readonly provider: undefined
  readonly claims: undefined
  readonly scope: undefined
  readonly authorizationDetails: undefined
  readonly expiresAt: undefined
}

/**
 * The type of `req.oidc`: who is authenticated, and methods to log in, log out and call APIs. Check `isAuthenticated` to
 * narrow it, and `authenticatedBy` to tell a session from an access token.
 *
 * @example
 * ```ts
 * app.get('/', (req, res) => {
 *   res.send(req.oidc.isAuthenticated ? `Hello ${req.oidc.claims.name}` : 'Hello')
 * })
 * ```
 */
export type OidcContext<Claims extends IdTokenClaims = IdTokenClaims> =
  | AuthenticatedContext<Claims>
  | TokenContext<Claims & AccessTokenClaims>
  | AnonymousContext

declare global {
  namespace Express {
    interface Request {
      /** Who is authenticated. Set by `oidc()` and `bearer()`. */
      oidc: OidcContext
    }
  }
}

/** The middleware that the application uses for its requests. */
export type UpgradeMiddleware = (req: never, res: never, next: never) => unknown

/** How `authenticateUpgrade()` finds out who sends an upgrade request. */
export interface UpgradeOptions {
  /** The middleware of express-session, the same that the application uses: `const sessions = session({ ... })`. */
  session: UpgradeMiddleware
  /** The middleware of `bearer()`. With it, programs can connect with an access token in the header `Authorization`. */
  bearer?: UpgradeMiddleware
}

/** Who has sent an upgrade request. */
export interface UpgradeLogin {
  /** What authenticates the connection. */
  readonly authenticatedBy: 'session' | 'access_token'
  /** `req.oidc`, as in a guarded handler. */
  readonly oidc: AuthenticatedContext | TokenContext
  /**
   * Resolves when the login has ended, within two seconds: `'logout'` after a logout in this application, on any node, or at
   * the provider; `'expired'` when the login or the access token expires. It never rejects.
   */
  readonly ended: Promise<'logout' | 'expired'>
}
