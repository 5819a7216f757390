import { ConfigError, OidcError, ProviderError } from '../errors.ts'
import {
  type ClientInformation,
  type ClientMetadata,
  type InitialAccessToken,
  type InitialAccessTokenScheme,
  isHeaderToken,
  registrationEndpointRule,
} from '../options/registration-options.ts'
import { parseHttpUrl } from '../options/urls.ts'
import { adviseOnDiscovery, discoveryUrl } from '../provider/discovery.ts'
import { errorFromResponse } from '../provider/error-response.ts'
import { createHttpClient, type HttpClient } from '../provider/http-client.ts'
import type { ProviderResponse } from '../provider/http-transport.ts'

/** Where clients are registered, and by what right. */
export interface RegistrationEndpoint {
  readonly http: HttpClient
  /** The `registration_endpoint` of the provider. */
  readonly url: string
  /** The provider itself: the entry of a client may be on its host too. */
  readonly issuer: string | undefined
  readonly initialAccessToken: InitialAccessToken | undefined
  readonly initialAccessTokenScheme: InitialAccessTokenScheme | undefined
}

/** How {@link findRegistrationEndpoint} finds it; one of `issuer` and `registrationEndpoint` is needed. */
export interface RegistrationEndpointOptions {
  /** The issuer identifier, exactly as the provider's metadata has it. */
  issuer?: string
  /** The endpoint itself, where the metadata does not name it or need not be asked. */
  registrationEndpoint?: string
  /** What allows to register, and at Okta also to read, change and delete: the token, or a function that gets it. */
  initialAccessToken?: InitialAccessToken
  /**
   * How that token is sent: `SSWS` is for API tokens of Okta.
   * @default 'Bearer'
   */
  initialAccessTokenScheme?: InitialAccessTokenScheme
  /**
   * The longest that one request may take in all, in seconds.
   * @default 10
   */
  timeout?: number
  /** Used for every request, for example to go through a proxy. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>
  /**
   * Allow plain http. For development only: whoever sits between learns every secret.
   * @default false
   */
  dangerouslyAllowInsecureRequests?: boolean
}

/**
 * Finds where a provider registers clients: by its metadata (OIDC Discovery 3), or as you name it.
 *
 * @throws ConfigError where the options are wrong.
 * @throws ProviderError `ERR_OIDC_REGISTRATION_UNSUPPORTED` where the metadata names no such endpoint,
 *   `ERR_OIDC_DISCOVERY_ISSUER` where it is that of another issuer, `ERR_OIDC_PROVIDER_...` where it cannot be had.
 * @example
 * ```ts
 * import { readFile } from 'node:fs/promises'
 * import { findRegistrationEndpoint, registerClient } from 'express-oidc/registration'
 *
 * const initialAccessToken = async () => (await readFile('/run/secrets/token', 'utf8')).trim()
 * const endpoint = await findRegistrationEndpoint({ issuer, initialAccessToken })
 * const client = await registerClient(endpoint, { client_name: 'Portal', redirect_uris: [`${baseUrl}/callback`] })
 * ```
 */
export async function findRegistrationEndpoint(options: RegistrationEndpointOptions): Promise<RegistrationEndpoint> {
  checkOptions(options)
  const { issuer, registrationEndpoint, initialAccessToken, initialAccessTokenScheme } = options
  const { timeout = 10, fetch, dangerouslyAllowInsecureRequests = false } = options
  const http = createHttpClient({ timeout, fetch, dangerouslyAllowInsecureRequests })
  const url = registrationEndpoint ?? (await discoverEndpoint(http, String(issuer)))
  return { http, url, issuer, initialAccessToken, initialAccessTokenScheme }
}

/**
 * The endpoint that the provider's metadata names.
 *
 * @throws ProviderError `ERR_OIDC_REGISTRATION_UNSUPPORTED` where it names none, `ERR_OIDC_METADATA_INVALID` where that is
 *   no URL.
 */
