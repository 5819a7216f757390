import { createHash } from 'node:crypto'
import { findJwsAlgorithm } from '../jose/algorithms.ts'
import { nowInSeconds } from '../time/seconds.ts'
import type { Json } from '../types.ts'
import type { TestUser } from './test-options.ts'
import { type Grant, randomValue, type TestContext } from './test-records.ts'

/** What `provider.accessToken()` can be told about the token. */
export interface AccessTokenOptions {
  /** The scopes, separated by spaces. */
  readonly scope?: string
  /**
   * For which API the token is.
   * @default the option `audience` of the provider
   */
  readonly audience?: string | readonly string[]
  /**
   * The user for whom the client acts. `groups`, `roles` and `entitlements` of one of `users` get into the token.
   * @default the client itself, as with the client credentials grant
   */
  readonly sub?: string
  /**
   * The client that the token was issued to.
   * @default the first client
   */
  readonly clientId?: string
  /**
   * The lifetime of the token in seconds. With a negative value, it has expired already.
   * @default the option `tokenLifetime` of the provider
   */
  readonly expiresIn?: number
  /** More claims, or other values for claims: `{ roles: ['admin'] }`, `{ iss: 'https://other.example.com' }`. */
  readonly claims?: Readonly<Record<string, Json>>
  /**
   * `jwt`: a JWT of the type `at+jwt` (RFC 9068). `opaque`: a random value that only introspection explains (RFC 7662).
   * @default 'jwt'
   */
  readonly format?: 'jwt' | 'opaque'
}

/** The standard claims that each scope requests (OIDC Core 5.4). */
const SCOPE_CLAIMS: Readonly<Record<string, readonly string[]>> = {
  profile: [
    ...['name', 'family_name', 'given_name', 'middle_name', 'nickname', 'preferred_username', 'profile', 'picture'],
    ...['website', 'gender', 'birthdate', 'zoneinfo', 'locale', 'updated_at'],
  ],
  email: ['email', 'email_verified'],
  address: ['address'],
  phone: ['phone_number', 'phone_number_verified'],
}

/** The claims of a user: the standard ones that the scope requests, and all that are not standard. */
export function claimsOf(user: TestUser, scope: string): Readonly<Record<string, Json | undefined>> {
  const granted = scope.split(' ')
  const withheld = Object.entries(SCOPE_CLAIMS).flatMap(([name, claims]) => (granted.includes(name) ? [] : claims))
  return Object.fromEntries(Object.entries(user).filter(([name]) => !withheld.includes(name)))
}

/** Signs an ID Token (OIDC Core 2), with what the provider is to do wrong. */
export async function issueIdToken(
  { issuer, setup, keys, misbehaviors }: TestContext,
  { client, session, scope, acr }: Grant,
  { nonce, accessToken }: { readonly nonce: string | undefined; readonly accessToken: string },
): Promise<string> {
  const now = Math.floor(nowInSeconds())
  const isExpired = misbehaviors.take('expiredIdToken')
  const claims = {
    ...claimsOf(session.user, scope),
    iss: misbehaviors.take('wrongIssuer') ? 'https://wrong-issuer.example' : issuer,
    aud: misbehaviors.take('wrongAudience') ? 'wrong-audience' : client.clientId,
    iat: isExpired ? now - 7200 : now,
    exp: isExpired ? now - 3600 : now + setup.tokenLifetime,
    auth_time: session.authTime,
    sid: session.sid,
    at_hash: hashOf(accessToken, keys.alg),
    ...(acr === undefined ? {} : { acr }),
    ...(nonce === undefined ? {} : { nonce }),
    ...(misbehaviors.take('wrongNonce') ? { nonce: 'wrong-nonce' } : {}),
  }
  return keys.sign(claims, 'JWT', misbehaviors.take('badSignature') ? 'badly' : undefined)
}

/** OIDC Core 3.1.3.6: the left half of the hash that belongs to the signature algorithm. */
function hashOf(token: string, alg: string): string {
  const [name = 'sha256', options] = findJwsAlgorithm(alg)?.hash ?? []
  const digest = createHash(name, options).update(token).digest()
  return digest.subarray(0, digest.length / 2).toString('base64url')
}

/** Signs an access token (RFC 9068 2.2) and remembers it for introspection and UserInfo. */
export async function issueAccessToken(
  { issuer, setup, keys, records }: TestContext,
  { scope, audience, sub, clientId, expiresIn, claims, format }: AccessTokenOptions,
  grant?: Grant,
): Promise<string> {
  const now = Math.floor(nowInSeconds())
  const client = clientId ?? setup.clients[0].clientId
  const lifetime = expiresIn ?? setup.tokenLifetime
  const all = {
    ...authorizationClaims(grant?.session.user ?? setup.users.find((user) => user.sub === sub)),
    ...(grant === undefined ? {} : { auth_time: grant.session.authTime, sid: grant.session.sid }),
    ...(grant?.acr === undefined ? {} : { acr: grant.acr }),
    iss: issuer,
    aud: typeof audience === 'string' || audience === undefined ? (audience ?? setup.audience) : [...audience],
    sub: sub ?? client,
    client_id: client,
    // A token that has expired was issued before that.
    iat: Math.min(now, now + lifetime - 1),
    exp: now + lifetime,
    jti: randomValue(),
    ...(scope === undefined ? {} : { scope }),
    ...claims,
  }
  const token = format === 'opaque' ? randomValue() : await keys.sign(all, 'at+jwt')
  records.accessTokens.set(token, { grant, clientId: client, claims: all, isRevoked: false })
  return token
}

/** RFC 9068 2.2.3.1. */
function authorizationClaims(user: TestUser | undefined): Readonly<Record<string, Json>> {
  const given = Object.entries(user ?? {})
  return Object.fromEntries(
    given.flatMap(([name, value]) =>
      ['groups', 'roles', 'entitlements', 'amr'].includes(name) && value !== undefined ? [[name, value]] : [],
    ),
  )
}

/** Signs a logout token (OIDC Back-Channel Logout 2.4). */
export function issueLogoutToken(
  { issuer, keys }: TestContext,
  {
    clientId,
    sub,
    sid,
  }: { readonly clientId: string; readonly sub?: string | undefined; readonly sid?: string | undefined },
): Promise<string> {
  const now = Math.floor(nowInSeconds())
  const claims = {
    iss: issuer,
    aud: clientId,
    iat: now,
    exp: now + 120,
    jti: randomValue(),
    events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    ...(sub === undefined ? {} : { sub }),
    ...(sid === undefined ? {} : { sid }),
  }
  return keys.sign(claims, 'logout+jwt')
}
