import type { ProviderRefusal } from '../errors.ts'
import type { JsonObject } from '../json-object.ts'
import { type HttpAnswer, jsonOf } from './http-answer.ts'

/** What the provider says in an answer that refuses. */
export interface ErrorResponse {
  readonly refusal: ProviderRefusal | undefined
  /** The provider's name for this very failure (Okta). */
  readonly errorId: string | undefined
  /** The provider's name for this very request (Okta). */
  readonly requestId: string | undefined
}

/** An answer of which perhaps only the head is known. */
export type Refused = Pick<HttpAnswer, 'status' | 'headers'> & Partial<Pick<HttpAnswer, 'body'>>

/** Both names are for log lines and support tickets: nothing gets in there that could be anything else. */
const SUPPORT_ID = /^[\w.@-]{1,64}$/
/** Of Okta's own APIs. */
const OKTA_ERROR_CODE = /^E\d{7}$/

/**
 * Reads an error response: OAuth's (RFC 6749 5.2), Okta's (`errorCode`, `errorSummary`, `errorId`), or a challenge in the
 * header alone (RFC 6750 3). What is not in one of these forms is left out, and nothing of it is interpreted.
 */
export function readErrorResponse({ status, headers, body }: Refused): ErrorResponse {
  const json = body === undefined ? {} : (jsonOf({ status, headers, body }) ?? {})
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
