import { type ErrorCode, ProviderError, type ProviderRefusal } from '../errors.ts'
import type { JsonObject } from '../jose/json.ts'
import { jsonBody, type ProviderResponse } from './http-transport.ts'

/** What the provider says in an answer that refuses. */
interface ErrorResponse {
  readonly refusal: ProviderRefusal | undefined
  /** The provider's name for this very failure (Okta). */
  readonly errorId: string | undefined
  /** The provider's name for this very request (Okta). */
  readonly requestId: string | undefined
}

/** An answer of which perhaps only the head is known. */
export type Refused = Pick<ProviderResponse, 'status' | 'headers'> & Partial<Pick<ProviderResponse, 'body'>>

/** Both names are for log lines and support tickets: nothing gets in there that could be anything else. */
const SUPPORT_ID = /^[\w.@-]{1,64}$/
/** Of Okta's own APIs. */
const OKTA_ERROR_CODE = /^E\d{7}$/

/**
 * Reads an error response: OAuth's (RFC 6749 5.2), Okta's (`errorCode`, `errorSummary`, `errorId`), or a challenge in the
 * header alone (RFC 6750 3). What is not in one of these forms is left out, and nothing of it is interpreted.
 */
export function readErrorResponse({ status, headers, body }: Refused): ErrorResponse {
  const json = body === undefined ? {} : (jsonBody({ status, headers, body }) ?? {})
  return {
    refusal: refusalOfOAuth(json) ?? refusalOfOkta(json) ?? refusalInChallenge(headers),
    errorId: supportId(json['errorId']),
    requestId: supportId(headers.get('x-okta-request-id')),
  }
}

function refusalOfOAuth({ error, error_description: text, error_uri: uri }: JsonObject): ProviderRefusal | undefined {
  return typeof error === 'string' ? { error, errorDescription: textOf(text), errorUri: textOf(uri) } : undefined
}

function refusalOfOkta({ errorCode, errorSummary }: JsonObject): ProviderRefusal | undefined {
  if (typeof errorCode !== 'string' || !OKTA_ERROR_CODE.test(errorCode)) return undefined
  return { error: errorCode, errorDescription: textOf(errorSummary) }
}