export function registrationEndpointOf(metadata: Readonly<Record<string, unknown>>): string {
  const url = metadata['registration_endpoint']
  if (url === undefined || url === null) {
    throw new ProviderError(
      'ERR_OIDC_REGISTRATION_UNSUPPORTED',
      "The provider's metadata has no registration_endpoint.",
    )
  }
  if (parseHttpUrl(url) !== undefined) return String(url)
  throw new ProviderError(
    'ERR_OIDC_METADATA_INVALID',
    "The provider's metadata has no https URL for registration_endpoint.",
  )
}

function checkOptions(options: RegistrationEndpointOptions): void {
  const faults = registrationEndpointRule(options, 'options')
  if (faults.length > 0) throw new ConfigError(faults)
  if (options.issuer === undefined && options.registrationEndpoint === undefined) {
    throw new ConfigError(['options.issuer must be given where there is no options.registrationEndpoint.'])
  }
}

async function discoverEndpoint(http: HttpClient, issuer: string): Promise<string> {
  const place = { discovery: 'oidc', discoveryWithClientId: false } as const
  const url = discoveryUrl({ issuer, clientId: '', ...place })
  const { json } = await http.getJson(url).catch(adviseOnDiscovery(place))
  // OIDC Discovery 4.3.
  if (json['issuer'] === issuer) return registrationEndpointOf(json)
  throw new ProviderError(
    'ERR_OIDC_DISCOVERY_ISSUER',
    "The provider's metadata names another issuer than was asked for.",
  )
}

/**
 * Where one client is managed: at the address that the provider gave with it (RFC 7592 2), or, as at Okta, which gives
 * none, below the registration endpoint by its id.
 *
 * @param operation What follows, where there is no address of its own: `lifecycle/newSecret`.
 * @throws ProviderError `ERR_OIDC_REGISTRATION_RESPONSE` where a token would go to a foreign host.
 */
export function entryAddressOf(
  endpoint: RegistrationEndpoint,
  client: Pick<ClientInformation, 'client_id' | 'registration_client_uri'>,
  operation: string = '',
): string {
  const given = client.registration_client_uri
  if (given === undefined) return addressBelow(endpoint.url, client.client_id, operation)
  if (isEntryAddress(endpoint, given)) return given
  throw new ProviderError(
    'ERR_OIDC_REGISTRATION_RESPONSE',
    "The client's registration_client_uri is not on the provider's own host.",
  )
}

/** Whether the provider may keep an entry there: on the host of its endpoint or of its issuer, with the same scheme. */
export function isEntryAddress(endpoint: Pick<RegistrationEndpoint, 'url' | 'issuer'>, value: unknown): boolean {
  const address = parseHttpUrl(value)
  if (address === undefined || address.hash !== '') return false
  return [endpoint.url, endpoint.issuer].some((own) => own !== undefined && new URL(own).origin === address.origin)
}

function addressBelow(base: string, clientId: string, operation: string): string {
  // A URL parser takes these two for steps in the path.
  if (clientId === '.' || clientId === '..') {
    throw new ProviderError('ERR_OIDC_REGISTRATION_RESPONSE', 'The client_id cannot be part of an address.')
  }
  const address = new URL(base)
  const steps = [address.pathname.replace(/\/$/, ''), encodeURIComponent(clientId), operation]
  address.pathname = steps.filter((step, index) => index === 0 || step !== '').join('/')
  return address.href
}

/** One request to the registration endpoint, or to the entry of a client. */
interface RegistrationRequest {
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
): Promise<ProviderResponse> {
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
export function registrationRefusal(answer: ProviderResponse): ProviderError {
  const isUnauthorized = answer.status === 401 || answer.status === 403
  return errorFromResponse(
    answer,
    isUnauthorized ? 'ERR_OIDC_REGISTRATION_UNAUTHORIZED' : 'ERR_OIDC_REGISTRATION_REFUSED',
  )
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
