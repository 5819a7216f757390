import { type ClientKeys, createClientKeys } from '../jose/client-keys.ts'
import type { BearerIssuerConfig, IntrospectionConfig } from '../options/bearer-config.ts'
import type { AccessTokenGrant } from '../protocol/access-token-claims.ts'
import { type IntrospectionClient, introspectToken } from '../protocol/introspection.ts'
import { createIntrospectionCache } from '../protocol/introspection-cache.ts'
import type { FindAuthorizationServer } from '../provider/authorization-server.ts'
import { createDpopNonces } from '../provider/dpop-nonces.ts'

/** Introspects a token at one issuer, or takes the response of a moment ago. */
export type Introspect = (token: string) => Promise<AccessTokenGrant>

/** Creates the introspection of one issuer (RFC 7662). Its memory belongs to this issuer and this `bearer()` call. */
export function createIntrospection(
  { config, findServer }: { readonly config: BearerIssuerConfig; readonly findServer: FindAuthorizationServer },
  introspection: IntrospectionConfig,
): Introspect {
  const { introspectionSignedResponseAlg: signedResponseAlg, maxAge } = introspection
  const recall = createIntrospectionCache({ maxBytes: config.tokenCacheSize, maxAge })
  const clientConfig = { ...config, ...introspection, profile: undefined }
  const clientKeys: ClientKeys = createClientKeys(introspection.clientKeys)
  const dpopNonces = createDpopNonces()

  async function request(token: string): Promise<AccessTokenGrant> {
    const { keys, metadata, http } = await findServer()
    const client: IntrospectionClient = { config: clientConfig, clientKeys, dpopNonces, keys, metadata, http }
    return await introspectToken(client, token, { ...config, signedResponseAlg })
  }

  return (token) => recall(token, () => request(token))
}
