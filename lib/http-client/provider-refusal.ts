import type { ErrorCode } from '../error-status.ts'
import { ProviderError } from '../errors.ts'
import { readErrorResponse } from './error-response.ts'
import type { HttpAnswer } from './http-answer.ts'
import { isRateLimit, statusError } from './provider-status.ts'

/** Grants that the person can mend by starting again: the code was used, is too old, or never was. */
const STALE_GRANTS: readonly string[] = ['invalid_grant', 'invalid_code']

/**
 * The error for a request that the provider refused. `5xx` and a rate limit say nothing of the request itself; everything
 * else gets `code`, with what the provider said beside it, never in the message.
 */
export function refusalError(answer: HttpAnswer, code: ErrorCode): ProviderError {
  const said = readErrorResponse(answer)
  if (answer.status >= 500 || isRateLimit(answer, said)) return statusError(answer)
  const isStale = STALE_GRANTS.includes(said.refusal?.error ?? '')
  return new ProviderError(code, `The provider refused the request with status ${answer.status}.`, {
    ...said,
    ...(isStale ? { status: 400 } : {}),
  })
}
