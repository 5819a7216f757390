import type { IncomingMessage } from 'node:http'
import type { Agent } from 'node:https'
import type { Hooks } from '../hooks.ts'
import type { SharedState } from '../state/shared-state.ts'
import type { IdTokenClaims } from '../types.ts'
import type { NamedProviderOptions, ProviderOptions } from './provider-options.ts'

/** The paths of the routes, below the path of `baseUrl`. Each begins with a slash. No two may be equal. */
export interface RoutesOptions {
  /**
   * Starts a login (GET). `?returnTo=/path` is where the browser goes after the login.
   * @default '/login'
   */
  login?: string
  /**
   * Receives the response of the provider. Register `baseUrl` followed by this path as the redirect URI. With several
   * `providers`, each has its name behind it.
   * @default '/callback'
   */
  callback?: string
  /**
   * Logs the user out, here and at the provider (OIDC RP-Initiated Logout 2). Use a POST from a page of your own. GET
   * shows a page with a button, unless `logoutByGet` is set.
   * @default '/logout'
   */
  logout?: string
  /**
   * Receives the logout tokens of the provider (OIDC Back-Channel Logout 2.5) and ends the sessions that they name.
   * Register `baseUrl` followed by this path as `backchannel_logout_uri`.
   * @default '/backchannel-logout'
   */
  backchannelLogout?: string
  /**
   * The page that the provider loads in a frame when the user logs out there (OIDC Front-Channel Logout 2). Register
   * `baseUrl` followed by this path as `frontchannel_logout_uri`.
   * @default '/frontchannel-logout'
   */
  frontchannelLogout?: string
  /**
   * Publishes the public parts of `clientKeys` (RFC 7517 5). Register `baseUrl` followed by this path as `jwks_uri`.
   * The route exists only with `clientKeys`.
   * @default '/jwks'
   */
  jwks?: string
  /**
   * Serves signed requests to the provider (RFC 9101 5.2). The route exists only with `requestObjectBy: 'reference'`.
   * @default '/request'
   */
  requestObjects?: string
  /**
   * A page for a hidden frame in your pages. It detects that the session at the provider has changed, and starts a
   * silent login (OIDC Session Management 3). Browsers that block third-party cookies prevent this: use
   * `checkSession()` instead.
   * @default '/session-check'
   */
  sessionCheck?: string
  /**
   * Receives security events (Shared Signals, RFC 8935) and ends the sessions that they are about. Set `baseUrl` followed by
   * this path as `endpoint_url` of the stream. The route exists only with `sharedSignals`.
   * @default '/security-events'
   */
  securityEvents?: string
  /**
   * Receives the provider's request to end all sessions of a user (Global Token Revocation, Okta's Universal Logout).
   * The route exists only if you name it.
   */
  tokenRevocation?: string
  /**
   * Starts a login that another site requests, such as a tile in the provider's portal (OIDC Core 4). Register
   * `baseUrl` followed by this path as `initiate_login_uri`. The route exists only if you name it.
   */
  initiateLogin?: string
  /**
   * The page that posts a form again that `keepForm()` has kept (GET). Only a login leads to it.
   * @default '/kept-form'
   */
  keptForm?: string
  /**
   * Tells scripts of your pages who is logged in (GET): JSON with `claims`, `expiresAt` and `logoutUrl`. Without a login
   * it responds with `anonymousUserStatus`. Other origins are refused. The route exists only if you name it.
   */
  user?: string
  /**
   * Serves the metadata of this client at its `clientId` (OAuth Client ID Metadata Document), for providers that fetch it
   * there instead of a registration. `clientId` must be `baseUrl` followed by this path. The route exists only if you name it.
   */
  clientMetadata?: string
}

