import { usesClientSecret } from '../jose/algorithms.ts'
import { algorithmsOf } from '../jose/client-keys.ts'
import { type KeyUse, MIN_SECRET_LENGTH } from '../jose/jwk.ts'
import type { PrivateJwk } from './client-credentials.ts'
import { ALGORITHM_OPTIONS, type AlgorithmOption, algorithmOptionsFor } from './option-table.ts'
import type { ApplicationOptions } from './options.ts'
import type { NamedProviderOptions } from './provider-options.ts'
import { type Conflict, conflict } from './rule.ts'

type Given = NamedProviderOptions & ApplicationOptions

/** Who the client is and how it authenticates. */
export const CLIENT_CONFLICTS: readonly Conflict<Given>[] = [
  conflict(
    ['clientId', 'registration'],
    'clientId is required, unless registration is given.',
    ({ clientId, registration }) => clientId === undefined && registration === undefined,
  ),
  conflict(
    ['clientId', 'clientSecret', 'registration', 'discoveryWithClientId'],
    'registration replaces clientId, clientSecret and discoveryWithClientId. Remove these three, or registration.',
    ({ clientId, clientSecret, registration, discoveryWithClientId }) =>
      registration !== undefined && (clientId ?? clientSecret ?? discoveryWithClientId) !== undefined,
  ),
  conflict(
    ['tokenEndpointAuthMethod', 'clientSecret', 'registration'],
    ({ tokenEndpointAuthMethod: method }) =>
      `tokenEndpointAuthMethod '${method}' needs clientSecret. Use 'none' for a public client.`,
    ({ tokenEndpointAuthMethod: method = 'none', clientSecret, registration }) =>
      method.startsWith('client_secret') && clientSecret === undefined && registration === undefined,
  ),
  conflict(
    ['tokenEndpointAuthMethod', 'clientSecret'],
    "tokenEndpointAuthMethod 'none' cannot be combined with clientSecret. Remove one of them.",
    (options) => options.tokenEndpointAuthMethod === 'none' && options.clientSecret !== undefined,
  ),
  conflict(
    ['tokenEndpointAuthMethod', 'clientSecret'],
    "tokenEndpointAuthMethod 'client_secret_jwt' needs a clientSecret of at least 32 characters (RFC 7518 3.2).",
    ({ tokenEndpointAuthMethod: method, clientSecret }) => method === 'client_secret_jwt' && isShort(clientSecret),
  ),
  conflict(
    ['tokenEndpointAuthMethod', 'clientKeys', 'clientAssertion'],
    "tokenEndpointAuthMethod 'private_key_jwt' needs a signing key in clientKeys.",
    ({ tokenEndpointAuthMethod: method, clientKeys, clientAssertion }) =>
      method === 'private_key_jwt' && clientAssertion === undefined && !hasKey(clientKeys, 'sig'),
  ),
  conflict(
    ['tokenEndpointAuthMethod', 'clientAssertion'],
    "clientAssertion needs tokenEndpointAuthMethod 'private_key_jwt'.",
    ({ tokenEndpointAuthMethod: method, clientAssertion }) =>
      clientAssertion !== undefined && method !== 'private_key_jwt',
  ),
  conflict(
    ['clientAssertion', 'tokenEndpointAuthSigningAlg'],
    'clientAssertion cannot be combined with tokenEndpointAuthSigningAlg. Your function chooses the algorithm.',
    ({ clientAssertion, tokenEndpointAuthSigningAlg: alg }) => clientAssertion !== undefined && alg !== undefined,
  ),
  conflict(
    ['tokenEndpointAuthMethod', 'tlsClientCertificate', 'fetch'],
    ({ tokenEndpointAuthMethod: method }) =>
      `tokenEndpointAuthMethod '${method}' needs tlsClientCertificate, or a fetch that presents a certificate.`,
    ({ tokenEndpointAuthMethod: method = '', tlsClientCertificate, fetch }) =>
      method.endsWith('tls_client_auth') && tlsClientCertificate === undefined && fetch === undefined,
  ),
  conflict(
    ['tlsClientCertificate', 'fetch'],
    'tlsClientCertificate cannot be combined with fetch. Let your fetch function present the certificate.',
    ({ tlsClientCertificate, fetch }) => tlsClientCertificate !== undefined && fetch !== undefined,
  ),
  conflict(
    ['agent', 'fetch'],
    'agent cannot be combined with fetch. Let your fetch function use the agent.',
    ({ agent, fetch }) => agent !== undefined && fetch !== undefined,
  ),
  conflict(
    ['ca', 'agent', 'fetch'],
    'ca cannot be combined with agent or fetch. Give the authorities to your agent or fetch function.',
    ({ ca, agent, fetch }) => ca !== undefined && (agent !== undefined || fetch !== undefined),
  ),
  conflict(
    ['ca', 'tlsClientCertificate'],
    'ca cannot be combined with tlsClientCertificate.ca. Put all authorities into ca.',
    ({ ca, tlsClientCertificate }) => ca !== undefined && tlsClientCertificate?.ca !== undefined,
  ),
  conflict(
    ['tokenEndpointAuthMethod', 'tokenEndpointAuthSigningAlg', 'clientAssertionAudience'],
    "tokenEndpointAuthSigningAlg and clientAssertionAudience need tokenEndpointAuthMethod 'private_key_jwt' or 'client_secret_jwt'.",
    ({ tokenEndpointAuthMethod: method = '', tokenEndpointAuthSigningAlg: alg, clientAssertionAudience: audience }) =>
      !method.endsWith('_jwt') && (alg ?? audience) !== undefined,
  ),
  conflict(
    ['tokenEndpointAuthMethod', 'tokenEndpointAuthSigningAlg'],
    ({ tokenEndpointAuthMethod: method, tokenEndpointAuthSigningAlg: alg }) => {
      const allowed = method === 'client_secret_jwt' ? 'HS256, HS384 or HS512' : 'the algorithm of a key in clientKeys'
      return `tokenEndpointAuthSigningAlg must be ${allowed} with '${method}'. Received '${alg}'.`
    },
    ({ tokenEndpointAuthMethod: method = '', tokenEndpointAuthSigningAlg: alg }) =>
      method.endsWith('_jwt') && alg !== undefined && usesClientSecret(alg) !== (method === 'client_secret_jwt'),
  ),
  conflict(
    ['tokenEndpointAuthMethod', 'tokenEndpointAuthSigningAlg', 'clientKeys'],
    ({ tokenEndpointAuthSigningAlg: alg }) =>
      `tokenEndpointAuthSigningAlg '${alg}' needs a key in clientKeys that can sign with it.`,
    ({ tokenEndpointAuthMethod: method, tokenEndpointAuthSigningAlg: alg = 'HS256', clientKeys }) =>
      method === 'private_key_jwt' &&
      !usesClientSecret(alg) &&
      hasKey(clientKeys, 'sig') &&
      !hasKey(clientKeys, 'sig', alg),
  ),
]

