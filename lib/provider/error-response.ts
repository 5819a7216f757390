import { type ErrorCode, ProviderError, type ProviderRefusal } from '../errors.ts'
import { type JsonObject, presentMembers } from '../jose/json.ts'
import type { Config } from '../options/config.ts'
import { nowInSeconds } from '../time/seconds.ts'
import { type ProviderResponse, type ResponseHeaders, untypedJsonBody, withoutQuery } from './http-transport.ts'
import { concealSecrets } from './sent-secrets.ts'

/** Where an error response came from, for messages. */
interface Endpoint {
  readonly url?: string
  /** The options to name in the advice. */
  readonly config?: Pick<Config, 'tokenEndpointAuthMethod'>
}

/** Grant errors that a new login solves: the code was used, has expired or is unknown. */
const RETRYABLE_GRANT_ERRORS: readonly string[] = ['invalid_grant', 'invalid_code']

/**
 * The error for a request that the provider refused. A `5xx` status or a rate limit says nothing about the request, so it
 * gives {@link errorFromStatus}; everything else gives `code`. What the provider said is in `refusal`. The message has only
 * its error code.
 */
export function errorFromResponse(response: ProviderResponse, code: ErrorCode, endpoint: Endpoint = {}): ProviderError {
  const details = readErrorResponse(response)
  if (response.status >= 500 || isRateLimit(response, details)) return errorFromStatus(response, endpoint.url)
  const error = details.refusal?.error ?? ''
  return new ProviderError(code, messageOf(response, details, endpoint), {
    ...details,
    ...(RETRYABLE_GRANT_ERRORS.includes(error) ? { status: 400 } : {}),
  })
}

/**
 * The error for a status that cannot be used. 429, and 503 with a time to retry, give `ERR_OIDC_PROVIDER_BUSY` with
 * `retryAfter` in seconds; every other status gives `ERR_OIDC_PROVIDER_STATUS`.
 */
export function errorFromStatus(response: ErrorHead, url?: string): ProviderError {
  const details = readErrorResponse(response)
  const retryAfter = readRetryAfter(response.headers)
  const isBusy = isRateLimit(response, details) || (response.status === 503 && retryAfter !== undefined)
  const code = isBusy ? 'ERR_OIDC_PROVIDER_BUSY' : 'ERR_OIDC_PROVIDER_STATUS'
  const message = messageOf(response, details, url === undefined ? {} : { url })
  return new ProviderError(code, message, { ...details, ...(isBusy ? { retryAfter } : {}) })
}

/** An error code in a message is harmless only in this form (RFC 6749 5.2 allows nearly any text). */
const ERROR_CODE = /^[A-Za-z][A-Za-z\d_.-]{1,63}$/

function messageOf(
  { status }: ErrorHead,
  { refusal }: ErrorResponse,
  { url = 'The provider', config }: Endpoint,
): string {
  const error = ERROR_CODE.test(refusal?.error ?? '') ? ` ${refusal?.error}` : ''
  const advice = config === undefined ? '' : adviseOnError(refusal?.error, config)
  return `${withoutQuery(url)} answered ${status}${error}.${advice}`
}

/** What to check for the error codes of RFC 6749 5.2 and RFC 6750 3.1. */
function adviseOnError(error: string | undefined, config: Pick<Config, 'tokenEndpointAuthMethod'>): string {
  const method = config.tokenEndpointAuthMethod
  const credential = /jwt$/.test(method) && method !== 'client_secret_jwt' ? 'clientKeys' : 'clientSecret'
  switch (error) {
    case 'invalid_client':
      return ` Check clientId, ${credential} and tokenEndpointAuthMethod ('${method}').`
    case 'invalid_grant':
      return ' The code or refresh token was used before, has expired or was revoked. A new login solves this.'
    case 'invalid_token':
      return ' The access token has expired or was revoked. A new login solves this.'
    case 'invalid_scope':
    case 'insufficient_scope':
      return ' Check the option scope.'
    default:
      return ' Compare the options with the settings of this client at the provider.'
  }
}

/** What the provider says in an error response. */
interface ErrorResponse {
  readonly providerStatus: number
  readonly refusal: ProviderRefusal | undefined
  /** The provider's identifier of this failure (Okta). */
  readonly errorId: string | undefined
  /** The provider's identifier of this request (Okta). */
  readonly requestId: string | undefined
}

/** An error response, of which the body may be unknown. */
export type ErrorHead = Pick<ProviderResponse, 'status' | 'headers'> & Partial<ProviderResponse>

/** Both identifiers go to log lines and support tickets, so anything unusual is left out. */
const SUPPORT_ID = /^[\w.@-]{1,64}$/
/** An error code of Okta's own APIs. */
const OKTA_ERROR_CODE = /^E\d{7}$/

/**
 * Reads an error response: OAuth's form (RFC 6749 5.2), Okta's (`errorCode`, `errorSummary`, `errorId`), or a challenge in
 * `WWW-Authenticate` alone (RFC 6750 3). Anything else is left out, and a secret that we sent is concealed.
 */
export function readErrorResponse({ status, headers, body, sentSecrets }: ErrorHead): ErrorResponse {
  const json = presentMembers((body && untypedJsonBody({ status, headers, body })) ?? {})
  return {
    providerStatus: status,
    refusal: concealed(refusalOfOAuth(json) ?? refusalOfOkta(json) ?? refusalInChallenge(headers), sentSecrets),
    errorId: supportId(json['errorId']),
    requestId: supportId(headers.get('x-okta-request-id')),
  }
}

