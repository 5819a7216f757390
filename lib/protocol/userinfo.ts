import type { IdTokenClaims } from '../claims.ts'
import { OidcError, ProviderError } from '../errors.ts'
import { refusalError } from '../http-client/provider-refusal.ts'
import type { JsonObject } from '../json-object.ts'
import type { AccessToken, TokenRecord } from '../types.ts'
import { resolveClaimsSources } from './claims-sources.ts'
import { endpointOf } from './client-auth.ts'
import type { Provider } from './provider.ts'
import { requestResource } from './resource-request.ts'
import { SECURING_CLAIMS } from './securing-claims.ts'
import type { RedeemedTokens } from './tokens.ts'
import { isUserInfoJwt, readUserInfoAnswer } from './userinfo-response.ts'

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
 * secure the login never come from elsewhere. Throws what {@link readUserInfo} does.
 */
export async function completeClaims(provider: Provider, redeemed: RedeemedTokens): Promise<IdTokenClaims> {
  const { claims, tokens } = redeemed
  if (tokens.accessToken === undefined || !isWanted(provider, redeemed)) return claims
  const userinfo = await readUserInfo(provider, tokens, claims.sub)
  const further = Object.entries(userinfo ?? {}).filter(([name]) => !SECURING_CLAIMS.has(name))
  return { ...Object.fromEntries(further), ...claims } as IdTokenClaims
}

function isWanted({ config, metadata }: Provider, { claims, scope = config.scope }: RedeemedTokens): boolean {
  if (config.userinfo !== 'when-needed') return config.userinfo
  if (metadata.userinfo_endpoint === undefined) return false
  return scope.split(' ').some((name) => {
    const expected = Object.hasOwn(CLAIMS_OF_SCOPE, name) ? CLAIMS_OF_SCOPE[name] : undefined
    return expected !== undefined && !expected.some((claim) => Object.hasOwn(claims, claim))
  })
}

/**
 * Asks UserInfo (OIDC Core 5.3) about the person whose login has this `sub`; `undefined` where the provider says that the
 * token is good for no further claims (Okta, for `openid` alone). Throws `ERR_OIDC_USERINFO`, `ERR_OIDC_USERINFO_SUBJECT`
 * and, for what is signed or encrypted, the codes `ERR_OIDC_USERINFO_JWT_...`.
 */
export async function readUserInfo(
  provider: Provider,
  { accessToken, tokenType, dpopKey }: Pick<TokenRecord, 'accessToken' | 'tokenType'> & Pick<AccessToken, 'dpopKey'>,
  sub: string,
): Promise<JsonObject | undefined> {
  if (provider.metadata.userinfo_endpoint === undefined) {
    throw new ProviderError('ERR_OIDC_USERINFO', 'The provider has no UserInfo endpoint: set userinfo to false.')
  }
  if (accessToken === undefined) {
    throw new OidcError('ERR_OIDC_TOKEN_UNAVAILABLE', 'UserInfo needs an access token, and there is none.')
  }
  const answer = await requestResource(provider, endpointOf(provider, 'userinfo_endpoint'), {
    ...{ accessToken, tokenType: tokenType === 'DPoP' ? 'DPoP' : 'Bearer', dpopKey },
    bearerMethod: provider.config.userinfoBearerMethod,
    accept: isUserInfoJwt(provider.config) ? 'application/jwt' : 'application/json',
  })
  if (answer.status !== 200) return withoutFurtherClaims(refusalError(answer, 'ERR_OIDC_USERINFO'))
  const userinfo = await readUserInfoAnswer(provider, answer)
  // OIDC Core 5.3.4: an answer about somebody else must not be used.
  if (userinfo['sub'] === sub) return await resolveClaimsSources(provider, userinfo)
  throw new ProviderError('ERR_OIDC_USERINFO_SUBJECT', 'UserInfo is about another person.')
}

/** RFC 6750 3.1: the token is sound, but good for none of the claims. */
function withoutFurtherClaims(error: ProviderError): undefined {
  if (error.refusal?.error !== 'insufficient_scope') throw error
}
