import type { Hooks } from '../hooks.ts'
import { CONTENT_ENCRYPTIONS, ENCRYPTION_ALGORITHMS, SIGNATURE_ALGORITHMS } from '../jose/algorithms.ts'
import { authorizationParamsRule, endSessionParamsRule } from './authorization-params.ts'
import { availableInThisNode, clientKeysRule } from './client-keys-rule.ts'
import {
  type AlgorithmRow,
  type AlgorithmUse,
  algorithm,
  derived,
  group,
  type OptionTable,
  option,
  required,
} from './option-row.ts'
import {
  agent,
  anonymousUserStatus,
  authMethod,
  ca,
  certificate,
  claimsProviders,
  clearSiteData,
  credential,
  discovery,
  passthroughParams,
  providers,
  scope,
  secret,
  sessionClaims,
  sessionKey,
  sharedState,
  TEN_YEARS,
  tenants,
  timeout,
  trustedAudiences,
} from './option-rules.ts'
import type { ApplicationOptions, RoutesOptions, SeveralProvidersOptions } from './options.ts'
import { providerMetadata } from './provider-keys-rule.ts'
import type { NamedProviderOptions } from './provider-options.ts'
import { metadataRule, REGISTRATION_OPTIONS } from './registration-options.ts'
import { findResponseType, RESPONSE_MODES, RESPONSE_TYPES } from './response-type.ts'
import {
  anyOf,
  booleanRule,
  firstFailing,
  functionRule,
  must,
  nonEmptyString,
  oneOf,
  seconds,
  showValue,
  wholeNumber,
} from './rule.ts'
import { SHARED_SIGNALS_OPTIONS } from './shared-signals-options.ts'
import { afterLogoutUrlRule, baseUrls, extraProviderMetadata, issuer, origins, routePath } from './urls.ts'

// One row for each option: its name, its rule, and its default. What an option is for stands in options.ts and
// provider-options.ts. A new option is a row here, a member there, and an entry in docs/options.md.

/** Routes that exist only if the application names them. */
type OptionalRoute = 'tokenRevocation' | 'initiateLogin' | 'user' | 'clientMetadata'

/** The option `routes`. */
const ROUTES: OptionTable<RoutesOptions, OptionalRoute> = {
  login: option(routePath, '/login'),
  callback: option(routePath, '/callback'),
  logout: option(routePath, '/logout'),
  backchannelLogout: option(routePath, '/backchannel-logout'),
  frontchannelLogout: option(routePath, '/frontchannel-logout'),
  jwks: option(routePath, '/jwks'),
  requestObjects: option(routePath, '/request'),
  sessionCheck: option(routePath, '/session-check'),
  securityEvents: option(routePath, '/security-events'),
  tokenRevocation: option(routePath),
  initiateLogin: option(routePath),
  keptForm: option(routePath, '/kept-form'),
  user: option(routePath),
  clientMetadata: option(routePath),
}

const HOOKS: OptionTable<Hooks, keyof Hooks> = {
  beforeLogin: option(functionRule),
  afterLogin: option(functionRule),
  afterRefresh: option(functionRule),
  onSecurityEvent: option(functionRule),
  beforeLogout: option(functionRule),
  afterLogout: option(functionRule),
}

/** The options that belong to the application. */
export type AppOptions = ApplicationOptions & Partial<Pick<SeveralProvidersOptions, 'providers'>>

/** Options of the application without a fixed default. */
export type AppWithoutDefault =
  | ('providers' | 'routes' | 'providerChooser' | 'secret' | 'postLogoutRedirectUri' | 'idleTimeout')
  | ('sessionClaims' | 'sharedState' | 'fetch' | 'agent' | 'ca')

