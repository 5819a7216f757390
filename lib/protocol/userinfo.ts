import { OidcError, ProviderError, shown } from '../errors.ts'
import { publishError } from '../events.ts'
import { nounOf } from '../jose/compact-token.ts'
import { type JsonObject, presentMembers } from '../jose/json.ts'
import type { Config } from '../options/config.ts'
import { endpointOf } from '../provider/client-authentication.ts'
import { errorFromResponse } from '../provider/error-response.ts'
import { jsonBody, type ProviderResponse, withoutQuery } from '../provider/http-transport.ts'
import type { Provider } from '../provider/provider.ts'
import { verifyProviderToken } from '../provider/provider-token.ts'
import { requestResource } from '../provider/requests.ts'
import { nowInSeconds } from '../time/seconds.ts'
import { loadOnce } from '../time/single-flight.ts'
import type { AccessToken, IdTokenClaims, TokenRecord } from '../types.ts'
import {
  audienceRule,
  type ClaimRule,
  checkClaims,
  expiryRule,
  ifPresent,
  issuerRule,
  notBeforeRule,
  SECURITY_CLAIMS,
} from './claim-rules.ts'
import type { RedeemedTokens } from './redeem-response.ts'
import type { RefreshableTokens } from './refresh-grant.ts'
import { refreshedRecord } from './refreshed-login.ts'
import type { TokenResponse } from './token-endpoint.ts'

/**
 * The claims of each scope (OIDC Core 5.4), and `groups` as several providers have it. If the ID Token has none of them,
 * UserInfo may have them.
 */
const CLAIMS_OF_SCOPE: Readonly<Record<string, readonly string[]>> = {
  profile: ['name', 'given_name', 'family_name', 'nickname', 'preferred_username', 'picture', 'profile'],
  email: ['email'],
  address: ['address'],
  phone: ['phone_number'],
  groups: ['groups'],
}

/** The claims of a login: those of both sources together, and those of UserInfo alone. */
export interface CompletedClaims {
  readonly claims: IdTokenClaims
  /** As the endpoint answered. `undefined` if it was not requested, or has no further claims. */
  readonly userinfo: JsonObject | undefined
  /** The tokens of the login, after the refresh if there was one. */
  readonly tokens: TokenRecord
  /** The response to that refresh. */
  readonly refreshed: TokenResponse | undefined
}

/**
 * The claims of a login, with those of UserInfo if the option `userinfo` requests them. A claim of the ID Token wins over
 * one of UserInfo; claims that secure the login never come from UserInfo. If UserInfo refuses the access token, it is
 * refreshed once. Throws what {@link readUserInfo} throws, and the codes of a refreshed ID Token. With `'when-needed'`,
 * UserInfo only fills in, so a login continues without it: an event says why. It still fails if UserInfo is about another
 * user, or a JWT that is not signed and encrypted as registered.
 */
export async function completeClaims(provider: Provider, redeemed: RedeemedTokens): Promise<CompletedClaims> {
  const { claims } = redeemed
  const latest: Latest = { tokens: redeemed.tokens, refreshed: undefined }
  if (latest.tokens.accessToken === undefined || !needsUserInfo(provider, redeemed))
    return { ...latest, claims, userinfo: undefined }
  const request = readAtLogin(provider, claims, latest)
  const userinfo = await (provider.config.userinfo === 'when-needed' ? request.catch(continueWithout) : request)
  const additional = Object.entries(userinfo ?? {}).filter(([name]) => !SECURITY_CLAIMS.has(name))
  return { ...latest, claims: { ...Object.fromEntries(additional), ...claims } as IdTokenClaims, userinfo }
}

/** What a refresh replaces, also if the request after it fails: the first refresh token may be spent. */
interface Latest {
  tokens: RefreshableTokens
  refreshed: TokenResponse | undefined
}

/** RFC 6750 3.1: a client may request a new access token and retry. It retries once. */
async function readAtLogin(provider: Provider, claims: IdTokenClaims, latest: Latest): Promise<JsonObject | undefined> {
  const read = (): Promise<JsonObject | undefined> => readUserInfo(provider, latest.tokens, claims.sub)
  try {
    return await read()
  } catch (error) {
    if (!isTokenRejected(error) || latest.tokens.refreshToken === undefined) throw error
    await refreshAtLogin(provider, claims, latest).catch((reason: unknown) => {
      throw isRefreshUnavailable(reason) ? error : reason
    })
    return await read()
  }
}

