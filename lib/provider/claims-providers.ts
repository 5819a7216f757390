import { ProviderError } from '../errors.ts'
import type { JsonObject } from '../jose/json.ts'
import type { Config } from '../options/config.ts'
import { createCachedDocument, createFetchBudget } from './cached-document.ts'
import { discoveryUrl } from './discovery.ts'
import { createHttpClient, type HttpClient } from './http-client.ts'
import { createKeyStore, type KeyStore } from './keys.ts'
import { createPublicLookup } from './public-address.ts'

/** Those whose claims are taken beside the OpenID provider's own (OIDC Core 5.6.2). */
export interface ClaimsProviders {
  /** The way to the keys of each, by issuer. They are asked for when first needed. */
  readonly keys: ReadonlyMap<string, () => Promise<KeyStore>>
  /** The way to where distributed claims are: to public addresses alone, unless insecure requests are allowed. */
  readonly http: HttpClient
}

/** What the sources of claims are judged by. */
export interface ClaimsContext {
  readonly config: Pick<
    Config,
    'issuer' | 'clientId' | 'claimsProviders' | 'clockTolerance' | 'timeout' | 'dangerouslyAllowInsecureRequests'
  >
  /** Those of the OpenID provider, which may be a claims provider too. */
  readonly keys: KeyStore
  readonly claimsProviders: ClaimsProviders
}

type ClaimsProvidersConfig = Pick<Config, 'claimsProviders' | 'timeout' | 'fetch' | 'dangerouslyAllowInsecureRequests'>

/** The claims providers of one configuration. To be made once, since it keeps what it has been told. */
export function createClaimsProviders(config: ClaimsProvidersConfig): ClaimsProviders {
  const { claimsProviders, timeout, fetch, dangerouslyAllowInsecureRequests } = config
  // The certificate of this client, if there is one, is for its own provider: it is not among these.
  const bounds = { timeout, fetch, dangerouslyAllowInsecureRequests }
  const lookup = dangerouslyAllowInsecureRequests ? undefined : createPublicLookup()
  const http = createHttpClient(bounds)
  return {
    keys: new Map(claimsProviders.map((issuer) => [issuer, createKeysFinder(http, issuer)])),
    http: createHttpClient({ ...bounds, lookup }),
  }
}

/** Discovery (OIDC Discovery 4) of one claims provider, as far as its keys. A failure is forgotten. */
function createKeysFinder(http: HttpClient, issuer: string): () => Promise<KeyStore> {
  // One that is down is left in peace, and so are the logins, which wait for it in vain.
  const takeAttempt = createFetchBudget({ capacity: 5, refillSeconds: 30 })
  const url = discoveryUrl({ issuer, discovery: 'oidc', discoveryWithClientId: false, clientId: '' })
  let keys: { readonly uri: string; readonly store: KeyStore } | undefined
  const discovery = createCachedDocument({
    load: async () => {
      if (!takeAttempt()) {
        throw new ProviderError('ERR_OIDC_PROVIDER_UNREACHABLE', 'A claims provider was asked in vain, just now.')
      }
      const { json, headers } = await http.getJson(url)
      return { value: readJwksUri(json, issuer), headers }
    },
  })
  return async () => {
    const uri = await discovery.get()
    if (keys?.uri !== uri) keys = { uri, store: createKeyStore(http, uri) }
    return keys.store
  }
}

/** OIDC Discovery 4.3: the issuer is compared as it is. */
function readJwksUri({ issuer, jwks_uri: uri }: JsonObject, expected: string): string {
  if (issuer !== expected) {
    throw new ProviderError(
      'ERR_OIDC_DISCOVERY_ISSUER',
      "A claims provider's metadata names another issuer than claimsProviders does.",
    )
  }
  if (typeof uri === 'string') return uri
  throw new ProviderError('ERR_OIDC_METADATA_INVALID', "A claims provider's metadata names no jwks_uri.")
}
