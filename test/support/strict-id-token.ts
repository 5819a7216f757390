import { claimsForScope } from './accounts.ts'
import { keyForAlg, signJws, tokenHash } from './signing-keys.ts'
import type { AuthorizationGrant, JsonObject, StrictContext } from './strict-context.ts'

/** What an ID Token goes with. */
export interface IdTokenBinding {
  readonly accessToken?: string | undefined
  /** The code that comes beside it, by the front channel. */
  readonly code?: string | undefined
  /** The claims of the scopes are in it, whatever the provider's habit (OIDC Core 5.4). */
  readonly isFat?: boolean
}

/** What a test may change of an ID Token. */
export interface IdTokenChanges {
  readonly header: ((header: JsonObject) => JsonObject) | undefined
  readonly claims: ((claims: JsonObject) => JsonObject) | undefined
  readonly jwt: ((jwt: string) => string | Promise<string>) | undefined
}

export async function issueIdToken(
  context: StrictContext,
  grant: AuthorizationGrant,
  binding: IdTokenBinding,
  change: IdTokenChanges,
): Promise<string> {
  const claims = idTokenClaims(context, grant, binding)
  const jwt = signByProvider(context, context.alg, change.header, change.claims?.(claims) ?? claims)
  const sent = change.jwt ? await change.jwt(jwt) : jwt
  context.idTokens.add(sent)
  return sent
}

/** Signs with the provider's key for an algorithm, or with the client's secret. */
export function signByProvider(
  { keys, clientSecret }: StrictContext,
  alg: string,
  change: IdTokenChanges['header'],
  claims: JsonObject,
): string {
  const isSymmetric = alg.startsWith('HS')
  const key = keyForAlg(keys, alg)
  const header = isSymmetric ? { alg } : { alg, kid: key.kid }
  return signJws(alg, isSymmetric ? clientSecret : key.privateKey, change?.(header) ?? header, claims)
}

function idTokenClaims(
  context: StrictContext,
  grant: AuthorizationGrant,
  { accessToken, code, isFat }: IdTokenBinding,
): JsonObject {
  const now = Math.floor(Date.now() / 1000)
  return {
    iss: context.issuer,
    sub: grant.account.sub,
    aud: context.clientId,
    exp: now + 300,
    iat: now,
    nonce: grant.nonce,
    ...(accessToken === undefined ? {} : { at_hash: tokenHash(context.alg, accessToken) }),
    ...(code === undefined ? {} : { c_hash: tokenHash(context.alg, code) }),
    sid: grant.sid,
    ...(grant.asksAuthTime ? { auth_time: grant.authTime } : {}),
    ...(isFat || context.idToken === 'fat' ? claimsForScope(grant.account, grant.scope) : {}),
  }
}
