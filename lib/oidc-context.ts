import type { AuthorizationParams } from './options.ts'
import type { IdTokenClaims, Json, TokenRecord } from './types.ts'

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

/** What `req.oidc` can do, whoever is logged in. */
export interface OidcMethods {
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
