import type { InitialAccessToken, InitialAccessTokenScheme } from '../client-store.ts'
import { parseHttpUrl } from '../config/absolute-url.ts'
import { registrationEndpointRule } from '../config/registration-rule.ts'
import { ConfigError, ProviderError } from '../errors.ts'
import { adviseOnDiscovery, discoveryUrl } from '../http-client/discovery.ts'
import { createHttpClient, type HttpClient } from '../http-client/http-client.ts'

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
