import { OidcError } from '../errors.ts'
import type { JsonObject } from '../jose/json.ts'
import type { Config } from '../options/config.ts'
import { isAllowedTenant, TENANT_PLACEHOLDER } from '../options/issuer.ts'
import { responseDeliveryOf } from '../options/response-type.ts'
import type { Provider } from '../provider/provider.ts'
import { createTokenVerifier, type VerifyToken } from '../provider/provider-token.ts'
import { nowInSeconds } from '../time/seconds.ts'
import type { AuthorizationDetail, DpopKey, IdTokenClaims, TokenRecord, Transaction } from '../types.ts'
import { usesPkce } from './authorization-request.ts'
import type { AuthorizationResponse } from './authorization-response.ts'
import { checkAccessTokenHash, type IdTokenExpectations, type VerifiedIdToken, verifyIdToken } from './id-token.ts'
import { otherMembersOf, requestTokens } from './token-endpoint.ts'

/** The claims of the verified ID Token, and the tokens of a login. */
export interface RedeemedTokens {
  readonly claims: IdTokenClaims
  /** The granted scopes, separated by spaces. Absent if the provider does not name them. */
  readonly scope: string | undefined
  /** The granted `authorization_details` (RFC 9396 7), of the token response alone. */
  readonly authorizationDetails?: readonly AuthorizationDetail[] | undefined
  readonly tokens: TokenRecord
  /** The members of the token response that the library does not use. Empty without a code. */
  readonly otherMembers: JsonObject
}

/**
 * Redeems an authorization response. First verifies the ID Token that the browser brought, if any; only then redeems the
 * code (OIDC Core 3.2.2.8, 3.3.2.8). Throws the codes of ID Tokens, what {@link requestTokens} throws, and
 * `ERR_OIDC_TENANT`.
 */
export async function redeemResponse(
  provider: Provider,
  response: AuthorizationResponse,
  transaction: Transaction,
): Promise<RedeemedTokens> {
  // Before the code is spent, because it may fail.
  const verify = await createTokenVerifier(provider, 'ID_TOKEN')
  const expected = idTokenExpectations(provider, response, transaction)
  const { idToken, code } = response
  const frontChannelIdToken =
    idToken === undefined ? undefined : await verifyFrontChannelIdToken(verify, idToken, expected)
  const redeemed =
    code === undefined
      ? acceptFrontChannelTokens(provider, response, transaction, frontChannelIdToken)
      : await redeemCode(provider, { ...response, code }, transaction, { verify, expected, frontChannelIdToken })
  await checkTenant(provider.config, redeemed.claims)
  return redeemed
}

function idTokenExpectations(
  { config: { clientId, clockTolerance, trustedAudiences, dangerouslyAllowMissingNonce, profile } }: Provider,
  response: AuthorizationResponse,
  transaction: Transaction,
): IdTokenExpectations {
  return {
    issuer: transaction.issuer,
    clientId,
    clockTolerance,
    trustedAudiences,
    hasSingleAudience: profile === 'ipsie-sl1',
    nonce: transaction.nonce,
    mayLackNonce: dangerouslyAllowMissingNonce,
    accessToken: response.accessToken,
    code: response.code,
    state: transaction.state,
    maxAge: transaction.maxAge,
  }
}

/** Anybody can send a response through a browser, so the ID Token must be bound to everything that came with it. */
async function verifyFrontChannelIdToken(
  verify: VerifyToken,
  idToken: string,
  expected: IdTokenExpectations,
): Promise<VerifiedIdToken> {
  // OIDC Core 3.2.2.9 and 3.3.2.11.
  const hashes = [['at_hash', expected.accessToken] as const, ['c_hash', expected.code] as const]
  const requiredHashes = hashes.filter(([, value]) => value !== undefined).map(([hash]) => hash)
  const checks = { ...expected, requiredHashes, isAccessTokenLater: isAccessTokenLater(expected) }
  // 400: the browser's request is wrong, not the provider.
  return await verifyIdToken(verify, idToken, checks, 400)
}

/** With `code id_token`, only the token response brings an access token. The first ID Token may have its hash already. */
function isAccessTokenLater({ accessToken, code }: IdTokenExpectations): boolean {
  return accessToken === undefined && code !== undefined
}

function acceptFrontChannelTokens(
  { config }: Provider,
  { accessToken, expiresIn, scope, sessionState }: AuthorizationResponse,
  { scope: requestedScope }: Transaction,
  frontChannelIdToken: VerifiedIdToken | undefined,
): RedeemedTokens {
  if (frontChannelIdToken === undefined) throw new TypeError('The response has neither a code nor an ID Token.')
  const { claims, token } = frontChannelIdToken
  // The scope is trusted only in a signed response. The browser can change it in any other.
  const { isJwt } = responseDeliveryOf(config.responseMode, config.responseType)
  return {
    claims,
    scope: isJwt ? scope : undefined,
    otherMembers: {},
    tokens: createTokenRecord({
      idToken: token,
      accessToken,
      tokenType: 'Bearer',
      expiresIn,
      sessionState,
      requestedScope,
      requestedAt: now(),
    }),
  }
}

