/** A JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }

/** A right that is granted in detail (RFC 9396 2), such as a payment. Its `type` says what the other members mean. */
export interface AuthorizationDetail {
  readonly type: string
  readonly [member: string]: Json
}

/** True for a list of objects that each have a `type` (RFC 9396 2). */
export function isAuthorizationDetails(value: unknown): value is readonly AuthorizationDetail[] {
  return Array.isArray(value) && value.every((one) => !Array.isArray(one) && typeof Object(one)['type'] === 'string')
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

/** The name of a claim in one language or script: `family_name#ja-Kana-JP` (OIDC Core 5.2). */
export type LanguageTaggedClaim =
  `${'name' | 'given_name' | 'family_name' | 'middle_name' | 'nickname' | 'profile' | 'picture' | 'website'}#${string}`

/**
 * A boolean, or a string at providers such as Cognito. The string `'false'` is truthy in JavaScript, so compare with
 * `true`: `claims.email_verified === true`.
 */
export type VerifiedClaim = boolean | 'true' | 'false'

/**
 * The claims of the scopes `profile`, `email`, `address` and `phone` (OIDC Core 5.1 and 5.4). The types are those of the
 * standard. The library does not check them: the claims are what the provider sent.
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
  /** Seconds since 1970. Auth0 sends a date as a string. */
  readonly updated_at?: number | string
  readonly email?: string
  readonly email_verified?: VerifiedClaim
  readonly phone_number?: string
  readonly phone_number_verified?: VerifiedClaim
  readonly address?: AddressClaim
  readonly [claim: LanguageTaggedClaim]: string | undefined
}

/**
 * The claims about the user: those of the validated ID Token (OIDC Core 2), and those of UserInfo if the option `userinfo`
 * requests them. Identify users by `iss` and `sub` together (OIDC Core 5.7), never by `email`.
 */
export interface IdTokenClaims extends StandardClaims {
  /** The issuer. It is the configured one, character by character. */
  readonly iss: string
  /** The user's id. It is unique within the issuer and never reassigned. */
  readonly sub: string
  readonly aud?: string | readonly string[]
  /** Seconds since 1970. */
  readonly exp?: number
  /** Seconds since 1970. */
  readonly iat?: number
  /** When the user last authenticated, in seconds since 1970. */
  readonly auth_time?: number
  /** The authentication context class of the login. */
  readonly acr?: string
  /** The authentication methods of the login: names of RFC 8176, and the provider's own. */
  readonly amr?: readonly string[]
  readonly azp?: string
  /** When a session that was created from the ID Token must end, in seconds since 1970. It ends the login. */
  readonly session_expiry?: number
  /** The id of the session at the provider. */
  readonly sid?: string
  /**
   * The user's groups. No standard defines this claim: providers use other names too, and omit it for a user without groups.
   * See `requireGroup()`.
   */
  readonly groups?: readonly string[]
  readonly [claim: string]: Json | undefined | AddressClaim
}

/**
 * The claims of a verified access token (RFC 9068 2.2). Providers add their own: `scp` (Okta, Entra ID), `roles`
 * (Entra ID), `permissions` (Auth0), `realm_access` (Keycloak). `sub` is missing only with the option `allowMissingSub`.
 */
export interface AccessTokenClaims extends IdTokenClaims {
  /** The client that the token was issued to. Providers use other names too: see `req.oidc.clientId`. */
  readonly client_id?: string
  /** The granted scopes as the provider writes them. `req.oidc.scope` has them in one form. */
  readonly scope?: string | readonly string[]
  readonly jti?: string
  /** What the token is bound to (RFC 7800). It was checked already. */
  readonly cnf?: { readonly [member: string]: string }
}