/** True if one of the keys can be used so: with this algorithm, or with any if none is named. */
export function hasKey(keys: readonly PrivateJwk[] | undefined, use: KeyUse, alg?: string): boolean {
  const algorithms = keys?.flatMap((key) => algorithmsOf(key, use)) ?? []
  return alg === undefined ? algorithms.length > 0 : algorithms.includes(alg)
}

/** `tokenEndpointAuthSigningAlg` depends on the method: see above. */
const SIGNED: readonly AlgorithmOption[] = [...algorithmOptionsFor('verify'), 'requestObjectSigningAlg']

const DECRYPTED = algorithmOptionsFor('decrypt')
const ENCRYPTED = algorithmOptionsFor('decrypt', 'encrypt')

/** The options that say whether the client has a secret. */
const SECRET = ['clientSecret', 'registration', 'tokenEndpointAuthMethod'] as const

/** Which key or secret each algorithm needs, and which options have no effect without another. */
export const JOSE_CONFLICTS: readonly Conflict<Given>[] = [
  ...[...SIGNED, 'requestObjectEncryptionAlg' as const].map((name) =>
    conflict<Given>(
      [name, ...SECRET],
      (options) => `${name} '${options[name]}' needs clientSecret.`,
      (options) => usesClientSecret(options[name]) && !hasSecret(options),
    ),
  ),
  ...DECRYPTED.map((name) =>
    conflict<Given>(
      [name, 'clientKeys', ...SECRET],
      ({ [name]: alg }) =>
        `${name} '${alg}' needs ${usesClientSecret(alg) ? 'clientSecret' : 'an encryption key in clientKeys'}.`,
      (options) => {
        const { [name]: alg } = options
        if (alg === undefined) return false
        return usesClientSecret(alg) ? !hasSecret(options) : !hasKey(options.clientKeys, 'enc', alg)
      },
    ),
  ),
  ...[...SIGNED, ...ENCRYPTED].map((name) =>
    conflict<Given>(
      [name, 'clientSecret'],
      (options) => `${name} '${options[name]}' needs a clientSecret of at least ${MIN_SECRET_LENGTH} characters.`,
      (options) => usesClientSecret(options[name]) && isShort(options.clientSecret),
    ),
  ),
  ...ALGORITHM_OPTIONS.flatMap(({ name: enc, algOption: alg }) =>
    alg === undefined
      ? []
      : [
          conflict<Given>([alg, enc], `${enc} needs ${alg}.`, (options) => {
            return options[enc] !== undefined && options[alg] === undefined
          }),
        ],
  ),
  conflict(
    ['requestObjectSigningAlg', 'clientKeys'],
    ({ requestObjectSigningAlg: alg }) =>
      `requestObjectSigningAlg '${alg}' needs a key in clientKeys that can sign with it.`,
    ({ requestObjectSigningAlg: alg = 'none', clientKeys }) =>
      alg !== 'none' && !usesClientSecret(alg) && !hasKey(clientKeys, 'sig', alg),
  ),
  conflict(
    ['requestObjectSigningAlg', 'requestObjectEncryptionAlg', 'requestObjectBy'],
    'requestObjectEncryptionAlg and requestObjectBy need requestObjectSigningAlg.',
    ({ requestObjectSigningAlg, requestObjectEncryptionAlg, requestObjectBy }) =>
      requestObjectSigningAlg === undefined && (requestObjectEncryptionAlg ?? requestObjectBy) !== undefined,
  ),
  conflict(
    ['authorizationSignedResponseAlg', 'authorizationEncryptedResponseAlg', 'responseMode', 'profile'],
    "authorizationSignedResponseAlg and authorizationEncryptedResponseAlg need a responseMode with jwt, for example 'jwt'.",
    ({ authorizationSignedResponseAlg: signed, authorizationEncryptedResponseAlg: encrypted, ...options }) =>
      // That profile has its own message about the response mode.
      (signed ?? encrypted) !== undefined && !isJwtMode(options) && options.profile !== 'fapi2-message-signing',
  ),
]

function isJwtMode({ responseMode }: Readonly<Partial<Given>>): boolean {
  return responseMode?.endsWith('jwt') === true
}

/** A registered client gets a secret if anything needs one, unless it is a public client. */
function hasSecret({ clientSecret, registration, tokenEndpointAuthMethod }: Readonly<Partial<Given>>): boolean {
  return clientSecret !== undefined || (registration !== undefined && tokenEndpointAuthMethod !== 'none')
}

/** The result of a function is checked when it is called. */
function isShort(clientSecret: Given['clientSecret']): boolean {
  return typeof clientSecret === 'string' && clientSecret.length < MIN_SECRET_LENGTH
}