/** How the ID Token of the token response is checked. */
interface IdTokenChecks {
  readonly verify: VerifyToken
  readonly expected: IdTokenExpectations
  /** The ID Token that the browser brought, if any. Both must be about the same login. */
  readonly frontChannelIdToken: VerifiedIdToken | undefined
}

async function redeemCode(
  provider: Provider,
  { code, sessionState }: AuthorizationResponse & { readonly code: string },
  { redirectUri, codeVerifier, dpopKey, nonce, scope: requestedScope }: Transaction,
  { verify, expected, frontChannelIdToken }: IdTokenChecks,
): Promise<RedeemedTokens> {
  const requestedAt = now()
  const grant = {
    grant_type: 'authorization_code',
    code,
    // As sent in the authorization request. Never built from the Host header of this request.
    redirect_uri: redirectUri,
    ...(usesPkce(provider.config) ? { code_verifier: codeVerifier } : {}),
  }
  const response = await requestTokens(provider, grant, { dpopKey })
  const { access_token: accessToken, token_type: tokenType } = response
  const { refresh_token: refreshToken, expires_in: expiresIn } = response
  const { claims, token } = await verifyIdToken(verify, response.id_token, { ...expected, accessToken })
  if (frontChannelIdToken !== undefined) {
    checkIdTokensAgree(frontChannelIdToken.claims, claims)
    if (isAccessTokenLater(expected)) checkAccessTokenHash(frontChannelIdToken, accessToken, 400)
  }
  return {
    claims: { ...frontChannelIdToken?.claims, ...claims },
    scope: response.scope,
    authorizationDetails: response.authorization_details,
    otherMembers: otherMembersOf(response),
    tokens: createTokenRecord({
      ...{ idToken: token, accessToken, tokenType, refreshToken, expiresIn, requestedAt },
      nonce,
      sessionState,
      requestedScope,
      dpopKey: tokenType === 'DPoP' ? dpopKey : undefined,
    }),
  }
}

function now(): number {
  return Math.floor(nowInSeconds())
}

/**
 * A provider with many tenants signs the tokens of all of them, so a user of any tenant could log in. The tenant of a
 * verified ID Token must be one that the option `tenants` allows. Throws `ERR_OIDC_TENANT`.
 */
async function checkTenant(
  { issuer, tenants }: Pick<Config, 'issuer' | 'tenants'>,
  { tid }: IdTokenClaims,
): Promise<void> {
  if (!issuer.includes(TENANT_PLACEHOLDER)) return
  if (await isAllowedTenant(tenants, tid)) return
  throw new OidcError('ERR_OIDC_TENANT', 'The tenant of the user (claim tid) is not allowed by the option tenants.')
}

/**
 * Both ID Tokens of a hybrid response must be about the same user of the same issuer (OIDC Core 3.3.3.6). Each was compared
 * with the nonce and the client of this login before. Other claims may differ, and those of the token response count: no
 * browser has carried it. Throws `ERR_OIDC_ID_TOKENS_DIFFER`.
 */
function checkIdTokensAgree(frontChannel: IdTokenClaims, tokenEndpoint: IdTokenClaims): void {
  if (frontChannel.iss === tokenEndpoint.iss && frontChannel.sub === tokenEndpoint.sub) return
  throw new OidcError(
    'ERR_OIDC_ID_TOKENS_DIFFER',
    'The ID Token of the token response has another iss or sub than that of the authorization response. ' +
      'Start the login again. If it happens at each login, report it to the provider.',
  )
}

/** The tokens of a login. */
interface Tokens {
  /** The verified signed ID Token. */
  readonly idToken: string
  readonly accessToken?: string | undefined
  readonly tokenType: string
  readonly refreshToken?: string | undefined
  /** In seconds. */
  readonly expiresIn?: number | undefined
  readonly dpopKey?: DpopKey | undefined
  readonly nonce?: string | undefined
  readonly sessionState?: string | undefined
  readonly requestedScope?: string | undefined
  /** Before the token request, in seconds since 1970. The lifetime counts from here, so that it never seems too long. */
  readonly requestedAt: number
}

function createTokenRecord(tokens: Tokens): TokenRecord {
  const { idToken, accessToken, tokenType, refreshToken, expiresIn, dpopKey, nonce, requestedAt } = tokens
  const { sessionState, requestedScope } = tokens
  return {
    idToken,
    ...(accessToken === undefined ? {} : { accessToken, tokenType }),
    ...(refreshToken === undefined ? {} : { refreshToken }),
    ...(expiresIn === undefined ? {} : { expiresAt: requestedAt + expiresIn, issuedAt: requestedAt }),
    ...(dpopKey === undefined ? {} : { dpopKey }),
    ...(sessionState === undefined ? {} : { sessionState }),
    ...(requestedScope === undefined ? {} : { requestedScope }),
    // Only a refresh needs it.
    ...(nonce === undefined || refreshToken === undefined ? {} : { nonce }),
  }
}
