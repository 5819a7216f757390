import { createHmac } from 'node:crypto'
import type { Config } from '../../../lib/options/config.ts'
import { parseOptions } from '../../../lib/options/parse-options.ts'
import { createProviderFinder, type Provider } from '../../../lib/provider/provider.ts'

export const ISSUER = 'https://op.example.com'
export const CLIENT_ID = 'client'
export const CLIENT_SECRET = 'a client secret of more than thirty-two octets'

/** What a provider answers: its text or bytes, its status, its headers. */
export interface ScriptedResponse {
  readonly body: string | Uint8Array
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
}

/** The metadata of the provider, with every endpoint that the library calls. */
export const METADATA = {
  issuer: ISSUER,
  authorization_endpoint: `${ISSUER}/authorize`,
  token_endpoint: `${ISSUER}/token`,
  jwks_uri: `${ISSUER}/keys`,
  userinfo_endpoint: `${ISSUER}/userinfo`,
  end_session_endpoint: `${ISSUER}/logout`,
  pushed_authorization_request_endpoint: `${ISSUER}/par`,
}

/** The configuration of an application at one provider, whose every response comes from `respond`. */
export function scriptedConfig(
  respond: (url: string) => ScriptedResponse,
  options: Readonly<Record<string, unknown>> = {},
): Config {
  const { clients } = parseOptions({
    issuer: ISSUER,
    clientId: CLIENT_ID,
    clientSecret: CLIENT_SECRET,
    baseUrl: 'https://app.example.com',
    // Signed with the client secret: to sign thousands of tokens costs nothing.
    idTokenSignedResponseAlg: 'HS256',
    providerMetadata: METADATA,
    fetch: async (url: string) => {
      const { body, status = 200, headers = {} } = respond(url)
      return new Response(typeof body === 'string' ? body : Buffer.from(body), {
        status,
        headers: { 'content-type': 'application/json', ...headers },
      })
    },
    ...options,
  })
  const [config] = clients
  if (config === undefined) throw new Error('The options name no provider.')
  return config
}

/** The provider of that configuration. */
export async function scriptedProvider(
  respond: (url: string) => ScriptedResponse,
  options: Readonly<Record<string, unknown>> = {},
): Promise<Provider> {
  return await createProviderFinder(scriptedConfig(respond, options))()
}

/** A JWS over any payload and header, signed with the client secret. */
export function signedWithSecret(payload: unknown, header: unknown = { alg: 'HS256' }): string {
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${encode(header)}.${encode(payload)}`
  return `${input}.${createHmac('sha256', CLIENT_SECRET).update(input).digest('base64url')}`
}
