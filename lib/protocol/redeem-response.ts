import { isDeepStrictEqual } from 'node:util'
import { OidcError } from '../errors.ts'
import type { Config } from '../options/config.ts'
import { TENANT_PLACEHOLDER } from '../options/issuer.ts'
import { responseDeliveryOf } from '../options/response-type.ts'
import type { Provider } from '../provider/provider.ts'
import { registeredAlgorithmsFor } from '../provider/token-algorithms.ts'
import type { DpopKey, IdTokenClaims, TokenRecord, Transaction } from '../types.ts'
import type { AuthorizationResponse } from './authorization-response.ts'
import { type IdTokenExpectations, type VerifiedIdToken, verifyIdToken } from './id-token.ts'
import { requestTokens } from './token-endpoint.ts'

/** What an answer was worth. The claims are those of verified ID Tokens. */
export interface RedeemedTokens {
  readonly claims: IdTokenClaims
  /** The scopes that the provider says to be granted, separated by spaces; absent where it says nothing. */
  readonly scope: string | undefined
  readonly tokens: TokenRecord
}

/**
 * Redeems an authorization response: verifies the ID Token that came with the browser, then, and only then, redeems the
 * code (OIDC Core 3.2.2.8, 3.3.2.8). Throws the codes of ID Tokens, what {@link requestTokens} does, and
 * `ERR_OIDC_TENANT`.
 */
export async function redeemResponse(
  provider: Provider,
  response: AuthorizationResponse,
  transaction: Transaction,
): Promise<RedeemedTokens> {
  const expected = await idTokenExpectations(provider, response, transaction)
  const { idToken, code } = response
  const frontChannelIdToken =
    idToken === undefined ? undefined : await verifyFrontChannelIdToken(provider, idToken, expected)
  const redeemed =
    code === undefined
      ? acceptFrontChannelTokens(provider, response, frontChannelIdToken)
      : await redeemCode(provider, { ...response, code }, transaction, expected, frontChannelIdToken)
  await checkTenant(provider.config, redeemed.claims)
  return redeemed
}

async function idTokenExpectations(
  provider: Provider,
  response: AuthorizationResponse,
  transaction: Transaction,
): Promise<IdTokenExpectations> {
  const { clientId, clockTolerance } = provider.config
  return {
    ...(await registeredAlgorithmsFor(provider, 'ID_TOKEN')),
    issuer: transaction.issuer,
    clientId,
    clockTolerance,
    nonce: transaction.nonce,
    accessToken: response.accessToken,
    code: response.code,
    state: transaction.state,
    maxAge: transaction.maxAge,
  }
}

/** What the browser brought may have been put there by anybody: it must be bound to all that came along with it. */
async function verifyFrontChannelIdToken(
  provider: Provider,
  idToken: string,
  expected: IdTokenExpectations,
): Promise<VerifiedIdToken> {
  // OIDC Core 3.2.2.9 and 3.3.2.11.
  const hashes = [['at_hash', expected.accessToken] as const, ['c_hash', expected.code] as const]
  const requiredHashes = hashes.filter(([, value]) => value !== undefined).map(([hash]) => hash)
  try {
    return await verifyIdToken(idToken, provider.keys, { ...expected, requiredHashes })
  } catch (error) {
    // It came with the request: the fault is the request's, not the provider's.
    const isAtFault = error instanceof OidcError && error.code.startsWith('ERR_OIDC_ID_TOKEN_')
    throw isAtFault ? new OidcError(error.code, error.message, { status: 400, cause: error }) : error
  }
}

function acceptFrontChannelTokens(
  { config }: Provider,
  { accessToken, expiresIn, scope, sessionState }: AuthorizationResponse,
  frontChannelIdToken: VerifiedIdToken | undefined,
): RedeemedTokens {
  if (frontChannelIdToken === undefined) throw new TypeError('An answer without code and ID Token was taken.')
  const { claims, token } = frontChannelIdToken
  // A scope in an answer that nobody has signed is the browser's word for it.
  const { isJwt } = responseDeliveryOf(config.responseMode, config.responseType)
  return {
    claims,
    scope: isJwt ? scope : undefined,
    tokens: createTokenRecord({
      idToken: token,
      accessToken,
      tokenType: 'Bearer',
      expiresIn,
      sessionState,
      askedAt: now(),
    }),
  }
}

