import { ProviderError, shown } from '../errors.ts'
import { type JsonObject, presentMembers } from '../jose/json.ts'
import type { Config } from '../options/config.ts'
import { createCachedDocument } from './cached-document.ts'
import { discoveryUrl } from './discovery.ts'
import { createHttpClient, type HttpClient } from './http-client.ts'
import { createKeyStore, type KeyStore } from './keys.ts'
import { createPublicLookup } from './public-address.ts'

/** Other providers whose claims are accepted (OIDC Core 5.6.2). */
export interface ClaimsProviders {
  /** Finds the keys of each provider, by issuer. They are fetched when first needed. */
  readonly keys: ReadonlyMap<string, () => Promise<KeyStore>>
  /** Fetches distributed claims: from public addresses only, unless insecure requests are allowed. */
  readonly http: HttpClient
}

/** What claims sources are checked with. */
export interface ClaimsContext {
  readonly config: Pick<
    Config,
    | 'issuer'
    | 'clientId'
    | 'claimsProviders'
    | 'clockTolerance'
    | 'timeout'
    | 'dangerouslyAllowInsecureRequests'
    | 'profile'
  >
  /** The keys of the OpenID provider, which may be a claims provider, too. */
  readonly keys: KeyStore
  readonly claimsProviders: ClaimsProviders
}

type ClaimsProvidersConfig = Pick<
  Config,
  'claimsProviders' | 'timeout' | 'fetch' | 'dangerouslyAllowInsecureRequests'
> &
  Partial<Pick<Config, 'agent' | 'ca'>>

/** The claims providers of one configuration. Create it once, because it caches their keys. */
export function createClaimsProviders(config: ClaimsProvidersConfig): ClaimsProviders {
  const { claimsProviders, timeout, fetch, agent, ca, dangerouslyAllowInsecureRequests } = config
  // The client's TLS certificate is for its own provider, so it is not passed on.
  const bounds = { timeout, fetch, dangerouslyAllowInsecureRequests }
  const lookup = dangerouslyAllowInsecureRequests ? undefined : createPublicLookup()
  const http = createHttpClient({ ...bounds, agent, ca })
  return {
    keys: new Map(claimsProviders.map((issuer) => [issuer, createKeysFinder(http, issuer)])),
    http: createHttpClient({ ...bounds, lookup }),
  }
}

/** Finds the keys of one claims provider by discovery (OIDC Discovery 4). */
function createKeysFinder(http: HttpClient, issuer: string): () => Promise<KeyStore> {
  const url = discoveryUrl({ issuer, discovery: 'oidc', discoveryWithClientId: false, clientId: '' })
  let keys: { readonly uri: string; readonly store: KeyStore } | undefined
  const discovery = createCachedDocument({
    load: async () => {
      const { json, headers } = await http.getJson(url)
      return { value: readJwksUri(json, issuer), headers }
    },
    label: { document: 'metadata', issuer },
  })
  return async () => {
    const uri = await discovery.get()
    if (keys?.uri !== uri) keys = { uri, store: createKeyStore(http, uri, { issuer }) }
    return keys.store
  }
}

/** OIDC Discovery 4.3: the issuer must be equal, character by character. */
function readJwksUri(metadata: JsonObject, expected: string): string {
  const { issuer, jwks_uri: uri } = presentMembers(metadata)
  if (issuer !== expected) {
    throw new ProviderError(
      'ERR_OIDC_DISCOVERY_ISSUER',
      `The metadata of a claims provider has the issuer ${shown(issuer)}, but claimsProviders has '${expected}'.`,
    )
  }
  if (typeof uri === 'string') return uri
  throw new ProviderError('ERR_OIDC_METADATA_INVALID', `The metadata of ${expected} (claimsProviders) has no jwks_uri.`)
}
