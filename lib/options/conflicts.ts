import { TENANT_PLACEHOLDER } from './issuer.ts'
import { CLIENT_CONFLICTS, JOSE_CONFLICTS } from './key-conflicts.ts'
import type { AppOptions } from './option-table.ts'
import { PROFILE_CONFLICTS } from './profile.ts'
import { hasVerificationKey } from './provider-keys-rule.ts'
import type { NamedProviderOptions, ProviderOptions } from './provider-options.ts'
import { contentsOf, findResponseType } from './response-type.ts'
import { equalRoutes, routesOf } from './route-conflicts.ts'
import { type Conflict, conflict, findConflicts, insecureUrl, showValue } from './rule.ts'
import { withAsciiHost } from './urls.ts'

/** The application's options, and the provider's options that matter to the whole application. */
type Given = AppOptions & Pick<ProviderOptions, 'issuer' | 'clientSecret' | 'sharedSignals'>

export const APP_CONFLICTS: readonly Conflict<Given>[] = [
  conflict(
    ['secret', 'clientSecret'],
    'secret is required unless clientSecret is a string. Set it to at least 32 random characters.',
    ({ secret, clientSecret, providers }) =>
      secret === undefined && providers === undefined && typeof clientSecret !== 'string',
  ),
  conflict(
    ['secret', 'clientSecret'],
    'secret is required if clientSecret is shorter than 32 characters, because it encrypts cookies. Set it to at least 32 random characters.',
    ({ secret, clientSecret, providers }) =>
      secret === undefined && providers === undefined && typeof clientSecret === 'string' && clientSecret.length < 32,
  ),
  conflict(
    ['secret', 'providers'],
    'secret is required with providers. Set it to at least 32 random characters that no provider knows.',
    ({ secret, providers }) => secret === undefined && providers !== undefined,
  ),
  conflict(
    ['issuer', 'providers'],
    'issuer cannot be combined with providers. Set the issuer of each provider instead.',
    ({ issuer, providers }) => issuer !== undefined && providers !== undefined,
  ),
  conflict(
    ['sharedSignals', 'providers'],
    'sharedSignals must be set in the options of one provider, because a transmitter ends the sessions of its own provider only.',
    ({ sharedSignals, providers }) => sharedSignals !== undefined && providers !== undefined,
  ),
  conflict(
    ['routes', 'providers'],
    'routes.clientMetadata cannot be combined with a function in providers, because the document is of one client.',
    ({ routes, providers }) => routes?.clientMetadata !== undefined && typeof providers === 'function',
  ),
  conflict(
    ['providerChooser', 'providers'],
    'providerChooser needs providers. With a single provider there is nothing to choose.',
    ({ providerChooser, providers }) => providerChooser !== undefined && providers === undefined,
  ),
  conflict(
    ['postLogoutRedirectUri', 'baseUrl', 'routes'],
    ({ postLogoutRedirectUri: url }) =>
      `postLogoutRedirectUri must not be one of routes. Received ${showValue(url)}. Set it to the page that users see after a logout.`,
    ({ postLogoutRedirectUri: url = '', baseUrl = '', ...options }) =>
      routesOf(options).some(({ path }) => {
        const own = [path, ...[baseUrl].flat().map((base) => withAsciiHost(base).replace(/\/$/, '') + path)]
        return own.some((route) => isSamePath(route, withAsciiHost(url)))
      }),
  ),
  { between: ['routes', 'providerChooser'], problems: equalRoutes },
  {
    between: ['dangerouslyAllowInsecureRequests', 'baseUrl'],
    problems: ({ dangerouslyAllowInsecureRequests: isAllowed, baseUrl }) =>
      Array.isArray(baseUrl)
        ? baseUrl.flatMap((one, index) => insecureUrl(isAllowed, one, `baseUrl[${index}]`))
        : insecureUrl(isAllowed, baseUrl, 'baseUrl'),
  },
  {
    between: ['dangerouslyAllowInsecureRequests', 'postLogoutRedirectUri'],
    problems: ({ dangerouslyAllowInsecureRequests: isAllowed, postLogoutRedirectUri: url }) =>
      insecureUrl(isAllowed, url, 'postLogoutRedirectUri'),
  },
  {
    between: ['dangerouslyAllowInsecureRequests', 'trustedOrigins'],
    problems: ({ dangerouslyAllowInsecureRequests: isAllowed, trustedOrigins = [] }) =>
      trustedOrigins.flatMap((one, index) => insecureUrl(isAllowed, one, `trustedOrigins[${index}]`)),
  },
]

