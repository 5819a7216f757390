import { callbackPath, DEFAULT_ROUTES } from './app-table.ts'
import { CLIENT_CONFLICTS, JOSE_CONFLICTS } from './key-conflicts.ts'
import type { ApplicationOptions } from './options.ts'
import { PROFILE_CONFLICTS } from './profile.ts'
import type { NamedProviderOptions, ProviderOptions } from './provider-options.ts'
import { contentsOf, findResponseType } from './response-type.ts'
import { type Conflict, conflict, findConflicts, insecureUrl, isPlainObject } from './rule.ts'
import { isPlainPath } from './urls.ts'

/** What the application's options are held against: of the provider's, only what means something for all of it. */
type Given = ApplicationOptions & Pick<ProviderOptions, 'issuer' | 'clientSecret'> & { readonly providers: unknown }

const APP_CONFLICTS: readonly Conflict<Given>[] = [
  conflict(
    ['secret', 'clientSecret'],
    'secret must be given where there is no clientSecret: at least 32 random characters.',
    ({ secret, clientSecret, providers }) =>
      secret === undefined && providers === undefined && typeof clientSecret !== 'string',
  ),
  conflict(
    ['secret'],
    'secret must be given where there are providers: at least 32 random characters, which none of them knows.',
    ({ secret, providers }) => secret === undefined && providers !== undefined,
  ),
  conflict(
    ['issuer'],
    'issuer must be left out where there are providers: each has its own.',
    ({ issuer, providers }) => issuer !== undefined && providers !== undefined,
  ),
  conflict(
    ['secret', 'clientSecret'],
    'secret must be given where clientSecret has fewer than 32 characters: who sees a cookie could guess it.',
    ({ secret, clientSecret, providers }) =>
      secret === undefined && providers === undefined && typeof clientSecret === 'string' && clientSecret.length < 32,
  ),
  conflict(
    ['providerChooser'],
    'providerChooser needs providers: with one alone there is nothing to choose.',
    ({ providerChooser, providers }) => providerChooser !== undefined && providers === undefined,
  ),
  conflict(
    ['postLogoutRedirectUri', 'baseUrl', 'routes'],
    'postLogoutRedirectUri must not be one of routes: name the page that people see after a logout.',
    ({ postLogoutRedirectUri: afterLogoutUrl, baseUrl = '', ...options }) =>
      routesOf(options).some(({ path }) => {
        return [path, baseUrl.replace(/\/$/, '') + path].some((own) => isSamePath(own, afterLogoutUrl))
      }),
  ),
  { between: ['routes', 'providerChooser'], problems: equalRoutes },
  insecureAppUrl('baseUrl'),
  insecureAppUrl('postLogoutRedirectUri'),
]

/** One sentence for each contradiction between the application's options. */
export function findAppConflicts(
  options: Readonly<Record<string, unknown>>,
  isSound: (name: string) => boolean,
): readonly string[] {
  return findConflicts(APP_CONFLICTS, options as Readonly<Partial<Given>>, isSound)
}

function isSamePath(path: string, afterLogoutUrl: string | undefined): boolean {
  return afterLogoutUrl?.toLowerCase().replace(/\/$/, '') === path.toLowerCase()
}

/** A path, and the option that it comes from. */
interface Route {
  readonly name: string
  readonly path: string
}

/** Where the middleware answers: several providers have callbacks of their own in the place of the one. */
function routesOf({ routes, providers }: Readonly<Partial<Given>>): readonly Route[] {
  const all = Object.entries({ ...DEFAULT_ROUTES, ...routes }).map(([name, path]) => ({ name: `routes.${name}`, path }))
  if (!isPlainObject(providers)) return all
  const callbacks = Object.entries(providers).map(([name, options]) => ({
    name: `providers.${name}.callback`,
    path: callbackPath(routes, name, isPlainObject(options) ? options : {}),
  }))
  // A path that is none is a fault of its own.
  return [...all.filter(({ name }) => name !== 'routes.callback'), ...callbacks.filter(({ path }) => isPlainPath(path))]
}

/**
 * Routers may leave case aside, so two routes that differ in nothing else are one. With one callback for two providers
 * nobody could tell whose answer it is (RFC 9700 4.4.2.2).
 */
function equalRoutes({ providerChooser, ...options }: Readonly<Partial<Given>>): readonly string[] {
  const chooser = isPlainPath(providerChooser) ? [{ name: 'providerChooser', path: providerChooser }] : []
  const all = [...routesOf(options), ...chooser]
  return all.flatMap(({ name, path }, index) => {
    const twin = all.slice(0, index).find((other) => other.path.toLowerCase() === path.toLowerCase())
    return twin === undefined ? [] : [`${name} must differ from ${twin.name}: both are ${path}.`]
  })
}

function insecureAppUrl(name: 'baseUrl' | 'postLogoutRedirectUri'): Conflict<Given> {
  return {
    between: ['dangerouslyAllowInsecureRequests', name],
    problems: (options) => insecureUrl(options.dangerouslyAllowInsecureRequests, options[name], name),
  }
}

/** The options of one provider, with the application's. */
export type GivenProvider = NamedProviderOptions & ApplicationOptions

