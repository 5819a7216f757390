import { authorizationCodeGrant } from 'openid-client'
import type { Config } from '../config/config.ts'
import { ProviderError } from '../errors.ts'
import type { IdTokenClaims, TokenRecord, Transaction } from '../types.ts'
import { verifyIdToken } from './id-token.ts'
import { ID_TOKEN_ASIDE } from './oauth-client.ts'
import type { Provider } from './provider.ts'
import { providerError } from './provider-refusal.ts'

/** What a code was worth. The claims are those of the verified ID Token. */
export interface RedeemedTokens {
  readonly claims: IdTokenClaims
  readonly scope: string
  readonly tokens: TokenRecord
}

type TokenResponse = Awaited<ReturnType<typeof authorizationCodeGrant>>

/**
 * Redeems a code at the token endpoint (OIDC Core 3.1.3) and verifies the ID Token that comes. Never retried: a code is
 * good for one use. Throws `ERR_OIDC_TOKEN_REQUEST`, `ERR_OIDC_TOKEN_RESPONSE` and the codes of the ID Token.
 */
export async function redeemCode(
  provider: Provider,
  config: Config,
  code: string,
  transaction: Transaction,
): Promise<RedeemedTokens> {
  const receivedAt = Math.floor(Date.now() / 1000)
  const response = await requestTokens(provider, code, transaction)
  const idToken = response[ID_TOKEN_ASIDE]
  const claims = await verifyIdToken(idToken, provider.keys, {
    issuer: transaction.issuer,
    clientId: config.clientId,
    clientSecret: config.clientSecret,
    alg: config.idTokenSignedResponseAlg,
    clockTolerance: config.clockTolerance,
    nonce: transaction.nonce,
    accessToken: response.access_token,
    maxAge: transaction.maxAge,
  })
  // RFC 6749 5.1: a scope that is left out is the one that was asked for; one that is empty is empty.
  const scope = response.scope ?? config.scope
  return { claims, scope, tokens: tokenRecord(response, String(idToken), receivedAt) }
}

async function requestTokens(provider: Provider, code: string, transaction: Transaction): Promise<TokenResponse> {
  // The redirect URI is the one that was sent: it is never rebuilt from the request's host.
  const url = new URL(transaction.redirectUri)
  url.searchParams.set('code', code)
  url.searchParams.set('state', transaction.state)
  url.searchParams.set('iss', transaction.issuer)
  const checks = { expectedState: transaction.state, pkceCodeVerifier: transaction.codeVerifier }
  try {
    return await authorizationCodeGrant(provider.client, url, checks)
  } catch (error) {
    throw await providerError(error, { refused: 'ERR_OIDC_TOKEN_REQUEST', invalid: 'ERR_OIDC_TOKEN_RESPONSE' })
  }
}

function tokenRecord(response: TokenResponse, idToken: string, receivedAt: number): TokenRecord {
  if (response.token_type !== 'bearer') {
    throw new ProviderError('ERR_OIDC_TOKEN_RESPONSE', 'The access token is of a type that was not asked for.')
  }
  return {
    idToken,
    accessToken: response.access_token,
    tokenType: 'Bearer',
    ...(response.refresh_token === undefined ? {} : { refreshToken: response.refresh_token }),
    ...(response.expires_in === undefined ? {} : { expiresAt: receivedAt + response.expires_in }),
  }
}
