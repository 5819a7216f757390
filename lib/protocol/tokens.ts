import type { IdTokenClaims } from '../claims.ts'
import { OidcError } from '../errors.ts'
import { carriageOf } from '../response-type.ts'
import type { TokenRecord, Transaction } from '../types.ts'
import type { AuthorizationResponse } from './authorization-response.ts'
import { type IdTokenExpectations, type VerifiedIdToken, verifyIdToken } from './id-token.ts'
import type { Provider } from './provider.ts'
import { checkSameLogin } from './same-login.ts'
import { checkTenant } from './tenant.ts'
import { requestTokens } from './token-endpoint.ts'
import { expectationsOf } from './token-expectations.ts'
import { createTokenRecord } from './token-record.ts'

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
  const inFront = idToken === undefined ? undefined : await verifyInFront(provider, idToken, expected)
  const redeemed =
    code === undefined
      ? takeFrontChannel(provider, response, inFront)
      : await redeemCode(provider, { ...response, code }, transaction, expected, inFront)
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
    ...(await expectationsOf(provider, 'ID_TOKEN')),
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
async function verifyInFront(
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

function takeFrontChannel(
  { config }: Provider,
  { accessToken, expiresIn, scope, sessionState }: AuthorizationResponse,
  inFront: VerifiedIdToken | undefined,
): RedeemedTokens {
  if (inFront === undefined) throw new TypeError('An answer without code and ID Token was taken.')
  const { claims, token } = inFront
  // A scope in an answer that nobody has signed is the browser's word for it.
  const { isJwt } = carriageOf(config.responseMode, config.responseType)
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
  inFront: VerifiedIdToken | undefined,
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
  if (inFront !== undefined) checkSameLogin(inFront.claims, claims)
  return {
    claims: { ...inFront?.claims, ...claims },
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
