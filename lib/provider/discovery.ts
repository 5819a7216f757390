import { ProviderError } from '../errors.ts'
import type { Config } from '../options/config.ts'
import { TENANT_PLACEHOLDER } from '../options/issuer.ts'
import type { ProviderMetadata } from '../options/provider-options.ts'
import { contentsOf } from '../options/response-type.ts'
import { createCachedDocument } from './cached-document.ts'
import { createHttpClient } from './http-client.ts'

type Document = Readonly<Record<string, unknown>>

const REQUIRED = ['authorization_endpoint', 'token_endpoint', 'jwks_uri'] as const
const OPTIONAL = ['userinfo_endpoint', 'end_session_endpoint', 'pushed_authorization_request_endpoint'] as const

/**
 * Where the metadata of a provider is. A slash at the issuer's end is taken off, never doubled. OIDC Discovery 4 puts the
 * well-known path behind the issuer's own path, RFC 8414 3.1 in front of it.
 */
export function discoveryUrl(
  config: Pick<Config, 'issuer' | 'discovery' | 'discoveryWithClientId' | 'clientId'>,
): string {
  const url = new URL(documentUrl(config))
  // Okta: the issuer and the keys of this very client.
  if (config.discoveryWithClientId) url.searchParams.set('client_id', config.clientId)
  return url.href
}

function documentUrl({ issuer, discovery }: Pick<Config, 'issuer' | 'discovery'>): string {
  // Entra ID publishes the document of all tenants under this name.
  const own = issuer.replace(TENANT_PLACEHOLDER, 'common').replace(/\/$/, '')
  if (discovery === 'oidc') return `${own}/.well-known/openid-configuration`
  if (discovery !== 'oauth2') return discovery
  const { origin, pathname } = new URL(own)
  return `${origin}/.well-known/oauth-authorization-server${pathname.replace(/\/$/, '')}`
}

/** What is probably wrong where no metadata is found, by the way that it was looked for. */
const ADVICE = {
  oidc:
    'The issuer option is probably wrong: it is the issuer as the provider names it, ' +
    "without '/.well-known/openid-configuration'. For Okta it is 'https://{domain}' (org authorization server) or " +
    "'https://{domain}/oauth2/{id}' (custom authorization server, which needs API Access Management).",
  oauth2:
    "The issuer option is wrong, or the provider does not have its metadata where RFC 8414 puts it: discovery 'oidc' looks " +
    'where OpenID Connect Discovery does, and the address of any other place can be given whole.',
  address: 'The discovery option is probably wrong: it is the whole address of the metadata of this issuer.',
} as const

type Looked = Pick<Config, 'discovery' | 'discoveryWithClientId'>

/** Says what may be wrong where there is no metadata where it was looked for. */
export function adviseOnDiscovery({ discovery, discoveryWithClientId }: Looked): (error: unknown) => never {
  const advice = ADVICE[discovery === 'oidc' || discovery === 'oauth2' ? discovery : 'address']
  const ofClient = discoveryWithClientId ? ' Or the provider does not know the clientId.' : ''
  return (error) => {
    if (!(error instanceof ProviderError) || error.code !== 'ERR_OIDC_PROVIDER_STATUS') throw error
    const { refusal, errorId, requestId } = error
    throw new ProviderError('ERR_OIDC_PROVIDER_STATUS', `Discovery failed: ${error.message} ${advice}${ofClient}`, {
      cause: error,
      refusal,
      errorId,
      requestId,
    })
  }
}

/** OIDC Discovery 4.3: the issuer is compared as it is, and every endpoint that we may call must be one. */
export function checkMetadata(document: Document, config: Config): ProviderMetadata {
  if (document['issuer'] !== config.issuer) {
    throw new ProviderError(
      'ERR_OIDC_DISCOVERY_ISSUER',
      "The provider's metadata names another issuer than the issuer option. They must be equal character by character, " +
        'a slash at the end included; at Okta, configure the domain that browsers use (custom domain or not).',
    )
  }
  // OIDC Discovery 3: a provider of the implicit flow alone has no token endpoint.
  const needsTokens = contentsOf(config.responseType).code
  const missing = REQUIRED.filter((name) => document[name] === undefined && (needsTokens || name !== 'token_endpoint'))
  const faulty = [...REQUIRED, ...OPTIONAL].filter(
    (name) => document[name] !== undefined && !isEndpoint(document[name], config.dangerouslyAllowInsecureRequests),
  )
  if (missing.length > 0 || faulty.length > 0) throw invalidMetadata(missing, faulty)
  return document as ProviderMetadata
}

function isEndpoint(value: unknown, insecure: boolean): boolean {
  if (typeof value !== 'string' || !URL.canParse(value)) return false
  const { protocol } = new URL(value)
  return protocol === 'https:' || (insecure && protocol === 'http:')
}

function invalidMetadata(missing: readonly string[], faulty: readonly string[]): ProviderError {
  const sentences = [
    missing.length > 0 ? `lacks ${missing.join(', ')}` : undefined,
    faulty.length > 0 ? `has no https URL for ${faulty.join(', ')}` : undefined,
  ].filter((sentence) => sentence !== undefined)
  return new ProviderError('ERR_OIDC_METADATA_INVALID', `The provider's metadata ${sentences.join(' and ')}.`)
}

/** How long an answer holds good, in seconds. */
const LIFE = 15

/** The longest that a person is kept waiting for it, in seconds. */
const LONGEST_WAIT = 2

/**
 * Whether the provider answers at all: a browser that is sent to one that does not, does not come back. One of its documents
 * is asked for, whatever copy is at hand; the authorization endpoint itself would find fault with the request. Rejects with
 * a `ProviderError`, after two seconds at most. All who ask at the same time share one request, and a failure is not kept.
 */
export function createAvailabilityCheck(config: Config): () => Promise<void> {
  const http = createHttpClient({ ...config, timeout: Math.min(config.timeout, LONGEST_WAIT) })
  const documentUrl = config.providerMetadata?.jwks_uri ?? discoveryUrl(config)
  const pulse = createCachedDocument({
    load: async () => {
      const { headers } = await http.getJson(documentUrl)
      return { value: undefined, headers }
    },
    bounds: { minimum: LIFE, maximum: LIFE, unstated: LIFE, stale: LIFE },
  })
  return () => pulse.get()
}
