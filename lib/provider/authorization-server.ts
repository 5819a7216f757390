import { ProviderError } from '../errors.ts'
import { presentMembers } from '../jose/json.ts'
import type { BearerIssuerConfig } from '../options/bearer-config.ts'
import type { AuthorizationServerMetadata } from '../options/bearer-options.ts'
import { createCachedDocument } from './cached-document.ts'
import { adviseOnDiscovery, checkMetadataIssuer, discoveryUrl, isEndpoint } from './discovery.ts'
import { createHttpClient, type HttpClient } from './http-client.ts'
import { createKeyStore, createStaticKeyStore, type KeyStore } from './keys.ts'

/** The issuer of access tokens, with its current metadata. */
export interface AuthorizationServer {
  /** The public keys, if the issuer publishes any. */
  readonly keys: KeyStore | undefined
  readonly metadata: AuthorizationServerMetadata
  readonly http: HttpClient
}

/** Finds the authorization server: by discovery at the first call, and again when its metadata has expired. */
export type FindAuthorizationServer = () => Promise<AuthorizationServer>

type ServerConfig = Pick<
  BearerIssuerConfig,
  | ('issuer' | 'discovery' | 'providerMetadata' | 'introspection')
  | ('timeout' | 'fetch' | 'agent' | 'ca' | 'dangerouslyAllowInsecureRequests')
>

/**
 * Creates the function that finds the authorization server of a configuration. It sends no request before its first call, one
 * at a time, uses the last metadata while the server is down, and spaces its attempts: see `cached-document.ts`.
 */
export function createAuthorizationServerFinder(config: ServerConfig): FindAuthorizationServer {
  const http = createHttpClient({ ...config, tlsClientCertificate: config.introspection?.tlsClientCertificate })
  // New metadata mostly names the same jwks_uri. Then the cached keys stay.
  let keys: { readonly uri: string; readonly store: KeyStore } | undefined

  const { jwks } = config.providerMetadata ?? {}
  const staticKeys = jwks && createStaticKeyStore(jwks)

  function fromMetadata(given: Readonly<Record<string, unknown>>): AuthorizationServer {
    const document = presentMembers(given)
    checkMetadataIssuer(document, config.issuer)
    const uri = keysUrl(document, config)
    if (uri !== undefined && keys?.uri !== uri)
      keys = { uri, store: createKeyStore(http, uri, { issuer: config.issuer }) }
    const metadata: AuthorizationServerMetadata = { ...document, issuer: config.issuer }
    return { keys: staticKeys ?? (uri === undefined ? undefined : keys?.store), metadata, http }
  }

  if (config.providerMetadata !== undefined) {
    const server = fromMetadata(config.providerMetadata)
    return async () => server
  }
  const discovery = createCachedDocument({
    load: async () => {
      const { json, headers } = await http.getJson(discoveryUrl(config)).catch(adviseOnDiscovery(config))
      return { value: fromMetadata(json), headers }
    },
    label: { document: 'metadata', issuer: config.issuer },
  })
  return () => discovery.get()
}

function keysUrl(
  { jwks_uri: url }: Readonly<Record<string, unknown>>,
  { issuer, dangerouslyAllowInsecureRequests }: ServerConfig,
): string | undefined {
  if (url === undefined || isEndpoint(url, dangerouslyAllowInsecureRequests)) return url
  throw new ProviderError('ERR_OIDC_METADATA_INVALID', `The metadata of ${issuer} has no https URL for jwks_uri.`)
}
