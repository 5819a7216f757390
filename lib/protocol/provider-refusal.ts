import { ClientError, ResponseBodyError, WWWAuthenticateChallengeError } from 'openid-client'
import { type ErrorCode, OidcError, ProviderError, type ProviderRefusal } from '../errors.ts'
import { statusError } from './provider-status.ts'

/** Which code a failed request gets: when the provider refused it, and when its answer could not be used. */
export interface RequestCodes {
  readonly refused: ErrorCode
  readonly invalid: ErrorCode
}

/** Grants that the person can mend by starting again: the code was used, is too old, or never was. */
const STALE_GRANTS: readonly string[] = ['invalid_grant', 'invalid_code']

/** Turns what openid-client throws into an error of ours. Nothing the provider sent gets into its message. */
export async function providerError(error: unknown, codes: RequestCodes): Promise<OidcError> {
  const ours = oursWithin(error)
  if (ours !== undefined) return ours
  const response = responseWithin(error)
  if (response === undefined) {
    return new ProviderError(
      codes.invalid,
      `The provider answered what the standards do not allow: ${reasonOf(error)}.`,
    )
  }
  if (response.status === 429 || response.status >= 500) return statusError(response)
  const refusal = await refusalWithin(error, response)
  return new ProviderError(codes.refused, `The provider refused the request with status ${response.status}.`, {
    refusal,
    ...(STALE_GRANTS.includes(refusal?.error ?? '') ? { status: 400 } : {}),
  })
}

/**
 * openid-client's words for the fault, which name members but no values. Its errors themselves hold the whole answer,
 * tokens included, deep in `cause`: they must not get where errors are logged.
 */
function reasonOf(error: unknown): string {
  if (!(error instanceof ClientError)) return 'it cannot be used'
  return error.cause instanceof Error ? error.cause.message : error.message
}

/** What our own HTTP client threw, which openid-client wraps. */
function oursWithin(error: unknown): OidcError | undefined {
  if (error instanceof OidcError) return error
  return error instanceof ClientError && error.cause instanceof OidcError ? error.cause : undefined
}

function responseWithin(error: unknown): Response | undefined {
  if (error instanceof ResponseBodyError || error instanceof WWWAuthenticateChallengeError) return error.response
  if (!(error instanceof ClientError) || error.code !== 'OAUTH_RESPONSE_IS_NOT_CONFORM') return undefined
  return error.cause instanceof Response ? error.cause : undefined
}

async function refusalWithin(error: unknown, response: Response): Promise<ProviderRefusal | undefined> {
  if (error instanceof ResponseBodyError) return refusalOf(error)
  // With a WWW-Authenticate header openid-client does not read the body, where OAuth's own error is (RFC 6749 5.2).
  const body: unknown = response.bodyUsed ? undefined : await response.json().catch(() => undefined)
  const inBody = refusalOf(body)
  if (inBody !== undefined || !(error instanceof WWWAuthenticateChallengeError)) return inBody
  return refusalOf(error.cause[0]?.parameters)
}

function refusalOf(source: unknown): ProviderRefusal | undefined {
  if (typeof source !== 'object' || source === null || !('error' in source)) return undefined
  const text = (name: string): string | undefined => {
    const value: unknown = Reflect.get(source, name)
    return typeof value === 'string' ? value : undefined
  }
  const error = text('error')
  return error === undefined
    ? undefined
    : { error, errorDescription: text('error_description'), errorUri: text('error_uri') }
}
