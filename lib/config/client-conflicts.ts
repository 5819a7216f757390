import type { ApplicationOptions } from '../options.ts'
import type { NamedProviderOptions, PrivateJwk } from '../provider-options.ts'
import { algorithmsOf, type KeyPurpose } from './client-key-kinds.ts'
import { type Conflict, conflict } from './conflict.ts'

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
