import type { Config } from '../config/config.ts'
import { OidcError } from '../errors.ts'
import { carriageOf } from '../response-type.ts'
import type { IdTokenClaims, TokenRecord, Transaction } from '../types.ts'
import type { AuthorizationResponse } from './authorization-response.ts'
import { type IdTokenExpectations, verifyIdToken } from './id-token.ts'
import type { Provider } from './provider.ts'
import { checkSameLogin } from './same-login.ts'
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
 * code (OIDC Core 3.2.2.8, 3.3.2.8). Throws the codes of ID Tokens and what {@link requestTokens} does.
 */
export async function redeemResponse(
  provider: Provider,
  config: Config,
  response: AuthorizationResponse,
  transaction: Transaction,
): Promise<RedeemedTokens> {
  const expected = expectationsOf(config, response, transaction)
  if (response.code === undefined) return takeFrontChannel(provider, config, response, expected)
  const inFront = response.idToken === undefined ? undefined : await verifyInFront(provider, response.idToken, expected)
  return redeemCode(provider, config, response.code, transaction, expected, inFront)
}

async function takeFrontChannel(
  provider: Provider,
  config: Config,
  response: AuthorizationResponse,
  expected: IdTokenExpectations,
): Promise<RedeemedTokens> {
  const { idToken, accessToken, expiresIn } = response
  const claims = await verifyInFront(provider, idToken, expected)
  // A scope in an answer that nobody has signed is the browser's word for it.
  const { isJwt } = carriageOf(config.responseMode, config.responseType)
  const scope = isJwt ? response.scope : undefined
  return { claims, scope, tokens: tokenRecord({ idToken: String(idToken), accessToken, expiresIn }, now()) }
}

function expectationsOf(
  config: Config,
  response: AuthorizationResponse,
  transaction: Transaction,
): IdTokenExpectations {
  return {
    issuer: transaction.issuer,
    clientId: config.clientId,
    clientSecret: config.clientSecret,
    alg: config.idTokenSignedResponseAlg,
    clockTolerance: config.clockTolerance,
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
  idToken: string | undefined,
  expected: IdTokenExpectations,
): Promise<IdTokenClaims> {
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

async function redeemCode(
  provider: Provider,
  config: Config,
  code: string,
  transaction: Transaction,
  expected: IdTokenExpectations,
  inFront: IdTokenClaims | undefined,
): Promise<RedeemedTokens> {
  const askedAt = now()
  const response = await requestTokens(provider, config, {
    grant_type: 'authorization_code',
    code,
    // The redirect URI that was sent: it is never rebuilt from the request's host.
    redirect_uri: transaction.redirectUri,
    code_verifier: transaction.codeVerifier,
  })
  const { id_token: idToken, access_token: accessToken, refresh_token: refreshToken, expires_in: expiresIn } = response
  const claims = await verifyIdToken(idToken, provider.keys, { ...expected, accessToken })
  if (inFront !== undefined) checkSameLogin(inFront, claims)
  return {
    claims: { ...inFront, ...claims },
    scope: response.scope,
    tokens: tokenRecord({ idToken: String(idToken), accessToken, refreshToken, expiresIn }, askedAt),
  }
}

interface Tokens {
  readonly idToken: string
  readonly accessToken?: string | undefined
  readonly refreshToken?: string | undefined
  readonly expiresIn?: number | undefined
}

function tokenRecord({ idToken, accessToken, refreshToken, expiresIn }: Tokens, askedAt: number): TokenRecord {
  return {
    idToken,
    ...(accessToken === undefined ? {} : { accessToken, tokenType: 'Bearer' }),
    ...(refreshToken === undefined ? {} : { refreshToken }),
    ...(expiresIn === undefined ? {} : { expiresAt: askedAt + expiresIn }),
  }
}

function now(): number {
  return Math.floor(Date.now() / 1000)
}
