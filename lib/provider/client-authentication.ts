import { randomBytes } from 'node:crypto'
import { SignJWT } from 'jose'
import { ConfigError, OidcError, ProviderError, shown } from '../errors.ts'
import { usesClientSecret } from '../jose/algorithms.ts'
import { isObject } from '../jose/json.ts'
import type { Config } from '../options/config.ts'
import { type TimeLimit, withTimeLimit } from '../time/limit.ts'
import { nowInSeconds } from '../time/seconds.ts'
import type { Json } from '../types.ts'
import {
  type ClientSigner,
  defaultSigningAlg,
  findSigner,
  readClientSecret,
  type SigningClient,
} from './client-signing.ts'

/** What authenticates the client in a request to the provider (OIDC Core 9). */
interface ClientAuthentication {
  readonly headers: Readonly<Record<string, string>>
  /** Fields of the posted form. */
  readonly params: Readonly<Record<string, string>>
}

/** A client of a provider, as far as it takes part in its authentication. A `Provider` is one. */
export interface AuthenticatedClient extends SigningClient {
  readonly config: SigningClient['config'] &
    Pick<Config, 'issuer' | 'clientId' | 'tokenEndpointAuthMethod' | 'tokenEndpointAuthSigningAlg'> &
    Partial<Pick<Config, 'clientAssertion' | 'timeout'>> &
    Pick<Config, 'clientAssertionAudience' | 'tlsClientCertificate' | 'dangerouslyAllowInsecureRequests'>
  /** The metadata of the provider. */
  readonly metadata: { readonly token_endpoint?: string; readonly [name: string]: Json | undefined }
}

/** The name of an endpoint in the provider's metadata. */
export type EndpointName = `${string}_endpoint`

/**
 * Authenticates the client by one method, never by two (RFC 6749 2.3). Call it for each request, because an assertion is
 * accepted only once. Throws `ERR_OIDC_CLIENT_SECRET` and `ERR_OIDC_CONFIG` if the secret or the key is missing, and
 * `ERR_OIDC_CLIENT_ASSERTION` if the function `clientAssertion` fails (status 503) or returns no signed JWT.
 *
 * @param endpoint The URL of the request.
 */
export async function authenticateClient(
  provider: AuthenticatedClient,
  endpoint: string,
): Promise<ClientAuthentication> {
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
      if (config.clientAssertion !== undefined) return await assertionOfFunction(provider, endpoint)
      return await jwtAuthentication(provider, endpoint, config.tokenEndpointAuthSigningAlg ?? algOfKeys(provider))
    // RFC 8705 2: the TLS certificate authenticates the client; the body only names it.
    case 'tls_client_auth':
    case 'self_signed_tls_client_auth':
    case 'none':
      return { headers: {}, params: { client_id: clientId } }
  }
}

/**
 * The URL of an endpoint. For a client with a TLS certificate it may be an alias (RFC 8705 5). Throws
 * `ERR_OIDC_METADATA_INVALID` if the metadata has no https URL for it.
 */
export function endpointOf(
  { config, metadata }: Pick<AuthenticatedClient, 'config' | 'metadata'>,
  name: EndpointName,
): string {
  const { mtls_endpoint_aliases: aliases } = metadata
  const alias = usesClientCertificate(config) && isObject(aliases) ? aliases[name] : undefined
  const endpoint = alias ?? metadata[name]
  if (typeof endpoint === 'string' && isAddress(endpoint, config.dangerouslyAllowInsecureRequests)) return endpoint
  throw new ProviderError(
    'ERR_OIDC_METADATA_INVALID',
    `The metadata of ${config.issuer} has no https URL for ${name} (${shown(endpoint)}).`,
  )
}

function usesClientCertificate(config: AuthenticatedClient['config']): boolean {
  const { tokenEndpointAuthMethod: method, tlsClientCertificate } = config
  return tlsClientCertificate !== undefined || method === 'tls_client_auth' || method === 'self_signed_tls_client_auth'
}

function isAddress(value: string, insecure: boolean): boolean {
  const protocol = URL.canParse(value) ? new URL(value).protocol : ''
  return protocol === 'https:' || (insecure && protocol === 'http:')
}

function algOfKeys(provider: AuthenticatedClient): string {
  return defaultSigningAlg(provider, provider.metadata['token_endpoint_auth_signing_alg_values_supported'])
}

/** RFC 7523 2.2. */
async function jwtAuthentication(
  provider: AuthenticatedClient,
  endpoint: string,
  alg: string,
): Promise<ClientAuthentication> {
  const { clientId, tokenEndpointAuthMethod: method } = provider.config
  if (usesClientSecret(alg) !== (method === 'client_secret_jwt')) {
    throw new ConfigError([`tokenEndpointAuthSigningAlg is '${alg}', which ${method} cannot use.`])
  }
  const assertion = await createClientAssertion({
    ...(await findSigner(provider, alg)),
    clientId,
    audience: assertionAudience(provider, endpoint),
    now: Math.floor(nowInSeconds()),
  })
  return assertionParams(clientId, assertion)
}

