import type { Json } from './json-object.ts'

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
