import type { Config } from '../config/config.ts'
import type { IdTokenClaims, TokenRecord, Transaction } from '../types.ts'
import { verifyIdToken } from './id-token.ts'
import type { Provider } from './provider.ts'
import { requestTokens, type TokenResponse } from './token-endpoint.ts'

/** What a code was worth. The claims are those of the verified ID Token. */
export interface RedeemedTokens {
  readonly claims: IdTokenClaims
  /** The granted scopes, separated by spaces. */
  readonly scope: string
  readonly tokens: TokenRecord
}

/**
 * Redeems a code at the token endpoint and verifies the ID Token that comes (OIDC Core 3.1.3). Throws what
 * {@link requestTokens} and {@link verifyIdToken} do.
 */
export async function redeemCode(
  provider: Provider,
  config: Config,
  code: string,
  transaction: Transaction,
): Promise<RedeemedTokens> {
  const receivedAt = Math.floor(Date.now() / 1000)
  const response = await requestTokens(provider, config, {
    grant_type: 'authorization_code',
    code,
    // The redirect URI that was sent: it is never rebuilt from the request's host.
    redirect_uri: transaction.redirectUri,
    code_verifier: transaction.codeVerifier,
  })
  const claims = await verifyIdToken(response.id_token, provider.keys, {
    issuer: transaction.issuer,
    clientId: config.clientId,
    clientSecret: config.clientSecret,
    alg: config.idTokenSignedResponseAlg,
    clockTolerance: config.clockTolerance,
    nonce: transaction.nonce,
    accessToken: response.access_token,
    code,
    state: transaction.state,
    maxAge: transaction.maxAge,
  })
  // RFC 6749 5.1: a scope that is left out is the one that was asked for; one that is empty is empty.
  return { claims, scope: response.scope ?? config.scope, tokens: tokenRecord(response, receivedAt) }
}

function tokenRecord(response: TokenResponse, receivedAt: number): TokenRecord {
  return {
    idToken: String(response.id_token),
    accessToken: response.access_token,
    tokenType: 'Bearer',
    ...(response.refresh_token === undefined ? {} : { refreshToken: response.refresh_token }),
    ...(response.expires_in === undefined ? {} : { expiresAt: receivedAt + response.expires_in }),
  }
}