/** One message for each contradiction between the application's options. */
export function findAppConflicts(
  options: Readonly<Record<string, unknown>>,
  isValid: (name: string) => boolean,
): readonly string[] {
  return findConflicts(APP_CONFLICTS, options as Readonly<Partial<Given>>, isValid)
}

function isSamePath(path: string, url: string | undefined): boolean {
  return url?.toLowerCase().replace(/\/$/, '') === path.toLowerCase()
}

/** The options of one provider and of the application. */
type GivenProvider = NamedProviderOptions & AppOptions

export const PROVIDER_CONFLICTS: readonly Conflict<GivenProvider>[] = [
  conflict(
    ['providerMetadata', 'issuer'],
    ({ providerMetadata: metadata, issuer }) =>
      `providerMetadata.issuer must equal issuer, character by character. Received ${showValue(metadata?.issuer)} and ${showValue(issuer)}.`,
    ({ providerMetadata: metadata, issuer }) => metadata !== undefined && metadata.issuer !== issuer,
  ),
  conflict(
    ['providerMetadata', 'responseType'],
    ({ responseType = 'code' }) => `providerMetadata needs a token_endpoint for responseType '${responseType}'.`,
    ({ providerMetadata: metadata, ...options }) =>
      metadata !== undefined && metadata.token_endpoint === undefined && contents(options).code,
  ),
  conflict(
    ['providerMetadata', 'idTokenSignedResponseAlg'],
    ({ idTokenSignedResponseAlg: alg = 'RS256' }) =>
      `providerMetadata.jwks has no key for idTokenSignedResponseAlg '${alg}'.`,
    ({ providerMetadata: { jwks } = {}, idTokenSignedResponseAlg: alg = 'RS256' }) =>
      jwks !== undefined && !hasVerificationKey(jwks, alg),
  ),
  conflict(
    ['responseType', 'responseMode'],
    ({ responseType }) =>
      `responseMode must not be query with responseType '${responseType}', because tokens in a URL stay in logs and browser histories.`,
    ({ responseType = 'code', responseMode = '' }) => responseMode.startsWith('query') && responseType !== 'code',
  ),
  conflict(
    ['userinfo', 'providerMetadata'],
    'userinfo is true, but providerMetadata has no userinfo_endpoint. Add it, or leave userinfo out.',
    ({ userinfo, providerMetadata: metadata }) =>
      userinfo === true && metadata !== undefined && metadata.userinfo_endpoint === undefined,
  ),
  conflict(
    ['discovery', 'discoveryWithClientId', 'providerMetadata'],
    'providerMetadata replaces discovery. Remove discovery and discoveryWithClientId, or providerMetadata.',
    ({ discovery, discoveryWithClientId, providerMetadata: metadata }) =>
      metadata !== undefined && (discovery !== undefined || discoveryWithClientId === true),
  ),
  conflict(
    ['extraProviderMetadata', 'providerMetadata'],
    'extraProviderMetadata cannot be combined with providerMetadata. Set the members there.',
    ({ extraProviderMetadata, providerMetadata: metadata }) =>
      extraProviderMetadata !== undefined && metadata !== undefined,
  ),
  conflict(
    ['issuer', 'tenants'],
    'tenants is required if issuer contains {tenantid}. List the tenants whose users may log in.',
    ({ issuer, tenants }) => tenants === undefined && isForTenants(issuer),
  ),
  conflict(
    ['issuer', 'tenants'],
    ({ issuer }) => `tenants needs an issuer that contains {tenantid}. Received issuer ${showValue(issuer)}.`,
    ({ issuer, tenants }) => tenants !== undefined && !isForTenants(issuer),
  ),
  conflict(
    ['dpopBoundAccessTokens', 'responseType', 'profile'],
    ({ responseType }) =>
      `dpopBoundAccessTokens cannot be combined with responseType '${responseType}'. DPoP cannot bind a token that comes through the browser.`,
    (options) => isBoundByChoice(options) && contents(options).token,
  ),
  conflict(
    ['dpopBoundAccessTokens', 'responseType', 'profile'],
    "dpopBoundAccessTokens needs a responseType with code. With 'id_token' there is no access token to bind.",
    (options) => isBoundByChoice(options) && findResponseType(options.responseType) === 'id_token',
  ),
  conflict(
    ['dpopBoundAccessTokens', 'userinfoBearerMethod'],
    "userinfoBearerMethod must be 'header' with dpopBoundAccessTokens (RFC 9449 7.1).",
    (options) => options.dpopBoundAccessTokens === true && options.userinfoBearerMethod === 'body',
  ),
  conflict(
    ['dpopBoundAccessTokens', 'dpopSigningAlg'],
    'dpopSigningAlg needs dpopBoundAccessTokens: true.',
    (options) => options.dpopSigningAlg !== undefined && options.dpopBoundAccessTokens !== true,
  ),
  conflict(
    ['requirePushedAuthorizationRequests', 'providerMetadata'],
    'requirePushedAuthorizationRequests is true, but providerMetadata has no pushed_authorization_request_endpoint.',
    ({ requirePushedAuthorizationRequests: isPushed, providerMetadata: metadata }) =>
      isPushed === true && metadata !== undefined && metadata['pushed_authorization_request_endpoint'] === undefined,
  ),
  conflict(
    ['requestObjectBy', 'requirePushedAuthorizationRequests', 'providerMetadata'],
    "requestObjectBy must be 'value' if requests are pushed (RFC 9126 3).",
    ({ requestObjectBy, requirePushedAuthorizationRequests: isPushed, providerMetadata: metadata }) =>
      requestObjectBy === 'reference' &&
      (isPushed === true || metadata?.['require_pushed_authorization_requests'] === true),
  ),
  conflict(
    ['authorizationRequestMethod', 'requirePushedAuthorizationRequests', 'requestObjectBy'],
    "authorizationRequestMethod 'POST' cannot be combined with requirePushedAuthorizationRequests or requestObjectBy 'reference', whose URLs are short already.",
    ({ authorizationRequestMethod: method, requirePushedAuthorizationRequests: isPushed, requestObjectBy }) =>
      method === 'POST' && (isPushed === true || requestObjectBy === 'reference'),
  ),
  ...(['dangerouslyAllowMissingNonce', 'dangerouslyDisablePkce'] as const).map((name) =>
    conflict<GivenProvider>(
      [name, 'responseType'],
      `${name} needs responseType 'code'. With any other, tokens come through the browser.`,
      ({ responseType = 'code', [name]: isAllowed }) => isAllowed === true && responseType !== 'code',
    ),
  ),
  conflict(
    ['dangerouslyDisablePkce', 'tokenEndpointAuthMethod', 'clientSecret', 'registration'],
    'dangerouslyDisablePkce needs a client that authenticates: without both, anyone who has a code can redeem it.',
    ({ dangerouslyDisablePkce, tokenEndpointAuthMethod: method, clientSecret, registration }) =>
      dangerouslyDisablePkce === true &&
      registration === undefined &&
      (method === 'none' || (method === undefined && clientSecret === undefined)),
  ),
  ...(['assumeBearerTokenType', 'allowMissingAccessToken'] as const).map((name) =>
    conflict<GivenProvider>(
      [name, 'dpopBoundAccessTokens'],
      `${name} cannot be combined with dpopBoundAccessTokens, which requires DPoP tokens.`,
      ({ [name]: isAllowed, dpopBoundAccessTokens }) => isAllowed === true && dpopBoundAccessTokens === true,
    ),
  ),
  conflict(
    ['dangerouslyIgnoreSessionExpiry', 'loginExpiry'],
    "dangerouslyIgnoreSessionExpiry cannot be combined with loginExpiry 'session_expiry', which needs the claim.",
    (options) => options.dangerouslyIgnoreSessionExpiry === true && options.loginExpiry === 'session_expiry',
  ),
  conflict(
    ['sharedSignals', 'issuer'],
    'sharedSignals.issuer is required, because issuer stands for many tenants.',
    ({ sharedSignals, issuer }) =>
      sharedSignals !== undefined && sharedSignals.issuer === undefined && isForTenants(issuer),
  ),
  {
    between: ['dangerouslyAllowInsecureRequests', 'sharedSignals'],
    problems: ({ dangerouslyAllowInsecureRequests: isAllowed, sharedSignals }) =>
      (['issuer', 'configurationUrl'] as const).flatMap((name) =>
        insecureUrl(isAllowed, sharedSignals?.[name], `sharedSignals.${name}`),
      ),
  },
  insecureProviderUrl('issuer'),
  insecureProviderUrl('discovery'),
  ...(['providerMetadata', 'extraProviderMetadata'] as const).map((name) => insecureEndpoints(name)),
  {
    between: ['dangerouslyAllowInsecureRequests', 'claimsProviders'],
    problems: ({ dangerouslyAllowInsecureRequests: isAllowed, claimsProviders = [] }) =>
      claimsProviders.flatMap((one, index) => insecureUrl(isAllowed, one, `claimsProviders[${index}]`)),
  },
]

