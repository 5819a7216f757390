import type { Config } from '../config/config.ts'
import { ProviderError } from '../errors.ts'
import type { IdTokenClaims } from '../types.ts'
import { jsonOf } from './http-answer.ts'
import type { JsonObject } from './json-object.ts'
import type { Provider } from './provider.ts'
import { refusalError } from './provider-refusal.ts'
import type { RedeemedTokens } from './tokens.ts'

/** The claims that secure a login: they come from the ID Token alone. */
const OF_THE_ID_TOKEN: ReadonlySet<string> = new Set([
  ...['iss', 'sub', 'aud', 'azp', 'exp', 'iat', 'nbf', 'jti', 'nonce', 'auth_time', 'acr', 'amr', 'sid'],
  ...['at_hash', 'c_hash', 's_hash'],
])

/**
 * What a scope brings, by OIDC Core 5.4, and `groups` as several providers have it. A scope without any of these in the
 * ID Token brought nothing there.
 */
const CLAIMS_OF_SCOPE: Readonly<Record<string, readonly string[]>> = {
  profile: ['name', 'given_name', 'family_name', 'nickname', 'preferred_username', 'picture', 'profile'],
  email: ['email'],
  address: ['address'],
  phone: ['phone_number'],
  groups: ['groups'],
}

/**
 * The claims of a login, with those of UserInfo where `userinfo` has them asked for. The ID Token's own win; those that
 * secure the login never come from elsewhere. Throws `ERR_OIDC_USERINFO` and `ERR_OIDC_USERINFO_SUBJECT`.
 */
export async function completeClaims(
  provider: Provider,
  config: Pick<Config, 'userinfo' | 'scope'>,
  redeemed: RedeemedTokens,
): Promise<IdTokenClaims> {
  const { claims, tokens } = redeemed
  if (tokens.accessToken === undefined || !isWanted(provider, config, redeemed)) return claims
  const userinfo = await readUserInfo(provider, tokens.accessToken, claims.sub)
  const further = Object.entries(userinfo ?? {}).filter(([name]) => !OF_THE_ID_TOKEN.has(name))
  return { ...Object.fromEntries(further), ...claims }
}

function isWanted(
  provider: Provider,
  config: Pick<Config, 'userinfo' | 'scope'>,
  { claims, scope = config.scope }: RedeemedTokens,
): boolean {
  if (config.userinfo !== 'when-needed') return config.userinfo
  if (provider.metadata.userinfo_endpoint === undefined) return false
  return scope.split(' ').some((name) => {
    const expected = Object.hasOwn(CLAIMS_OF_SCOPE, name) ? CLAIMS_OF_SCOPE[name] : undefined
    return expected !== undefined && !expected.some((claim) => Object.hasOwn(claims, claim))
  })
}

/**
 * Asks UserInfo (OIDC Core 5.3) about the person whose login has this `sub`; `undefined` where the provider says that the
 * token is good for no further claims (Okta, for `openid` alone).
 */
export async function readUserInfo(
  provider: Provider,
  accessToken: string,
  sub: string,
): Promise<JsonObject | undefined> {
  if (provider.metadata.userinfo_endpoint === undefined) {
    throw new ProviderError('ERR_OIDC_USERINFO', 'The provider has no UserInfo endpoint: set userinfo to false.')
  }
  const answer = await provider.http.request(provider.metadata.userinfo_endpoint, {
    method: 'GET',
    headers: { accept: 'application/json', authorization: `Bearer ${accessToken}` },
  })
  if (answer.status !== 200) return withoutFurtherClaims(refusalError(answer, 'ERR_OIDC_USERINFO'))
  const userinfo = jsonOf(answer)
  if (userinfo === undefined) throw new ProviderError('ERR_OIDC_USERINFO', 'UserInfo did not answer a JSON object.')
  // OIDC Core 5.3.4: an answer about somebody else must not be used.
  if (userinfo['sub'] === sub) return userinfo
  throw new ProviderError('ERR_OIDC_USERINFO_SUBJECT', 'UserInfo is about another person.')
}

/** RFC 6750 3.1: the token is sound, but good for none of the claims. */
function withoutFurtherClaims(error: ProviderError): undefined {
  if (error.refusal?.error !== 'insufficient_scope') throw error
}
