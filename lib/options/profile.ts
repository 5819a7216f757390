import { hasKey } from './key-conflicts.ts'
import { type AppOptions, algorithmOptionsFor } from './option-table.ts'
import type { NamedProviderOptions } from './provider-options.ts'
import { type Conflict, conflict, isPlainObject, showValue } from './rule.ts'

type Given = Readonly<Record<string, unknown>>

/**
 * Sets what a profile requires, unless the options say otherwise. Options that contradict the profile are found by
 * {@link PROFILE_CONFLICTS}.
 */
export function applyProfile(options: Given): Given {
  const { profile } = options
  if (profile !== 'ipsie-sl1' && !isFapi(profile)) return options
  return {
    ...receivedMessages(options),
    ...(isFapi(profile) ? securityProfile(options) : {}),
    ...(profile === 'fapi2-message-signing' ? MESSAGE_SIGNING : {}),
    ...options,
    ...receivedEvents(options),
  }
}

/** The algorithm of what the provider sends. By default it is RS256, which no profile allows. */
function receivedMessages({ responseMode }: Given): Given {
  const isJwtMode = typeof responseMode === 'string' && responseMode.endsWith('jwt')
  return { idTokenSignedResponseAlg: 'PS256', ...(isJwtMode ? { authorizationSignedResponseAlg: 'PS256' } : {}) }
}

function receivedEvents({ sharedSignals }: Given): Given {
  return isPlainObject(sharedSignals) ? { sharedSignals: Object.freeze({ signingAlg: 'PS256', ...sharedSignals }) } : {}
}

/** FAPI 2.0 Security Profile 5.3.3.1, 5.4.1. A client with a certificate binds its tokens to that instead of DPoP. */
function securityProfile({ tlsClientCertificate }: Given): Given {
  return {
    requirePushedAuthorizationRequests: true,
    tokenEndpointAuthMethod: tlsClientCertificate === undefined ? 'private_key_jwt' : 'tls_client_auth',
    dpopBoundAccessTokens: tlsClientCertificate === undefined,
  }
}

/** FAPI 2.0 Message Signing 5.3.2, 5.4.2. */
const MESSAGE_SIGNING: Given = {
  requestObjectSigningAlg: 'PS256',
  responseMode: 'jwt',
  authorizationSignedResponseAlg: 'PS256',
}

/** The signature algorithms of a profile (FAPI 2.0 Security Profile 5.4.1, IPSIE Common Requirements, Cryptography and Secrets). */
export const PROFILE_ALGORITHMS: readonly string[] = ['PS256', 'ES256', 'EdDSA', 'Ed25519']

function isProfileAlgorithm(alg: unknown): boolean {
  return typeof alg === 'string' && PROFILE_ALGORITHMS.includes(alg)
}

type Profile = NamedProviderOptions['profile']

/**
 * True if a client of this profile may authenticate so (FAPI 2.0 Security Profile 5.3.3.1). IPSIE leaves the method open, but
 * not a JWT that is signed with the client secret.
 */
export function allowsMethod(profile: Profile, method: unknown): boolean {
  if (profile === 'ipsie-sl1') return method !== 'client_secret_jwt'
  return profile === undefined || FAPI_METHODS.includes(method)
}

const FAPI_METHODS: readonly unknown[] = ['private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth']

function isFapi(profile: unknown): boolean {
  return profile === 'fapi2' || profile === 'fapi2-message-signing'
}

type Options = Readonly<Partial<NamedProviderOptions>>

/** What profiles require of one option. */
interface Requirement {
  /** Only the profiles of this group; absent: all. */
  readonly only?: 'fapi' | 'ipsie'
  readonly option: keyof NamedProviderOptions
  /** Other options that it depends on. */
  readonly and?: readonly (keyof NamedProviderOptions)[]
  /** Completes the sentence "responseType must ...". */
  readonly must: string
  readonly isMet: (options: Options) => boolean
}

/** The options for providers that do not follow the standard. */
const LENIENT_OPTIONS = [
  ...(['dangerouslyAllowMissingIss', 'dangerouslyAllowMissingNonce', 'dangerouslyDisablePkce'] as const),
  'dangerouslyAllowLogoutTokenWithoutExp' as const,
  ...(['assumeBearerTokenType', 'allowMissingAccessToken', 'dangerouslyIgnoreSessionExpiry'] as const),
]

/** IPSIE SL1 OpenID Connect Profile, Relying Parties, and IPSIE Common Requirements. The table in docs/ipsie.md has all. */
const IPSIE_REQUIREMENTS: readonly Requirement[] = [
  {
    only: 'ipsie',
    option: 'tokenEndpointAuthMethod',
    must: "not be 'client_secret_jwt'",
    isMet: ({ tokenEndpointAuthMethod, profile }) => allowsMethod(profile, tokenEndpointAuthMethod),
  },
  {
    only: 'ipsie',
    option: 'discovery',
    must: "be 'oidc' or 'oauth2'",
    isMet: ({ discovery = 'oidc' }) => discovery === 'oidc' || discovery === 'oauth2',
  },
  ...(['providerMetadata', 'extraProviderMetadata'] as const).map((option) => ({
    only: 'ipsie' as const,
    option,
    must: 'be left out, because metadata comes from discovery only,',
    isMet: ({ [option]: metadata }: Options) => metadata === undefined,
  })),
  {
    only: 'ipsie',
    option: 'trustedAudiences',
    must: 'be left out, because aud is one string,',
    isMet: ({ trustedAudiences = [] }) => trustedAudiences.length === 0,
  },
]

