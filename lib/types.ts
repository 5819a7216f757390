import type { IdTokenClaims } from './claims.ts'
import type { ResponseType } from './response-type.ts'

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
  readonly checks?: string
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
