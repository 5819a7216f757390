import { createClientKeys } from '../jose/client-keys.ts'
import { PRIVATE_MEMBERS } from '../jose/jwk.ts'
import type { Config } from '../options/config.ts'
import { ALGORITHM_OPTIONS } from '../options/option-table.ts'
import type { ClientChanges, ClientMetadata } from '../options/registration-options.ts'

/**
 * The metadata with which this application registers: what follows from its configuration, with the option
 * `registration.metadata` over it. Members with their usual value are left out, because not every provider knows them
 * all.
 */
export function clientMetadataOf(config: Config, own: ClientChanges = {}): ClientMetadata {
  const types = own.response_types ?? [config.responseType]
  const metadata: ClientChanges = {
    client_name: new URL(config.origin).host,
    redirect_uris: [config.redirectUri],
    post_logout_redirect_uris: [config.postLogoutRedirectUri],
    response_types: types,
    grant_types: grantTypesOf(types, config.scope),
    token_endpoint_auth_method: config.tokenEndpointAuthMethod,
    ...algorithmsOf(config),
    ...bindingsOf(config),
    ...urlsOf(config),
    ...(own.jwks || own.jwks_uri ? {} : keysOf(config)),
    ...own,
  }
  return Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== undefined && value !== null))
}

/** OIDC Dynamic Client Registration 2. `offline_access` requests a refresh token (OIDC Core 11). */
function grantTypesOf(types: readonly string[], scope: string): readonly string[] {
  return [...requiredGrantTypes(types), ...(scope.split(' ').includes('offline_access') ? ['refresh_token'] : [])]
}

/** The grant types that response types need (OIDC Dynamic Client Registration 2). */
function requiredGrantTypes(types: readonly string[]): readonly string[] {
  const words = types.flatMap((type) => type.split(' '))
  return [
    ...(words.includes('code') ? ['authorization_code'] : []),
    ...(words.some((word) => word === 'token' || word === 'id_token') ? ['implicit'] : []),
  ]
}

/** Algorithms that differ from the default, and the content encryption of each encryption. */
function algorithmsOf(config: Config): ClientMetadata {
  const registered = ALGORITHM_OPTIONS.filter(({ name, algOption, default: usual }) =>
    algOption === undefined ? config[name] !== usual : config[algOption] !== undefined,
  )
  return Object.fromEntries(registered.map(({ name, wireName }) => [wireName, config[name]]))
}

/** RFC 9126 6, RFC 9449 5.2, RFC 8705 3.4. */
function bindingsOf(config: Config): ClientMetadata {
  return {
    ...(config.requirePushedAuthorizationRequests ? { require_pushed_authorization_requests: true } : {}),
    ...(config.dpopBoundAccessTokens ? { dpop_bound_access_tokens: true } : {}),
    ...(config.tlsClientCertificate === undefined ? {} : { tls_client_certificate_bound_access_tokens: true }),
  }
}

/** Routes that the provider or other sites call. */
function urlsOf({ origin, basePath, routes, requestObjectBy }: Config): ClientMetadata {
  return {
    ...(origin.startsWith('https:') ? logoutUrlsOf(origin + basePath, routes) : {}),
    ...(routes.initiateLogin === undefined ? {} : { initiate_login_uri: origin + basePath + routes.initiateLogin }),
    ...(requestObjectBy === 'reference' ? { request_uris: [origin + basePath + routes.requestObjects] } : {}),
  }
}

/** OIDC Back-Channel Logout 2.2, Front-Channel Logout 2. Not over plain http, in development: providers reject it. */
function logoutUrlsOf(base: string, routes: Config['routes']): ClientMetadata {
  return {
    backchannel_logout_uri: base + routes.backchannelLogout,
    backchannel_logout_session_required: true,
    frontchannel_logout_uri: base + routes.frontchannelLogout,
    frontchannel_logout_session_required: true,
  }
}

/**
 * By URL, so that keys can change without a new registration. By value in development, if the provider cannot fetch
 * them.
 */
function keysOf(config: Config): ClientMetadata {
  if (config.clientKeys.length === 0) return {}
  if (config.origin.startsWith('https:')) return { jwks_uri: config.origin + config.basePath + config.routes.jwks }
  return { jwks: createClientKeys(config.clientKeys).publicJwks as NonNullable<ClientMetadata['jwks']> }
}

/**
 * One message for each contradiction in the metadata of a client, and for private keys in it. The provider judges the
 * rest: it may know members and values that this library does not.
 */
export function findMetadataProblems(metadata: ClientMetadata): readonly string[] {
  const { jwks, jwks_uri: jwksUri, redirect_uris: redirectUris = [] } = metadata
  const problems: readonly (readonly [isProblem: boolean, message: string])[] = [
    [jwks !== undefined && jwksUri !== undefined, 'jwks and jwks_uri cannot be combined (RFC 7591 2).'],
    [hasPrivateKey(jwks), 'jwks must contain only public keys. One of its keys is private or symmetric.'],
    [redirectUris.some((uri) => uri.includes('#')), 'redirect_uris must have no fragment (RFC 6749 3.1.2).'],
    ...missingGrantTypes(metadata).map(
      (grant) => [true, `grant_types must contain ${grant}, because response_types needs it.`] as const,
    ),
  ]
  return problems.flatMap(([isProblem, message]) => (isProblem ? [message] : []))
}

/** The defaults are those of OIDC Dynamic Client Registration 2. */
function missingGrantTypes({
  response_types: types = ['code'],
  grant_types: grants = ['authorization_code'],
}: ClientMetadata): readonly string[] {
  // A `service` of Okta has the response type `token`, although it receives nothing through a browser.
  const isService = grants.includes('client_credentials') && types.every((type) => type === 'token')
  return isService ? [] : requiredGrantTypes(types).filter((grant) => !grants.includes(grant))
}

function hasPrivateKey(jwks: ClientMetadata['jwks']): boolean {
  const keys: unknown = jwks?.keys
  return Array.isArray(keys) && keys.some((key) => PRIVATE_MEMBERS.some((member) => Object.hasOwn(Object(key), member)))
}

/**
 * Advice on the metadata of a client: what Okta is known to reject or to change, and grant types without a use. One
 * sentence for each. Nothing of it prevents a registration.
 */
export function adviseOnClient(metadata: ClientMetadata): readonly string[] {
  const { application_type: type = 'web', token_endpoint_auth_method: method } = metadata
  const { response_types: types = ['code'], grant_types: grants = ['authorization_code'] } = metadata
  const needed = requiredGrantTypes(types)
  const advice: readonly (readonly [applies: boolean, sentence: string])[] = [
    [metadata.client_name === undefined, 'client_name is missing. Okta requires it.'],
    ...['implicit', 'authorization_code'].map(
      (grant) =>
        [
          grants.includes(grant) && !needed.includes(grant),
          `grant_types contains ${grant}, but no response type needs it.`,
        ] as const,
    ),
    [
      type === 'web' && !grants.includes('authorization_code'),
      'grant_types must contain authorization_code for the application_type web of Okta.',
    ],
    [
      ['browser', 'native'].includes(type) && method !== 'none',
      `token_endpoint_auth_method should be none for the application_type ${type}.`,
    ],
    [
      type === 'service' && grants.join() !== 'client_credentials',
      'grant_types must be client_credentials only for the application_type service of Okta.',
    ],
  ]
  return advice.flatMap(([applies, sentence]) => (applies ? [sentence] : []))
}