async function refreshAtLogin(provider: Provider, claims: IdTokenClaims, latest: Latest): Promise<void> {
  const { refreshTokens } = await loadRefreshGrant()
  const refreshed = await refreshTokens(provider, { claims }, latest.tokens, {}, async (tokens) => {
    latest.tokens = tokens
  })
  const { needsIdToken: _isProven, ...proven } = latest.tokens
  latest.tokens = refreshedRecord(proven, refreshed)
  latest.refreshed = refreshed.response
}

const loadRefreshGrant = loadOnce(() => import('./refresh-grant.ts'))

/** True if UserInfo refuses the access token (RFC 6750 3.1), and not its DPoP proof: only then can a new token help. */
export function isTokenRejected(error: unknown): boolean {
  if (!(error instanceof ProviderError) || error.code !== 'ERR_OIDC_USERINFO') return false
  return error.providerStatus === 401 && [undefined, 'invalid_token'].includes(error.refusal?.error)
}

/** Without a new token, what UserInfo answered counts. Any other failure, such as an ID Token for another user, ends the login. */
function isRefreshUnavailable(error: unknown): boolean {
  if (!(error instanceof ProviderError)) return false
  return error.code.startsWith('ERR_OIDC_PROVIDER_') || REFRESH_UNAVAILABLE.has(error.code)
}

const REFRESH_UNAVAILABLE: ReadonlySet<string> = new Set([
  ...['ERR_OIDC_TOKEN_REQUEST', 'ERR_OIDC_TOKEN_RESPONSE'],
  ...['ERR_OIDC_REFRESH_REFUSED', 'ERR_OIDC_INTERACTION_REQUIRED'],
])

function continueWithout(error: unknown): undefined {
  const isUnavailable =
    error instanceof ProviderError &&
    (error.code === 'ERR_OIDC_USERINFO' || error.code.startsWith('ERR_OIDC_PROVIDER_'))
  if (!isUnavailable) throw error
  publishError(error)
}

function needsUserInfo({ config, metadata }: Provider, { claims, scope = config.scope }: RedeemedTokens): boolean {
  if (config.userinfo !== 'when-needed') return config.userinfo
  if (metadata.userinfo_endpoint === undefined) return false
  return scope.split(' ').some((name) => {
    const expected = Object.hasOwn(CLAIMS_OF_SCOPE, name) ? CLAIMS_OF_SCOPE[name] : undefined
    return expected !== undefined && !expected.some((claim) => Object.hasOwn(claims, claim))
  })
}

/**
 * Fetches UserInfo (OIDC Core 5.3) for the user with this `sub`. Returns `undefined` if the provider says that the access
 * token gives no further claims (Okta, for `openid` alone). Throws `ERR_OIDC_USERINFO`, `ERR_OIDC_USERINFO_SUBJECT` and, for
 * a signed or encrypted response, `ERR_OIDC_USERINFO_JWT_…`.
 */
