import type { Agent } from 'node:https'
import { ConfigError, OidcError, ProviderError, shown } from '../errors.ts'
import { type OptionTable, objectOf, option } from '../options/option-row.ts'
import { agent as agentRule, ca as caRule, timeout as timeoutRule } from '../options/option-rules.ts'
import {
  type ClientInformation,
  type ClientMetadata,
  type InitialAccessToken,
  type InitialAccessTokenScheme,
  initialAccessTokenRule,
  initialAccessTokenSchemeRule,
  isHeaderToken,
} from '../options/registration-options.ts'
import { booleanRule, functionRule } from '../options/rule.ts'
import { endpointUrl, issuer as issuerRule, parseHttpUrl } from '../options/urls.ts'
import { adviseOnDiscovery, discoveryUrl } from '../provider/discovery.ts'
import { errorFromResponse } from '../provider/error-response.ts'
import { createHttpClient, type HttpClient } from '../provider/http-client.ts'
import type { ProviderResponse } from '../provider/http-transport.ts'

/** A registration endpoint, and the token for it. */
export interface RegistrationEndpoint {
  readonly http: HttpClient
  /** The `registration_endpoint` of the provider. */
  readonly url: string
  /** The provider may also manage clients on the host of its issuer. */
  readonly issuer: string | undefined
  readonly initialAccessToken: InitialAccessToken | undefined
  readonly initialAccessTokenScheme: InitialAccessTokenScheme | undefined
}

/** The options of {@link findRegistrationEndpoint}. Give `issuer`, `registrationEndpoint`, or both. */
export interface RegistrationEndpointOptions {
  /** The issuer identifier, exactly as in the provider's metadata. */
  issuer?: string
  /** The URL of the endpoint. Needed if the metadata does not name it. With it, no metadata is requested. */
  registrationEndpoint?: string
  /**
   * The token that allows registration: a string, or a function that returns one. At Okta the same token also reads,
   * changes and deletes clients.
   */
  initialAccessToken?: InitialAccessToken
  /**
   * The authentication scheme of that token. Use `SSWS` for an API token of Okta.
   * @default 'Bearer'
   */
  initialAccessTokenScheme?: InitialAccessTokenScheme
  /**
   * The time limit of one request, in seconds.
   * @default 10
   */
  timeout?: number
  /** Sends every request, for example through a proxy. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>
  /** The agent for the https connections, for example through a proxy. Cannot be combined with `fetch`. */
  agent?: Agent
  /**
   * The certificates of the authorities that sign the provider's certificate, in PEM. They replace those that Node trusts.
   * Cannot be combined with `agent` and `fetch`.
   */
  ca?: string | Uint8Array | readonly (string | Uint8Array)[]
  /**
   * Allow plain http. For development only: anyone on the network can read every secret.
   * @default false
   */
  dangerouslyAllowInsecureRequests?: boolean
}

const ENDPOINT_OPTIONS: OptionTable<RegistrationEndpointOptions, keyof RegistrationEndpointOptions> = {
  issuer: option(issuerRule),
  registrationEndpoint: option(endpointUrl),
  initialAccessToken: option(initialAccessTokenRule),
  initialAccessTokenScheme: option(initialAccessTokenSchemeRule),
  timeout: option(timeoutRule),
  fetch: option(functionRule),
  agent: option(agentRule),
  ca: option(caRule),
  dangerouslyAllowInsecureRequests: option(booleanRule),
}

/**
 * Finds the registration endpoint of a provider in its metadata (OIDC Discovery 3), or takes the one that you name.
 *
 * @throws ConfigError if the options are wrong.
 * @throws ProviderError `ERR_OIDC_REGISTRATION_UNSUPPORTED` if the metadata has no registration endpoint,
 *   `ERR_OIDC_DISCOVERY_ISSUER` if the metadata is that of another issuer, `ERR_OIDC_PROVIDER_...` if it cannot be
 *   fetched.
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
  const { timeout = 10, fetch, agent, ca, dangerouslyAllowInsecureRequests = false } = options
  const http = createHttpClient({ timeout, fetch, agent, ca, dangerouslyAllowInsecureRequests })
  const url = registrationEndpoint ?? (await discoverEndpoint(http, String(issuer)))
  return { http, url, issuer, initialAccessToken, initialAccessTokenScheme }
}

function checkOptions(options: RegistrationEndpointOptions): void {
  const problems = objectOf(ENDPOINT_OPTIONS)(options, 'options')
  if (problems.length > 0) throw new ConfigError(problems)
  if (options.issuer === undefined && options.registrationEndpoint === undefined) {
    throw new ConfigError(['options.issuer is required, unless options.registrationEndpoint is given.'])
  }
  if ([options.fetch, options.agent, options.ca].filter((way) => way !== undefined).length > 1) {
    throw new ConfigError([
      'options.fetch, options.agent and options.ca cannot be combined. Give your agent or fetch the rest.',
    ])
  }
}

async function discoverEndpoint(http: HttpClient, issuer: string): Promise<string> {
  const config = { issuer, clientId: '', discovery: 'oidc', discoveryWithClientId: false } as const
  const { json } = await http.getJson(discoveryUrl(config)).catch(adviseOnDiscovery(config))
  // OIDC Discovery 4.3.
  if (json['issuer'] === issuer) return registrationEndpointOf(json)
  throw new ProviderError(
    'ERR_OIDC_DISCOVERY_ISSUER',
    `The provider's metadata has the issuer ${shown(json['issuer'])}, but the option issuer is ${shown(issuer)}. ` +
      'They must be equal, character by character.',
  )
}

/**
 * The registration endpoint in the provider's metadata.
 *
 * @throws ProviderError `ERR_OIDC_REGISTRATION_UNSUPPORTED` if there is none, `ERR_OIDC_METADATA_INVALID` if it is not
 *   a URL.
 */