const REQUIREMENTS: readonly Requirement[] = [
  {
    option: 'responseType',
    must: "be 'code'",
    isMet: ({ responseType = 'code' }) => responseType === 'code',
  },
  {
    only: 'fapi',
    option: 'tokenEndpointAuthMethod',
    must: "be 'private_key_jwt', 'tls_client_auth' or 'self_signed_tls_client_auth'",
    isMet: ({ tokenEndpointAuthMethod, profile }) => allowsMethod(profile, tokenEndpointAuthMethod),
  },
  {
    option: 'clientKeys',
    and: ['tokenEndpointAuthMethod'],
    must: 'have a key that can sign with PS256, ES256 or EdDSA',
    // If there is no signing key at all, CLIENT_CONFLICTS has a message.
    isMet: ({ clientKeys: keys, tokenEndpointAuthMethod: method }) =>
      method !== 'private_key_jwt' ||
      !hasKey(keys, 'sig') ||
      PROFILE_ALGORITHMS.some((alg) => hasKey(keys, 'sig', alg)),
  },
  {
    only: 'fapi',
    option: 'requirePushedAuthorizationRequests',
    must: 'be true',
    isMet: (options) => options.requirePushedAuthorizationRequests === true,
  },
  {
    only: 'fapi',
    option: 'dpopBoundAccessTokens',
    and: ['tlsClientCertificate'],
    must: 'be true, unless tlsClientCertificate is given',
    isMet: (options) => options.dpopBoundAccessTokens === true || options.tlsClientCertificate !== undefined,
  },
  {
    option: 'userinfoBearerMethod',
    and: ['dpopBoundAccessTokens'],
    must: "be 'header'",
    // With DPoP, PROVIDER_CONFLICTS has a message.
    isMet: (options) => options.userinfoBearerMethod !== 'body' || options.dpopBoundAccessTokens === true,
  },
  {
    option: 'clientAssertionAudience',
    must: "be 'issuer'",
    isMet: ({ clientAssertionAudience = 'issuer' }) => clientAssertionAudience === 'issuer',
  },
  {
    only: 'fapi',
    option: 'dangerouslyAssumeRequestedScope',
    must: 'be false',
    isMet: (options) => options.dangerouslyAssumeRequestedScope !== true,
  },
  ...LENIENT_OPTIONS.map((option) => ({
    option,
    must: 'be false',
    isMet: ({ [option]: isAllowed }: Options) => isAllowed !== true,
  })),
  {
    only: 'fapi',
    option: 'responseMode',
    must: "be 'jwt' or another one with jwt",
    isMet: ({ profile, responseMode }) => profile === 'fapi2' || responseMode?.endsWith('jwt') === true,
  },
  ...IPSIE_REQUIREMENTS,
  ...[...algorithmOptionsFor('verify', 'sign'), 'dpopSigningAlg' as const].map((option) => ({
    option,
    must: 'be PS256, ES256 or EdDSA',
    isMet: ({ [option]: alg = 'PS256' }: Options) => PROFILE_ALGORITHMS.includes(alg),
  })),
]

/** Where the options contradict their profile. */
export const PROFILE_CONFLICTS: readonly Conflict<NamedProviderOptions & AppOptions>[] = [
  ...REQUIREMENTS.map(({ option, and = [], only, must, isMet }) => ({
    between: ['profile' as const, option, ...and],
    problems: (options: Options) => {
      const { profile, [option]: value } = options
      const isRequired = only === undefined || (only === 'fapi') === isFapi(profile)
      if (profile === undefined || !isRequired || isMet(options)) return []
      return [`${option} must ${must} with profile '${profile}'. Received ${showValue(value)}.`]
    },
  })),
  conflict(
    ['profile', 'sharedSignals'],
    ({ profile, sharedSignals }) =>
      `sharedSignals.signingAlg must be PS256, ES256 or EdDSA with profile '${profile}'. Received ${showValue(sharedSignals?.signingAlg)}.`,
    ({ profile, sharedSignals }) =>
      profile !== undefined && sharedSignals !== undefined && !isProfileAlgorithm(sharedSignals.signingAlg),
  ),
  conflict(
    ['profile', 'routes'],
    "profile 'ipsie-sl1' needs routes.initiateLogin: other sites must be able to start a login.",
    ({ profile, routes }) => profile === 'ipsie-sl1' && routes?.initiateLogin === undefined,
  ),
  conflict(
    ['profile', 'dangerouslyAllowInsecureRequests'],
    "profile 'ipsie-sl1' needs https: leave out dangerouslyAllowInsecureRequests.",
    (options) => options.profile === 'ipsie-sl1' && options.dangerouslyAllowInsecureRequests === true,
  ),
]
