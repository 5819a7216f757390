import { allowInsecureRequests, Configuration, type ServerMetadata } from 'openid-client'
import { ProviderError } from '../errors.ts'
import { type ClientKeys, createClientKeys } from '../jose/client-keys.ts'
import type { Config } from '../options/config.ts'
import type { ProviderMetadata } from '../options/provider-keys-rule.ts'
import type { ProviderStatus } from '../status.ts'
import { type CachedDocument, createCachedDocument } from './cached-document.ts'
import { type ClaimsProviders, createClaimsProviders } from './claims-providers.ts'
import { adviseOnDiscovery, checkMetadata, discoveryUrl } from './discovery.ts'
import { createDpopNonces, type DpopNonces } from './dpop-nonces.ts'
import { createFetchBudget, type FetchBudget, reportUsedUp } from './fetch-budget.ts'
import { createHttpClient, createJsonGetter, type HttpClient } from './http-client.ts'
import type { ProviderResponse } from './http-transport.ts'
import { createKeyStore, createStaticKeyStore, type KeyStore, type KeysLabel } from './keys.ts'
import { createEndpointOutcomes, statusOf, withOutcomes } from './provider-status.ts'

/** A provider with its current metadata, and this application as its client. */
export interface Provider {
  readonly metadata: ProviderMetadata
  /** The checked options. For a registered client, with the values that the provider has registered. */
  readonly config: Config
  /** Sends requests to the provider. */
  readonly http: HttpClient
  /** openid-client, for the requests that go through the browser. */
  readonly client: Configuration
  /** The provider's public keys. */
  readonly keys: KeyStore
  /** The client's own keys. */
  readonly clientKeys: ClientKeys
  /** The nonces that the provider's servers demand in DPoP proofs. */
  readonly dpopNonces: DpopNonces
  /** Other providers whose claims are accepted. */
  readonly claimsProviders: ClaimsProviders
  /** Sends requests to other servers, without the client certificate, which is for the provider alone. */
  readonly findOtherHttp: () => HttpClient
}

/** Finds the provider: by discovery at the first call, and again when its metadata has expired. */
export interface FindProvider {
  (): Promise<Provider>
  /** What the last requests have shown. Sends none. */
  status(): Omit<ProviderStatus, 'issuer'>
  /** Ends the renewal of metadata and keys in the background. */
  stop(): void
  /** Closes the connections to the provider. Call it when no request is under way. */
  close(): void
}

/** Returns the configuration to use with this metadata: the given one, or one with the registered client. */
export type ConfigFor = (metadata: ProviderMetadata, http: HttpClient) => Promise<Config>

/**
 * Creates the function that finds the provider of a configuration. It sends no request before its first call, one request at
 * a time, uses the last metadata while the provider is down, and spaces its attempts: see `cached-document.ts`.
 */
export function createProviderFinder(config: Config, configFor: ConfigFor = async () => config): FindProvider {
  const outcomes = createEndpointOutcomes()
  const connections = createHttpClient(config)
  const ownHttp = withOutcomes(connections, outcomes)
  const label = { provider: config.name, issuer: config.issuer }
  let renewMetadata: (() => Promise<void>) | undefined
  const http = watchEndpoints(ownHttp, async () => renewMetadata?.())
  const permanent = createPermanentParts(config, http)
  const keys = createLatestKeys(config, http, label)

  function fromMetadata(document: Readonly<Record<string, unknown>>): Omit<Provider, 'client'> {
    const metadata = checkMetadata(document, config)
    return { ...permanent, metadata, config, keys: keys.at(metadata.jwks_uri) }
  }

  const clientFor = createClientCache()

  async function asRegistered(provider: Omit<Provider, 'client'>): Promise<Provider> {
    const registered = await configFor(provider.metadata, http)
    return { ...provider, config: registered, client: clientFor(registered, provider.metadata) }
  }

  if (config.providerMetadata !== undefined) {
    const provider = fromMetadata(config.providerMetadata)
    const status = () => statusOf(outcomes, provider.keys, undefined, undefined)
    return Object.assign(() => asRegistered(provider), { status, stop: keys.stop, close: connections.close })
  }
  const metadataLabel = { ...label, document: 'metadata' } as const
  const discovery = createCachedDocument({
    load: async () => {
      const { json, headers } = await ownHttp.getJson(discoveryUrl(config)).catch(adviseOnDiscovery(config))
      return { value: fromMetadata(json), headers }
    },
    label: metadataLabel,
  })
  // Metadata is renewed three times at once, then once a minute: anybody can cause requests that fail.
  const budget = createFetchBudget({ capacity: 3, refillSeconds: 60, onUsedUp: () => reportUsedUp(metadataLabel) })
  renewMetadata = renewerOf(discovery, budget)
  return Object.assign(async () => asRegistered(await discovery.get()), {
    status: () => statusOf(outcomes, keys.latest(), discovery, budget),
    stop() {
      discovery.stop()
      keys.stop()
    },
    close: connections.close,
  })
}