const PROVIDER_CONFLICTS: readonly Conflict<GivenProvider>[] = [
  conflict(
    ['providerMetadata', 'issuer'],
    'providerMetadata.issuer must equal issuer, character by character.',
    (options) => options.providerMetadata !== undefined && options.providerMetadata.issuer !== options.issuer,
  ),
  conflict(
    ['providerMetadata', 'responseType'],
    'providerMetadata must have a token_endpoint where responseType has code.',
    ({ providerMetadata: metadata, responseType }) =>
      metadata !== undefined &&
      metadata.token_endpoint === undefined &&
      contentsOf(findResponseType(responseType) ?? 'code').code,
  ),
  conflict(
    ['responseType', 'responseMode'],
    'responseMode must not be query where responseType has id_token or token: they would stay in logs and histories.',
    ({ responseType = 'code', responseMode = '' }) => responseMode.startsWith('query') && responseType !== 'code',
  ),
  conflict(
    ['userinfo', 'providerMetadata'],
    'userinfo is true, yet providerMetadata has no userinfo_endpoint.',
    ({ userinfo, providerMetadata: metadata }) =>
      userinfo === true && metadata !== undefined && metadata.userinfo_endpoint === undefined,
  ),
  conflict(
    ['discovery', 'discoveryWithClientId', 'providerMetadata'],
    'providerMetadata takes the place of discovery: leave discovery and discoveryWithClientId out.',
    ({ discovery, discoveryWithClientId, providerMetadata: metadata }) =>
      metadata !== undefined && (discovery !== undefined || discoveryWithClientId === true),
  ),
  conflict(
    ['issuer', 'tenants'],
    'tenants must be given where the issuer has {tenantid} in it, and there alone.',
    ({ issuer = '', tenants }) => issuer.includes('{tenantid}') !== (tenants !== undefined),
  ),
  conflict(
    ['dpopBoundAccessTokens', 'responseType', 'profile'],
    'dpopBoundAccessTokens cannot be with a responseType that has token: what the browser brings is bound to nothing.',
    (options) => isBoundByChoice(options) && contentsOf(findResponseType(options.responseType) ?? 'code').token,
  ),
  conflict(
    ['dpopBoundAccessTokens', 'responseType', 'profile'],
    'dpopBoundAccessTokens needs a responseType with code: there is no access token to bind.',
    (options) => isBoundByChoice(options) && findResponseType(options.responseType) === 'id_token',
  ),
  conflict(
    ['dpopBoundAccessTokens', 'userinfoBearerMethod'],
    "userinfoBearerMethod must be 'header' where dpopBoundAccessTokens is true (RFC 9449 7.1).",
    (options) => options.dpopBoundAccessTokens === true && options.userinfoBearerMethod === 'body',
  ),
  conflict(
    ['dpopBoundAccessTokens', 'dpopSigningAlg'],
    'dpopSigningAlg needs dpopBoundAccessTokens: true.',
    (options) => options.dpopSigningAlg !== undefined && options.dpopBoundAccessTokens !== true,
  ),
  conflict(
    ['requirePushedAuthorizationRequests', 'providerMetadata'],
    'requirePushedAuthorizationRequests is true, yet providerMetadata has no pushed_authorization_request_endpoint.',
    ({ requirePushedAuthorizationRequests: isPushed, providerMetadata: metadata }) =>
      isPushed === true && metadata !== undefined && metadata['pushed_authorization_request_endpoint'] === undefined,
  ),
  conflict(
    ['requestObjectBy', 'requirePushedAuthorizationRequests', 'providerMetadata'],
    "requestObjectBy must be 'value' where requests are pushed (RFC 9126 3).",
    ({ requestObjectBy, requirePushedAuthorizationRequests: isPushed, providerMetadata: metadata }) =>
      requestObjectBy === 'reference' &&
      (isPushed === true || metadata?.['require_pushed_authorization_requests'] === true),
  ),
  insecureProviderUrl('issuer'),
  { between: ['dangerouslyAllowInsecureRequests', 'providerMetadata'], problems: insecureEndpoints },
  {
    between: ['dangerouslyAllowInsecureRequests', 'discovery'],
    problems: ({ dangerouslyAllowInsecureRequests: isAllowed, discovery }) =>
      insecureUrl(isAllowed, discovery, 'discovery'),
  },
  {
    between: ['dangerouslyAllowInsecureRequests', 'claimsProviders'],
    problems: ({ dangerouslyAllowInsecureRequests: isAllowed, claimsProviders = [] }) =>
      claimsProviders.flatMap((one, index) => insecureUrl(isAllowed, one, `claimsProviders[${index}]`)),
  },
  ...CLIENT_CONFLICTS,
  ...JOSE_CONFLICTS,
  ...PROFILE_CONFLICTS,
]

/** One sentence for each contradiction between the options of one provider, and with the application's. */
export function findProviderConflicts(
  options: Readonly<Record<string, unknown>>,
  isSound: (name: string) => boolean,
): readonly string[] {
  return findConflicts(PROVIDER_CONFLICTS, options as Readonly<Partial<GivenProvider>>, isSound)
}

/** A profile sets it by itself, and has its own sentence about the response type. */
function isBoundByChoice({ dpopBoundAccessTokens, profile }: Readonly<Partial<GivenProvider>>): boolean {
  return dpopBoundAccessTokens === true && profile === undefined
}

function insecureProviderUrl(name: 'issuer'): Conflict<GivenProvider> {
  return {
    between: ['dangerouslyAllowInsecureRequests', name],
    problems: (options) => insecureUrl(options.dangerouslyAllowInsecureRequests, options[name], name),
  }
}

function insecureEndpoints(options: Readonly<Partial<GivenProvider>>): readonly string[] {
  const { issuer: _, ...metadata } = options.providerMetadata ?? {}
  return Object.entries(metadata)
    .filter(([name]) => /_(?:endpoint|uri)$/.test(name))
    .flatMap(([name, url]) => insecureUrl(options.dangerouslyAllowInsecureRequests, url, `providerMetadata.${name}`))
}
