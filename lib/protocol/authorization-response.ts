import { AuthorizationError, OidcError } from '../errors.ts'
import type { JsonObject } from '../jose/json.ts'
import { verifyJws } from '../jose/jws.ts'
import type { Config } from '../options/config.ts'
import { isIssuerOrTenant } from '../options/issuer.ts'
import { contentsOf, type ResponseContents } from '../options/response-type.ts'
import type { Provider } from '../provider/provider.ts'
import { registeredAlgorithmsFor } from '../provider/token-algorithms.ts'
import type { Transaction } from '../types.ts'

/** The parameters that came to the callback, each at most once. */
export type ResponseParams = ReadonlyMap<string, string>

const MOST_PARAMETERS = 50
const LONGEST_STATE = 512

/** Reads an authorization response. Throws `ERR_OIDC_CALLBACK_INVALID` for a repeated parameter (RFC 6749 3.1). */
export function readAuthorizationResponse(fields: URLSearchParams): ResponseParams {
  const params = new Map(fields)
  if (params.size !== [...fields].length || params.size > MOST_PARAMETERS) {
    throw new OidcError('ERR_OIDC_CALLBACK_INVALID', 'A parameter of the authorization response came more than once.')
  }
  return params
}

/** The `state` of a response. Throws `ERR_OIDC_STATE_MISSING`: a response without one answers no request of ours. */
export function stateOf(params: ResponseParams): string {
  const state = params.get('state') ?? ''
  if (state !== '' && state.length <= LONGEST_STATE) return state
  throw new OidcError('ERR_OIDC_STATE_MISSING', 'The authorization response has no state: it answers no login of ours.')
}

/** What a response brought: all that its response type promises, and nothing else. */
export interface AuthorizationResponse {
  readonly code?: string | undefined
  readonly idToken?: string | undefined
  readonly accessToken?: string | undefined
  /** The life of the access token, in seconds. */
  readonly expiresIn?: number | undefined
  readonly scope?: string | undefined
  /** The state of the person's session at the provider (OIDC Session Management 2). */
  readonly sessionState?: string | undefined
}

/**
 * Checks a response whose state has found its transaction. The issuer comes first: an error of another provider is no
 * answer to this login (RFC 9207 2.4).
 */
export function checkAuthorizationResponse(
  params: ResponseParams,
  transaction: Transaction,
  provider: Pick<Provider, 'config' | 'metadata'>,
): AuthorizationResponse {
  const expected = contentsOf(transaction.responseType ?? 'code')
  checkIssuer(params, expected, transaction, provider)
  checkError(params)
  rejectUnexpectedParams(params, expected)
  const { code, accessToken } = { code: textOf(params, 'code'), accessToken: textOf(params, 'access_token') }
  if (expected.code && code === undefined) {
    throw new OidcError('ERR_OIDC_CODE_MISSING', 'The authorization response has neither code nor error.')
  }
  if (expected.token && (accessToken === undefined || params.get('token_type')?.toLowerCase() !== 'bearer')) {
    throw new OidcError('ERR_OIDC_ACCESS_TOKEN_MISSING', 'The authorization response has no access token to bear.')
  }
  if (expected.idToken && textOf(params, 'id_token') === undefined) {
    throw new OidcError('ERR_OIDC_ID_TOKEN_MISSING', 'The authorization response has no ID Token.', { status: 400 })
  }
  const expiresIn = Number(/^\d{1,10}$/.exec(params.get('expires_in') ?? '')?.[0] ?? Number.NaN)
  return {
    code,
    accessToken,
    idToken: textOf(params, 'id_token'),
    scope: params.get('scope'),
    // OIDC Session Management 3.1: it is sent in one message with the client id, a space between.
    sessionState: /^[\x21-\x7e]{1,512}$/.exec(params.get('session_state') ?? '')?.[0],
    expiresIn: Number.isNaN(expiresIn) ? undefined : expiresIn,
  }
}

/** Whoever puts a token into an answer that was not to have one hopes that somebody takes it (OIDC Core 3.1.2.7). */
function rejectUnexpectedParams(params: ResponseParams, expected: ResponseContents): void {
  const isUnasked = (name: string, isExpected: boolean): boolean => params.has(name) && !isExpected
  if (isUnasked('id_token', expected.idToken) || isUnasked('access_token', expected.token)) {
    throw new OidcError('ERR_OIDC_RESPONSE_TOKEN', 'The authorization response holds a token that was not asked for.')
  }
  if (isUnasked('code', expected.code)) {
    throw new OidcError('ERR_OIDC_CALLBACK_INVALID', 'The authorization response holds a code that was not asked for.')
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
    throw new OidcError('ERR_OIDC_RESPONSE_ISSUER', 'The authorization response is from another issuer (mix-up).')
  }
  // RFC 9207 4: an ID Token says itself whose it is, and will be verified.
  const namesIssuer = iss !== undefined || (expected.idToken && params.has('id_token') && !params.has('error'))
  // FAPI 2.0 Security Profile 5.3.3.2: whatever the provider announces.
  const mustNameIssuer =
    config.profile !== undefined || metadata['authorization_response_iss_parameter_supported'] === true
  if (!namesIssuer && mustNameIssuer) {
    throw new OidcError(
      'ERR_OIDC_RESPONSE_ISSUER_MISSING',
      'The authorization response lacks iss, although the provider announces it or the profile demands it (RFC 9207 2.4).',
    )
  }
}

function checkError(params: ResponseParams): void {
  const error = params.get('error')
  if (error === undefined) return
  throw new AuthorizationError({
    error,
    errorDescription: params.get('error_description'),
    errorUri: params.get('error_uri'),
  })
}

/**
 * Reads an authorization response that came as one signed JWT, in the parameter `response` (JARM 2.4). Whatever came
 * beside it is nobody's word. Throws the codes `ERR_OIDC_RESPONSE_JWT_...`.
 */
export async function readResponseJwt(provider: Provider, params: ResponseParams): Promise<ResponseParams> {
  const expected = await registeredAlgorithmsFor(provider, 'RESPONSE_JWT')
  const { claims } = await verifyJws('RESPONSE_JWT', params.get('response'), provider.keys, expected)
  checkClaims(claims, provider.config)
  // What the issuer says of itself in the JWT has been compared: as a parameter it is RFC 9207's.
  return new Map(Object.entries(claims).flatMap(([name, value]) => (isPlain(value) ? [[name, String(value)]] : [])))
}

function checkClaims({ iss, aud, exp }: JsonObject, { issuer, clientId, clockTolerance }: Config): void {
  if (iss !== issuer) throw fault('ISSUER', 'is of another issuer.')
  if (![aud].flat().includes(clientId)) throw fault('AUDIENCE', 'is for another client.')
  const isFresh = typeof exp === 'number' && exp < 8.64e12 && Date.now() / 1000 < exp + clockTolerance
  if (!isFresh) throw fault('EXPIRED', 'has expired, or does not say when it does. Are the clocks right?')
}

function isPlain(value: unknown): value is string | number {
  return typeof value === 'string' || typeof value === 'number'
}

function fault(name: 'ISSUER' | 'AUDIENCE' | 'EXPIRED', message: string): OidcError {
  return new OidcError(`ERR_OIDC_RESPONSE_JWT_${name}`, `The authorization response ${message}`)
}