/** One message for each contradiction between the options of one provider, and with the application's. */
export function findProviderConflicts(
  options: Readonly<Record<string, unknown>>,
  isValid: (name: string) => boolean,
): readonly string[] {
  const all = [...PROVIDER_CONFLICTS, ...CLIENT_CONFLICTS, ...JOSE_CONFLICTS, ...PROFILE_CONFLICTS]
  return findConflicts(all, options as Readonly<Partial<GivenProvider>>, isValid)
}

function contents({ responseType }: Readonly<Partial<GivenProvider>>): ReturnType<typeof contentsOf> {
  return contentsOf(findResponseType(responseType) ?? 'code')
}

function isForTenants(issuer: string | undefined): boolean {
  return issuer?.includes(TENANT_PLACEHOLDER) === true
}

/** With a profile, the profile has turned it on, and has its own message about the response type. */
function isBoundByChoice({ dpopBoundAccessTokens, profile }: Readonly<Partial<GivenProvider>>): boolean {
  return dpopBoundAccessTokens === true && profile === undefined
}

function insecureProviderUrl(name: 'issuer' | 'discovery'): Conflict<GivenProvider> {
  return {
    between: ['dangerouslyAllowInsecureRequests', name],
    problems: (options) => insecureUrl(options.dangerouslyAllowInsecureRequests, options[name], name),
  }
}

function insecureEndpoints(name: 'providerMetadata' | 'extraProviderMetadata'): Conflict<GivenProvider> {
  return {
    between: ['dangerouslyAllowInsecureRequests', name],
    problems: ({ dangerouslyAllowInsecureRequests: isAllowed, [name]: metadata = {} }) =>
      Object.entries(metadata)
        .filter(([member]) => /_(?:endpoint|uri)$/.test(member))
        .flatMap(([member, url]) => insecureUrl(isAllowed, url, `${name}.${member}`)),
  }
}