/** Options of the application. They are given at the top only. */
export const APP_OPTIONS: OptionTable<AppOptions, AppWithoutDefault> = {
  providers: option(providers),
  baseUrl: required(baseUrls),
  routes: group(ROUTES),
  providerChooser: option(routePath),
  passthroughParams: option(passthroughParams, []),
  silentLogin: option(booleanRule, false),
  logoutByGet: option(booleanRule, false),
  csrfProtection: option(booleanRule, true),
  trustedOrigins: option(origins, []),
  revokeTokens: option(booleanRule, true),
  clearSiteData: option(clearSiteData, []),
  clockTolerance: option(seconds(0, 300), 60),
  timeout: option(timeout, 10),
  sessionKey: option(sessionKey, 'oidc'),
  secret: derived(secret, 'the client secret'),
  postLogoutRedirectUri: derived(afterLogoutUrlRule, '`baseUrl`'),
  loginLifetime: option(seconds(60, TEN_YEARS), 86400),
  loginExpiry: option(oneOf('lifetime', 'id_token', 'session_expiry'), 'lifetime'),
  idleTimeout: option(seconds(60, TEN_YEARS)),
  transactionLifetime: option(seconds(60, 86400), 1800),
  sessionClaims: derived(sessionClaims, 'all'),
  anonymousSession: option(oneOf('keep', 'keep-all', 'discard'), 'keep'),
  userClaims: {
    ...option(sessionClaims, ['sub', 'name', 'preferred_username', 'email', 'picture']),
    defaultInWords: '`sub`, `name`, `preferred_username`, `email` and `picture`',
  },
  anonymousUserStatus: option(anonymousUserStatus, 401),
  userExtendsSession: option(booleanRule, false),
  sharedState: derived(sharedState, 'the session store'),
  fetch: option(functionRule),
  agent: option(agent),
  ca: option(ca),
  hooks: group(HOOKS, {}),
  dangerouslyAllowInsecureRequests: option(booleanRule, false),
}

const signature = firstFailing(availableInThisNode, oneOf(...SIGNATURE_ALGORITHMS))
const signatureOrNone = firstFailing(availableInThisNode, oneOf(...SIGNATURE_ALGORITHMS, 'none'))
const encryption = oneOf(...ENCRYPTION_ALGORITHMS)
const contentEncryption = oneOf(...CONTENT_ENCRYPTIONS)

/** The options that name a JOSE algorithm, and are registered with the client. */
export type AlgorithmOption = Exclude<
  Extract<keyof NamedProviderOptions, `${string}Alg` | `${string}Enc`>,
  'dpopSigningAlg'
>

type EncryptionOption = Extract<AlgorithmOption, `${string}Encrypt${string}Alg`>

interface AlgorithmOptionRow extends AlgorithmRow {
  /** For a content encryption: the option with its algorithm. */
  readonly algOption?: EncryptionOption
}

/** The content encryption for the algorithm of another option. OIDC Dynamic Client Registration 2 has this default. */
function contentEncryptionFor(
  algOption: EncryptionOption,
  wireName: string,
): AlgorithmRow<'A128CBC-HS256'> & { readonly algOption: EncryptionOption } {
  return { ...algorithm('encryptContent', contentEncryption, wireName, 'A128CBC-HS256'), algOption }
}

/** Options of a provider without a fixed default. */
export type ProviderWithoutDefault =
  | ('clientSecret' | 'registration' | 'callback' | 'responseMode' | 'authorizationParams' | 'profile')
  | ('idTokenEncryptedResponseAlg' | 'userinfoEncryptedResponseAlg' | 'authorizationEncryptedResponseAlg')
  | ('userinfoSignedResponseAlg' | 'requestObjectSigningAlg' | 'requestObjectEncryptionAlg')
  | (
      | 'tokenEndpointAuthMethod'
      | 'tokenEndpointAuthSigningAlg'
      | 'clientAssertionAudience'
      | 'tlsClientCertificate'
      | 'clientAssertion'
    )
  | ('providerMetadata' | 'tenants' | 'endSessionParams' | 'extraProviderMetadata' | 'sharedSignals')
  | 'clientMetadata'

