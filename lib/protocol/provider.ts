import { allowInsecureRequests, Configuration, type ServerMetadata } from 'openid-client'
import type { Config } from '../config/config.ts'
import { ProviderError } from '../errors.ts'
import type { ProviderMetadata } from '../options.ts'
import { partsOf } from '../response-type.ts'
import { createCachedDocument } from './cached-document.ts'
import { createHttpClient, type HttpClient } from './http-client.ts'
import { createKeyStore, type KeyStore } from './key-store.ts'

/** One provider as it presents itself at present. */
export interface Provider {
  readonly metadata: ProviderMetadata
  /** The way to ask it for something. */
  readonly http: HttpClient
  /** openid-client, for the requests that the browser carries to this provider. */
  readonly client: Configuration
  readonly keys: KeyStore
}

/** Finds the provider: by discovery at first use, and again when its metadata has aged. */
export type FindProvider = () => Promise<Provider>

const REQUIRED = ['authorization_endpoint', 'token_endpoint', 'jwks_uri'] as const
const OPTIONAL = ['userinfo_endpoint', 'end_session_endpoint'] as const

/**
 * The way to the provider of a configuration. Nothing is asked before the first use; one request is under way at a time;
 * a failure is forgotten, and the last good copy serves while the provider is down.
 */
export function createProviderFinder(config: Config): FindProvider {
  const http = createHttpClient(config)
  // Keys outlive the metadata that named them: a renewed document mostly names the same address.
  let keys: { readonly uri: string; readonly store: KeyStore } | undefined

  function present(document: Readonly<Record<string, unknown>>): Provider {
    const metadata = checkMetadata(document, config)
    if (keys?.uri !== metadata.jwks_uri)
      keys = { uri: metadata.jwks_uri, store: createKeyStore(http, metadata.jwks_uri) }
    return { metadata, http, client: createClient(config, metadata), keys: keys.store }
  }

  if (config.providerMetadata !== undefined) {
    const provider = present(config.providerMetadata)
    return async () => provider
  }
  const discovery = createCachedDocument({
    load: async () => {
      const { json, headers } = await http.getJson(discoveryUrl(config.issuer)).catch(adviseOnIssuer)
      return { value: present(json), headers }
    },
  })
  return () => discovery.get()
}

function createClient(config: Config, metadata: ProviderMetadata): Configuration {
  const client = new Configuration(metadata as ServerMetadata, config.clientId)
  if (config.dangerouslyAllowInsecureRequests) allowInsecureRequests(client)
  return client
}

/** OIDC Discovery 4: a slash at the issuer's end is taken off, never doubled. */
function discoveryUrl(issuer: string): string {
  return `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
}

function adviseOnIssuer(error: unknown): never {
  if (!(error instanceof ProviderError) || error.code !== 'ERR_OIDC_PROVIDER_STATUS') throw error
  throw new ProviderError(
    'ERR_OIDC_PROVIDER_STATUS',
    `Discovery failed: ${error.message} The issuer option is probably wrong: it is the issuer as the provider names it, ` +
      "without '/.well-known/openid-configuration'. For Okta it is 'https://{domain}' (org authorization server) or " +
      "'https://{domain}/oauth2/{id}' (custom authorization server, which needs API Access Management).",
    { cause: error },
  )
}

/** OIDC Discovery 4.3: the issuer is compared as it is, and every endpoint that we may call must be one. */
function checkMetadata(document: Readonly<Record<string, unknown>>, config: Config): ProviderMetadata {
  if (document['issuer'] !== config.issuer) {
    throw new ProviderError(
      'ERR_OIDC_DISCOVERY_ISSUER',
      "The provider's metadata names another issuer than the issuer option. They must be equal character by character, " +
        'a slash at the end included; at Okta, configure the domain that browsers use (custom domain or not).',
    )
  }
  // OIDC Discovery 3: a provider of the implicit flow alone has no token endpoint.
  const needsTokens = partsOf(config.responseType).code
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
