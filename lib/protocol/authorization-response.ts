import { AuthorizationError, OidcError, type ProviderRefusal, shown } from '../errors.ts'
import { nounOf } from '../jose/compact-token.ts'
import { presentMembers } from '../jose/json.ts'
import { isIssuerOrTenant } from '../options/issuer.ts'
import { contentsOf, type ResponseContents } from '../options/response-type.ts'
import { concealRefusal } from '../provider/error-response.ts'
import type { Provider } from '../provider/provider.ts'
import { verifyProviderToken } from '../provider/provider-token.ts'
import { nowInSeconds } from '../time/seconds.ts'
import type { Transaction } from '../types.ts'
import { audienceRule, type ClaimRule, checkClaims, expiryRule, issuerRule, notBeforeRule } from './claim-rules.ts'

/** The parameters of a request to the callback, each at most once. */
export type ResponseParams = ReadonlyMap<string, string>

/** Some providers add many of their own. Each costs memory, so there is a bound. */
const MAX_PARAMETERS = 200
const MAX_STATE_LENGTH = 512

/** Reads an authorization response. Throws `ERR_OIDC_CALLBACK_INVALID` for a repeated parameter (RFC 6749 3.1). */
export function readAuthorizationResponse(fields: URLSearchParams): ResponseParams {
  const params = new Map(fields)
  if (params.size !== [...fields].length || params.size > MAX_PARAMETERS) {
    throw new OidcError(
      'ERR_OIDC_CALLBACK_INVALID',
      `The authorization response repeats a parameter or has more than ${MAX_PARAMETERS} of them.`,
    )
  }
  return params
}

/** What the library itself uses or checks, and secrets. */
const USED_PARAMS: ReadonlySet<string> = new Set([
  ...['state', 'code', 'id_token', 'access_token', 'token_type', 'expires_in', 'session_state', 'response'],
  ...['aud', 'exp', 'nbf', 'iat', 'jti'],
])

/** The parameters of a response that the library does not use, by name. */
export function additionalParams(params: ResponseParams): Readonly<Record<string, string>> {
  return Object.fromEntries([...params].filter(([name]) => !USED_PARAMS.has(name)))
}

/**
 * The `state` of a response. Throws `ERR_OIDC_STATE_MISSING` if it has none: then no login of ours has requested it. Some
 * providers (Cognito) send an error without it, which is the `cause` then: for a log, because anyone could have sent it.
 */
export function stateOf(params: ResponseParams): string {
  const state = params.get('state') ?? ''
  if (state !== '' && state.length <= MAX_STATE_LENGTH) return state
  throw new OidcError(
    'ERR_OIDC_STATE_MISSING',
    'The authorization response has no state, so no login of ours requested it. Log in again.',
    params.has('error') ? { cause: new AuthorizationError(refusalOf(params)) } : {},
  )
}

/** The contents of a response: exactly what its response type promises. */
export interface AuthorizationResponse {
  readonly code?: string | undefined
  readonly idToken?: string | undefined
  readonly accessToken?: string | undefined
  /** The lifetime of the access token, in seconds. */
  readonly expiresIn?: number | undefined
  readonly scope?: string | undefined
  /** The state of the user's session at the provider (OIDC Session Management 2). */
  readonly sessionState?: string | undefined
}

/**
 * Checks a response with the transaction of its `state`. The issuer is checked first, because an error of another provider
 * is not a response to this login (RFC 9207 2.4).
 */
export function checkAuthorizationResponse(
  params: ResponseParams,
  transaction: Transaction,
  provider: Pick<Provider, 'config' | 'metadata'>,
): AuthorizationResponse {
  const expected = contentsOf(transaction.responseType ?? 'code')
  checkIssuer(params, expected, transaction, provider)
  checkError(params, transaction)
  rejectUnexpectedParams(params, expected)
  const { code, accessToken } = { code: textOf(params, 'code'), accessToken: textOf(params, 'access_token') }
  if (expected.code && code === undefined) {
    throw new OidcError(
      'ERR_OIDC_CODE_MISSING',
      'The authorization response has neither code nor error. Check responseType and responseMode.',
    )
  }
  if (expected.token && (accessToken === undefined || params.get('token_type')?.toLowerCase() !== 'bearer')) {
    throw new OidcError(
      'ERR_OIDC_ACCESS_TOKEN_MISSING',
      "The authorization response has no access_token with token_type 'Bearer', but responseType includes 'token'.",
    )
  }
  if (expected.idToken && textOf(params, 'id_token') === undefined) {
    throw new OidcError(
      'ERR_OIDC_ID_TOKEN_MISSING',
      "The authorization response has no id_token, but responseType includes 'id_token'.",
      { status: 400 },
    )
  }
  const expiresIn = Number(/^\d{1,10}$/.exec(params.get('expires_in') ?? '')?.[0] ?? Number.NaN)
  return {
    code,
    accessToken,
    idToken: textOf(params, 'id_token'),
    scope: params.get('scope'),
    // No space: the frame sends it in one message with the client id, separated by a space (OIDC Session Management 3.1).
    sessionState: /^[\x21-\x7e]{1,512}$/.exec(params.get('session_state') ?? '')?.[0],
    expiresIn: Number.isNaN(expiresIn) ? undefined : expiresIn,
  }
}

