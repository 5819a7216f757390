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

/** The tokens of a login, as a refresh leaves them. */
export interface RefreshableTokens extends TokenRecord {
  /**
   * True if the refresh token came with an ID Token that has not passed its checks. The next response must then have an ID
   * Token: otherwise a response for another user would be refused once, and its successor accepted (OIDC Core 12.2).
   */
  readonly needsIdToken?: boolean
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
 * provider refuses the refresh token, `ERR_OIDC_INTERACTION_REQUIRED` if it wants the user first, and the codes of ID Tokens.
 *
 * @param keep Called with the tokens of the login and their new refresh token, before the rest of the response is checked.
 */
export async function refreshTokens(
  provider: Provider,
  login: Pick<Login, 'claims'>,
  tokens: RefreshableTokens,
  { scope, resource }: RefreshRequest = {},
  keep: (tokens: RefreshableTokens) => Promise<void> = async () => undefined,
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
  const keepRefreshToken = async (successor: string, hasIdToken: boolean): Promise<void> => {
    if (successor === refreshToken) return
    await keep({ ...tokens, refreshToken: successor, ...(hasIdToken ? { needsIdToken: true } : {}) })
  }
  const response = await requestTokens(provider, grant, { dpopKey, keepRefreshToken }).catch(refuse)
  const idToken = await verifyRefreshed(provider, verify, login, tokens, response)
  return { response, idToken, requestedAt }
}

/** Loads first what verifies the response: the refresh token is lost if it is spent for a response that we cannot verify. */
async function prepareVerification(provider: Provider): Promise<VerifyToken> {
  const { idTokenSignedResponseAlg: alg } = provider.config
  if (!usesClientSecret(alg)) await provider.keys.keysFor({ alg })
  return await createTokenVerifier(provider, 'ID_TOKEN')
}

/** Errors of OIDC Core 3.1.2.6. Entra ID answers a refresh with them if a policy demands that the user is there. */
const INTERACTION_ERRORS: readonly string[] = [
  ...['interaction_required', 'login_required', 'consent_required', 'account_selection_required'],
]

/**
 * Names the two refusals that only a new login solves. RFC 6749 5.2: `invalid_grant` alone means that the refresh token is not
 * valid any more, and so the login has ended.
 */
function refuse(error: unknown): never {
  if (!(error instanceof ProviderError)) throw error
  const { providerStatus, refusal, errorId, requestId } = error
  const options = { cause: error, providerStatus, refusal, errorId, requestId }
  if (refusal?.error === 'invalid_grant') {
    const message =
      'The provider refused the refresh token (invalid_grant): it has expired or was revoked. Log in again.'
    throw new ProviderError('ERR_OIDC_REFRESH_REFUSED', message, options)
  }
  const interaction = INTERACTION_ERRORS.find((name) => name === refusal?.error)
  if (interaction === undefined) throw error
  const message = `The provider refreshes no token until the user has been there (${interaction}). Log in again.`
  throw new ProviderError('ERR_OIDC_INTERACTION_REQUIRED', message, options)
}

/** OIDC Core 12.2: verified as at login. It must be of the same user; if it has a nonce, that of the login. */
async function verifyRefreshed(
  { config: { clientId, clockTolerance, trustedAudiences, profile } }: Provider,
  verify: VerifyToken,
  { claims: { iss, sub } }: Pick<Login, 'claims'>,
  { nonce, needsIdToken }: RefreshableTokens,
  { id_token: idToken, access_token: accessToken }: TokenResponse,
): Promise<VerifiedIdToken | undefined> {
  if (idToken === undefined && needsIdToken !== true) return undefined
  if (idToken === undefined) {
    throw new OidcError(
      'ERR_OIDC_ID_TOKEN_MISSING',
      'The refresh response has no ID Token, but the one before was refused because of its ID Token. Log in again.',
    )
  }
  const hasSingleAudience = profile === 'ipsie-sl1'
  const audiences = { clientId, trustedAudiences, hasSingleAudience }
  const expected = { issuer: iss, ...audiences, clockTolerance, nonce, accessToken, isRefreshed: true }
  const verified = await verifyIdToken(verify, idToken, expected)
  if (verified.claims.sub === sub) return verified
  throw new OidcError('ERR_OIDC_ID_TOKEN_SUBJECT', 'The refreshed ID Token is for another user: its sub has changed.')
}