export function registrationEndpointOf(metadata: Readonly<Record<string, unknown>>): string {
  const url = metadata['registration_endpoint']
  if (url === undefined || url === null || url === '') {
    throw new ProviderError(
      'ERR_OIDC_REGISTRATION_UNSUPPORTED',
      "The provider's metadata has no registration_endpoint. Enable dynamic client registration at the provider, or " +
        'register the client by its admin console or API.',
    )
  }
  if (parseHttpUrl(url) !== undefined) return String(url)
  throw new ProviderError(
    'ERR_OIDC_METADATA_INVALID',
    `The registration_endpoint in the provider's metadata is not an https URL: ${shown(url)}.`,
  )
}

/**
 * The URL at which one client is managed: its `registration_client_uri` (RFC 7592 2). Okta gives none, and has each
 * client below the registration endpoint, by its id.
 *
 * @param operation Is added to the path at Okta: `lifecycle/newSecret`.
 * @throws ProviderError `ERR_OIDC_REGISTRATION_RESPONSE` if a token would be sent to another host.
 */
export function clientUrlOf(
  endpoint: RegistrationEndpoint,
  client: Pick<ClientInformation, 'client_id' | 'registration_client_uri'>,
  operation: string = '',
): string {
  const given = client.registration_client_uri
  if (given === undefined) return urlBelow(endpoint.url, client.client_id, operation)
  if (isClientUrl(endpoint, given)) return given
  throw new ProviderError(
    'ERR_OIDC_REGISTRATION_RESPONSE',
    'The registration_client_uri of the client is not on the host of the provider. No token is sent to other hosts.',
  )
}

/** True if the provider may manage a client at this URL: on the origin of its endpoint or of its issuer. */
export function isClientUrl(endpoint: Pick<RegistrationEndpoint, 'url' | 'issuer'>, value: unknown): boolean {
  const url = parseHttpUrl(value)
  if (url === undefined || url.hash !== '') return false
  return [endpoint.url, endpoint.issuer].some((own) => own !== undefined && new URL(own).origin === url.origin)
}

function urlBelow(base: string, clientId: string, operation: string): string {
  // A URL parser reads these as steps in the path.
  if (clientId === '.' || clientId === '..') {
    throw new ProviderError(
      'ERR_OIDC_REGISTRATION_RESPONSE',
      `The client_id ${shown(clientId)} cannot be part of a URL.`,
    )
  }
  const url = new URL(base)
  const segments = [url.pathname.replace(/\/$/, ''), encodeURIComponent(clientId), operation]
  url.pathname = segments.filter((segment, index) => index === 0 || segment !== '').join('/')
  return url.href
}

/** A request to the registration endpoint, or about one client. */
interface RegistrationRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly url: string
  readonly body?: ClientMetadata
  /** The client that the request is about. Its own token is used instead of the initial one (RFC 7592 2). */
  readonly client?: Pick<ClientInformation, 'registration_access_token'>
}

/** Sends a request with the token for it. Resolves with any status except a redirect. */
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
      // Okta answers 411 to a POST without it.
      ...(method === 'POST' && body === undefined ? { 'content-length': '0' } : {}),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

/**
 * The error for a request that was refused (RFC 7591 3.2.2): `ERR_OIDC_REGISTRATION_UNAUTHORIZED` for 401 and 403,
 * which providers also return for an unknown client (OIDC Dynamic Client Registration 4.4), else
 * `ERR_OIDC_REGISTRATION_REFUSED`.
 */
export function registrationRefusal(response: ProviderResponse): ProviderError {
  const isUnauthorized = response.status === 401 || response.status === 403
  return errorFromResponse(
    response,
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

async function callForToken(getToken: () => string | Promise<string>): Promise<string> {
  try {
    // A function that returns nothing is an error, and not the same as no token.
    return (await getToken()) ?? ''
  } catch (error) {
    throw new OidcError('ERR_OIDC_CONFIG', 'initialAccessToken is a function that failed. See the cause.', {
      cause: error,
    })
  }
}
