import { claimsForScope } from '../app/accounts.ts'
import { keyForAlg, signJws, tokenHash } from '../app/signing-keys.ts'
import type { StrictClient } from './client.ts'
import { type AuthorizationGrant, type JsonObject, now, type StrictContext } from './context.ts'
import { encryptForClient } from './encryption.ts'

/** What an ID Token goes with. */
export interface IdTokenBinding {
  readonly accessToken?: string | undefined
  /** The code that comes beside it, by the front channel. */
  readonly code?: string | undefined
  /** The claims of the scopes are in it, whatever the provider's habit (OIDC Core 5.4). */
  readonly isFat?: boolean
  /** A refreshed one need not have it (OIDC Core 12.2). */
  readonly lacksNonce?: boolean
}

/** What a test may change of an ID Token. */
export interface IdTokenChanges {
  readonly header: ((header: JsonObject) => JsonObject) | undefined
  readonly claims: ((claims: JsonObject) => JsonObject) | undefined
  readonly jwt: ((jwt: string) => string | Promise<string>) | undefined
  readonly jwe: ((jwe: string, jwt: string) => string | Promise<string>) | undefined
}

export async function issueIdToken(
  context: StrictContext,
  grant: AuthorizationGrant,
  binding: IdTokenBinding,
  change: IdTokenChanges,
): Promise<string> {
  const { client } = grant
  const good = idTokenClaims(context, grant, binding)
  const claims = change.claims?.(good) ?? good
  const signed = signByProvider(context, client, { alg: client.alg, header: change.header, claims })
  const jwt = change.jwt ? await change.jwt(signed) : signed
  // What is encrypted comes back as a hint without its encryption (OIDC Core 3.1.2.1).
  context.idTokens.set(jwt, grant)
  const { idTokenEncryptedResponseAlg: alg, idTokenEncryptedResponseEnc: enc } = client
  return await encryptForClient(context, client, { alg, enc }, jwt, change.jwe)
}

/** What is to be signed. */
export interface Unsigned {
  readonly alg: string
  /** A change of the test. */
  readonly header: ((header: JsonObject) => JsonObject) | undefined
  readonly claims: JsonObject
}

/** Signs with the provider's key for an algorithm, or with the client's secret. */
export function signByProvider(
  { keys, fapiKeys }: Pick<StrictContext, 'keys' | 'fapiKeys'>,
  { clientSecret }: Pick<StrictClient, 'clientSecret'>,
  { alg, header: change, claims }: Unsigned,
): string {
  const isSymmetric = alg.startsWith('HS')
  const key = keyForAlg(keys, alg)
  const header = isSymmetric ? { alg } : { alg, kid: fapiKeys ? keys.rsa.kid : key.kid }
  return signJws(alg, isSymmetric ? clientSecret : key.privateKey, change?.(header) ?? header, claims)
}

function idTokenClaims(
  context: StrictContext,
  grant: AuthorizationGrant,
  { accessToken, code, isFat, lacksNonce }: IdTokenBinding,
): JsonObject {
  const { client, account, acr } = grant
  // Said to those who care how somebody has logged in.
  const amr = context.amr ?? (acr === undefined ? undefined : ['pwd'])
  const asked = Object.entries(account.claims).filter(([name]) => grant.claims.idToken.includes(name))
  return {
    iss: context.issuer,
    sub: account.sub,
    aud: client.clientId,
    exp: now() + 300,
    iat: now(),
    ...(lacksNonce ? {} : { nonce: grant.nonce }),
    ...(accessToken === undefined ? {} : { at_hash: tokenHash(client.alg, accessToken) }),
    ...(code === undefined ? {} : { c_hash: tokenHash(client.alg, code) }),
    sid: grant.sid,
    ...(amr === undefined ? {} : { amr }),
    ...(acr === undefined ? {} : { acr }),
    ...(grant.asksAuthTime ? { auth_time: grant.authTime } : {}),
    ...(isFat || context.idToken === 'fat' ? claimsForScope(account, grant.scope) : {}),
    ...Object.fromEntries(asked),
  }
}
