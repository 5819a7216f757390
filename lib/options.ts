import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ResponseMode } from './response-type.ts'
import type { IdTokenClaims, Json, TokenRecord } from './types.ts'

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
}

/** What every hook is given. */
export interface HookEvent {
  readonly req: IncomingMessage
  readonly res: ServerResponse
}

/** A login is about to leave for the provider. */
export interface BeforeLoginEvent extends HookEvent {
  /** The path of this application that the person will come back to. */
  readonly returnTo: string
}

/** A login has been validated, and a new session begun but not yet saved. */
export interface AfterLoginEvent extends HookEvent {
  /** All claims, also those that `sessionClaims` leaves out of the session. */
  readonly claims: IdTokenClaims
  /** The granted scopes, separated by spaces. */
  readonly scope: string
  readonly tokens: TokenRecord
}

/** A login is about to end, or has ended, by the logout route or `req.oidc.logout()`. */
export interface LogoutEvent extends HookEvent {
  /** The claims of the login that ends; absent where nobody was logged in. */
  readonly claims: IdTokenClaims | undefined
}

/** Functions of yours that are awaited at named moments. One that throws stops what it was called in. */
export interface Hooks {
  /** Before the redirect to the provider. Throw, or answer the request, to refuse. */
  beforeLogin?: (event: BeforeLoginEvent) => void | Promise<void>
  /**
   * After everything about the answer was checked and the session made ready, before the login is put into it: the place to
   * find the user in your own database and to write into `req.session`. Throw, or answer the request, to refuse: then no
   * session is left. `req.oidc` does not show the login yet.
   */
  afterLogin?: (event: AfterLoginEvent) => void | Promise<void>
  /** Before the session is destroyed. Throw, or answer the request, to keep it. */
  beforeLogout?: (event: LogoutEvent) => void | Promise<void>
  /** After the session was destroyed, before the redirect, which is left out where the hook answers itself. */
  afterLogout?: (event: LogoutEvent) => void | Promise<void>
}

/** Authorization request parameters by their wire names, for example `{ prompt: 'login', max_age: 300 }`. */
export type AuthorizationParams = Readonly<Record<string, string | number>>

/** Provider metadata by the wire names of OIDC Discovery 3, for a provider that has no discovery document. */
export interface ProviderMetadata {
  readonly issuer: string
  readonly authorization_endpoint: string
  readonly token_endpoint: string
  readonly jwks_uri: string
  readonly userinfo_endpoint?: string
  readonly end_session_endpoint?: string
  readonly [name: string]: Json | undefined
}

/** The options of `oidc()`. Durations are in seconds. A name that is not here is refused. */
export interface Options {
  /**
   * The issuer identifier of the provider, exactly as its metadata and its ID Tokens have it, trailing slash included:
   * `https://example.okta.com`, `https://example.okta.com/oauth2/default`, `https://tenant.eu.auth0.com/`.
   */
  issuer: string
  /** The client identifier that the provider gave this application. */
  clientId: string
  /** The client secret. Leave it out for a public client (`tokenEndpointAuthMethod: 'none'`). */
  clientSecret?: string
  /** Where browsers see this application: scheme, host, and the path it is mounted under, if any. */
  baseUrl: string
  /**
   * The scopes to ask for, separated by spaces; `openid` must be among them.
   * @default 'openid profile email'
   */
  scope?: string
  /**
   * What the provider sends back with the browser: `code`, `id_token`, `id_token token`, `code id_token`, `code token` or
   * `code id_token token`, the words in any order. `code` is the one to choose; those with `token` send an access token
   * through the browser, which RFC 9700 2.1.2 advises against, and print a warning once.
   * @default 'code'
   */
  responseType?: string
  /**
   * How it is sent back: `query` (with `code` alone), `form_post` or `fragment`; or as one signed JWT (JARM) by
   * `query.jwt`, `form_post.jwt`, `fragment.jwt`, or `jwt`, which is the usual way of the response type.
   * @default 'query' with `code`, else 'form_post'
   */
  responseMode?: ResponseMode
  /**
   * The only algorithm that a response of the modes with `jwt` may be signed with, as for `idTokenSignedResponseAlg`.
   * @default 'RS256'
   */
  authorizationSignedResponseAlg?: string
  /** Further authorization request parameters. Those that protect the login cannot be set (`state`, `nonce` ...). */
  authorizationParams?: AuthorizationParams
  /** Where the routes answer. */
  routes?: RoutesOptions
  /**
   * Let the logout route answer GET too. A GET with `Sec-Fetch-Site: cross-site` or `same-site` is refused all the same.
   * @default false
   */
  logoutByGet?: boolean
  /**
   * The only algorithm that an ID Token may be signed with: RS, PS or ES with 256, 384 or 512, EdDSA, Ed25519, or HS256,
   * HS384, HS512 with the client secret. Never `none`.
   * @default 'RS256'
   */
  idTokenSignedResponseAlg?: string
  /**
   * How the client proves itself at the token endpoint.
   * @default 'client_secret_basic' with a `clientSecret`, else 'none'
   */
  tokenEndpointAuthMethod?: 'client_secret_basic' | 'client_secret_post' | 'none'
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
   * How long a person may take at the provider, in seconds.
   * @default 1800
   */
  transactionLifetime?: number
  /**
   * Which claims are kept in the session: a list of names, or a function from all claims to those to keep. `iss`, `sub`,
   * `sid`, `auth_time` and `acr` are kept in any case, `nonce`, `jti` and the hashes never.
   * @default all
   */
  sessionClaims?: readonly string[] | ((claims: IdTokenClaims) => Readonly<Record<string, unknown>>)
  /**
   * Whether to ask the UserInfo endpoint at login: always, never, or when a granted scope has brought no claim into the
   * ID Token.
   * @default 'when-needed'
   */
  userinfo?: boolean | 'when-needed'
  /** The provider's metadata, instead of discovery. Its `issuer` must equal the option. */
  providerMetadata?: ProviderMetadata
  /** Used for every request to the provider, for example to go through a proxy. Limits hold for it too. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>
  /** Functions of yours at named moments. */
  hooks?: Hooks
  /**
   * Take all scopes that were asked for as granted where the token response names none, as RFC 6749 5.1 has it. People can
   * take scopes out of the request on its way through their browser, and would then pass `requireScope()` without the
   * provider ever having been asked. Without this, such a login has the scope `openid` alone.
   * @default false
   */
  dangerouslyAssumeRequestedScope?: boolean
  /**
   * Allow plain http for the issuer, its endpoints and `baseUrl`. For development only: whoever sits between can log in
   * as anybody.
   * @default false
   */
  dangerouslyAllowInsecureRequests?: boolean
}
