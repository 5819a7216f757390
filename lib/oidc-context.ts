import type { AuthRequirement } from './authentication-requirement.ts'
import type { IdTokenClaims } from './claims.ts'
import type { Json } from './json-object.ts'
import type { AuthorizationParams } from './provider-options.ts'
import type { TokenRecord } from './types.ts'

/** What one login wants in particular. */
export interface LoginOptions {
  /**
   * The path of this application to come back to.
   * @default the page that is asked for, where it was asked for by GET
   */
  returnTo?: string
  /** Authorization request parameters for this login alone, for example `{ prompt: 'login', login_hint: 'ada' }`. */
  authorizationParams?: AuthorizationParams
  /**
   * The name of the provider to log in at.
   * @default the one that the person is logged in at, or else the first
   */
  provider?: string
  /** Refuse what comes back unless it is as strong and as recent as this. */
  requirement?: AuthRequirement
}

/** Which access token is wanted, where a login has several: that of the login unless told. */
export interface AccessTokenRequest {
  /** Fewer scopes than the login has, separated by spaces. */
  scope?: string | undefined
  /** The API that the token is for, an absolute URI (RFC 8707 2.2). */
  resource?: string | undefined
}

/** As for the global `fetch`, and which access token to show. */
export type ApiRequestInit = RequestInit & AccessTokenRequest

/** What `req.oidc` can do, whoever is logged in. */
export interface OidcMethods {
  /**
   * The address of the login route, to come back to a path of this application: by default to the present page. With a
   * requirement, for a stronger or more recent login at the same provider.
   */
  loginUrl(returnTo?: string, requirement?: AuthRequirement): string
  /**
   * The address that logs this visitor in without a question, if there is a session at the provider; `undefined` where that
   * is not to be tried: somebody is logged in, it was tried before, or this is no page that a person opens. To ask for it
   * is to try: the answer to this request takes a mark to the browser.
   */
  silentLoginUrl(): string | undefined
  /**
   * The address that asks the provider whether the person is still logged in there, and comes back to this page; `undefined`
   * where that is not to be done: nobody is logged in, it was done less than so many seconds ago, or this is no page that a
   * person opens.
   */
  sessionCheckUrl(seconds: number): string | undefined
  /** Whether somebody is logged in as strongly and as recently as this (RFC 9470). */
  meets(requirement: AuthRequirement): boolean
  /** Sends the browser to the provider to log in. Answers the request. */
  login(options?: LoginOptions): Promise<void>
  /** Ends the login here and at the provider. Answers the request. The caller sees to it that the person asked for it. */
  logout(): Promise<void>
  /** The tokens of this login, read from the session store; `undefined` where there are none. */
  tokens(): Promise<TokenRecord | undefined>
  /** The raw ID Token. Throws `ERR_OIDC_TOKEN_UNAVAILABLE`. */
  idToken(): Promise<string>
  /**
   * An access token that lives for a minute at least, refreshed where it has to be: once for all who ask at the same time.
   * Throws `ERR_OIDC_TOKEN_UNAVAILABLE` where there is none and none can be had, `ERR_OIDC_REFRESH_REFUSED` where the
   * provider has ended the login, which has ended here then too, and what the token endpoint comes to.
   */
  accessToken(request?: AccessTokenRequest): Promise<string>
  /**
   * `fetch` in the person's name: adds the access token, with a proof of possession where it is bound to a key (RFC 9449 7),
   * and asks once more with a new one where the API answers 401.
   */
  fetch(url: string | URL, init?: ApiRequestInit): Promise<Response>
  /** Asks the UserInfo endpoint anew. Throws what `accessToken()` does, `ERR_OIDC_USERINFO`, `ERR_OIDC_USERINFO_SUBJECT`. */
  userinfo(): Promise<Readonly<Record<string, Json>>>
}

/** `req.oidc` where somebody is logged in. */
export interface AuthenticatedContext<Claims extends IdTokenClaims = IdTokenClaims> extends OidcMethods {
  readonly isAuthenticated: true
  /** The name of the provider: `default` where there is one alone. */
  readonly provider: string
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
  readonly provider: undefined
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