/** A token that was not requested may have been injected (OIDC Core 3.1.2.7). */
function rejectUnexpectedParams(params: ResponseParams, expected: ResponseContents): void {
  const isUnexpected = (name: string, isExpected: boolean): boolean => params.has(name) && !isExpected
  if (isUnexpected('id_token', expected.idToken) || isUnexpected('access_token', expected.token)) {
    throw new OidcError(
      'ERR_OIDC_RESPONSE_TOKEN',
      'The authorization response has a token that responseType does not request.',
    )
  }
  if (isUnexpected('code', expected.code)) {
    throw new OidcError(
      'ERR_OIDC_CALLBACK_INVALID',
      'The authorization response has a code that responseType does not request.',
    )
  }
}

function textOf(params: ResponseParams, name: string): string | undefined {
  return params.get(name) || undefined
}

function checkIssuer(
  params: ResponseParams,
  expected: ResponseContents,
  transaction: Transaction,
  { config, metadata }: Pick<Provider, 'config' | 'metadata'>,
): void {
  const iss = params.get('iss')
  if (transaction.issuer !== metadata.issuer || (iss !== undefined && !isIssuerOrTenant(transaction.issuer, iss))) {
    throw new OidcError(
      'ERR_OIDC_RESPONSE_ISSUER',
      `The authorization response is not from ${shown(transaction.issuer)} (iss), where the login started. Log in again.`,
    )
  }
  // RFC 9207 4: an ID Token names its issuer, too, and is verified later.
  const namesIssuer = iss !== undefined || (expected.idToken && params.has('id_token') && !params.has('error'))
  // FAPI 2.0 Security Profile 5.3.3.2: always, whatever the metadata says.
  const mustNameIssuer =
    config.profile !== undefined ||
    (metadata['authorization_response_iss_parameter_supported'] === true && !config.dangerouslyAllowMissingIss)
  if (!namesIssuer && mustNameIssuer) {
    throw new OidcError(
      'ERR_OIDC_RESPONSE_ISSUER_MISSING',
      'The authorization response lacks iss, which the metadata of the provider or the option profile requires (RFC 9207 2.4).',
    )
  }
}

/** The provider may repeat its request, and then only what we know is recognized. */
function checkError(params: ResponseParams, { state, nonce }: Transaction): void {
  if (params.has('error')) throw new AuthorizationError(refusalOf(params, [state, nonce]))
}

function refusalOf(params: ResponseParams, secrets: readonly string[] = []): ProviderRefusal {
  const error = params.get('error') ?? ''
  const refusal = { error, errorDescription: params.get('error_description'), errorUri: params.get('error_uri') }
  return concealRefusal(refusal, secrets)
}

/**
 * Reads an authorization response from a signed JWT in the parameter `response` (JARM 2.4). All other parameters are ignored,
 * because they are not signed. Throws `ERR_OIDC_RESPONSE_JWT_…`.
 */
export async function readResponseJwt(provider: Provider, params: ResponseParams): Promise<ResponseParams> {
  const { claims } = await verifyProviderToken(provider, 'RESPONSE_JWT', params.get('response'))
  const { issuer, clientId, clockTolerance } = provider.config
  const context = { issuer, clientId, clockTolerance, now: nowInSeconds() }
  checkClaims(nounOf('RESPONSE_JWT'), claims, RESPONSE_JWT_RULES, context)
  // The claim iss then serves as the parameter iss (RFC 9207).
  return new Map(
    Object.entries(presentMembers(claims)).flatMap(([name, value]) => (isPlain(value) ? [[name, String(value)]] : [])),
  )
}

/** JARM 2.4. The JWT names no tenant, so its issuer must equal the configured one. */
const RESPONSE_JWT_RULES: readonly ClaimRule[] = [
  issuerRule('ERR_OIDC_RESPONSE_JWT_ISSUER', (issuer, { iss }) => iss === issuer),
  audienceRule('ERR_OIDC_RESPONSE_JWT_AUDIENCE'),
  expiryRule('ERR_OIDC_RESPONSE_JWT_EXPIRED'),
  notBeforeRule('ERR_OIDC_RESPONSE_JWT_NOT_BEFORE'),
]

function isPlain(value: unknown): value is string | number {
  return typeof value === 'string' || typeof value === 'number'
}