function assertionParams(clientId: string, assertion: string): ClientAuthentication {
  // `client_id` is optional (RFC 7521 4.2), but some providers need it.
  const params = { client_id: clientId, client_assertion_type: CLIENT_ASSERTION_TYPE, client_assertion: assertion }
  return { headers: {}, params }
}

/** Seconds, if the configuration has no `timeout`. */
const USUAL_TIMEOUT = 10

/** The option `clientAssertion`: the key is elsewhere. What the function returns is sent as it is. */
async function assertionOfFunction(provider: AuthenticatedClient, endpoint: string): Promise<ClientAuthentication> {
  const { clientAssertion, clientId, timeout = USUAL_TIMEOUT } = provider.config
  const audience = assertionAudience(provider, endpoint)
  const call = async ({ signal }: TimeLimit): Promise<unknown> => clientAssertion?.({ audience, clientId, signal })
  const timeoutError = (): Error =>
    new Error('The function clientAssertion took longer than the option timeout allows.')
  const assertion = await withTimeLimit(timeout, call, timeoutError).catch((cause: unknown) => {
    const message = 'The function clientAssertion failed or took longer than timeout. Its error is the cause.'
    throw new OidcError('ERR_OIDC_CLIENT_ASSERTION', message, { status: 503, cause })
  })
  if (isSignedJwt(assertion)) return assertionParams(clientId, assertion)
  throw new OidcError(
    'ERR_OIDC_CLIENT_ASSERTION',
    'The function clientAssertion must return a signed JWT of at most 16384 characters: three parts in base64url, with dots ' +
      'between them, and without a line break at its end.',
  )
}

const MAX_ASSERTION_LENGTH = 16_384

/** A JWS in compact form (RFC 7515 7.1) with a signature. */
function isSignedJwt(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_ASSERTION_LENGTH && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(value)
}

async function secretOf({ config }: AuthenticatedClient): Promise<string> {
  const secret = await readClientSecret(config)
  if (secret !== undefined && secret !== '') return secret
  throw new OidcError(
    'ERR_OIDC_CLIENT_SECRET',
    `tokenEndpointAuthMethod is '${config.tokenEndpointAuthMethod}', which needs a clientSecret.`,
  )
}

/**
 * RFC 6749 2.3.1: both halves are form-encoded, here exactly as URLSearchParams does it. openid-client also escapes `-`, `.`,
 * `_` and `*`, which six of ten tried providers never decode.
 */
function basicCredentials(clientId: string, clientSecret: string): string {
  const credentials = `${formEncode(clientId)}:${formEncode(clientSecret)}`
  return `Basic ${Buffer.from(credentials).toString('base64')}`
}

function formEncode(value: string): string {
  return new URLSearchParams({ '': value }).toString().slice(1)
}

interface ClientAssertion extends ClientSigner {
  readonly clientId: string
  readonly audience: string
  /** Seconds since 1970. */
  readonly now: number
}

/** The lifetime of an assertion, in seconds. It is used immediately and once. */
const LIFETIME = 60

/** RFC 7521 4.2, RFC 7523 2.2. */
const CLIENT_ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/**
 * Creates a signed assertion for `private_key_jwt` or `client_secret_jwt` (OIDC Core 9, RFC 7523 3). Each one has its own
 * `jti`, because a provider accepts it only once. The audience is a string: some providers refuse an array, and FAPI 2.0
 * Security Profile 5.3.3.1 forbids it.
 */
export function createClientAssertion({ clientId, audience, alg, key, kid, now }: ClientAssertion): Promise<string> {
  const jti = randomBytes(24).toString('base64url')
  return new SignJWT({ iss: clientId, sub: clientId, aud: audience, iat: now, exp: now + LIFETIME, jti })
    .setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }) })
    .sign(key)
}

/**
 * The audience of an assertion, from `clientAssertionAudience`. Default: the issuer, which names this provider whatever the
 * endpoint (OIDC Core 9, FAPI 2.0 Security Profile 5.3.3.1).
 *
 * @param endpoint The URL of the request. Never another one: a provider could use an assertion for another provider's URL
 * there.
 */
export function assertionAudience(
  { config, metadata }: Pick<AuthenticatedClient, 'config' | 'metadata'>,
  endpoint: string,
): string {
  // A profile demands the issuer, and leaves Okta no choice (FAPI 2.0 Security Profile 5.3.3.1).
  const usual = config.profile === undefined && isOkta(metadata.token_endpoint) ? 'endpoint' : 'issuer'
  const { clientAssertionAudience: audience = usual } = config
  if (audience === 'endpoint') return endpoint
  return audience === 'issuer' ? config.issuer : audience
}

/**
 * Okta refuses assertions for its issuer: they must name the requested URL. It is recognized by the path of its token
 * endpoint, because its customers use their own domains.
 */
function isOkta(tokenEndpoint: string | undefined): boolean {
  return /^https?:\/\/[^/?#]+\/oauth2\/([^/?#]+\/)?v1\/token$/.test(tokenEndpoint ?? '')
}