/** UserInfo may say it in the header alone. */
function refusalInChallenge(headers: Headers): ProviderRefusal | undefined {
  const challenge = headers.get('www-authenticate') ?? ''
  const parameter = (name: string): string | undefined => {
    return new RegExp(`(?:^|[\\s,])${name}="([^"\\\\]*)"`, 'i').exec(challenge)?.[1]
  }
  const error = parameter('error')
  if (error === undefined) return undefined
  return { error, errorDescription: parameter('error_description'), errorUri: parameter('error_uri') }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function supportId(value: unknown): string | undefined {
  return typeof value === 'string' && SUPPORT_ID.test(value) ? value : undefined
}

/** Grants that the person can mend by starting again: the code was used, is too old, or never was. */
const RETRYABLE_GRANT_ERRORS: readonly string[] = ['invalid_grant', 'invalid_code']

/**
 * The error for a request that the provider refused. `5xx` and a rate limit say nothing of the request itself; everything
 * else gets `code`, with what the provider said beside it, never in the message.
 */
export function errorFromResponse(answer: ProviderResponse, code: ErrorCode): ProviderError {
  const details = readErrorResponse(answer)
  if (answer.status >= 500 || isRateLimit(answer, details)) return errorFromStatus(answer)
  const canRetryLogin = RETRYABLE_GRANT_ERRORS.includes(details.refusal?.error ?? '')
  return new ProviderError(code, `The provider refused the request with status ${answer.status}.`, {
    ...details,
    ...(canRetryLogin ? { status: 400 } : {}),
  })
}

/** Okta's "API call exceeded rate limit". */
const RATE_LIMIT = 'E0000047'

/**
 * What to throw when the provider answers with a status that ends the matter. 429, and 503 with a time to come back
 * at, is `ERR_OIDC_PROVIDER_BUSY` with `retryAfter` in seconds; all else is `ERR_OIDC_PROVIDER_STATUS`. The message
 * names the status and the place, and nothing of the answer; what the provider said is beside it.
 *
 * @param place The URL that was asked, without its query.
 */
export function errorFromStatus(answer: Refused, place?: string): ProviderError {
  const details = readErrorResponse(answer)
  const retryAfter = readRetryAfter(answer.headers)
  const isBusy = isRateLimit(answer, details) || (answer.status === 503 && retryAfter !== undefined)
  const code = isBusy ? 'ERR_OIDC_PROVIDER_BUSY' : 'ERR_OIDC_PROVIDER_STATUS'
  const message = `${place ?? 'The provider'} answered with status ${answer.status}.`
  return new ProviderError(code, message, { ...details, ...(isBusy ? { retryAfter } : {}) })
}

/** Whether the answer says nothing but that there are too many requests: RFC 6585 4, or Okta's code with 400. */
export function isRateLimit({ status }: Pick<Refused, 'status'>, { refusal }: Pick<ErrorResponse, 'refusal'>): boolean {
  return status === 429 || refusal?.error === RATE_LIMIT
}

/**
 * The seconds to wait, 1 to 3600, from `Retry-After` (RFC 9110 10.2.3: seconds or a date), else from Okta's
 * `X-Rate-Limit-Reset`, which is an instant in epoch seconds. Instants are measured against the answer's own `Date`,
 * since the provider's clock made them.
 */
function readRetryAfter(headers: Headers): number | undefined {
  const wait = fromRetryAfter(headers) ?? fromRateLimitReset(headers)
  return wait === undefined ? undefined : Math.min(Math.max(Math.ceil(wait), 1), 3600)
}

function fromRetryAfter(headers: Headers): number | undefined {
  const value = headers.get('retry-after') ?? ''
  if (/^\d+$/.test(value)) return Number(value)
  const until = parseDate(value)
  return until === undefined ? undefined : until - answeredAt(headers)
}

function fromRateLimitReset(headers: Headers): number | undefined {
  const value = headers.get('x-rate-limit-reset') ?? ''
  return /^\d+$/.test(value) ? Number(value) - answeredAt(headers) : undefined
}

function answeredAt(headers: Headers): number {
  return parseDate(headers.get('date') ?? '') ?? Date.now() / 1000
}

/** An HTTP date in epoch seconds. `Date.parse` alone would take nearly anything for a date. */
function parseDate(value: string): number | undefined {
  const milliseconds = /^[A-Z][a-z]{2}, .+ GMT$/.test(value) ? Date.parse(value) : Number.NaN
  return Number.isNaN(milliseconds) ? undefined : milliseconds / 1000
}

/** One challenge of a server (RFC 9110 11.6.1). All of it is untrusted text. */
interface Challenge {
  /** In small letters. */
  readonly scheme: string
  /** By their names in small letters. Of a repeated one the first counts. */
  readonly params: ReadonlyMap<string, string>
}

/** A token, with `=` and a value behind it or not (RFC 9110 5.6.2, 5.6.4). */
const PART = /([\w!#$%&'*+.^`|~-]+)(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([\w!#$%&'*+.^`|~-]+)))?/g

/** Longer than any challenge: what follows is left aside. */
const MAX_LENGTH = 4096

/** The challenges in the header `WWW-Authenticate`; several may stand in one line. What is no challenge is left aside. */
export function parseChallenges(header: string | null): readonly Challenge[] {
  const challenges: { scheme: string; params: Map<string, string> }[] = []
  for (const [, name = '', quoted, plain] of (header ?? '').slice(0, MAX_LENGTH).matchAll(PART)) {
    const value = quoted?.replace(/\\(.)/g, '$1') ?? plain
    const params = challenges.at(-1)?.params
    if (value === undefined) challenges.push({ scheme: name.toLowerCase(), params: new Map() })
    else if (params?.has(name.toLowerCase()) === false) params.set(name.toLowerCase(), value)
  }
  return challenges
}
