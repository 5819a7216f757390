import { allowInsecureRequests, Configuration, type ServerMetadata } from 'openid-client'
import { type ClientKeys, createClientKeys } from '../jose/client-keys.ts'
import type { Config } from '../options/config.ts'
import type { ProviderMetadata } from '../options/provider-options.ts'
import { createCachedDocument } from './cached-document.ts'
import { type ClaimsProviders, createClaimsProviders } from './claims-providers.ts'
import { adviseOnDiscovery, checkMetadata, discoveryUrl } from './discovery.ts'
import { createDpopNonces, type DpopNonces } from './dpop.ts'
import { createHttpClient, type HttpClient } from './http-client.ts'
import { createKeyStore, type KeyStore } from './keys.ts'

/** One provider as it presents itself at present, and this application as it is known there. */
export interface Provider {
  readonly metadata: ProviderMetadata
  /** The options, with what the provider has answered to a registration in their place. */
  readonly config: Config
  /** The way to ask it for something. */
  readonly http: HttpClient
  /** openid-client, for the requests that the browser carries to this provider. */
  readonly client: Configuration
  /** The provider's keys. */
  readonly keys: KeyStore
  /** Our own keys. */
  readonly clientKeys: ClientKeys
  /** What the provider's servers want in the next proof of possession. */
  readonly dpopNonces: DpopNonces
  /** Others whose claims are taken. */
  readonly claimsProviders: ClaimsProviders
}

/** Finds the provider: by discovery at first use, and again when its metadata has aged. */
export type FindProvider = () => Promise<Provider>

/** Gives the configuration to use with this metadata: the given one, or one with the registered client in it. */
export type ConfigFor = (metadata: ProviderMetadata, http: HttpClient) => Promise<Config>

/**
 * The way to the provider of a configuration. Nothing is asked before the first use; one request is under way at a time;
 * a failure is forgotten, and the last good copy serves while the provider is down.
 */
export function createProviderFinder(config: Config, configFor: ConfigFor = async () => config): FindProvider {
  const http = createHttpClient(config)
  const lasting = {
    http,
    clientKeys: createClientKeys(config.clientKeys),
    dpopNonces: createDpopNonces(),
    claimsProviders: createClaimsProviders(config),
  }
  // Keys outlive the metadata that named them: a renewed document mostly names the same address.
  let keys: { readonly uri: string; readonly store: KeyStore } | undefined

  function fromMetadata(document: Readonly<Record<string, unknown>>): Omit<Provider, 'client'> {
    const metadata = checkMetadata(document, config)
    if (keys?.uri !== metadata.jwks_uri)
      keys = { uri: metadata.jwks_uri, store: createKeyStore(http, metadata.jwks_uri) }
    return { ...lasting, metadata, config, keys: keys.store }
  }

  async function asRegistered(provider: Omit<Provider, 'client'>): Promise<Provider> {
    const own = await configFor(provider.metadata, http)
    return { ...provider, config: own, client: createClient(own, provider.metadata) }
  }

  if (config.providerMetadata !== undefined) {
    const provider = fromMetadata(config.providerMetadata)
    return () => asRegistered(provider)
  }
  const discovery = createCachedDocument({
    load: async () => {
      const { json, headers } = await http.getJson(discoveryUrl(config)).catch(adviseOnDiscovery(config))
      return { value: fromMetadata(json), headers }
    },
  })
  return async () => asRegistered(await discovery.get())
}

function createClient(config: Config, metadata: ProviderMetadata): Configuration {
  const client = new Configuration(metadata as ServerMetadata, config.clientId)
  if (config.dangerouslyAllowInsecureRequests) allowInsecureRequests(client)
  return client
}
