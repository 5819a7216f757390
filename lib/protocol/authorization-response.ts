import { AuthorizationError, OidcError } from '../errors.ts'
import type { ProviderMetadata } from '../options.ts'
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

/**
 * Checks a response, whose state has found its transaction, and returns its code. The issuer comes first: an error of
 * another provider is no answer to this login (RFC 9207 2.4).
 */
export function checkAuthorizationResponse(
  params: ResponseParams,
  transaction: Transaction,
  metadata: ProviderMetadata,
): string {
  checkIssuer(params.get('iss'), transaction, metadata)
  checkError(params)
  if (params.has('id_token') || params.has('access_token')) {
    throw new OidcError('ERR_OIDC_RESPONSE_TOKEN', 'The authorization response holds a token that was not asked for.')
  }
  const code = params.get('code') ?? ''
  if (code === '')
    throw new OidcError('ERR_OIDC_CODE_MISSING', 'The authorization response has neither code nor error.')
  return code
}

function checkIssuer(iss: string | undefined, transaction: Transaction, metadata: ProviderMetadata): void {
  if (transaction.issuer !== metadata.issuer || (iss !== undefined && iss !== transaction.issuer)) {
    throw new OidcError('ERR_OIDC_RESPONSE_ISSUER', 'The authorization response is from another issuer (mix-up).')
  }
  if (iss === undefined && metadata['authorization_response_iss_parameter_supported'] === true) {
    throw new OidcError(
      'ERR_OIDC_RESPONSE_ISSUER_MISSING',
      'The authorization response lacks iss, although the provider announces it (RFC 9207 2.4).',
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
