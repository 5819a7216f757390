import { OidcError, ProviderError } from '../errors.ts'
import { isBySecret } from '../jose/algorithms.ts'
import type { Provider } from '../provider/provider.ts'
import { registeredAlgorithmsFor } from '../provider/token-algorithms.ts'
import type { Login, TokenRecord } from '../types.ts'
import { type VerifiedIdToken, verifyIdToken } from './id-token.ts'
import { requestTokens, type TokenResponse } from './token-endpoint.ts'

/** What a refresh asks for in particular: the same as at login where nothing is said. */
interface RefreshRequest {
  /** Fewer scopes than the login has, separated by spaces. */
  readonly scope?: string | undefined
  /** The API that the token is for (RFC 8707 2.2). */
  readonly resource?: string | undefined
}

/** What a refresh has brought. The ID Token in it is verified. */
export interface RefreshedTokens {
  readonly response: TokenResponse
  /** Absent where the provider sent none: then the one from before stays. */
  readonly idToken: VerifiedIdToken | undefined
  /** When it was asked for, in seconds since 1970. */
  readonly askedAt: number
}

/**
 * Spends the refresh token of a login (RFC 6749 6, OIDC Core 12). No scope is sent unless one is asked for: some providers
 * refuse to hear again what they granted. Throws what {@link requestTokens} does, `ERR_OIDC_REFRESH_REFUSED` where the
 * provider says that the login is over, and the codes of ID Tokens.
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
      'There is no refresh token: a new login brings a new access token.',
    )
  }
  await prepare(provider)
  const askedAt = Math.floor(Date.now() / 1000)
  const grant = {
    grant_type: 'refresh_token',
    refresh_token: refreshToken,
    ...(scope === undefined ? {} : { scope }),
    ...(resource === undefined ? {} : { resource }),
  }
  const response = await requestTokens(provider, grant, { dpopKey }).catch(refuse)
  const idToken = response.id_token === undefined ? undefined : await verifyRefreshed(provider, login, tokens, response)
  return { response, idToken, askedAt }
}

/** What verifies the answer has to be there first: a token that was spent for an answer that nobody can judge is lost. */
async function prepare({ config: { idTokenSignedResponseAlg: alg }, keys }: Provider): Promise<void> {
  if (!isBySecret(alg)) await keys.keysFor({ alg })
}

/** RFC 6749 5.2: of all that may go wrong only this says that the refresh token is dead, and the login with it. */
function refuse(error: unknown): never {
  if (!(error instanceof ProviderError) || error.refusal?.error !== 'invalid_grant') throw error
  const { refusal, errorId, requestId } = error
  throw new ProviderError('ERR_OIDC_REFRESH_REFUSED', 'The provider has ended this login.', {
    cause: error,
    refusal,
    errorId,
    requestId,
  })
}

/** OIDC Core 12.2: it is verified as at login, is of the same person, and repeats the nonce of the login if it has one. */
async function verifyRefreshed(
  provider: Provider,
  { claims: { iss, sub } }: Login,
  { nonce }: TokenRecord,
  { id_token: idToken, access_token: accessToken }: TokenResponse,
): Promise<VerifiedIdToken> {
  const { clientId, clockTolerance } = provider.config
  const verified = await verifyIdToken(idToken, provider.keys, {
    ...(await registeredAlgorithmsFor(provider, 'ID_TOKEN')),
    ...{ issuer: iss, clientId, clockTolerance, nonce, accessToken, isRefreshed: true },
  })
  if (verified.claims.sub === sub) return verified
  throw new OidcError('ERR_OIDC_ID_TOKEN_SUBJECT', 'The refreshed ID Token is about another person.')
}
