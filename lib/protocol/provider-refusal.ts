import { type ErrorCode, ProviderError, type ProviderRefusal } from '../errors.ts'
import { type HttpAnswer, jsonOf } from './http-answer.ts'
import { statusError } from './provider-status.ts'

/** Grants that the person can mend by starting again: the code was used, is too old, or never was. */
const STALE_GRANTS: readonly string[] = ['invalid_grant', 'invalid_code']

/**
 * The error for a request that the provider refused. `429` and `5xx` say nothing of the request itself; everything else
 * gets `code`, with what the provider said beside it, never in the message.
 */
export function refusalError(answer: HttpAnswer, code: ErrorCode): ProviderError {
  if (answer.status === 429 || answer.status >= 500) return statusError(answer)
  const refusal = refusalInBody(answer) ?? refusalInChallenge(answer.headers)
  const isStale = STALE_GRANTS.includes(refusal?.error ?? '')
  return new ProviderError(code, `The provider refused the request with status ${answer.status}.`, {
    refusal,
    ...(isStale ? { status: 400 } : {}),
  })
}

/** RFC 6749 5.2. */
function refusalInBody(answer: HttpAnswer): ProviderRefusal | undefined {
  const { error, error_description: description, error_uri: uri } = jsonOf(answer) ?? {}
  if (typeof error !== 'string') return undefined
  return {
    error,
    errorDescription: typeof description === 'string' ? description : undefined,
    errorUri: typeof uri === 'string' ? uri : undefined,
  }
}

/** RFC 6750 3: UserInfo may say it in the header alone. */
function refusalInChallenge(headers: Headers): ProviderRefusal | undefined {
  const challenge = headers.get('www-authenticate') ?? ''
  const parameter = (name: string): string | undefined => {
    return new RegExp(`(?:^|[\\s,])${name}="([^"\\\\]*)"`, 'i').exec(challenge)?.[1]
  }
  const error = parameter('error')
  if (error === undefined) return undefined
  return { error, errorDescription: parameter('error_description'), errorUri: parameter('error_uri') }
}