/** What stays as it is when the metadata changes. */
function createPermanentParts(
  config: Config,
  http: HttpClient,
): Omit<Provider, 'metadata' | 'config' | 'client' | 'keys'> {
  let otherHttp: HttpClient | undefined
  return {
    http,
    clientKeys: createClientKeys(config.clientKeys),
    dpopNonces: createDpopNonces(),
    claimsProviders: createClaimsProviders(config),
    findOtherHttp: () => (otherHttp ??= createHttpClient({ ...config, tlsClientCertificate: undefined })),
  }
}

/** The keys at the `jwks_uri` of the latest metadata. New metadata mostly names the same one: then the cached keys stay. */
interface LatestKeys {
  at(uri: string | undefined): KeyStore
  latest(): KeyStore | undefined
  stop(): void
}

function createLatestKeys(config: Config, http: HttpClient, label: KeysLabel): LatestKeys {
  // Only the option can hold the keys. A document that was fetched with the keys in it would never be fetched again.
  const { jwks } = config.providerMetadata ?? {}
  let keys: { readonly uri: string; readonly store: KeyStore } | undefined
  let isStopped = false
  return {
    at(uri = '') {
      if (keys?.uri !== uri) {
        keys?.store.stop()
        keys = { uri, store: jwks === undefined ? createKeyStore(http, uri, label) : createStaticKeyStore(jwks) }
        if (isStopped) keys.store.stop()
      }
      return keys.store
    },
    latest: () => keys?.store,
    stop() {
      isStopped = true
      keys?.store.stop()
    },
  }
}

/**
 * Sends requests, and renews the metadata if an endpoint is gone: it may have moved (N-15). The request itself is not sent
 * again, because a code must not be sent twice (RFC 6749 4.1.2).
 */
function watchEndpoints(http: HttpClient, renewMetadata: () => Promise<void>): HttpClient {
  const request: HttpClient['request'] = async (url, init) => {
    try {
      const response = await http.request(url, init)
      if (isGone(response)) await renewMetadata()
      return response
    } catch (error) {
      // The metadata may be out of reach, too: nobody waits for it then.
      if (error instanceof ProviderError && UNREACHABLE.has(error.code)) void renewMetadata()
      throw error
    }
  }

  return { request, getJson: createJsonGetter(request) }
}

const UNREACHABLE: ReadonlySet<string> = new Set(['ERR_OIDC_PROVIDER_UNREACHABLE', 'ERR_OIDC_PROVIDER_TIMEOUT'])

/** 404 and 410: nothing is there, or not any more (RFC 9110 15.5.5, 15.5.11). */
function isGone({ status }: ProviderResponse): boolean {
  return status === 404 || status === 410
}

/** Renews metadata within the budget. Never rejects. */
function renewerOf(discovery: CachedDocument<unknown>, budget: FetchBudget): () => Promise<void> {
  return async () => {
    if (!budget.tryRequest()) return
    await discovery.renew().catch(() => undefined)
  }
}

/** Keeps the latest client: openid-client copies all metadata for each one that is created. */
function createClientCache(): (config: Config, metadata: ProviderMetadata) => Configuration {
  let latest:
    | { readonly client: Configuration; readonly clientId: string; readonly metadata: ProviderMetadata }
    | undefined
  return (config, metadata) => {
    const { clientId } = config
    if (latest?.metadata !== metadata || latest.clientId !== clientId) {
      latest = { client: createClient(config, metadata), clientId, metadata }
    }
    return latest.client
  }
}

function createClient(config: Config, metadata: ProviderMetadata): Configuration {
  const client = new Configuration(metadata as ServerMetadata, config.clientId)
  if (config.dangerouslyAllowInsecureRequests) allowInsecureRequests(client)
  return client
}
