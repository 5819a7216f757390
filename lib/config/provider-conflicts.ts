import type { ApplicationOptions } from '../options.ts'
import type { NamedProviderOptions } from '../provider-options.ts'
import { findResponseType, partsOf } from '../response-type.ts'
import { CLIENT_CONFLICTS } from './client-conflicts.ts'
import { type Conflict, conflict, findConflicts, insecureUrl } from './conflict.ts'
import { JOSE_CONFLICTS } from './jose-conflicts.ts'
import { PROFILE_CONFLICTS } from './profile.ts'

/** The options of one provider, with the application's. */
export type GivenProvider = NamedProviderOptions & ApplicationOptions

const CONFLICTS: readonly Conflict<GivenProvider>[] = [
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
      partsOf(findResponseType(responseType) ?? 'code').code,
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
    (options) => isBoundByChoice(options) && partsOf(findResponseType(options.responseType) ?? 'code').token,
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
  insecure('issuer'),
  { between: ['dangerouslyAllowInsecureRequests', 'providerMetadata'], faults: insecureEndpoints },
  {
    between: ['dangerouslyAllowInsecureRequests', 'discovery'],
    faults: ({ dangerouslyAllowInsecureRequests: isAllowed, discovery }) =>
      insecureUrl(isAllowed, discovery, 'discovery'),
  },
  {
    between: ['dangerouslyAllowInsecureRequests', 'claimsProviders'],
    faults: ({ dangerouslyAllowInsecureRequests: isAllowed, claimsProviders = [] }) =>
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
  return findConflicts(CONFLICTS, options as Readonly<Partial<GivenProvider>>, isSound)
}

/** A profile sets it by itself, and has its own sentence about the response type. */
function isBoundByChoice({ dpopBoundAccessTokens, profile }: Readonly<Partial<GivenProvider>>): boolean {
  return dpopBoundAccessTokens === true && profile === undefined
}

function insecure(name: 'issuer'): Conflict<GivenProvider> {
  return {
    between: ['dangerouslyAllowInsecureRequests', name],
    faults: (options) => insecureUrl(options.dangerouslyAllowInsecureRequests, options[name], name),
  }
}

function insecureEndpoints(options: Readonly<Partial<GivenProvider>>): readonly string[] {
  const { issuer: _, ...metadata } = options.providerMetadata ?? {}
  return Object.entries(metadata)
    .filter(([name]) => /_(?:endpoint|uri)$/.test(name))
    .flatMap(([name, url]) => insecureUrl(options.dangerouslyAllowInsecureRequests, url, `providerMetadata.${name}`))
}
