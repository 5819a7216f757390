import { createHash } from 'node:crypto'
import { buildAuthorizationUrl, randomNonce, randomPKCECodeVerifier, randomState } from 'openid-client'
import type { Config } from '../config/config.ts'
import { partsOf } from '../response-type.ts'
import type { Transaction } from '../types.ts'
import type { Provider } from './provider.ts'

/** Where to send the browser, and what to remember until it comes back. */
export interface AuthorizationRequest {
  readonly url: string
  readonly transaction: Transaction
}

/** What one login wants in particular. */
export interface LoginRequest {
  /** A path of this application, already checked. */
  readonly returnTo: string
  /** Authorization request parameters, already checked, over those of the configuration. */
  readonly authorizationParams: Readonly<Record<string, string>>
}

/**
 * A new authorization request with state, nonce, and PKCE S256 for a code (OIDC Core 3.1.2.1, RFC 7636 4.3). The state is a
 * random handle of letters, digits, `-` and `_`: Okta takes little else.
 */
export function createAuthorizationRequest(
  provider: Provider,
  config: Config,
  { returnTo, authorizationParams }: LoginRequest,
): AuthorizationRequest {
  const params = { ...config.authorizationParams, ...authorizationParams }
  const { responseType, responseMode } = config
  const codeVerifier = randomPKCECodeVerifier()
  const transaction: Transaction = {
    state: randomState(),
    nonce: randomNonce(),
    codeVerifier,
    issuer: config.issuer,
    redirectUri: config.redirectUri,
    returnTo,
    ...(responseType === 'code' ? {} : { responseType }),
    ...(params['max_age'] === undefined ? {} : { maxAge: Number(params['max_age']) }),
    startedAt: Math.floor(Date.now() / 1000),
  }
  const url = buildAuthorizationUrl(provider.client, {
    ...params,
    response_type: responseType,
    ...(responseMode === 'query' ? {} : { response_mode: responseMode }),
    redirect_uri: transaction.redirectUri,
    scope: config.scope,
    state: transaction.state,
    nonce: transaction.nonce,
    ...(partsOf(responseType).code ? codeChallengeOf(codeVerifier) : {}),
  })
  return { url: url.href, transaction }
}

/** RFC 7636 4.2. openid-client's own goes over another thread (WebCrypto), which costs fifty times the hash. */
function codeChallengeOf(codeVerifier: string): Readonly<Record<string, string>> {
  const codeChallenge = createHash('sha256').update(codeVerifier).digest('base64url')
  return { code_challenge: codeChallenge, code_challenge_method: 'S256' }
}
