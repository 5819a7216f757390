import { OidcError, ProviderError } from '../errors.ts'
import { usesClientSecret } from '../jose/algorithms.ts'
import type { Provider } from '../provider/provider.ts'
import { createTokenVerifier, type VerifyToken } from '../provider/provider-token.ts'
import { nowInSeconds } from '../time/seconds.ts'
import type { Login, TokenRecord } from '../types.ts'
import { type VerifiedIdToken, verifyIdToken } from './id-token.ts'
import { requestTokens, type TokenResponse } from './token-endpoint.ts'

/** What to request. Default: the same as at login. */
interface RefreshRequest {
  /** Fewer scopes than those of the login, separated by spaces. */
  readonly scope?: string | undefined
  /** The API that the access token is for (RFC 8707 2.2). */
  readonly resource?: string | undefined
}

/** The result of a refresh. Its ID Token is verified. */
export interface RefreshedTokens {
  readonly response: TokenResponse
  /** Absent if the provider sent none. Then the previous one stays. */
  readonly idToken: VerifiedIdToken | undefined
  /** Before the request, in seconds since 1970. */
  readonly requestedAt: number
}

/**
 * Uses the refresh token of a login (RFC 6749 6, OIDC Core 12). Sends a scope only if one is requested, because some
 * providers refuse the scope that they granted. Throws what {@link requestTokens} throws, `ERR_OIDC_REFRESH_REFUSED` if the
 * provider refuses the refresh token, and the codes of ID Tokens.
 */
export async function refreshTokens(
  provider: Provider,
  login: Login,
  tokens: TokenRecord,
  { scope, resource }: RefreshRequest = {},
): Promise<RefreshedTokens> {
  const { refreshToken, dpopKey } = tokens
  if (refreshToken === undefined) {
    throw new OidcError(
      'ERR_OIDC_TOKEN_UNAVAILABLE',
      'The login has no refresh token, so its access token cannot be refreshed. Request offline_access, or log in again.',
    )
  }
  const verify = await prepareVerification(provider)
  const requestedAt = Math.floor(nowInSeconds())
  const grant = {
    grant_type: 'refresh_token',
    refresh_token: refreshToken,
    ...(scope === undefined ? {} : { scope }),
    ...(resource === undefined ? {} : { resource }),
  }
  const response = await requestTokens(provider, grant, { dpopKey }).catch(refuse)
  const idToken =
    response.id_token === undefined ? undefined : await verifyRefreshed(provider, verify, login, tokens, response)
  return { response, idToken, requestedAt }
}

/** Loads first what verifies the response: the refresh token is lost if it is spent for a response that we cannot verify. */
async function prepareVerification(provider: Provider): Promise<VerifyToken> {
  const { idTokenSignedResponseAlg: alg } = provider.config
  if (!usesClientSecret(alg)) await provider.keys.keysFor({ alg })
  return await createTokenVerifier(provider, 'ID_TOKEN')
}

/** RFC 6749 5.2: only this error means that the refresh token is not valid any more, and so the login has ended. */
function refuse(error: unknown): never {
  if (!(error instanceof ProviderError) || error.refusal?.error !== 'invalid_grant') throw error
  const { refusal, errorId, requestId } = error
  const message = 'The provider refused the refresh token (invalid_grant): it has expired or was revoked. Log in again.'
  throw new ProviderError('ERR_OIDC_REFRESH_REFUSED', message, {
    cause: error,
    refusal,
    errorId,
    requestId,
  })
}

/** OIDC Core 12.2: verified as at login. It must be of the same user; if it has a nonce, that of the login. */
async function verifyRefreshed(
  { config: { clientId, clockTolerance } }: Provider,
  verify: VerifyToken,
  { claims: { iss, sub } }: Login,
  { nonce }: TokenRecord,
  { id_token: idToken, access_token: accessToken }: TokenResponse,
): Promise<VerifiedIdToken> {
  const expected = { issuer: iss, clientId, clockTolerance, nonce, accessToken, isRefreshed: true }
  const verified = await verifyIdToken(verify, idToken, expected)
  if (verified.claims.sub === sub) return verified
  throw new OidcError('ERR_OIDC_ID_TOKEN_SUBJECT', 'The refreshed ID Token is for another user: its sub has changed.')
}
