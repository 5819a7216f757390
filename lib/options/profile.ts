import { hasKey } from './key-conflicts.ts'
import { algorithmOptionsFor } from './option-table.ts'
import type { NamedProviderOptions } from './provider-options.ts'
import { type Conflict, showValue } from './rule.ts'

type Given = Readonly<Record<string, unknown>>

/**
 * Sets what a profile requires, unless the options say otherwise. Options that contradict the profile are found by
 * {@link PROFILE_CONFLICTS}.
 */
export function applyProfile(options: Given): Given {
  const { profile } = options
  if (profile !== 'fapi2' && profile !== 'fapi2-message-signing') return options
  return { ...securityProfile(options), ...(profile === 'fapi2' ? {} : MESSAGE_SIGNING), ...options }
}

/** FAPI 2.0 Security Profile 5.3.3.1, 5.4.1. A client with a certificate binds its tokens to that instead of DPoP. */
function securityProfile({ tlsClientCertificate }: Given): Given {
  return {
    requirePushedAuthorizationRequests: true,
    tokenEndpointAuthMethod: tlsClientCertificate === undefined ? 'private_key_jwt' : 'tls_client_auth',
    dpopBoundAccessTokens: tlsClientCertificate === undefined,
    idTokenSignedResponseAlg: 'PS256',
  }
}

/** FAPI 2.0 Message Signing 5.3.2, 5.4.2. */
const MESSAGE_SIGNING: Given = {
  requestObjectSigningAlg: 'PS256',
  responseMode: 'jwt',
  authorizationSignedResponseAlg: 'PS256',
}

/** The signature algorithms of a profile (FAPI 2.0 Security Profile 5.4.1). */
export const PROFILE_ALGORITHMS: readonly string[] = ['PS256', 'ES256', 'EdDSA', 'Ed25519']

/** How the client of a profile may authenticate (FAPI 2.0 Security Profile 5.3.3.1). */
export const PROFILE_METHODS: readonly unknown[] = ['private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth']

type Options = Readonly<Partial<NamedProviderOptions>>

/** What a profile requires of one option. */
interface Requirement {
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
  ...(['assumeBearerTokenType', 'allowMissingAccessToken'] as const),
]

const REQUIREMENTS: readonly Requirement[] = [
  {
    option: 'responseType',
    must: "be 'code'",
    isMet: ({ responseType = 'code' }) => responseType === 'code',
  },
  {
    option: 'tokenEndpointAuthMethod',
    must: "be 'private_key_jwt', 'tls_client_auth' or 'self_signed_tls_client_auth'",
    isMet: ({ tokenEndpointAuthMethod }) => PROFILE_METHODS.includes(tokenEndpointAuthMethod),
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
    option: 'requirePushedAuthorizationRequests',
    must: 'be true',
    isMet: (options) => options.requirePushedAuthorizationRequests === true,
  },
  {
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
    option: 'responseMode',
    must: "be 'jwt' or another one with jwt",
    isMet: ({ profile, responseMode }) => profile === 'fapi2' || responseMode?.endsWith('jwt') === true,
  },
  ...[...algorithmOptionsFor('verify', 'sign'), 'dpopSigningAlg' as const].map((option) => ({
    option,
    must: 'be PS256, ES256 or EdDSA',
    isMet: ({ [option]: alg = 'PS256' }: Options) => PROFILE_ALGORITHMS.includes(alg),
  })),
]

/** Where the options contradict their profile. */
export const PROFILE_CONFLICTS: readonly Conflict<NamedProviderOptions>[] = REQUIREMENTS.map(
  ({ option, and = [], must, isMet }) => ({
    between: ['profile', option, ...and],
    problems: (options) => {
      const { profile, [option]: value } = options
      if (profile === undefined || isMet(options)) return []
      return [`${option} must ${must} with profile '${profile}'. Received ${showValue(value)}.`]
    },
  }),
)