async function redeemCode(
  provider: Provider,
  { code, sessionState }: AuthorizationResponse & { readonly code: string },
  { redirectUri, codeVerifier, dpopKey, nonce }: Transaction,
  expected: IdTokenExpectations,
  frontChannelIdToken: VerifiedIdToken | undefined,
): Promise<RedeemedTokens> {
  const askedAt = now()
  const grant = {
    grant_type: 'authorization_code',
    code,
    // The redirect URI that was sent: it is never rebuilt from the request's host.
    redirect_uri: redirectUri,
    code_verifier: codeVerifier,
  }
  const response = await requestTokens(provider, grant, { dpopKey })
  const { access_token: accessToken, token_type: tokenType } = response
  const { refresh_token: refreshToken, expires_in: expiresIn } = response
  const { claims, token } = await verifyIdToken(response.id_token, provider.keys, { ...expected, accessToken })
  if (frontChannelIdToken !== undefined) checkIdTokensAgree(frontChannelIdToken.claims, claims)
  return {
    claims: { ...frontChannelIdToken?.claims, ...claims },
    scope: response.scope,
    tokens: createTokenRecord({
      ...{ idToken: token, accessToken, tokenType, refreshToken, expiresIn, askedAt },
      nonce,
      sessionState,
      dpopKey: tokenType === 'DPoP' ? dpopKey : undefined,
    }),
  }
}

function now(): number {
  return Math.floor(Date.now() / 1000)
}

/**
 * A provider with many tenants signs for all of them: whoever has an account in any could log in here. So the tenant of a
 * verified ID Token must be one that the application knows. Throws `ERR_OIDC_TENANT`.
 */
async function checkTenant(
  { issuer, tenants }: Pick<Config, 'issuer' | 'tenants'>,
  { tid }: IdTokenClaims,
): Promise<void> {
  if (!issuer.includes(TENANT_PLACEHOLDER)) return
  const isKnown = typeof tid === 'string' && (await isAllowed(tenants, tid))
  if (!isKnown) throw new OidcError('ERR_OIDC_TENANT', 'The person is from a tenant that may not log in here.')
}

/** Only `true` lets in: a function that forgets to return refuses. */
async function isAllowed(tenants: Config['tenants'], tenantId: string): Promise<boolean> {
  return typeof tenants === 'function' ? (await tenants(tenantId)) === true : tenants?.includes(tenantId) === true
}

/**
 * What both ID Tokens of a hybrid answer may say differently: when each was made, what it is bound to, and what Entra ID
 * marks each of its tokens with.
 */
const PER_TOKEN_CLAIMS: ReadonlySet<string> = new Set([
  ...['iat', 'exp', 'nbf', 'jti', 'at_hash', 'c_hash', 's_hash', 'rt_hash'],
  ...['uti', 'aio', 'rh'],
])

/**
 * Both ID Tokens of a hybrid answer are about one person's one login, so what both say must be the same (OIDC Core
 * 3.3.3.6). Throws `ERR_OIDC_ID_TOKENS_DIFFER`.
 */
function checkIdTokensAgree(inFront: IdTokenClaims, atTokenEndpoint: IdTokenClaims): void {
  const differs = Object.keys(inFront)
    .filter((name) => Object.hasOwn(atTokenEndpoint, name) && !PER_TOKEN_CLAIMS.has(name))
    .some((name) => !isDeepStrictEqual(inFront[name], atTokenEndpoint[name]))
  if (differs)
    throw new OidcError('ERR_OIDC_ID_TOKENS_DIFFER', 'The two ID Tokens of the answer contradict each other.')
}

/** What a login or a refresh has brought. */
interface Tokens {
  /** The signed ID Token, verified. */
  readonly idToken: string
  readonly accessToken?: string | undefined
  readonly tokenType: string
  readonly refreshToken?: string | undefined
  /** In seconds. */
  readonly expiresIn?: number | undefined
  readonly dpopKey?: DpopKey | undefined
  readonly nonce?: string | undefined
  readonly sessionState?: string | undefined
  /** When the tokens were asked for, in seconds since 1970: their life counts from then, or they would seem to live on. */
  readonly askedAt: number
}

/** The record of the tokens, without what is not there. */
function createTokenRecord(tokens: Tokens): TokenRecord {
  const { idToken, accessToken, tokenType, refreshToken, expiresIn, dpopKey, nonce, sessionState, askedAt } = tokens
  return {
    idToken,
    ...(accessToken === undefined ? {} : { accessToken, tokenType }),
    ...(refreshToken === undefined ? {} : { refreshToken }),
    ...(expiresIn === undefined ? {} : { expiresAt: askedAt + expiresIn, issuedAt: askedAt }),
    ...(dpopKey === undefined ? {} : { dpopKey }),
    ...(sessionState === undefined ? {} : { sessionState }),
    // Of no use but to a refresh.
    ...(nonce === undefined || refreshToken === undefined ? {} : { nonce }),
  }
}
