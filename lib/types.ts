/** A login on its way: between the redirect out and the redirect back. It lives sealed in one cookie of its own. */
export interface Transaction {
  /** What was asked for; absent: `code`. */
  readonly responseType?: ResponseType
  readonly state: string
  readonly nonce: string
  readonly codeVerifier: string
  readonly issuer: string
  readonly redirectUri: string
  /** A path of this application, already checked. */
  readonly returnTo: string
  /** The name of the provider that was asked; absent: the only one. */
  readonly provider?: string
  /** The `max_age` that was asked for, in seconds. */
  readonly maxAge?: number
  /** What the login must come to, or it is refused. */
  readonly requirement?: AuthenticationRequirement
  /** Nobody is to notice (`prompt=none`): that nobody is logged in at the provider is no failure then. */
  readonly isSilent?: true
  /** The login that is held against the provider's session, by the id of its tokens: the answer concerns no other. */
  readonly recheckedTokensId?: string
  /** The private key that the tokens will be bound to, as a JWK (RFC 9449). */
  readonly dpopKey?: DpopKey
  /** Seconds since 1970, with their fraction. */
  readonly startedAt: number
}

/** How strong and how recent a login must be (RFC 9470). */
export interface AuthenticationRequirement {
  /** Authentication context classes, of which one must have been reached. */
  readonly acr?: readonly string[]
  /** How long ago the person may have proved who they are, in seconds. */
  readonly maxAge?: number
  /** Authentication methods, all of which must have been used. */
  readonly amr?: readonly string[]
}

/** The private key that the tokens of one login are bound to, as a JWK with the algorithm that it signs with (RFC 9449). */
export interface DpopKey {
  readonly alg: string
  readonly kty: string
  readonly crv: string
  readonly x: string
  readonly y?: string
  readonly d: string
}

/** The tokens of one login, as the token endpoint answered. */
export interface TokenRecord {
  readonly idToken: string
  readonly accessToken?: string
  readonly refreshToken?: string
  /** `Bearer`, or `DPoP` for a token that is bound to `dpopKey`. */
  readonly tokenType?: string
  /** What the tokens are bound to (RFC 9449). */
  readonly dpopKey?: DpopKey
  /** When the access token ends, in seconds since 1970; absent where the provider did not say. */
  readonly expiresAt?: number
  /** When it was asked for, in seconds since 1970. */
  readonly issuedAt?: number
  /** The nonce of the login's request, which refreshed ID Tokens may repeat (OIDC Core 12.2). */
  readonly nonce?: string
  /** The state of the person's session at the provider (OIDC Session Management 2), where it tells one. */
  readonly sessionState?: string
  /** The names of claims that an earlier ID Token of this login had, and the one of a refresh has no longer. */
  readonly pastClaims?: readonly string[]
  /** Access tokens for APIs of their own (RFC 8707), by what they were asked for with. */
  readonly others?: Readonly<Record<string, AccessToken>>
}

/** An access token to show to an API. */
export interface AccessToken {
  readonly accessToken: string
  /** `Bearer` or `DPoP`. */
  readonly tokenType: string
  /** When it ends, in seconds since 1970; absent where the provider did not say. */
  readonly expiresAt?: number
  /** When it was asked for, in seconds since 1970. */
  readonly issuedAt?: number
  /** What it is bound to, where it is. */
  readonly dpopKey?: DpopKey
}

/** A redeemed answer. Nothing unvalidated ever gets this type. */
export interface Login {
  /** The name of the provider; absent: the only one. */
  readonly provider?: string
  readonly claims: IdTokenClaims
  /** The granted scopes, separated by spaces. */
  readonly scope: string
  /** Seconds since 1970. */
  readonly loggedInAt: number
  /** The end of this login, in seconds since 1970. */
  readonly expiresAt: number
}

