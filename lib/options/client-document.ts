import { shown } from '../errors.ts'
import { createClientKeys } from '../jose/client-keys.ts'
import { type Config, redirectUrisOf } from './config.ts'
import { ALGORITHM_OPTIONS } from './option-table.ts'
import type { ClientChanges, ClientMetadata } from './registration-options.ts'

/**
 * The metadata with which this application registers: what follows from its configuration, with the option
 * `registration.metadata` over it. Members with their usual value are left out, because not every provider knows them
 * all.
 */
export function clientMetadataOf(config: Config, own: ClientChanges = {}): ClientMetadata {
  const types = own.response_types ?? [config.responseType]
  const metadata: ClientChanges = {
    client_name: new URL(config.origin).host,
    redirect_uris: redirectUrisOf(config),
    post_logout_redirect_uris: [...new Set(config.hosts.map((host) => host.postLogoutRedirectUri))],
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
export function requiredGrantTypes(types: readonly string[]): readonly string[] {
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

/** The URLs of the client metadata document that this application serves (OAuth Client ID Metadata Document 3). */
function documentUrls({ hosts, basePath, routes }: Pick<Config, 'hosts' | 'basePath' | 'routes'>): readonly string[] {
  const { clientMetadata } = routes
  return clientMetadata === undefined ? [] : hosts.map(({ origin }) => origin + basePath + clientMetadata)
}

/** The client whose `clientId` is the URL of its document. */
export function findDocumentClient<Client extends Config>(clients: readonly Client[]): Client | undefined {
  return clients.find((client) => documentUrls(client).includes(client.clientId))
}

/** The client metadata document of this client (OAuth Client ID Metadata Document 4.1). */
export function clientDocumentOf(config: Config): ClientMetadata & { readonly client_id: string } {
  const { scope, clientId, clientMetadata = {} } = config
  return { ...clientMetadataOf(config, { scope, ...clientMetadata }), client_id: clientId }
}

/** One message for each contradiction between a client metadata document and the options. */
export function findDocumentProblems(clients: readonly Config[]): readonly string[] {
  const [first] = clients
  const urls = first === undefined ? [] : documentUrls(first)
  if (urls.length === 0) {
    const isGiven = clients.some(({ clientMetadata }) => clientMetadata !== undefined)
    return isGiven ? ['clientMetadata needs routes.clientMetadata, the path of the document.'] : []
  }
  const served = clients.filter(({ clientId }) => urls.includes(clientId))
  if (served.length === 0)
    return [`clientId must be ${shown(urls[0])} with routes.clientMetadata, which serves the document there.`]
  if (served.length > 1)
    return ['routes.clientMetadata serves the document of one client. Give one provider that clientId.']
  return served.flatMap((config) => [...secretProblems(config), ...memberProblems(config)])
}

/** OAuth Client ID Metadata Document 4.1: there is no way to share a secret. Certificates are not published either. */
function secretProblems({ clientSecret, tokenEndpointAuthMethod: method }: Config): readonly string[] {
  if (clientSecret !== undefined)
    return ['clientSecret must be left out with routes.clientMetadata: nobody shares a secret then.']
  const isPossible = method === 'none' || method === 'private_key_jwt'
  return isPossible ? [] : ["tokenEndpointAuthMethod must be 'none' or 'private_key_jwt' with routes.clientMetadata."]
}

/** Set by the library alone, or not allowed in a document. */
const EXCLUDED = ['client_id', 'client_secret', 'client_secret_expires_at', 'jwks', 'jwks_uri'] as const

function memberProblems(config: Config): readonly string[] {
  const own: Readonly<Record<string, unknown>> = config.clientMetadata ?? {}
  const expected: Readonly<Record<string, unknown>> = clientMetadataOf(config, { scope: config.scope })
  const excluded = EXCLUDED.filter((name) => Object.hasOwn(own, name))
  const contradictory = Object.entries(expected).filter(([name, value]) => isContradictory(name, own[name], value))
  return [
    ...excluded.map(
      (name) =>
        `clientMetadata must not contain ${name}: it follows from the other options, or no document may have it.`,
    ),
    ...contradictory.map(
      ([name]) => `clientMetadata.${name} contradicts the other options. Leave it out, or add their values to it.`,
    ),
  ]
}

/** The name of the client is the application's to choose. The members that are excluded have a message of their own. */
function isContradictory(name: string, given: unknown, expected: unknown): boolean {
  const isFree = name === 'client_name' || EXCLUDED.some((one) => one === name)
  return given !== undefined && !isFree && !includesAll(given, expected)
}

/** A list may hold more, such as the redirect URI of another application. */
function includesAll(given: unknown, expected: unknown): boolean {
  if (Array.isArray(given) && Array.isArray(expected)) return expected.every((one) => given.includes(one))
  return given === expected
}
