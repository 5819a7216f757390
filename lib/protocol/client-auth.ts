import type { ClientAuth } from 'openid-client'
import type { Config } from '../config/config.ts'

type ClientConfig = Pick<Config, 'clientId' | 'clientSecret' | 'tokenEndpointAuthMethod'>

/** How the client proves itself at the provider's endpoints, as a function that openid-client calls (OIDC Core 9). */
export function createClientAuth(config: ClientConfig): ClientAuth {
  const { clientId, clientSecret = '' } = config
  switch (config.tokenEndpointAuthMethod) {
    case 'client_secret_basic':
      return (_server, _client, _body, headers) => {
        headers.set('authorization', basicCredentials(clientId, clientSecret))
      }
    case 'client_secret_post':
      return (_server, _client, body) => {
        body.set('client_id', clientId)
        body.set('client_secret', clientSecret)
      }
    case 'none':
      return (_server, _client, body) => body.set('client_id', clientId)
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
