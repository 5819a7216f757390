import { randomBytes } from 'node:crypto'
import { SignJWT } from 'jose'
import { ConfigError, OidcError, ProviderError } from '../errors.ts'
import { isObject } from '../jose/json.ts'
import { type ClientSigner, defaultSigningAlg, findSigner, isSymmetric, readClientSecret } from './client-signing.ts'
import type { Provider } from './provider.ts'

/** What goes into a request to the provider, so that it knows the client (OIDC Core 9). */
interface ClientAuthentication {
  readonly headers: Readonly<Record<string, string>>
  /** Members of the posted form. */
  readonly params: Readonly<Record<string, string>>
}

/** An endpoint, by the name that the metadata has for it. */
export type EndpointName = `${string}_endpoint`

/**
 * How the client proves itself: by one method, never by two (RFC 6749 2.3). New for each request, since an assertion is
 * good for one. Throws `ERR_OIDC_CLIENT_SECRET` and `ERR_OIDC_CONFIG` where there is nothing to do it with.
 *
 * @param endpoint The URL that the request goes to.
 */
export async function authenticateClient(provider: Provider, endpoint: string): Promise<ClientAuthentication> {
  const { config } = provider
  const { clientId } = config
  switch (config.tokenEndpointAuthMethod) {
    case 'client_secret_basic':
      return { headers: { authorization: basicCredentials(clientId, await secretOf(provider)) }, params: {} }
    case 'client_secret_post':
      return { headers: {}, params: { client_id: clientId, client_secret: await secretOf(provider) } }
    case 'client_secret_jwt':
      return await jwtAuthentication(provider, endpoint, config.tokenEndpointAuthSigningAlg ?? 'HS256')
    case 'private_key_jwt':
      return await jwtAuthentication(provider, endpoint, config.tokenEndpointAuthSigningAlg ?? algOfKeys(provider))
    // RFC 8705 2: the proof is in TLS; the body says whose it is.
    case 'tls_client_auth':
    case 'self_signed_tls_client_auth':
    case 'none':
      return { headers: {}, params: { client_id: clientId } }
  }
}

/**
 * Where the provider has an endpoint: where a client certificate is shown, that may be elsewhere (RFC 8705 5). Throws
 * `ERR_OIDC_METADATA_INVALID` where it has none, or none over https.
 */
export function endpointOf({ config, metadata }: Pick<Provider, 'config' | 'metadata'>, name: EndpointName): string {
  const { mtls_endpoint_aliases: aliases } = metadata
  const alias = usesClientCertificate(config) && isObject(aliases) ? aliases[name] : undefined
  const endpoint = alias ?? metadata[name]
  if (typeof endpoint === 'string' && isAddress(endpoint, config.dangerouslyAllowInsecureRequests)) return endpoint
  throw new ProviderError('ERR_OIDC_METADATA_INVALID', `The provider's metadata has no https URL for ${name}.`)
}

function usesClientCertificate(config: Provider['config']): boolean {
  const { tokenEndpointAuthMethod: method, tlsClientCertificate } = config
  return tlsClientCertificate !== undefined || method === 'tls_client_auth' || method === 'self_signed_tls_client_auth'
}

function isAddress(value: string, insecure: boolean): boolean {
  const protocol = URL.canParse(value) ? new URL(value).protocol : ''
  return protocol === 'https:' || (insecure && protocol === 'http:')
}

function algOfKeys(provider: Provider): string {
  return defaultSigningAlg(provider, provider.metadata['token_endpoint_auth_signing_alg_values_supported'])
}

/** RFC 7523 2.2. */
async function jwtAuthentication(provider: Provider, endpoint: string, alg: string): Promise<ClientAuthentication> {
  const { clientId, tokenEndpointAuthMethod: method } = provider.config
  if (isSymmetric(alg) !== (method === 'client_secret_jwt')) {
    throw new ConfigError([`tokenEndpointAuthSigningAlg must be one of ${method}.`])
  }
  const assertion = await createClientAssertion({
    ...(await findSigner(provider, alg)),
    clientId,
    audience: assertionAudience(provider, endpoint),
    now: Math.floor(Date.now() / 1000),
  })
  return {
    headers: {},
    // RFC 7521 4.2 lets `client_id` be left out, and some providers look for nothing else.
    params: { client_id: clientId, client_assertion_type: CLIENT_ASSERTION_TYPE, client_assertion: assertion },
  }
}

async function secretOf({ config }: Provider): Promise<string> {
  const secret = await readClientSecret(config)
  if (secret !== undefined && secret !== '') return secret
  throw new OidcError('ERR_OIDC_CLIENT_SECRET', `For ${config.tokenEndpointAuthMethod} there must be a clientSecret.`)
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

/** What an assertion of the client says. */
interface ClientAssertion extends ClientSigner {
  readonly clientId: string
  /** Who is to believe it. */
  readonly audience: string
  /** Seconds since 1970. */
  readonly now: number
}

/** For how long an assertion can be shown, in seconds. It is used at once, and once. */
const LIFE = 60

/** RFC 7521 4.2, RFC 7523 2.2. */
const CLIENT_ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/**
 * The client's proof of itself, signed: `private_key_jwt` or `client_secret_jwt` (OIDC Core 9, RFC 7523 3). Each call makes
 * a new one with a `jti` of its own, since a provider takes one only once. The audience is one string, no list: some
 * providers refuse a list, and FAPI 2.0 Security Profile 5.3.3.1 forbids it.
 */
export function createClientAssertion({ clientId, audience, alg, key, kid, now }: ClientAssertion): Promise<string> {
  const jti = randomBytes(24).toString('base64url')
  return new SignJWT({ iss: clientId, sub: clientId, aud: audience, iat: now, exp: now + LIFE, jti })
    .setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }) })
    .sign(key)
}

/**
 * The audience of an assertion for an endpoint, by `clientAssertionAudience`. The issuer, unless told: it means this one
 * provider whichever of its endpoints is asked (OIDC Core 9, FAPI 2.0 Security Profile 5.3.3.1).
 *
 * @param endpoint The URL that is asked, and no other: a provider that got an assertion for another one's address could
 * take it there.
 */
export function assertionAudience(
  { config, metadata }: Pick<Provider, 'config' | 'metadata'>,
  endpoint: string,
): string {
  const { clientAssertionAudience: told = isOkta(metadata.token_endpoint) ? 'endpoint' : 'issuer' } = config
  if (told === 'endpoint') return endpoint
  return told === 'issuer' ? config.issuer : told
}

/**
 * Okta refuses assertions for its issuer, and takes those alone that name the URL that is asked. It is known by the path
 * of its token endpoint, since its customers use domains of their own.
 */
function isOkta(tokenEndpoint: string | undefined): boolean {
  return /^https?:\/\/[^/?#]+\/oauth2\/([^/?#]+\/)?v1\/token$/.test(tokenEndpoint ?? '')
}