/** Options of a provider. They are given at the top for all providers, or for one under `providers`. */
export const PROVIDER_OPTIONS: OptionTable<NamedProviderOptions, ProviderWithoutDefault> &
  Readonly<Record<AlgorithmOption, AlgorithmOptionRow>> = {
  issuer: required(issuer),
  clientId: option(credential, ''),
  clientSecret: option(anyOf(functionRule, credential)),
  registration: group(REGISTRATION_OPTIONS),
  callback: derived(routePath, "`routes.callback`, a slash, and the provider's name"),
  scope: option(scope, 'openid profile email'),
  responseType: option(
    must(`be one of '${RESPONSE_TYPES.join("', '")}'`, (type) => findResponseType(type) !== undefined, showValue),
    'code',
  ),
  responseMode: derived(oneOf(...RESPONSE_MODES), "'query' with `code`, else 'form_post'"),
  authorizationParams: option(anyOf(functionRule, authorizationParamsRule)),
  profile: option(oneOf('fapi2', 'fapi2-message-signing', 'ipsie-sl1')),

  idTokenSignedResponseAlg: algorithm('verify', signature, 'id_token_signed_response_alg', 'RS256'),
  idTokenEncryptedResponseAlg: algorithm('decrypt', encryption, 'id_token_encrypted_response_alg'),
  idTokenEncryptedResponseEnc: contentEncryptionFor('idTokenEncryptedResponseAlg', 'id_token_encrypted_response_enc'),
  userinfoSignedResponseAlg: algorithm('verify', signature, 'userinfo_signed_response_alg'),
  userinfoEncryptedResponseAlg: algorithm('decrypt', encryption, 'userinfo_encrypted_response_alg'),
  userinfoEncryptedResponseEnc: contentEncryptionFor('userinfoEncryptedResponseAlg', 'userinfo_encrypted_response_enc'),
  authorizationSignedResponseAlg: algorithm('verify', signature, 'authorization_signed_response_alg', 'RS256'),
  authorizationEncryptedResponseAlg: algorithm('decrypt', encryption, 'authorization_encrypted_response_alg'),
  authorizationEncryptedResponseEnc: contentEncryptionFor(
    'authorizationEncryptedResponseAlg',
    'authorization_encrypted_response_enc',
  ),

  tokenEndpointAuthMethod: derived(authMethod, "'client_secret_basic' with a `clientSecret`, else 'none'"),
  tokenEndpointAuthSigningAlg: {
    ...algorithm('sign', signature, 'token_endpoint_auth_signing_alg'),
    defaultInWords: 'what the first signing key of `clientKeys` is for, or HS256',
  },
  clientAssertionAudience: derived(nonEmptyString, "'issuer', at Okta without `profile` 'endpoint'"),
  clientAssertion: option(functionRule),
  clientKeys: option(clientKeysRule, []),
  tlsClientCertificate: option(certificate),

  requirePushedAuthorizationRequests: option(booleanRule, false),
  requestObjectSigningAlg: algorithm('sign', signatureOrNone, 'request_object_signing_alg'),
  requestObjectEncryptionAlg: algorithm('encrypt', encryption, 'request_object_encryption_alg'),
  requestObjectEncryptionEnc: contentEncryptionFor('requestObjectEncryptionAlg', 'request_object_encryption_enc'),
  requestObjectBy: option(oneOf('value', 'reference'), 'value'),
  authorizationRequestMethod: option(oneOf('GET', 'POST'), 'GET'),
  requestUriRateLimit: option(wholeNumber('logins a minute', 1, 1_000_000), 600),
  dpopBoundAccessTokens: option(booleanRule, false),
  dpopSigningAlg: option(oneOf('ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'), 'ES256'),

  userinfo: option(oneOf(true, false, 'when-needed'), 'when-needed'),
  userinfoBearerMethod: option(oneOf('header', 'body'), 'header'),
  claimsProviders: option(claimsProviders, []),
  discovery: option(discovery, 'oidc'),
  discoveryWithClientId: option(booleanRule, false),
  providerMetadata: option(providerMetadata),
  tenants: option(tenants),
  endSessionParams: option(anyOf(functionRule, endSessionParamsRule)),
  dangerouslyAssumeRequestedScope: option(booleanRule, false),
  dangerouslyAllowMissingIss: option(booleanRule, false),
  dangerouslyAllowLogoutTokenWithoutExp: option(booleanRule, false),
  dangerouslyAllowMissingNonce: option(booleanRule, false),
  dangerouslyIgnoreSessionExpiry: option(booleanRule, false),
  dangerouslyDisablePkce: option(booleanRule, false),
  assumeBearerTokenType: option(booleanRule, false),
  allowMissingAccessToken: option(booleanRule, false),
  logoutWithoutIdTokenHint: option(booleanRule, false),
  trustedAudiences: option(trustedAudiences, []),
  extraProviderMetadata: option(extraProviderMetadata),
  sharedSignals: group(SHARED_SIGNALS_OPTIONS),
  clientMetadata: option(metadataRule),
}

/** The routes that every application has. */
export type RouteName = Exclude<keyof RoutesOptions, OptionalRoute>

/** The paths of the routes, if the application names no others. */
export const DEFAULT_ROUTES: Readonly<Record<RouteName, string>> = Object.freeze(
  Object.fromEntries(
    Object.entries(ROUTES).flatMap(([name, row]) => (row.default === undefined ? [] : [[name, row.default]])),
  ) as Record<RouteName, string>,
)

/** The rows of the algorithms, with their names. */
export const ALGORITHM_OPTIONS: readonly (AlgorithmOptionRow & { readonly name: AlgorithmOption })[] = Object.entries(
  PROVIDER_OPTIONS,
).flatMap(([name, row]) => ('use' in row ? [{ ...row, name: name as AlgorithmOption }] : []))

/** The options that name an algorithm for one of these uses. */
export function algorithmOptionsFor(...uses: readonly AlgorithmUse[]): readonly AlgorithmOption[] {
  return ALGORITHM_OPTIONS.filter(({ use }) => uses.includes(use)).map(({ name }) => name)
}