export async function readUserInfo(
  provider: Provider,
  { accessToken, tokenType, dpopKey }: Pick<TokenRecord, 'accessToken' | 'tokenType'> & Pick<AccessToken, 'dpopKey'>,
  sub: string,
): Promise<JsonObject | undefined> {
  const { config, metadata } = provider
  if (metadata.userinfo_endpoint === undefined) {
    throw new ProviderError(
      'ERR_OIDC_USERINFO',
      `The metadata of ${config.issuer} has no userinfo_endpoint: set userinfo to false.`,
    )
  }
  if (accessToken === undefined) {
    throw new OidcError('ERR_OIDC_TOKEN_UNAVAILABLE', 'UserInfo needs an access token, but the login has none.')
  }
  const url = endpointOf(provider, 'userinfo_endpoint')
  const response = await requestResource(provider, url, {
    ...{ accessToken, tokenType: tokenType === 'DPoP' ? 'DPoP' : 'Bearer', dpopKey },
    bearerMethod: config.userinfoBearerMethod,
    accept: isUserInfoJwt(config) ? 'application/jwt' : 'application/json',
  })
  if (response.status !== 200)
    return withoutFurtherClaims(errorFromResponse(response, 'ERR_OIDC_USERINFO', { url, config }))
  const userinfo = await readClaims(provider, response, url)
  // OIDC Core 5.3.4: a response about another user must not be used.
  if (userinfo['sub'] !== sub) {
    const message = `${withoutQuery(url)} answered for another user: its sub differs from that of the ID Token.`
    throw new ProviderError('ERR_OIDC_USERINFO_SUBJECT', message)
  }
  // A claims source may hold access tokens, so the application never gets it.
  const { _claim_sources: _, ...claims } = userinfo
  if (config.claimsProviders.length === 0) return Object.freeze(claims)
  const { resolveClaimsSources } = await loadClaimsSources()
  return await resolveClaimsSources(provider, userinfo)
}

const loadClaimsSources = loadOnce(() => import('./claims-sources.ts'))

/** RFC 6750 3.1: the access token is valid, but gives none of the claims. */
function withoutFurtherClaims(error: ProviderError): undefined {
  if (error.refusal?.error !== 'insufficient_scope') throw error
}

/** True if UserInfo is registered to be a JWT. */
function isUserInfoJwt(config: Pick<Config, 'userinfoSignedResponseAlg' | 'userinfoEncryptedResponseAlg'>): boolean {
  return (config.userinfoSignedResponseAlg ?? config.userinfoEncryptedResponseAlg) !== undefined
}

/**
 * The claims of a UserInfo response (OIDC Core 5.3.2), without those that are null or empty: plain JSON, or as registered signed, encrypted or both, and then in no
 * other form.
 */
async function readClaims(provider: Provider, response: ProviderResponse, url: string): Promise<JsonObject> {
  const contentType = response.headers.get('content-type')
  if (!isUserInfoJwt(provider.config)) {
    const userinfo = jsonBody(response)
    if (userinfo !== undefined) return presentMembers(userinfo)
    throw unexpectedForm(url, `a JSON object (content-type: ${shown(contentType)})`)
  }
  if (!/^application\/jwt *(;|$)/i.test(contentType ?? '')) {
    const options = 'userinfoSignedResponseAlg and userinfoEncryptedResponseAlg'
    throw unexpectedForm(url, `a JWT (content-type: ${shown(contentType)}). Check ${options}`)
  }
  const token = Buffer.from(response.body).toString('latin1').trim()
  const { claims } = await verifyProviderToken(provider, 'USERINFO_JWT', token)
  checkJwtClaims(claims, provider.config)
  return presentMembers(claims)
}

function unexpectedForm(url: string, expected: string): ProviderError {
  return new ProviderError('ERR_OIDC_USERINFO', `${withoutQuery(url)} did not answer with ${expected}.`)
}

/** OIDC Core 5.3.2, RFC 7519 4.1: issuer and audience are recommended, exp and nbf are optional. If present, they must be right. */
const JWT_RULES: readonly ClaimRule[] = [
  ifPresent('iss', issuerRule('ERR_OIDC_USERINFO_JWT_ISSUER')),
  ifPresent('aud', audienceRule('ERR_OIDC_USERINFO_JWT_AUDIENCE')),
]
const TIME_RULES: readonly ClaimRule[] = [
  ifPresent('exp', expiryRule('ERR_OIDC_USERINFO')),
  notBeforeRule('ERR_OIDC_USERINFO'),
]

function checkJwtClaims(claims: JsonObject, { issuer, clientId, clockTolerance }: Config): void {
  const noun = nounOf('USERINFO_JWT')
  const context = { issuer, clientId, clockTolerance, now: nowInSeconds() }
  checkClaims(noun, claims, JWT_RULES, context)
  for (const { code, findProblem } of TIME_RULES) {
    const problem = findProblem(claims, context)
    if (problem !== undefined) throw new ProviderError(code, `The ${noun} ${problem.details ?? problem.message}`)
  }
}
