import { algorithmsOf, type KeyPurpose } from '../jose/client-keys.ts'
import type { ApplicationOptions } from './options.ts'
import type { NamedProviderOptions, PrivateJwk } from './provider-options.ts'
import { type Conflict, conflict } from './rule.ts'

type Given = NamedProviderOptions & ApplicationOptions

/** What the options of a provider say of the client and of how it proves itself. */
export const CLIENT_CONFLICTS: readonly Conflict<Given>[] = [
  conflict(
    ['clientId', 'registration'],
    'clientId must be given, or registration in its place.',
    ({ clientId, registration }) => clientId === undefined && registration === undefined,
  ),
  conflict(
    ['clientId', 'clientSecret', 'registration', 'discoveryWithClientId'],
    'registration gets clientId and clientSecret from the provider: leave them, and discoveryWithClientId, out.',
    ({ clientId, clientSecret, registration, discoveryWithClientId }) =>
      registration !== undefined && (clientId ?? clientSecret ?? discoveryWithClientId) !== undefined,
  ),
  conflict(
    ['tokenEndpointAuthMethod', 'clientSecret', 'registration'],
    'tokenEndpointAuthMethod must be none, or be left out, where there is no clientSecret.',
    ({ tokenEndpointAuthMethod: method = 'none', clientSecret, registration }) =>
      method.startsWith('client_secret') && clientSecret === undefined && registration === undefined,
  ),
  conflict(
    ['tokenEndpointAuthMethod', 'clientSecret'],
    'tokenEndpointAuthMethod is none, yet there is a clientSecret: leave one of the two out.',
    (options) => options.tokenEndpointAuthMethod === 'none' && options.clientSecret !== undefined,
  ),
  conflict(
    ['tokenEndpointAuthMethod', 'clientSecret'],
    'tokenEndpointAuthMethod client_secret_jwt needs a clientSecret of at least 32 characters (RFC 7518 3.2).',
    ({ tokenEndpointAuthMethod: method, clientSecret }) =>
      method === 'client_secret_jwt' && typeof clientSecret === 'string' && clientSecret.length < 32,
  ),
  conflict(
    ['tokenEndpointAuthMethod', 'clientKeys'],
    'tokenEndpointAuthMethod private_key_jwt needs a key for signatures in clientKeys.',
    (options) => options.tokenEndpointAuthMethod === 'private_key_jwt' && !hasKey(options.clientKeys, 'sig'),
  ),
  conflict(
    ['tokenEndpointAuthMethod', 'tlsClientCertificate', 'fetch'],
    'tokenEndpointAuthMethod needs a tlsClientCertificate, or a fetch that shows one.',
    ({ tokenEndpointAuthMethod: method = '', tlsClientCertificate, fetch }) =>
      method.endsWith('tls_client_auth') && tlsClientCertificate === undefined && fetch === undefined,
  ),
  conflict(
    ['tlsClientCertificate', 'fetch'],
    'tlsClientCertificate cannot be shown by a fetch of your own: let that fetch show it, and leave the option out.',
    ({ tlsClientCertificate, fetch }) => tlsClientCertificate !== undefined && fetch !== undefined,
  ),
  conflict(
    ['tokenEndpointAuthMethod', 'tokenEndpointAuthSigningAlg', 'clientAssertionAudience'],
    'tokenEndpointAuthSigningAlg and clientAssertionAudience are for private_key_jwt and client_secret_jwt alone.',
    ({ tokenEndpointAuthMethod: method = '', tokenEndpointAuthSigningAlg: alg, clientAssertionAudience: audience }) =>
      !method.endsWith('_jwt') && (alg ?? audience) !== undefined,
  ),
  conflict(
    ['tokenEndpointAuthMethod', 'tokenEndpointAuthSigningAlg'],
    'tokenEndpointAuthSigningAlg must be HS256, HS384 or HS512 with client_secret_jwt, and none of them with private_key_jwt.',
    ({ tokenEndpointAuthMethod: method = '', tokenEndpointAuthSigningAlg: alg }) =>
      method.endsWith('_jwt') && alg !== undefined && alg.startsWith('HS') !== (method === 'client_secret_jwt'),
  ),
  conflict(
    ['tokenEndpointAuthMethod', 'tokenEndpointAuthSigningAlg', 'clientKeys'],
    'tokenEndpointAuthSigningAlg needs a key in clientKeys that signs with it.',
    ({ tokenEndpointAuthMethod: method, tokenEndpointAuthSigningAlg: alg = 'HS256', clientKeys }) =>
      method === 'private_key_jwt' &&
      !alg.startsWith('HS') &&
      hasKey(clientKeys, 'sig') &&
      !hasKey(clientKeys, 'sig', alg),
  ),
]

/** Whether one of the keys may serve so, by this algorithm where one is named, else by any. */
export function hasKey(keys: readonly PrivateJwk[] | undefined, purpose: KeyPurpose, alg?: string): boolean {
  const algorithms = keys?.flatMap((key) => algorithmsOf(key, purpose)) ?? []
  return alg === undefined ? algorithms.length > 0 : algorithms.includes(alg)
}

