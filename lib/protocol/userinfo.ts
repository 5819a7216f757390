import { OidcError, ProviderError } from '../errors.ts'
import { tokenErrors } from '../jose/compact-token.ts'
import { type JsonObject, parseJsonObject } from '../jose/json.ts'
import { decryptToken } from '../jose/jwe.ts'
import { type SignatureExpectations, verifyJws } from '../jose/jws.ts'
import type { Config } from '../options/config.ts'
import { isIssuedBy } from '../options/issuer.ts'
import { endpointOf } from '../provider/client-authentication.ts'
import { errorFromResponse } from '../provider/error-response.ts'
import { jsonBody, type ProviderResponse } from '../provider/http-transport.ts'
import type { KeyStore } from '../provider/keys.ts'
import type { Provider } from '../provider/provider.ts'
import { requestResource } from '../provider/requests.ts'
import { registeredAlgorithmsFor } from '../provider/token-algorithms.ts'
import type { AccessToken, IdTokenClaims, TokenRecord } from '../types.ts'
import { resolveClaimsSources, SECURING_CLAIMS } from './claims-sources.ts'
import type { RedeemedTokens } from './redeem-response.ts'

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
  if (answer.status !== 200) return withoutFurtherClaims(errorFromResponse(answer, 'ERR_OIDC_USERINFO'))
  const userinfo = await readUserInfoAnswer(provider, answer)
  // OIDC Core 5.3.4: an answer about somebody else must not be used.
  if (userinfo['sub'] === sub) return await resolveClaimsSources(provider, userinfo)
  throw new ProviderError('ERR_OIDC_USERINFO_SUBJECT', 'UserInfo is about another person.')
}

/** RFC 6750 3.1: the token is sound, but good for none of the claims. */
function withoutFurtherClaims(error: ProviderError): undefined {
  if (error.refusal?.error !== 'insufficient_scope') throw error
}

/** Whether UserInfo was registered to come as a JWT. */
function isUserInfoJwt(config: Pick<Config, 'userinfoSignedResponseAlg' | 'userinfoEncryptedResponseAlg'>): boolean {
  return (config.userinfoSignedResponseAlg ?? config.userinfoEncryptedResponseAlg) !== undefined
}

/**
 * The claims of a UserInfo response (OIDC Core 5.3.2): plain JSON, or as it was registered signed, encrypted, or both, and
 * then in no other form. Throws `ERR_OIDC_USERINFO` and the codes `ERR_OIDC_USERINFO_JWT_...`.
 */
async function readUserInfoAnswer(provider: Provider, answer: ProviderResponse): Promise<JsonObject> {
  if (isUserInfoJwt(provider.config)) return await readJwt(provider, answer)
  const userinfo = jsonBody(answer)
  if (userinfo === undefined) throw new ProviderError('ERR_OIDC_USERINFO', 'UserInfo did not answer a JSON object.')
  return userinfo
}

async function readJwt(provider: Provider, answer: ProviderResponse): Promise<JsonObject> {
  const isJwt = /^application\/jwt *(;|$)/i.test(answer.headers.get('content-type') ?? '')
  if (!isJwt) throw new ProviderError('ERR_OIDC_USERINFO', 'UserInfo did not answer a JWT, as was registered.')
  const token = Buffer.from(answer.body).toString('latin1').trim()
  const expected = await registeredAlgorithmsFor(provider, 'USERINFO_JWT')
  const { userinfoSignedResponseAlg: alg } = provider.config
  const claims = alg === undefined ? await decrypt(token, expected) : await verify(token, provider.keys, expected)
  checkClaims(claims, provider.config)
  return claims
}

async function verify(token: string, keys: KeyStore, expected: SignatureExpectations): Promise<JsonObject> {
  const { claims } = await verifyJws('USERINFO_JWT', token, keys, expected)
  return claims
}

/** Encrypted alone: what is inside is as good as the connection that it came by. */
async function decrypt(token: string, { encryption, clientSecret }: SignatureExpectations): Promise<JsonObject> {
  const fault = tokenErrors('USERINFO_JWT')
  if (encryption === undefined) throw fault('ENCRYPTED', 'is encrypted, which was not asked for.')
  const plaintext = await decryptToken(token, encryption, clientSecret, fault)
  const claims = parseJsonObject(Buffer.from(plaintext, 'latin1'))
  if (claims === undefined) throw fault('MALFORMED', 'has claims that are not a JSON object.')
  return claims
}

/** OIDC Core 5.3.2, RFC 7519 4.1: issuer and audience should be there, an end need not. What is there must be right. */
function checkClaims(claims: JsonObject, { issuer, clientId, clockTolerance }: Config): void {
  const { iss, aud, exp } = claims
  if (iss !== undefined && !isIssuedBy(issuer, claims)) throw fault('ISSUER', 'is of another issuer.')
  if (aud !== undefined && ![aud].flat().includes(clientId)) throw fault('AUDIENCE', 'is for another client.')
  const isOver = exp !== undefined && !(typeof exp === 'number' && Date.now() / 1000 < exp + clockTolerance)
  if (isOver) throw new ProviderError('ERR_OIDC_USERINFO', 'UserInfo is a JWT that has expired.')
}

function fault(name: 'ISSUER' | 'AUDIENCE', message: string): OidcError {
  return new OidcError(`ERR_OIDC_USERINFO_JWT_${name}`, `The UserInfo response ${message}`)
}
