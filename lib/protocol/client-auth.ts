import type { Config } from '../config/config.ts'

type ClientConfig = Pick<Config, 'clientId' | 'clientSecret' | 'tokenEndpointAuthMethod'>

/** What goes into a request to the provider, so that it knows the client (OIDC Core 9). */
export interface ClientAuthentication {
  readonly headers: Readonly<Record<string, string>>
  /** Members of the posted form. */
  readonly params: Readonly<Record<string, string>>
}

/** How the client proves itself: by one method, never by two (RFC 6749 2.3). */
export function authenticateClient(config: ClientConfig): ClientAuthentication {
  const { clientId, clientSecret = '' } = config
  switch (config.tokenEndpointAuthMethod) {
    case 'client_secret_basic':
      return { headers: { authorization: basicCredentials(clientId, clientSecret) }, params: {} }
    case 'client_secret_post':
      return { headers: {}, params: { client_id: clientId, client_secret: clientSecret } }
    case 'none':
      return { headers: {}, params: { client_id: clientId } }
  }
}

/**
 * RFC 6749 2.3.1 has both halves form-encoded. This is `application/x-www-form-urlencoded` as URLSearchParams does it, and
 * no more: openid-client escapes `-`, `.`, `_` and `*` too, and six of ten providers tried never decode.
 */
function basicCredentials(clientId: string, clientSecret: string): string {
  const credentials = `${formEncode(clientId)}:${formEncode(clientSecret)}`
  return `Basic ${Buffer.from(credentials).toString('base64')}`
}

function formEncode(value: string): string {
  return new URLSearchParams({ '': value }).toString().slice(1)
}