/** The claim `address` (OIDC Core 5.1.1). */
export interface AddressClaim {
  readonly formatted?: string
  readonly street_address?: string
  readonly locality?: string
  readonly region?: string
  readonly postal_code?: string
  readonly country?: string
}

/** A claim for people to read, in a language or script of its own: `family_name#ja-Kana-JP` (OIDC Core 5.2). */
export type LanguageTaggedClaim =
  `${'name' | 'given_name' | 'family_name' | 'middle_name' | 'nickname' | 'profile' | 'picture' | 'website'}#${string}`

/** Some providers (Cognito) send text for a truth value, and the text `false` is true to JavaScript: compare with `true`. */
export type VerifiedClaim = boolean | 'true' | 'false'

/**
 * The claims that belong to the standard scopes `profile`, `email`, `address` and `phone` (OIDC Core 5.1, 5.4). The types
 * are those of the standard: claims are handed on as the provider sent them, and nobody has checked what they are.
 */
export interface StandardClaims {
  readonly name?: string
  readonly given_name?: string
  readonly family_name?: string
  readonly middle_name?: string
  readonly nickname?: string
  readonly preferred_username?: string
  readonly profile?: string
  readonly picture?: string
  readonly website?: string
  readonly gender?: string
  readonly birthdate?: string
  readonly zoneinfo?: string
  readonly locale?: string
  /** Seconds since 1970; Auth0 sends a date as text. */
  readonly updated_at?: number | string
  readonly email?: string
  readonly email_verified?: VerifiedClaim
  readonly phone_number?: string
  readonly phone_number_verified?: VerifiedClaim
  readonly address?: AddressClaim
  readonly [claim: LanguageTaggedClaim]: string | undefined
}

/**
 * The claims about the person who is logged in: those of the validated ID Token (OIDC Core 2), filled from UserInfo
 * where that was asked for. Key your users on `iss` and `sub` together (OIDC Core 5.7), never on `email`.
 */
export interface IdTokenClaims extends StandardClaims {
  /** The issuer: compared, character by character, with the configured one. */
  readonly iss: string
  /** The person, unique within the issuer and never given to another. */
  readonly sub: string
  readonly aud?: string | readonly string[]
  /** Seconds since 1970. */
  readonly exp?: number
  /** Seconds since 1970. */
  readonly iat?: number
  /** When the person last proved who they are, in seconds since 1970. */
  readonly auth_time?: number
  /** The authentication context class that was reached. */
  readonly acr?: string
  /** How the person was authenticated: an open list, not only the names of RFC 8176. */
  readonly amr?: readonly string[]
  readonly azp?: string
  /** The provider's own session. */
  readonly sid?: string
  /** Not of any standard, and named otherwise at some providers; absent where somebody is in none. See `requireGroup`. */
  readonly groups?: readonly string[]
  readonly [claim: string]: Json | undefined | AddressClaim
}

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

/** What a page asks of a login beyond that there is one. */
export interface AuthRequirement {
  /** Authentication context classes of which one will do: `'urn:okta:loa:2fa:any'`, `['phr', 'phrh']`. */
  acr?: string | readonly string[]
  /** How long ago the person may have proved who they are, in seconds; at least 1. */
  maxAge?: number
  /** Authentication methods, all of which must have been used (RFC 8176 2): `'mfa'`. */
  amr?: string | readonly string[]
}

/** A value that JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }

/**
 * Authorization request parameters by their wire names: `{ prompt: 'login', max_age: 300 }`. Objects and lists are sent as
 * JSON (`claims`, `authorization_details`), but a list for `resource` as one parameter each (RFC 8707 2.1).
 */
export type AuthorizationParams = Readonly<
  Record<string, string | number | readonly Json[] | { readonly [name: string]: Json }>
>

/** The response types that end in a login, with their words in the order of the standard. */
export type ResponseType =
  | 'code'
  | 'id_token'
  | 'id_token token'
  | 'code id_token'
  | 'code token'
  | 'code id_token token'