/** Some providers repeat the request in their error, and errors go to logs. */
function concealed(
  refusal: ProviderRefusal | undefined,
  sentSecrets: ErrorHead['sentSecrets'],
): ProviderRefusal | undefined {
  return refusal && concealRefusal(refusal, sentSecrets?.() ?? [])
}

/** The error of a provider without these secrets. */
export function concealRefusal(refusal: ProviderRefusal, secrets: readonly string[]): ProviderRefusal {
  const conceal = (text: string | undefined): string | undefined => text && concealSecrets(text, secrets)
  const members = Object.entries(refusal).map(([name, text]) => [name, conceal(text)])
  return { ...refusal, ...Object.fromEntries(members) }
}

function refusalOfOAuth({ error, error_description: text, error_uri: uri }: JsonObject): ProviderRefusal | undefined {
  return typeof error === 'string' ? { error, errorDescription: textOf(text), errorUri: textOf(uri) } : undefined
}

function refusalOfOkta({ errorCode, errorSummary }: JsonObject): ProviderRefusal | undefined {
  if (typeof errorCode !== 'string' || !OKTA_ERROR_CODE.test(errorCode)) return undefined
  return { error: errorCode, errorDescription: textOf(errorSummary) }
}

/** UserInfo may report its error in the header alone. */
function refusalInChallenge(headers: ResponseHeaders): ProviderRefusal | undefined {
  const challenges = parseChallenges(headers.get('www-authenticate'))
  const params = challenges.map((challenge) => challenge.params).find((candidate) => candidate.has('error'))
  const error = params?.get('error')
  if (error === undefined) return undefined
  return { error, errorDescription: params?.get('error_description'), errorUri: params?.get('error_uri') }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

export function supportId(value: unknown): string | undefined {
  return typeof value === 'string' && SUPPORT_ID.test(value) ? value : undefined
}

/** Okta's "API call exceeded rate limit". */
const OKTA_RATE_LIMIT = 'E0000047'

/** True if there were too many requests: status 429 (RFC 6585 4), or Okta's error code with status 400. */
export function isRateLimit(
  { status }: Pick<ErrorHead, 'status'>,
  { refusal }: Pick<ErrorResponse, 'refusal'>,
): boolean {
  return status === 429 || refusal?.error === OKTA_RATE_LIMIT
}

/**
 * The seconds to wait, 1 to 3600: from `Retry-After` (RFC 9110 10.2.3: seconds or a date), else from Okta's
 * `X-Rate-Limit-Reset`, which is an instant. Instants are compared with the `Date` of the response, because both are of the
 * provider's clock.
 */
function readRetryAfter(headers: ResponseHeaders): number | undefined {
  const wait = fromRetryAfter(headers) ?? fromRateLimitReset(headers)
  return wait === undefined ? undefined : Math.min(Math.max(Math.ceil(wait), 1), 3600)
}

function fromRetryAfter(headers: ResponseHeaders): number | undefined {
  const value = headers.get('retry-after') ?? ''
  if (/^\d+$/.test(value)) return Number(value)
  const until = parseDate(value)
  return until === undefined ? undefined : until - sentAt(headers)
}

function fromRateLimitReset(headers: ResponseHeaders): number | undefined {
  const value = headers.get('x-rate-limit-reset') ?? ''
  return /^\d+$/.test(value) ? Number(value) - sentAt(headers) : undefined
}

function sentAt(headers: ResponseHeaders): number {
  return parseDate(headers.get('date') ?? '') ?? nowInSeconds()
}

/** An HTTP date in seconds since 1970. `Date.parse` alone would accept nearly anything. */
function parseDate(value: string): number | undefined {
  const milliseconds = /^[A-Z][a-z]{2}, .+ GMT$/.test(value) ? Date.parse(value) : Number.NaN
  return Number.isNaN(milliseconds) ? undefined : milliseconds / 1000
}

/** One challenge of a server (RFC 9110 11.6.1). All of it is untrusted text. */
interface Challenge {
  /** In lower case. */
  readonly scheme: string
  /** By name in lower case. If a name is repeated, the first one counts. */
  readonly params: ReadonlyMap<string, string>
}

/** A token, optionally followed by `=` and a value (RFC 9110 5.6.2, 5.6.4). */
const PART = /([\w!#$%&'*+.^`|~-]+)(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([\w!#$%&'*+.^`|~-]+)))?/g

/** Longer than any challenge. The rest is ignored. */
const MAX_CHALLENGE_LENGTH = 4096

/** Parses `WWW-Authenticate`. One header may hold several challenges. Anything that is not a challenge is ignored. */
export function parseChallenges(header: string | null): readonly Challenge[] {
  const challenges: { scheme: string; params: Map<string, string> }[] = []
  for (const [, name = '', quoted, plain] of (header ?? '').slice(0, MAX_CHALLENGE_LENGTH).matchAll(PART)) {
    const value = quoted?.replace(/\\(.)/g, '$1') ?? plain
    const params = challenges.at(-1)?.params
    if (value === undefined) challenges.push({ scheme: name.toLowerCase(), params: new Map() })
    else if (params?.has(name.toLowerCase()) === false) params.set(name.toLowerCase(), value)
  }
  return challenges
}
