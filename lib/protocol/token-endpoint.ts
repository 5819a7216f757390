import { isAuthorizationDetails } from '../claims.ts'
import { ProviderError, shown } from '../errors.ts'
import { type JsonObject, presentMembers } from '../jose/json.ts'
import { traced } from '../operations.ts'
import type { Config } from '../options/config.ts'
import { endpointOf } from '../provider/client-authentication.ts'
import { errorFromResponse } from '../provider/error-response.ts'
import { untypedJsonBody } from '../provider/http-transport.ts'
import { type FormParams, type PostingClient, postForm } from '../provider/requests.ts'
import type { AuthorizationDetail, DpopKey, Json } from '../types.ts'

/** `Bearer`: anyone who has the token can use it. `DPoP`: only with a proof of possession (RFC 6749 7.1, RFC 9449 7). */
type TokenType = 'Bearer' | 'DPoP'

/** A token response (RFC 6749 5.1) in valid form. Its ID Token is not verified and may not even be text. */
export interface TokenResponse {
  /** Absent only if the option `allowMissingAccessToken` allows it. */
  readonly access_token?: string
  readonly token_type: TokenType
  readonly refresh_token?: string
  readonly scope?: string
  /** RFC 9396 7. */
  readonly authorization_details?: readonly AuthorizationDetail[]
  /** In seconds. */
  readonly expires_in?: number
  readonly id_token?: unknown
}

/** The longest accepted lifetime of an access token, in seconds: about three hundred years. */
const MAX_LIFETIME = 1e10

/** RFC 6749 7.1: the name is case-insensitive. Some providers write the second one. */
const TOKEN_TYPES: ReadonlyMap<string, TokenType> = new Map([
  ['bearer', 'Bearer'],
  ['bearertoken', 'Bearer'],
  ['dpop', 'DPoP'],
])

/** What each member must be if it is present. Other members are kept for the application. */
const MEMBERS: readonly (readonly [name: string, isValid: (value: Json | undefined) => boolean])[] = [
  ['access_token', isAccessToken],
  ['token_type', (value) => tokenTypeOf(value) !== undefined],
  ['refresh_token', (value) => value === undefined || isRefreshToken(value)],
  ['scope', (value) => value === undefined || scopeOf(value) !== undefined],
  ['authorization_details', (value) => value === undefined || isAuthorizationDetails(value)],
  ['expires_in', (value) => value === undefined || secondsOf(value) !== undefined],
]

const KNOWN_MEMBERS: ReadonlySet<string> = new Set([...MEMBERS.map(([name]) => name), 'id_token'])

/** The members of a response that the library does not use (RFC 6749 5.1), such as the `patient` of SMART on FHIR. */
export function otherMembersOf(response: TokenResponse): JsonObject {
  return Object.fromEntries(Object.entries(response).filter(([name]) => !KNOWN_MEMBERS.has(name)))
}

interface TokenRequestOptions {
  readonly dpopKey?: DpopKey | undefined
  /**
   * Called with the refresh token of a response before anything else in it is checked: the one that was sent may be spent.
   *
   * @param hasIdToken True if the response has an ID Token too.
   */
  readonly keepRefreshToken?: ((refreshToken: string, hasIdToken: boolean) => Promise<void>) | undefined
  /** For a token exchange: the type that the response must name (RFC 8693 2.2.1). */
  readonly issuedTokenType?: string | undefined
}

/** The types of tokens (RFC 8693 3, and the identity assertion of draft-ietf-oauth-identity-assertion-authz-grant). */
export const TOKEN_TYPE_URNS = {
  accessToken: 'urn:ietf:params:oauth:token-type:access_token',
  idToken: 'urn:ietf:params:oauth:token-type:id_token',
  refreshToken: 'urn:ietf:params:oauth:token-type:refresh_token',
  identityAssertion: 'urn:ietf:params:oauth:token-type:id-jag',
} as const

/** What {@link requestTokens} needs of a provider. */
export type TokenRequestingClient = PostingClient & { readonly config: TokenResponseConfig }

type TokenResponseConfig = Pick<
  Config,
  'name' | 'allowMissingAccessToken' | 'assumeBearerTokenType' | 'dpopBoundAccessTokens' | 'tokenEndpointAuthMethod'
>

/**
 * Sends a token request. It is never repeated, because a code is accepted only once; the exception is a DPoP proof that
 * lacked the server's nonce. Throws `ERR_OIDC_TOKEN_REQUEST` if the provider refuses, and `ERR_OIDC_TOKEN_RESPONSE` if the
 * response is invalid or its access token has another type than requested.
 */
export async function requestTokens(
  provider: TokenRequestingClient,
  grant: FormParams,
  { dpopKey, keepRefreshToken, issuedTokenType }: TokenRequestOptions = {},
): Promise<TokenResponse> {
  const { config } = provider
  const response = await traced(
    'express-oidc:token-request',
    () => ({ provider: config.name, grantType: String(grant['grant_type']) }),
    () => postForm(provider, 'token_endpoint', grant, { dpopKey }),
  )
  const members = presentTokenMembers(untypedJsonBody(response))
  if (!isSuccess(response.status) || isErrorBody(members)) {
    const url = endpointOf(provider, 'token_endpoint')
    throw errorFromResponse(response, 'ERR_OIDC_TOKEN_REQUEST', { url, config })
  }
  const { refresh_token: refreshToken, id_token: idToken } = members ?? {}
  if (isRefreshToken(refreshToken)) await keepRefreshToken?.(refreshToken, idToken !== undefined)
  const issued = issuedTokenType === undefined ? members : checkIssuedType(members, issuedTokenType)
  const tokens = checkResponse(issued, response.headers.get('content-type'), config)
  checkBinding(tokens.token_type, config.dpopBoundAccessTokens, dpopKey)
  return tokens
}