/** The options of the application. They are the same for all providers. */
export interface ApplicationOptions {
  /**
   * The URL of this application in the browser: scheme, host, and the path where it is mounted. Redirect URIs and all
   * other URLs are made from it, never from the header `Host`. Must be https, see `dangerouslyAllowInsecureRequests`.
   *
   * Pass a list if one app has several hosts. `Host` then chooses one of them, or `X-Forwarded-Host` of a proxy that Express
   * trusts (`trust proxy`). A request for any other host gets `ERR_OIDC_HOST_UNKNOWN` (421). The URLs differ in their host
   * only. Register the redirect URI of each.
   * @example
   * ```ts
   * app.use(oidc({ issuer, clientId, clientSecret, baseUrl: 'https://example.com/portal' }))
   * ```
   */
  baseUrl: string | readonly string[]
  /**
   * The paths of the routes, below the path of `baseUrl`. Set one if its default is taken, or is registered
   * differently.
   * @example
   * ```ts
   * app.use(oidc({ ...options, routes: { login: '/sign-in', callback: '/authorization-code/callback' } }))
   * ```
   */
  routes?: RoutesOptions
  /**
   * The path of your page where users choose one of several `providers`. It gets `?returnTo=` and links to the login
   * route with `?provider=`. Without it, logins that name no provider go to the first. Needs `providers`.
   */
  providerChooser?: string
  /**
   * Names of query parameters that the login route passes on to the provider, such as `['login_hint', 'ui_locales']`.
   * Anyone can write a link to the login route, so no other parameter is passed on. Parameters that the middleware sets
   * itself are not allowed.
   */
  passthroughParams?: readonly string[]
  /**
   * Log visitors in silently (`prompt=none`, OIDC Core 3.1.2.1) if they have a session at the provider. It is tried
   * once, at the first page that a browser opens. For single pages, use `attemptSilentLogin()` instead. If a function finds
   * the `providers`, only a visitor whose last login is known from the session is sent, to the provider of that login.
   * @default false
   */
  silentLogin?: boolean
  /**
   * Allow logout by GET, so that a plain link works. Requests that the browser marks as cross-site or as prefetch are
   * still rejected. Old browsers send no such marks, so other sites can then log their users out.
   * @default false
   */
  logoutByGet?: boolean
  /**
   * Refuse requests with a session and an unsafe method (not GET, HEAD or OPTIONS) that a page of another origin has sent
   * (CSRF). Guards check it by `Sec-Fetch-Site` and `Origin`; requests of your own pages and of programs pass. For routes
   * without a guard, use `requireSameOrigin()`. Turn it off only if you have another protection against CSRF.
   * @default true
   */
  csrfProtection?: boolean
  /**
   * Other origins whose pages may send unsafe requests, such as `['https://admin.example.com']`, for `csrfProtection` and
   * `requireSameOrigin()`. Each must be https, see `dangerouslyAllowInsecureRequests`.
   */
  trustedOrigins?: readonly string[]
  /**
   * Revoke the tokens of a login at logout (RFC 7009), if the provider has a revocation endpoint. The logout waits at
   * most two seconds for it, and continues if it fails.
   * @default true
   */
  revokeTokens?: boolean
  /**
   * The data that browsers delete at logout (`Clear-Site-Data`), such as `['cache', 'storage']`. Use it if your pages
   * store personal data on shared machines. `'cookies'` deletes those of all applications on the host. Browsers require
   * https.
   */
  clearSiteData?: readonly ('cache' | 'cookies' | 'storage' | 'executionContexts')[]
  /**
   * The allowed difference between the clocks here and at the provider, in seconds, at most 300. It applies to `exp`,
   * `iat`, `nbf` and `auth_time` (OIDC Core 3.1.3.7). Prefer fixing the clock.
   * @default 60
   */
  clockTolerance?: number
  /**
   * The time limit of one request to the provider, in seconds, at most 120. A login makes two or three requests. When
   * it is over, the error is `ERR_OIDC_PROVIDER_TIMEOUT`.
   * @default 10
   */
  timeout?: number
  /**
   * The name of the login in `req.session`. Two `oidc()` in one session need two names.
   * @default 'oidc'
   */
  sessionKey?: string
  /**
   * Encrypts the cookies of logins in progress and the stored tokens: at least 32 random characters, the same on all
   * nodes. In a list, the first secret encrypts and any can decrypt. Required without a `clientSecret`, if that is a
   * function or has fewer than 32 characters, and with `providers`.
   * @default the client secret
   * @example
   * ```ts
   * app.use(oidc({ ...options, secret: [secret, oldSecret] }))
   * ```
   */
  secret?: string | readonly string[]
  /**
   * Where the browser goes after a logout (OIDC RP-Initiated Logout 3): an absolute URL, exactly as registered at the
   * provider, or a path below `baseUrl`. Cannot be one of `routes`.
   * @default `baseUrl`
   */
  postLogoutRedirectUri?: string
  /**
   * The longest lifetime of a login, in seconds. A login also ends with its session: see `cookie.maxAge` of
   * express-session.
   * @default 86400
   */
  loginLifetime?: number
  /**
   * What can expire a login before `loginLifetime`, besides the claim `session_expiry` of its ID Token, which always does:
   * nothing (`'lifetime'`), or its ID Token (`'id_token'`; a refresh extends it). `'session_expiry'` requires that claim: a
   * login without it is refused.
   * @default 'lifetime'
   */
  loginExpiry?: 'lifetime' | 'id_token' | 'session_expiry'
  /** Expires a login after this time without a request, in seconds. Without it, logins do not expire when idle. */
  idleTimeout?: number
  /**
   * The time that a user has to log in at the provider, in seconds, at most a day. After it, the error is
   * `ERR_OIDC_TRANSACTION_EXPIRED`.
   * @default 1800
   */
  transactionLifetime?: number
  /**
   * The claims to keep in the session: a list of names, or a function that returns the claims to keep. Use it for long
   * lists of groups, or for claims that must not be stored. Guards see only claims that are kept; the hook `afterLogin`
   * sees all. `iss`, `sub`, `sid`, `auth_time`, `acr`, `amr`, `tid` and `session_expiry` are always kept, `nonce`, `jti`
   * and hashes never.
   * @default all
   * @example
   * ```ts
   * app.use(oidc({ ...options, sessionClaims: ['name', 'email', 'groups'] }))
   * ```
   */
  sessionClaims?: readonly string[] | ((claims: IdTokenClaims) => Readonly<Record<string, unknown>>)
  /**
   * What a login keeps of the visitor's session, such as a cart. `keep`: all but the secrets of CSRF protections, which
   * an attacker may have planted together with the session. `keep-all`: all. `discard`: nothing. Choose `discard` if
   * anything in an anonymous session gives rights.
   * @default 'keep'
   */
  anonymousSession?: 'keep' | 'keep-all' | 'discard'
  /**
   * The claims that `routes.user` shows to scripts: a list of names, or a function that returns what to show.
   * @default `sub`, `name`, `preferred_username`, `email` and `picture`
   */
  userClaims?: readonly string[] | ((claims: IdTokenClaims) => Readonly<Record<string, unknown>>)
  /**
   * The status of `routes.user` if no user is logged in: 401 with a `loginUrl`, or 204. Choose 204 for public pages,
   * because browsers print each 401 to the console.
   * @default 401
   */
  anonymousUserStatus?: 401 | 204
  /**
   * Let a request to `routes.user` count as activity: it extends `idleTimeout` and, with `rolling` or a store that
   * implements `touch`, the session. By default a page that polls the route does not keep an absent user logged in.
   * @default false
   */
  userExtendsSession?: boolean
  /**
   * What several nodes share: the sessions that a logout at the provider ends, its used logout tokens, and the lock for
   * a refresh. With several nodes, pass `redisState()` or `postgresState()`: a session store cannot prevent two nodes
   * from doing the same at once.
   * @default the session store
   */
  sharedState?: SharedState
  /**
   * Sends every request to the provider, for example through a proxy. The time and size limits still apply.
   * `req.oidc.fetch()` does not use it. Cannot be combined with `tlsClientCertificate`, `agent` and `ca`.
   */
  fetch?: (url: string, init: RequestInit) => Promise<Response>
  /**
   * The certificates of the authorities that sign the provider's certificate, in PEM: text or bytes, or a list. You need it
   * for a provider with a private certificate authority. They replace the authorities that Node trusts; `req.oidc.fetch()`
   * trusts both. Cannot be combined with `agent`, `fetch` and `tlsClientCertificate.ca`.
   * @example
   * ```ts
   * import { readFileSync } from 'node:fs'
   *
   * app.use(oidc({ ...options, ca: readFileSync('authority.pem') }))
   * ```
   */
  ca?: string | Uint8Array | readonly (string | Uint8Array)[]
  /**
   * The agent for the https connections to the provider, and for those of `req.oidc.fetch()`: one that connects through a
   * proxy, for example. It decides itself which certificates it accepts. Without it, the proxies of the environment are
   * used if Node was told to do so (`NODE_USE_ENV_PROXY=1`). Cannot be combined with `fetch`.
   * @example
   * ```ts
   * import { Agent } from 'node:https'
   *
   * app.use(oidc({ ...options, agent: new Agent({ keepAlive: true, maxSockets: 20 }) }))
   * ```
   */
  agent?: Agent
  /**
   * Your functions that run before and after a login, a refresh and a logout.
   * @example
   * ```ts
   * app.use(oidc({ ...options, hooks: { afterLogin: ({ claims }) => console.info(`hello, ${claims.sub}`) } }))
   * ```
   */
  hooks?: Hooks
  /**
   * Allow plain http for the issuer, its endpoints and `baseUrl`. For development only: anyone on the network could log
   * in as any user (RFC 9700 2.6, OIDC Core 16.17).
   * @default false
   */
  dangerouslyAllowInsecureRequests?: boolean
}

