import { ProviderError, shown } from '../errors.ts'
import { presentMembers } from '../jose/json.ts'
import type { Config } from '../options/config.ts'
import { TENANT_PLACEHOLDER } from '../options/issuer.ts'
import type { ProviderMetadata } from '../options/provider-keys-rule.ts'
import { contentsOf } from '../options/response-type.ts'
import { createCachedDocument } from './cached-document.ts'
import { createHttpClient } from './http-client.ts'

type Document = Readonly<Record<string, unknown>>

const REQUIRED = ['authorization_endpoint', 'token_endpoint', 'jwks_uri'] as const
const OPTIONAL = ['userinfo_endpoint', 'end_session_endpoint', 'pushed_authorization_request_endpoint'] as const

/**
 * The URL of a provider's metadata. A slash at the end of the issuer is removed, never doubled. The well-known path follows
 * the issuer's own path in OIDC Discovery 4, and precedes it in RFC 8414 3.1.
 */
export function discoveryUrl(
  config: Pick<Config, 'issuer' | 'discovery'> & Partial<Pick<Config, 'discoveryWithClientId' | 'clientId'>>,
): string {
  const url = new URL(documentUrl(config))
  // Okta then returns the issuer and the keys of this client.
  if (config.discoveryWithClientId) url.searchParams.set('client_id', config.clientId ?? '')
  return url.href
}

function documentUrl({ issuer, discovery }: Pick<Config, 'issuer' | 'discovery'>): string {
  // Entra ID publishes the metadata of all tenants under this name.
  const base = issuer.replace(TENANT_PLACEHOLDER, 'common').replace(/\/$/, '')
  if (discovery === 'oidc') return `${base}/.well-known/openid-configuration`
  if (discovery !== 'oauth2') return discovery
  const { origin, pathname } = new URL(base)
  return `${origin}/.well-known/oauth-authorization-server${pathname.replace(/\/$/, '')}`
}

/** What to check if there is no metadata, by the value of the option `discovery`. */
const ADVICE = {
  oidc:
    'The issuer option is probably wrong. It must be the issuer as the provider names it, ' +
    "without '/.well-known/openid-configuration'. For Okta it is 'https://{domain}' (org authorization server) or " +
    "'https://{domain}/oauth2/{id}' (custom authorization server, which needs API Access Management).",
  oauth2:
    "The issuer option is wrong, or the provider's metadata is not where RFC 8414 puts it. Try discovery 'oidc', or set " +
    'discovery to the URL of the metadata.',
  url: 'The discovery option is probably wrong. It must be the full URL of the metadata of this issuer.',
} as const

type DiscoveryOptions = Pick<Config, 'discovery'> & Partial<Pick<Config, 'discoveryWithClientId'>>

/** Returns a function that throws an error again, with advice if there is no metadata at its URL. */
export function adviseOnDiscovery({
  discovery,
  discoveryWithClientId = false,
}: DiscoveryOptions): (error: unknown) => never {
  const advice = ADVICE[discovery === 'oidc' || discovery === 'oauth2' ? discovery : 'url']
  const ofClient = discoveryWithClientId ? ' Or the provider does not know the clientId.' : ''
  return (error) => {
    if (!(error instanceof ProviderError) || error.code !== 'ERR_OIDC_PROVIDER_STATUS') throw error
    const { providerStatus, refusal, errorId, requestId } = error
    throw new ProviderError('ERR_OIDC_PROVIDER_STATUS', `Discovery failed: ${error.message} ${advice}${ofClient}`, {
      cause: error,
      ...{ providerStatus, refusal, errorId, requestId },
    })
  }
}

/**
 * OIDC Discovery 4.3: the issuer must be equal, and each endpoint that we may call must be an https URL. The result has the members
 * of `extraProviderMetadata`, too.
 */
export function checkMetadata(given: Document, config: Config): ProviderMetadata {
  const document = presentMembers({ ...given, ...config.extraProviderMetadata })
  checkMetadataIssuer(document, config.issuer)
  // OIDC Discovery 3: a provider with only the implicit flow has no token endpoint.
  const needsTokens = contentsOf(config.responseType).code
  const optional = [
    ...(needsTokens ? [] : ['token_endpoint']),
    ...(config.providerMetadata?.jwks === undefined ? [] : ['jwks_uri']),
  ]
  const missing = REQUIRED.filter((name) => document[name] === undefined && !optional.includes(name))
  const faulty = [...REQUIRED, ...OPTIONAL].filter(
    (name) => document[name] !== undefined && !isEndpoint(document[name], config.dangerouslyAllowInsecureRequests),
  )
  if (missing.length > 0 || faulty.length > 0) throw invalidMetadata(config, missing, faulty)
  return document as ProviderMetadata & typeof document
}

/** OIDC Discovery 4.3, RFC 8414 3.3. */
export function checkMetadataIssuer(document: Document, issuer: string): void {
  if (document['issuer'] === issuer) return
  throw new ProviderError(
    'ERR_OIDC_DISCOVERY_ISSUER',
    `The provider's metadata has the issuer ${shown(document['issuer'])}, but the issuer option is '${issuer}'. ` +
      'They must be equal character by character (a slash at the end counts). For Okta, configure the domain that ' +
      'browsers use (custom domain or not).',
  )
}

/** True for the URL of an endpoint that may be requested. */
export function isEndpoint(value: unknown, insecure: boolean): value is string {
  if (typeof value !== 'string' || !URL.canParse(value)) return false
  const { protocol } = new URL(value)
  return protocol === 'https:' || (insecure && protocol === 'http:')
}

function invalidMetadata(
  { issuer, providerMetadata }: Config,
  missing: readonly string[],
  faulty: readonly string[],
): ProviderError {
  const source = providerMetadata === undefined ? `The metadata of ${issuer}` : 'The option providerMetadata'
  const problems = [
    missing.length > 0 ? `lacks ${missing.join(', ')}` : undefined,
    faulty.length > 0 ? `has no https URL for ${faulty.join(', ')}` : undefined,
  ].filter((problem) => problem !== undefined)
  return new ProviderError('ERR_OIDC_METADATA_INVALID', `${source} ${problems.join(' and ')}.`)
}

/** How long a result is reused, in seconds. */
const LIFETIME = 15

/** The longest that a user waits for the check, in seconds. */
const MAX_WAIT_SECONDS = 2

/**
 * Checks that the provider responds: a browser that is sent to a provider that is down does not come back. Fetches one of
 * its documents, whatever is cached, because the authorization endpoint would refuse an empty request. Rejects with a
 * `ProviderError` after two seconds at most. Simultaneous calls share one request. A failure is not cached. A provider whose
 * metadata and keys are options has no document to fetch, so nothing is checked.
 */
export function createAvailabilityCheck(config: Config): () => Promise<void> {
  if (config.providerMetadata?.jwks !== undefined) return async () => undefined
  const http = createHttpClient({ ...config, timeout: Math.min(config.timeout, MAX_WAIT_SECONDS) })
  const documentUrl = config.providerMetadata?.jwks_uri ?? discoveryUrl(config)
  const availability = createCachedDocument({
    load: async () => {
      const { headers } = await http.getJson(documentUrl)
      return { value: undefined, headers }
    },
    bounds: { minimum: LIFETIME, maximum: LIFETIME, unstated: LIFETIME, stale: LIFETIME },
    renewsInBackground: false,
  })
  return () => availability.get()
}
