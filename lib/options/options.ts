import type { Hooks } from '../hooks.ts'
import type { SharedState } from '../state/shared-state.ts'
import type { IdTokenClaims } from '../types.ts'
import type { NamedProviderOptions, ProviderOptions } from './provider-options.ts'

/** Where the routes answer, below the path of `baseUrl`. Each begins with a slash. */
export interface RoutesOptions {
  /**
   * Starts a login (GET); takes `?returnTo=/path`.
   * @default '/login'
   */
  login?: string
  /**
   * Takes the provider's answer. `baseUrl` followed by this is the redirect URI to register at the provider.
   * @default '/callback'
   */
  callback?: string
  /**
   * Ends the login here and at the provider (POST from your own pages; GET by `logoutByGet`).
   * @default '/logout'
   */
  logout?: string
  /**
   * Takes the provider's logout tokens: `baseUrl` followed by this is the `backchannel_logout_uri` to register.
   * @default '/backchannel-logout'
   */
  backchannelLogout?: string
  /**
   * The page that the provider frames in the browser that logs out: `baseUrl` followed by this is the
   * `frontchannel_logout_uri` to register.
   * @default '/frontchannel-logout'
   */
  frontchannelLogout?: string
  /**
   * Publishes the public parts of `clientKeys`; there where such keys are given.
   * @default '/jwks'
   */
  jwks?: string
  /**
   * Hands signed requests to the provider; there where `requestObjectBy` is `reference`.
   * @default '/request'
   */
  requestObjects?: string
  /**
   * A page for a hidden frame of yours, which notices that the session at the provider has changed (OIDC Session
   * Management 3), and logs in again without a question.
   * @default '/session-check'
   */
  sessionCheck?: string
  /** Takes the provider's demand that all sessions of a person end (Okta's Universal Logout). Not there unless named. */
  tokenRevocation?: string
  /** Starts a login that another site asks for (OIDC Core 4). There is none unless it is named. */
  initiateLogin?: string
}

/** What concerns the application, whatever the provider. */
export interface ApplicationOptions {
  /** Where browsers see this application: scheme, host, and the path it is mounted under, if any. */
  baseUrl: string
  /** Where the routes answer. */
  routes?: RoutesOptions
  /**
   * The path of a page of yours where people choose among several providers: it gets `?returnTo=` and links to the login
   * route with `?provider=`. Without it, the first provider is taken.
   */
  providerChooser?: string
  /** Query parameters of the login route that go on to the provider: `['login_hint', 'ui_locales']`. No others do. */
  passthroughParams?: readonly string[]
  /**
   * Log visitors in without a question (`prompt=none`) where they have a session at the provider: tried once, at the first
   * page that they open.
   * @default false
   */
  silentLogin?: boolean
  /**
   * Let the logout route answer GET too. A GET with `Sec-Fetch-Site: cross-site` or `same-site` is refused all the same.
   * @default false
   */
  logoutByGet?: boolean
  /**
   * Have the provider forget the tokens of a login that is logged out (RFC 7009), where it can. It is waited for two seconds
   * at most.
   * @default true
   */
  revokeTokens?: boolean
  /**
   * What a browser is told to forget at a logout (`Clear-Site-Data`), over https: `['cache', 'storage']`. With `cookies` it
   * forgets those of all applications of the host.
   */
  clearSiteData?: readonly ('cache' | 'cookies' | 'storage' | 'executionContexts')[]
  /**
   * How far the provider's clock may be off, in seconds, at most 300.
   * @default 60
   */
  clockTolerance?: number
  /**
   * The longest that one request to the provider may take in all, in seconds.
   * @default 10
   */
  timeout?: number
  /**
   * The name under which the login is kept in `req.session`.
   * @default 'oidc'
   */
  sessionKey?: string
  /**
   * What the cookies of logins on their way, and the tokens at rest, are encrypted with: at least 32 characters. A list
   * rotates: the first seals, each opens. Needed where there is no client secret.
   * @default the client secret
   */
  secret?: string | readonly string[]
  /**
   * Where the provider sends the browser after a logout: an absolute URL, as registered there, or a path below `baseUrl`.
   * @default `baseUrl`
   */
  postLogoutRedirectUri?: string
  /**
   * How long a login lasts at most, in seconds, whatever the session's own lifetime.
   * @default 86400
   */
  loginLifetime?: number
  /**
   * What may end a login earlier: nothing, the end of its ID Token (refreshed ones put it off), or the provider's claim
   * `session_expiry`.
   * @default 'lifetime'
   */
  loginExpiry?: 'lifetime' | 'id_token' | 'session_expiry'
  /** How long a login lasts without a request, in seconds. Without it, that makes no difference. */
  idleTimeout?: number
  /**
   * How long a person may take at the provider, in seconds.
   * @default 1800
   */
  transactionLifetime?: number
  /**
   * Which claims are kept in the session: a list of names, or a function from all claims to those to keep. `iss`, `sub`,
   * `sid`, `auth_time`, `acr` and `amr` are kept in any case, `nonce`, `jti` and the hashes never.
   * @default all
   */
  sessionClaims?: readonly string[] | ((claims: IdTokenClaims) => Readonly<Record<string, unknown>>)
  /**
   * What the nodes of the application know together: which sessions a logout at the provider ends, which of its tokens came
   * before, who spends a refresh token. For many nodes give `redisState()` or `postgresState()`; the session store alone
   * cannot tell what two nodes do in the same moment.
   * @default the session store
   */
  sharedState?: SharedState
  /** Used for every request to the provider, for example to go through a proxy. Limits hold for it too. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>
  /** Functions of yours at named moments. */
  hooks?: Hooks
  /**
   * Allow plain http for the issuer, its endpoints and `baseUrl`. For development only: whoever sits between can log in
   * as anybody.
   * @default false
   */
  dangerouslyAllowInsecureRequests?: boolean
}

/** The options of `oidc()` with one provider. Durations are in seconds. A name that is not here is refused. */
export interface SingleProviderOptions extends ApplicationOptions, ProviderOptions {
  providers?: undefined
}

/** The options of `oidc()` with several providers. What is given at the top holds for all of them. */
export interface SeveralProvidersOptions extends ApplicationOptions, Partial<Omit<ProviderOptions, 'issuer'>> {
  issuer?: undefined
  /**
   * The providers by names of your own: letters, digits, `-` and `_`. Each has a callback, and so a redirect URI, of its own,
   * so that no answer of one is ever taken for another's (RFC 9700 4.4.2.2).
   */
  providers: Readonly<Record<string, NamedProviderOptions>>
}

/** The options of `oidc()`. */
export type Options = SingleProviderOptions | SeveralProvidersOptions
