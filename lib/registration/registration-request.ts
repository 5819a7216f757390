import type { ClientInformation, ClientMetadata } from '../client-metadata.ts'
import { isHeaderToken } from '../config/registration-rule.ts'
import { ConfigError, OidcError, type ProviderError } from '../errors.ts'
import type { HttpAnswer } from '../http-client/http-answer.ts'
import { refusalError } from '../http-client/provider-refusal.ts'
import type { RegistrationEndpoint } from './registration-endpoint.ts'

/** One request to the registration endpoint, or to the entry of a client. */
export interface RegistrationRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly url: string
  readonly body?: ClientMetadata
  /** The client that the request is about: its own token goes before the initial one (RFC 7592 2). */
  readonly client?: Pick<ClientInformation, 'registration_access_token'>
}

/** Sends a request with the right to do so. Any status but a redirect is an answer. */
export async function requestRegistration(
  endpoint: RegistrationEndpoint,
  { method, url, body, client }: RegistrationRequest,
): Promise<HttpAnswer> {
  const authorization = await authorizationOf(endpoint, client)
  return await endpoint.http.request(url, {
    method,
    headers: {
      accept: 'application/json',
      ...(authorization === undefined ? {} : { authorization }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      // Okta answers 411 to a POST that does not say that it is empty.
      ...(method === 'POST' && body === undefined ? { 'content-length': '0' } : {}),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

/**
 * The error for a request that was refused (RFC 7591 3.2.2): `ERR_OIDC_REGISTRATION_UNAUTHORIZED` for 401 and 403, which
 * is also what an unknown client gets (OIDC Dynamic Client Registration 4.4), else `ERR_OIDC_REGISTRATION_REFUSED`.
 */
export function registrationRefusal(answer: HttpAnswer): ProviderError {
  const isUnauthorized = answer.status === 401 || answer.status === 403
  return refusalError(answer, isUnauthorized ? 'ERR_OIDC_REGISTRATION_UNAUTHORIZED' : 'ERR_OIDC_REGISTRATION_REFUSED')
}

async function authorizationOf(
  endpoint: RegistrationEndpoint,
  client: RegistrationRequest['client'],
): Promise<string | undefined> {
  const own = client?.registration_access_token
  if (own !== undefined) return `Bearer ${own}`
  const token = await initialTokenOf(endpoint)
  return token === undefined ? undefined : `${endpoint.initialAccessTokenScheme ?? 'Bearer'} ${token}`
}

async function initialTokenOf({ initialAccessToken: given }: RegistrationEndpoint): Promise<string | undefined> {
  const token = typeof given === 'function' ? await callForToken(given) : given
  if (token === undefined || isHeaderToken(token)) return token
  throw new ConfigError(['initialAccessToken must be, or resolve to, printable ASCII without spaces.'])
}

async function callForToken(get: () => string | Promise<string>): Promise<string> {
  try {
    // A foreign function may give anything, so that its absence must not pass for "none is needed".
    return (await get()) ?? ''
  } catch (error) {
    throw new OidcError('ERR_OIDC_CONFIG', 'The function initialAccessToken has failed.', { cause: error })
  }
}
