import { ProviderError } from '../errors.ts'
import type { JsonObject } from '../jose/json.ts'
import { errorFromResponse } from '../provider/error-response.ts'
import { jsonBody } from '../provider/http-transport.ts'
import type { Provider } from '../provider/provider.ts'
import { type FormParams, postForm } from '../provider/requests.ts'
import type { DpopKey, Json } from '../types.ts'

/** How an access token is shown: by whoever has it, or with a proof of possession (RFC 6749 7.1, RFC 9449 7). */
type TokenType = 'Bearer' | 'DPoP'

/** A token response (RFC 6749 5.1), checked in form. Nothing is known of the ID Token yet, not even that it is text. */
export interface TokenResponse {
  readonly access_token: string
  readonly token_type: TokenType
  readonly refresh_token?: string
  readonly scope?: string
  /** In seconds. */
  readonly expires_in?: number
  readonly id_token?: unknown
}

/** The longest life of an access token that is believed, in seconds: some three hundred years. */
const LONGEST_LIFE = 1e10

/** RFC 6749 7.1: the name may be written in any case. */
const TOKEN_TYPES: ReadonlyMap<string, TokenType> = new Map([
  ['bearer', 'Bearer'],
  ['dpop', 'DPoP'],
])

/** What each member must be. One that is not here is nobody's concern. */
const MEMBERS: readonly (readonly [name: string, holds: (value: Json | undefined) => boolean])[] = [
  ['access_token', isText],
  ['token_type', (value) => tokenTypeOf(value) !== undefined],
  ['refresh_token', (value) => value === undefined || isText(value)],
  ['scope', (value) => value === undefined || typeof value === 'string'],
  ['expires_in', (value) => value === undefined || secondsOf(value) !== undefined],
]

/**
 * Asks the token endpoint. Never sent twice, but for a proof of possession that lacked the server's nonce: a code is good
 * for one use. Throws `ERR_OIDC_TOKEN_REQUEST` where the provider refuses, and `ERR_OIDC_TOKEN_RESPONSE` where its answer is
 * none, or its token is of a type that was not asked for.
 */
export async function requestTokens(
  provider: Provider,
  grant: FormParams,
  { dpopKey }: { readonly dpopKey?: DpopKey | undefined } = {},
): Promise<TokenResponse> {
  const answer = await postForm(provider, 'token_endpoint', grant, { dpopKey })
  if (answer.status !== 200) throw errorFromResponse(answer, 'ERR_OIDC_TOKEN_REQUEST')
  const response = checkResponse(jsonBody(answer))
  checkBinding(response.token_type, provider.config.dpopBoundAccessTokens, dpopKey)
  return response
}

function checkResponse(json: JsonObject | undefined): TokenResponse {
  if (json === undefined) throw invalid('is not a JSON object')
  const fault = MEMBERS.find(([name, holds]) => !holds(Object.hasOwn(json, name) ? json[name] : undefined))
  if (fault !== undefined) throw invalid(`has no usable ${fault[0]}`)
  const { expires_in: given, token_type: type, ...response } = json
  const expiresIn = secondsOf(given)
  return {
    ...(response as unknown as TokenResponse),
    token_type: tokenTypeOf(type) ?? 'Bearer',
    ...(expiresIn === undefined ? {} : { expires_in: expiresIn }),
  }
}

/** RFC 9449 5: whoever asked for a bound token must not be content with one that a thief can use. */
function checkBinding(type: TokenType, mustBeBound: boolean, dpopKey: DpopKey | undefined): void {
  if (type === 'Bearer' && mustBeBound) throw invalid('has a bearer token, where dpopBoundAccessTokens demands DPoP')
  if (type === 'DPoP' && dpopKey === undefined) throw invalid('has a token that is bound to a key, unasked')
}

function tokenTypeOf(value: Json | undefined): TokenType | undefined {
  return typeof value === 'string' ? TOKEN_TYPES.get(value.toLowerCase()) : undefined
}

/** RFC 6749 A.12 and A.17, without the space: printable ASCII, and so nothing that a header cannot carry. */
function isText(value: Json | undefined): value is string {
  return typeof value === 'string' && /^[\x21-\x7e]+$/.test(value)
}

/** Some providers send the number as text. */
function secondsOf(value: Json | undefined): number | undefined {
  const seconds = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
  return typeof seconds === 'number' && seconds >= 0 && seconds <= LONGEST_LIFE ? seconds : undefined
}

function invalid(fault: string): ProviderError {
  return new ProviderError('ERR_OIDC_TOKEN_RESPONSE', `The token response ${fault}.`)
}
