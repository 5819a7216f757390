import type { Config } from '../config/config.ts'
import { ProviderError } from '../errors.ts'
import type { Json } from '../types.ts'
import { authenticateClient } from './client-auth.ts'
import { jsonOf } from './http-answer.ts'
import type { JsonObject } from './json-object.ts'
import type { Provider } from './provider.ts'
import { refusalError } from './provider-refusal.ts'

/** A token response (RFC 6749 5.1), checked in form. Nothing is known of the ID Token yet, not even that it is text. */
export interface TokenResponse {
  readonly access_token: string
  readonly refresh_token?: string
  readonly scope?: string
  /** In seconds. */
  readonly expires_in?: number
  readonly id_token?: unknown
}

/** The longest life of an access token that is believed, in seconds: some three hundred years. */
const LONGEST_LIFE = 1e10

/** What each member must be. One that is not here is nobody's concern. */
const MEMBERS: readonly (readonly [name: string, holds: (value: Json | undefined) => boolean])[] = [
  ['access_token', isText],
  // Sender-constrained tokens are another type, and would be of no use here (RFC 6749 7.1).
  ['token_type', (value) => typeof value === 'string' && value.toLowerCase() === 'bearer'],
  ['refresh_token', (value) => value === undefined || isText(value)],
  ['scope', (value) => value === undefined || typeof value === 'string'],
  ['expires_in', (value) => value === undefined || secondsOf(value) !== undefined],
]

/**
 * Asks the token endpoint. Never sent twice: a code is good for one use. Throws `ERR_OIDC_TOKEN_REQUEST` where the
 * provider refuses, and `ERR_OIDC_TOKEN_RESPONSE` where its answer is none.
 */
export async function requestTokens(
  provider: Provider,
  config: Config,
  grant: Readonly<Record<string, string>>,
): Promise<TokenResponse> {
  const { headers, params } = authenticateClient(config)
  const answer = await provider.http.request(provider.metadata.token_endpoint, {
    method: 'POST',
    headers: { ...headers, accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ ...grant, ...params }).toString(),
  })
  if (answer.status !== 200) throw refusalError(answer, 'ERR_OIDC_TOKEN_REQUEST')
  return checkResponse(jsonOf(answer))
}

function checkResponse(json: JsonObject | undefined): TokenResponse {
  if (json === undefined) throw invalid('is not a JSON object')
  const fault = MEMBERS.find(([name, holds]) => !holds(Object.hasOwn(json, name) ? json[name] : undefined))
  if (fault !== undefined) throw invalid(`has no usable ${fault[0]}`)
  const { expires_in: given, ...response } = json
  const expiresIn = secondsOf(given)
  return { ...(response as unknown as TokenResponse), ...(expiresIn === undefined ? {} : { expires_in: expiresIn }) }
}

function isText(value: Json | undefined): value is string {
  return typeof value === 'string' && value !== ''
}

/** Some providers send the number as text. */
function secondsOf(value: Json | undefined): number | undefined {
  const seconds = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
  return typeof seconds === 'number' && seconds >= 0 && seconds <= LONGEST_LIFE ? seconds : undefined
}

function invalid(fault: string): ProviderError {
  return new ProviderError('ERR_OIDC_TOKEN_RESPONSE', `The token response ${fault}.`)
}
