import { OidcError } from '../errors.ts'
import { isBySecret, isSameAlgorithm } from '../jose/algorithms.ts'
import type { Config } from '../options/config.ts'
import { hasKey } from '../options/key-conflicts.ts'
import { PROFILE_ALGORITHMS, PROFILE_METHODS } from '../options/profile.ts'
import type { RegisteredClient, RegistrationOptions } from '../options/registration-options.ts'
import { responseDeliveryOf } from '../options/response-type.ts'
import type { ConfigFor } from '../provider/provider.ts'
import { ENCRYPTED, SIGNED } from './client-metadata.ts'
import { type ClientRegistration, createClientRegistration } from './own-client.ts'

type Method = Config['tokenEndpointAuthMethod']

/** How a client may have to prove itself, and whether it has what that takes. */
const METHODS: Readonly<Record<Method, (config: Config) => boolean>> = {
  client_secret_basic: hasSecret,
  client_secret_post: hasSecret,
  client_secret_jwt: (config) => hasSecret(config) && isBySecret(config.tokenEndpointAuthSigningAlg ?? 'HS256'),
  private_key_jwt: ({ clientKeys, tokenEndpointAuthSigningAlg: alg }) => hasKey(clientKeys, 'sig', alg),
  tls_client_auth: hasCertificate,
  self_signed_tls_client_auth: hasCertificate,
  none: () => true,
}

/** Registers the application at first use, and gives its configuration as the registered client. */
export function createConfigFor(config: Config, registration: RegistrationOptions): ConfigFor {
  let registered: ClientRegistration | undefined
  return async (metadata, http) => {
    registered ??= createClientRegistration({ http, config, registration })
    return registeredConfig(config, await registered.current(metadata))
  }
}

/**
 * The configuration of a client that was registered: the answer is the truth, whatever was asked for (RFC 7591 3.2.1). So it
 * decides how the client proves itself and whether requests are pushed. Algorithms are pinned by the options: an answer that
 * has others is refused, for tokens would come that nobody expects, or that are weaker than the application demands.
 *
 * @throws OidcError `ERR_OIDC_REGISTRATION_MISMATCH`, with the names of ours that do not agree and nothing of the answer.
 */
function registeredConfig(config: Config, client: RegisteredClient): Config {
  const method = methodOf(config, client)
  const registered: Config = {
    ...config,
    clientId: client.client_id,
    // Whoever proves nothing has no use for a secret, and must not be thought to share one with the provider.
    clientSecret: method === 'none' ? undefined : client.client_secret,
    tokenEndpointAuthMethod: method,
    tokenEndpointAuthSigningAlg: assertionAlgOf(config, client, method),
    requirePushedAuthorizationRequests:
      config.requirePushedAuthorizationRequests || client.require_pushed_authorization_requests === true,
  }
  checkMethod(registered)
  checkAlgorithms(registered, client)
  checkDemands(registered, client)
  return registered
}

function methodOf(config: Config, { token_endpoint_auth_method: told }: RegisteredClient): Method {
  if (told === undefined) return config.tokenEndpointAuthMethod
  if (isMethod(told)) return told
  throw mismatch('has a token_endpoint_auth_method that is not known')
}

function isMethod(method: string): method is Method {
  return Object.hasOwn(METHODS, method)
}

/** Where the options leave it open, the answer may tell. */
function assertionAlgOf(config: Config, client: RegisteredClient, method: Method): string | undefined {
  const { token_endpoint_auth_signing_alg: told } = client
  return config.tokenEndpointAuthSigningAlg ?? (method.endsWith('_jwt') ? told : undefined)
}

function checkMethod(config: Config): void {
  const { tokenEndpointAuthMethod: method, tokenEndpointAuthSigningAlg: alg = 'PS256', profile } = config
  if (!METHODS[method](config)) throw mismatch(`is to prove itself by ${method}, and lacks what that takes`)
  if (profile === undefined || (PROFILE_METHODS.includes(method) && PROFILE_ALGORITHMS.includes(alg))) return
  throw mismatch('is to prove itself in a way that the option profile forbids')
}

/** What is registered and what the options say. Where the answer is silent, what was asked for holds. */
function checkAlgorithms(config: Config, client: RegisteredClient): void {
  const pairs: readonly (readonly [wire: string, option: keyof Config])[] = [
    ...SIGNED.map(([wire, option]) => [wire, option] as const),
    ...ENCRYPTED.map(([wire, option]) => [`${wire}_alg`, option] as const),
    ...ENCRYPTED.filter(([, alg]) => config[alg] !== undefined).map(([wire, , enc]) => [`${wire}_enc`, enc] as const),
  ]
  for (const [wire, option] of pairs.filter(([, name]) => isUsed(config, name))) {
    if (client[wire] !== undefined && !isSame(client[wire], config[option])) {
      throw mismatch(`has another ${wire} than the option ${option} says`)
    }
    if (isBySecret(String(config[option])) && !hasSecret(config)) {
      throw mismatch(`has no secret, which the option ${option} needs`)
    }
  }
}

/** What nothing goes by may be registered as it likes: requests, where none are signed, for example. */
function isUsed(config: Config, option: keyof Config): boolean {
  const { responseMode, responseType, tokenEndpointAuthMethod: method } = config
  if (option.startsWith('authorization')) return responseDeliveryOf(responseMode, responseType).isJwt
  if (option === 'tokenEndpointAuthSigningAlg') return method.endsWith('_jwt')
  return !option.startsWith('requestObject') || config[option] !== undefined
}

function isSame(registered: unknown, told: unknown): boolean {
  return registered === told || (typeof registered === 'string' && isSameAlgorithm(registered, String(told)))
}

/** Without these, the provider would refuse every login. */
function checkDemands(config: Config, client: RegisteredClient): void {
  const { requestObjectSigningAlg: alg = 'none', dpopBoundAccessTokens } = config
  if (client.require_signed_request_object === true && alg === 'none') {
    throw mismatch('has to sign its requests, which the option requestObjectSigningAlg would do')
  }
  if (client.dpop_bound_access_tokens === true && !dpopBoundAccessTokens) {
    throw mismatch('has to bind its tokens, which the option dpopBoundAccessTokens would do')
  }
}

function hasSecret({ clientSecret }: Config): boolean {
  return clientSecret !== undefined
}

function hasCertificate({ tlsClientCertificate, fetch }: Config): boolean {
  return tlsClientCertificate !== undefined || fetch !== undefined
}

function mismatch(fault: string): OidcError {
  return new OidcError(
    'ERR_OIDC_REGISTRATION_MISMATCH',
    `The registered client ${fault}: change the option or the client.`,
  )
}