/**
 * RFC 8693 2.2.1: `issued_token_type` is required, and a token of another type than requested must not be used as if it were
 * that. `token_type` is `N_A` for a token that is no access token: it must not be sent to an API.
 */
function checkIssuedType(members: JsonObject | undefined, expected: string): JsonObject | undefined {
  if (members === undefined) return members
  const { issued_token_type: issued, token_type: type } = members
  if (issued !== expected) {
    throw invalidResponse(`has the issued_token_type ${shown(issued)}, but '${expected}' was requested`)
  }
  if (expected === TOKEN_TYPE_URNS.accessToken) return members
  if (typeof type === 'string' && type.toLowerCase() === 'n_a') return { ...members, token_type: 'Bearer' }
  throw invalidResponse("has no token_type 'N_A', which a token that is no access token must have")
}

/** Some providers send 201. From 204 on, a successful response has no body, or a part of one. */
function isSuccess(status: number): boolean {
  return status >= 200 && status < 204
}

/** An empty scope is a value, too: it says that nothing was granted. */
function presentTokenMembers(json: JsonObject | undefined): JsonObject | undefined {
  return json && { ...presentMembers(json), ...(json['scope'] === '' ? { scope: '' } : {}) }
}

/** Some providers send an error (RFC 6749 5.2) with status 200. A response that has tokens too is judged by its tokens. */
function isErrorBody(members: JsonObject | undefined): boolean {
  return typeof members?.['error'] === 'string' && !Object.hasOwn(members, 'access_token')
}

function checkResponse(
  given: JsonObject | undefined,
  contentType: string | null,
  config: TokenResponseConfig,
): TokenResponse {
  if (given === undefined) {
    throw invalidResponse(
      `is not a JSON object with a JSON content type (content-type: ${shown(contentType)}). RFC 6749 5.1 requires ` +
        'application/json: correct it at the provider or its proxy, or set the option fetch to a function that does',
    )
  }
  const lacksToken = config.allowMissingAccessToken && !Object.hasOwn(given, 'access_token')
  const members = config.assumeBearerTokenType || lacksToken ? { token_type: 'Bearer', ...given } : given
  const required = MEMBERS.filter(([name]) => !(lacksToken && name === 'access_token'))
  const invalid = required.find(([name, isValid]) => !isValid(Object.hasOwn(members, name) ? members[name] : undefined))
  if (invalid !== undefined) throw invalidResponse(`has no valid ${invalid[0]}`)
  const { token_type: type, scope: granted, expires_in: lifetime, ...others } = members
  const [scope, expiresIn] = [scopeOf(granted), secondsOf(lifetime)]
  return {
    ...(others as unknown as TokenResponse),
    token_type: tokenTypeOf(type) ?? 'Bearer',
    ...(scope === undefined ? {} : { scope }),
    ...(expiresIn === undefined ? {} : { expires_in: expiresIn }),
  }
}

/** The granted scopes, separated by spaces. Some providers send a list (Twitch). */
function scopeOf(value: Json | undefined): string | undefined {
  if (typeof value === 'string') return value
  const isList =
    Array.isArray(value) && value.every((scope) => typeof scope === 'string' && /^[\x21-\x7e]+$/.test(scope))
  return isList ? value.join(' ') : undefined
}

/** RFC 9449 5: a client that requested a bound token must not accept one that a thief can use. */
function checkBinding(type: TokenType, mustBeBound: boolean, dpopKey: DpopKey | undefined): void {
  if (type === 'Bearer' && mustBeBound) {
    throw invalidResponse("has the token_type 'Bearer', but dpopBoundAccessTokens requires 'DPoP'")
  }
  if (type === 'DPoP' && dpopKey === undefined) {
    throw invalidResponse("has the token_type 'DPoP', which was not requested. Set dpopBoundAccessTokens to true")
  }
}

function tokenTypeOf(value: Json | undefined): TokenType | undefined {
  return typeof value === 'string' ? TOKEN_TYPES.get(value.toLowerCase()) : undefined
}

/** RFC 6749 A.12: printable ASCII, with spaces inside. A header cannot carry them at the ends (RFC 9110 5.5). */
function isAccessToken(value: Json | undefined): boolean {
  return typeof value === 'string' && /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value)
}

/** RFC 6749 A.17: printable ASCII with the space. */
function isRefreshToken(value: Json | undefined): value is string {
  return typeof value === 'string' && /^[\x20-\x7e]+$/.test(value)
}

/** Some providers send the number as text. */
function secondsOf(value: Json | undefined): number | undefined {
  const seconds = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
  return typeof seconds === 'number' && seconds >= 0 && seconds <= MAX_LIFETIME ? seconds : undefined
}

function invalidResponse(problem: string): ProviderError {
  return new ProviderError('ERR_OIDC_TOKEN_RESPONSE', `The response of the token_endpoint ${problem}.`)
}