/** The options of `oidc()` with one provider. Durations are in seconds. Unknown names are rejected. */
export interface SingleProviderOptions extends ApplicationOptions, ProviderOptions {
  providers?: undefined
}

/** The options of `oidc()` with several providers. Provider options at the top apply to all of them. */
export interface SeveralProvidersOptions extends ApplicationOptions, Partial<Omit<ProviderOptions, 'issuer'>> {
  // No `issuer?: undefined`: compilers would say of an issuer that may be undefined that `providers` is missing.
  /**
   * Several providers, by names of your own: 1 to 32 letters, digits, `-` and `_`. Each has its own callback and
   * redirect URI, so that no response of one is taken for another's (RFC 9700 4.4.2.2). Needs `secret`. Cannot be
   * combined with `issuer`.
   * @example
   * ```ts
   * const staff = { issuer: 'https://example.okta.com', clientId: 'portal', clientSecret }
   * const partner = { issuer: 'https://sso.partner.example', clientId: 'portal-42' }
   *
   * app.use(oidc({ baseUrl, secret, providers: { staff, partner } }))
   * ```
   *
   * Pass a function if the providers are only known at run time, because your customers bring their own. It is asked for a
   * name, and its answer is kept for a minute. See {@link FindProviderOptions}.
   */
  providers: Readonly<Record<string, NamedProviderOptions>> | FindProviderOptions
}

/**
 * Returns the options of the provider with this name, or `undefined` if there is none. Options that it leaves out are those at
 * the top. A name has 1 to 64 lower-case letters, digits, `-` and `_`, and comes from a URL: anyone can invent one. The answer
 * is used for all requests, so it must depend on the name alone. `req` is the request that needs it; `undefined` for
 * `auth.sessions`.
 *
 * If it throws, or takes longer than `timeout`, requests that need the provider get `ERR_OIDC_PROVIDER_LOOKUP` (503).
 *
 * @example
 * ```ts
 * const tenants = new Map([['acme', { issuer: 'https://acme.okta.com', clientId: 'portal' }]])
 * app.use(oidc({ baseUrl, secret, providerChooser: '/choose', providers: async (name) => tenants.get(name) }))
 * ```
 */
export type FindProviderOptions = (
  name: string,
  req: IncomingMessage | undefined,
) => ProviderOptions | null | undefined | Promise<ProviderOptions | null | undefined>

/** The options of `oidc()`. */
export type Options = SingleProviderOptions | SeveralProvidersOptions