type Alg = Extract<keyof Given, `${string}Alg`>
type Enc = Extract<keyof Given, `${string}Enc`>

/** OIDC Core 16.19: who sees what was made with a shorter one can try all of them. */
const MIN_SECRET_LENGTH = 32

const SIGNED: readonly Alg[] = [
  'idTokenSignedResponseAlg',
  'userinfoSignedResponseAlg',
  'authorizationSignedResponseAlg',
  'requestObjectSigningAlg',
]

const DECRYPTED: readonly (readonly [alg: Alg, enc: Enc])[] = [
  ['idTokenEncryptedResponseAlg', 'idTokenEncryptedResponseEnc'],
  ['userinfoEncryptedResponseAlg', 'userinfoEncryptedResponseEnc'],
  ['authorizationEncryptedResponseAlg', 'authorizationEncryptedResponseEnc'],
]

const ENCRYPTED: typeof DECRYPTED = [...DECRYPTED, ['requestObjectEncryptionAlg', 'requestObjectEncryptionEnc']]

/** What tells whether the client has a secret. */
const SECRET = ['clientSecret', 'registration', 'tokenEndpointAuthMethod'] as const

/** The keys that the algorithms of a provider's options need, and what some of them have no use without. */
export const JOSE_CONFLICTS: readonly Conflict<Given>[] = [
  ...SIGNED.map((name) =>
    conflict<Given>(
      [name, ...SECRET],
      `${name} needs a clientSecret where it is HS256, HS384 or HS512.`,
      (options) => isBySecret(options[name]) && !hasSecret(options),
    ),
  ),
  ...DECRYPTED.map(([name]) =>
    conflict<Given>(
      [name, 'clientKeys', ...SECRET],
      `${name} needs a key for encryption in clientKeys, or a clientSecret where it works by a secret.`,
      (options) => {
        const { [name]: alg } = options
        if (alg === undefined) return false
        return isBySecret(alg) ? !hasSecret(options) : !hasKey(options.clientKeys, 'enc', alg)
      },
    ),
  ),
  conflict(
    ['requestObjectEncryptionAlg', ...SECRET],
    'requestObjectEncryptionAlg needs a clientSecret where it works by a secret.',
    (options) => isBySecret(options.requestObjectEncryptionAlg) && !hasSecret(options),
  ),
  ...[...SIGNED, ...ENCRYPTED.map(([alg]) => alg)].map((name) =>
    conflict<Given>(
      [name, 'clientSecret'],
      `${name} needs a clientSecret of at least ${MIN_SECRET_LENGTH} characters where it works by a secret.`,
      (options) => isBySecret(options[name]) && isShort(options.clientSecret),
    ),
  ),
  ...ENCRYPTED.map(([alg, enc]) =>
    conflict<Given>([alg, enc], `${enc} needs ${alg}.`, (options) => {
      return options[enc] !== undefined && options[alg] === undefined
    }),
  ),
  conflict(
    ['requestObjectSigningAlg', 'clientKeys'],
    'requestObjectSigningAlg needs a key in clientKeys that signs with it.',
    ({ requestObjectSigningAlg: alg = 'none', clientKeys }) =>
      alg !== 'none' && !isBySecret(alg) && !hasKey(clientKeys, 'sig', alg),
  ),
  conflict(
    ['requestObjectSigningAlg', 'requestObjectEncryptionAlg', 'requestObjectBy'],
    'requestObjectEncryptionAlg and requestObjectBy need requestObjectSigningAlg.',
    ({ requestObjectSigningAlg, requestObjectEncryptionAlg, requestObjectBy }) =>
      requestObjectSigningAlg === undefined && (requestObjectEncryptionAlg ?? requestObjectBy) !== undefined,
  ),
  conflict(
    ['authorizationSignedResponseAlg', 'authorizationEncryptedResponseAlg', 'responseMode', 'profile'],
    'authorizationSignedResponseAlg and authorizationEncryptedResponseAlg need a responseMode with jwt.',
    ({ authorizationSignedResponseAlg: signed, authorizationEncryptedResponseAlg: encrypted, ...options }) =>
      // That profile has a sentence of its own for it.
      (signed ?? encrypted) !== undefined && !isJwtMode(options) && options.profile !== 'fapi2-message-signing',
  ),
]

function isJwtMode({ responseMode }: Readonly<Partial<Given>>): boolean {
  return responseMode?.endsWith('jwt') === true
}

/** RFC 7518 3.2, 4.4, 4.5 and 4.7: the others go by a pair of keys, `none` by nothing. */
function isBySecret(alg: string | undefined): boolean {
  return alg !== undefined && /^(HS|A\d|dir$)/.test(alg)
}

/** A registered client gets a secret where anything needs one, but not to prove nothing at all. */
function hasSecret({ clientSecret, registration, tokenEndpointAuthMethod }: Readonly<Partial<Given>>): boolean {
  return clientSecret !== undefined || (registration !== undefined && tokenEndpointAuthMethod !== 'none')
}

/** What a function will give is seen when it gives it. */
function isShort(clientSecret: Given['clientSecret']): boolean {
  return typeof clientSecret === 'string' && clientSecret.length < MIN_SECRET_LENGTH
}
