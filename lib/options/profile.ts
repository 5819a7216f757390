import { hasKey } from './key-conflicts.ts'
import type { NamedProviderOptions } from './provider-options.ts'
import type { Conflict } from './rule.ts'

type Given = Readonly<Record<string, unknown>>

/**
 * Fills in what a profile demands, where the options say nothing of it. What they say against it is a fault, found by
 * {@link PROFILE_CONFLICTS}.
 */
export function applyProfile(options: Given): Given {
  const { profile } = options
  if (profile !== 'fapi2' && profile !== 'fapi2-message-signing') return options
  return { ...securityProfile(options), ...(profile === 'fapi2' ? {} : MESSAGE_SIGNING), ...options }
}

/** FAPI 2.0 Security Profile 5.3.3.1, 5.4.1. With a certificate of the client, tokens are bound to that. */
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

/** What a profile lets anything be signed with (FAPI 2.0 Security Profile 5.4.1). */
export const PROFILE_ALGORITHMS: readonly string[] = ['PS256', 'ES256', 'EdDSA', 'Ed25519']

/** How a profile lets the client prove itself (FAPI 2.0 Security Profile 5.3.3.1). */
export const PROFILE_METHODS: readonly unknown[] = ['private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth']

const SIGNED: readonly (keyof NamedProviderOptions)[] = [
  'idTokenSignedResponseAlg',
  'userinfoSignedResponseAlg',
  'authorizationSignedResponseAlg',
  'tokenEndpointAuthSigningAlg',
  'requestObjectSigningAlg',
  'dpopSigningAlg',
]

type Options = Readonly<Partial<NamedProviderOptions>>

/** One sentence of a profile, and whether what it demands is met. */
interface Demand {
  readonly of: readonly (keyof NamedProviderOptions)[]
  readonly sentence: string
  readonly isMet: (options: Options) => boolean
}

const DEMANDS: readonly Demand[] = [
  {
    of: ['responseType'],
    sentence: 'responseType must be code',
    isMet: ({ responseType = 'code' }) => responseType === 'code',
  },
  {
    of: ['tokenEndpointAuthMethod'],
    sentence: 'tokenEndpointAuthMethod must be private_key_jwt or mTLS',
    isMet: ({ tokenEndpointAuthMethod }) => PROFILE_METHODS.includes(tokenEndpointAuthMethod),
  },
  {
    of: ['clientKeys', 'tokenEndpointAuthMethod'],
    sentence: 'clientKeys must have a key that signs with PS256, ES256 or EdDSA',
    // That there is no key at all is a fault without any profile.
    isMet: ({ clientKeys: keys, tokenEndpointAuthMethod: method }) =>
      method !== 'private_key_jwt' ||
      !hasKey(keys, 'sig') ||
      PROFILE_ALGORITHMS.some((alg) => hasKey(keys, 'sig', alg)),
  },
  {
    of: ['requirePushedAuthorizationRequests'],
    sentence: 'requirePushedAuthorizationRequests must be true',
    isMet: (options) => options.requirePushedAuthorizationRequests === true,
  },
  {
    of: ['dpopBoundAccessTokens', 'tlsClientCertificate'],
    sentence: 'dpopBoundAccessTokens must be true where there is no tlsClientCertificate',
    isMet: (options) => options.dpopBoundAccessTokens === true || options.tlsClientCertificate !== undefined,
  },
  {
    // A token that is bound to a key has a sentence of its own for it.
    of: ['userinfoBearerMethod', 'dpopBoundAccessTokens'],
    sentence: 'userinfoBearerMethod must be header',
    isMet: (options) => options.userinfoBearerMethod !== 'body' || options.dpopBoundAccessTokens === true,
  },
  {
    of: ['clientAssertionAudience'],
    sentence: 'clientAssertionAudience must be issuer',
    isMet: ({ clientAssertionAudience = 'issuer' }) => clientAssertionAudience === 'issuer',
  },
  {
    of: ['dangerouslyAssumeRequestedScope'],
    sentence: 'dangerouslyAssumeRequestedScope must be false',
    isMet: (options) => options.dangerouslyAssumeRequestedScope !== true,
  },
  {
    of: ['responseMode'],
    sentence: 'responseMode must be one with jwt',
    isMet: ({ profile, responseMode }) => profile === 'fapi2' || responseMode?.endsWith('jwt') === true,
  },
  ...SIGNED.map((name) => ({
    of: [name],
    sentence: `${name} must be PS256, ES256 or EdDSA`,
    isMet: ({ [name]: alg = 'PS256' }: Options) => PROFILE_ALGORITHMS.includes(String(alg)),
  })),
]

/** What the options may say against their profile. */
export const PROFILE_CONFLICTS: readonly Conflict<NamedProviderOptions>[] = DEMANDS.map(({ of, sentence, isMet }) => ({
  between: ['profile', ...of],
  problems: (options) => {
    const { profile } = options
    return profile === undefined || isMet(options) ? [] : [`${sentence}: the profile ${profile} demands it.`]
  },
}))
