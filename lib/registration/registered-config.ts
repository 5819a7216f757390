import { OidcError, shown } from '../errors.ts'
import { isSameAlgorithm, usesClientSecret } from '../jose/algorithms.ts'
import type { Config } from '../options/config.ts'
import { hasKey } from '../options/key-conflicts.ts'
import { ALGORITHM_OPTIONS, type AlgorithmOption } from '../options/option-table.ts'
import { allowsMethod, PROFILE_ALGORITHMS } from '../options/profile.ts'
import type { RegisteredClient, RegistrationOptions } from '../options/registration-options.ts'
import { responseDeliveryOf } from '../options/response-type.ts'
import type { ConfigFor } from '../provider/provider.ts'
import { type ClientRegistration, createClientRegistration } from './own-client.ts'

/** Registers the application at first use, and gives its configuration as the registered client. */
export function createConfigFor(config: Config, registration: RegistrationOptions): ConfigFor {
  let registered: ClientRegistration | undefined
  return async (metadata, http) => {
    registered ??= createClientRegistration({ http, config, registration })
    return registeredConfig(config, await registered.current(metadata))
  }
}

/**
 * The configuration of a registered client. What the provider has registered counts, not what was requested (RFC 7591
 * 3.2.1), so it decides how the client authenticates and whether requests are pushed. The options decide the
 * algorithms: a client with other ones is refused, because its tokens would be rejected or be weaker than the
 * application requires.
 *
 * @throws OidcError `ERR_OIDC_REGISTRATION_MISMATCH`. The message names our option and the member of the client.
 */
function registeredConfig(config: Config, client: RegisteredClient): Config {
  const method = authMethodOf(config, client)
  const registered: Config = {
    ...config,
    clientId: client.client_id,
    // A public client does not use a secret, and algorithms with a secret must not be used.
    clientSecret: method === 'none' ? undefined : client.client_secret,
    tokenEndpointAuthMethod: method,
    tokenEndpointAuthSigningAlg: assertionAlgOf(config, client, method),
    requirePushedAuthorizationRequests:
      config.requirePushedAuthorizationRequests || client.require_pushed_authorization_requests === true,
  }
  checkAuthMethod(registered)
  checkAlgorithms(registered, client)
  checkRequirements(registered, client)
  return registered
}

type AuthMethod = Config['tokenEndpointAuthMethod']

/** Each authentication method, and whether this client has the secret, key or certificate for it. */
const AUTH_METHODS: Readonly<Record<AuthMethod, (config: Config) => boolean>> = {
  client_secret_basic: hasSecret,
  client_secret_post: hasSecret,
  client_secret_jwt: (config) => hasSecret(config) && usesClientSecret(config.tokenEndpointAuthSigningAlg ?? 'HS256'),
  private_key_jwt: ({ clientKeys, tokenEndpointAuthSigningAlg: alg }) => hasKey(clientKeys, 'sig', alg),
  tls_client_auth: hasCertificate,
  self_signed_tls_client_auth: hasCertificate,
  none: () => true,
}

function hasSecret({ clientSecret }: Config): boolean {
  return clientSecret !== undefined
}

function hasCertificate({ tlsClientCertificate, fetch }: Config): boolean {
  return tlsClientCertificate !== undefined || fetch !== undefined
}

function authMethodOf(config: Config, { token_endpoint_auth_method: method }: RegisteredClient): AuthMethod {
  if (method === undefined) return config.tokenEndpointAuthMethod
  if (isAuthMethod(method)) return method
  throw mismatch(`has the unknown token_endpoint_auth_method ${shown(method)}`)
}

function isAuthMethod(method: string): method is AuthMethod {
  return Object.hasOwn(AUTH_METHODS, method)
}

/** If the option is not given, the provider decides. */
function assertionAlgOf(config: Config, client: RegisteredClient, method: AuthMethod): string | undefined {
  const { token_endpoint_auth_signing_alg: alg } = client
  return config.tokenEndpointAuthSigningAlg ?? (method.endsWith('_jwt') ? alg : undefined)
}

function checkAuthMethod(config: Config): void {
  const { tokenEndpointAuthMethod: method, tokenEndpointAuthSigningAlg: alg = 'PS256', profile } = config
  if (!AUTH_METHODS[method](config)) {
    throw mismatch(`has token_endpoint_auth_method ${method}, but no secret, key or certificate for it`)
  }
  if (profile === undefined || (allowsMethod(profile, method) && PROFILE_ALGORITHMS.includes(alg))) return
  throw mismatch(`has token_endpoint_auth_method ${method} with ${shown(alg)}, which the option profile forbids`)
}

/** Compares what is registered with the options. A member that the provider leaves out is as it was requested. */
function checkAlgorithms(config: Config, client: RegisteredClient): void {
  const relevant = ALGORITHM_OPTIONS.filter(({ name, algOption }) => {
    return isUsed(config, name) && (algOption === undefined || config[algOption] !== undefined)
  })
  for (const { name, wireName } of relevant) {
    const registered: unknown = client[wireName]
    if (registered !== undefined && !isSame(registered, config[name])) {
      throw mismatch(`has ${wireName} ${shown(registered)}, but the option ${name} is ${shown(config[name])}`)
    }
    if (usesClientSecret(config[name]) && !hasSecret(config)) {
      throw mismatch(`has no client_secret, which the option ${name} needs`)
    }
  }
}

/** False for algorithms of messages that this application never sends or receives. */
function isUsed(config: Config, option: AlgorithmOption): boolean {
  const { responseMode, responseType, tokenEndpointAuthMethod: method } = config
  if (option.startsWith('authorization')) return responseDeliveryOf(responseMode, responseType).isJwt
  if (option === 'tokenEndpointAuthSigningAlg') return method.endsWith('_jwt')
  return !option.startsWith('requestObject') || config[option] !== undefined
}

function isSame(registered: unknown, requested: unknown): boolean {
  return registered === requested || (typeof registered === 'string' && isSameAlgorithm(registered, String(requested)))
}

/** What the provider requires of every login. */
function checkRequirements(config: Config, client: RegisteredClient): void {
  const { requestObjectSigningAlg: alg = 'none', dpopBoundAccessTokens } = config
  if (client.require_signed_request_object === true && alg === 'none') {
    throw mismatch('must sign its requests (require_signed_request_object). Set the option requestObjectSigningAlg')
  }
  if (client.dpop_bound_access_tokens === true && !dpopBoundAccessTokens) {
    throw mismatch('must bind its tokens (dpop_bound_access_tokens). Set the option dpopBoundAccessTokens')
  }
}

function mismatch(problem: string): OidcError {
  return new OidcError(
    'ERR_OIDC_REGISTRATION_MISMATCH',
    `The registered client ${problem}. Change the option, or update the client.`,
  )
}
