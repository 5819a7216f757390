import type { ResponseType } from './response-type.ts'

/** A value that JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }

/** The claim `address` (OIDC Core 5.1.1). */
export interface AddressClaim {
  readonly formatted?: string
  readonly street_address?: string
  readonly locality?: string
  readonly region?: string
  readonly postal_code?: string
  readonly country?: string
}

/** The claims that belong to the standard scopes `profile`, `email`, `address` and `phone` (OIDC Core 5.1, 5.4). */
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
  /** Seconds since 1970. */
  readonly updated_at?: number
  readonly email?: string
  readonly email_verified?: boolean
  readonly phone_number?: string
  readonly phone_number_verified?: boolean
  readonly address?: AddressClaim
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
  readonly groups?: readonly string[]
  readonly [claim: string]: Json | undefined | AddressClaim
}

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
  /** The `max_age` that was asked for, in seconds. */
  readonly maxAge?: number
  /** Seconds since 1970. */
  readonly startedAt: number
}

/** The tokens of one login, as the token endpoint answered. */
export interface TokenRecord {
  readonly idToken: string
  readonly accessToken?: string
  readonly refreshToken?: string
  readonly tokenType?: string
  /** When the access token ends, in seconds since 1970; absent where the provider did not say. */
  readonly expiresAt?: number
}

/** A redeemed answer. Nothing unvalidated ever gets this type. */
export interface Login {
  readonly claims: IdTokenClaims
  /** The granted scopes, separated by spaces. */
  readonly scope: string
  /** Seconds since 1970. */
  readonly loggedInAt: number
  /** The end of this login, in seconds since 1970. */
  readonly expiresAt: number
}
