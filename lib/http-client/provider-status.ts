import { ProviderError } from '../errors.ts'
import { type ErrorResponse, type Refused, readErrorResponse } from './error-response.ts'

/** Okta's "API call exceeded rate limit". */
const RATE_LIMIT = 'E0000047'

/**
 * What to throw when the provider answers with a status that ends the matter. 429, and 503 with a time to come back
 * at, is `ERR_OIDC_PROVIDER_BUSY` with `retryAfter` in seconds; all else is `ERR_OIDC_PROVIDER_STATUS`. The message
 * names the status and the place, and nothing of the answer; what the provider said is beside it.
 *
 * @param place The URL that was asked, without its query.
 */
export function statusError(answer: Refused, place?: string): ProviderError {
  const said = readErrorResponse(answer)
  const retryAfter = readRetryAfter(answer.headers)
  const isBusy = isRateLimit(answer, said) || (answer.status === 503 && retryAfter !== undefined)
  const code = isBusy ? 'ERR_OIDC_PROVIDER_BUSY' : 'ERR_OIDC_PROVIDER_STATUS'
  const message = `${place ?? 'The provider'} answered with status ${answer.status}.`
  return new ProviderError(code, message, { ...said, ...(isBusy ? { retryAfter } : {}) })
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
