import { createSecretKey, type KeyObject } from 'node:crypto'
import { ConfigError, OidcError } from '../errors.ts'
import { findJwsAlgorithm } from '../jose/algorithms.ts'
import { algorithmsOf } from '../jose/client-keys.ts'
import type { Config } from '../options/config.ts'
import { PROFILE_ALGORITHMS } from '../options/profile.ts'
import type { Json } from '../types.ts'
import type { Provider } from './provider.ts'

/** What the client signs with: assertions of itself, and its requests. */
export interface ClientSigner {
  readonly alg: string
  /** The private key, or the client secret for HS256, HS384 and HS512. */
  readonly key: KeyObject
  /** The identifier of the private key, as the provider knows it. */
  readonly kid: string | undefined
}

/**
 * What the client signs with by this algorithm: the first fitting one of `clientKeys`, or the client secret. Throws
 * `ERR_OIDC_CONFIG` where no key fits, and `ERR_OIDC_CLIENT_SECRET` where the secret is missing or too short.
 */
export async function findSigner(
  { config, clientKeys }: Pick<Provider, 'config' | 'clientKeys'>,
  alg: string,
): Promise<ClientSigner> {
  if (isSymmetric(alg)) return { alg, key: secretKey(await readSecretKey(config)), kid: undefined }
  const found = clientKeys.signingKey(alg)
  if (found === undefined) throw new ConfigError([`clientKeys must have a key that signs with ${alg}.`])
  return { alg, key: found.key, kid: found.kid }
}

/** Whether an algorithm takes the client secret, and not a key of the client. */
export function isSymmetric(alg: string): boolean {
  return findJwsAlgorithm(alg)?.kty === 'oct'
}

/**
 * The algorithm to sign with where the options name none: the first that the client's keys can sign with, in their order,
 * and that the provider says it takes; for an RSA key RS256, but PS256 in a profile of FAPI. Throws `ERR_OIDC_CONFIG` where
 * no key signs.
 *
 * @param supported What the provider's metadata says; absent, or any other value: nothing.
 */
export function defaultSigningAlg(
  { config, clientKeys }: Pick<Provider, 'config' | 'clientKeys'>,
  supported: Json | undefined,
): string {
  const algs = clientKeys.publicJwks.keys
    .flatMap((jwk) => algorithmsOf(jwk, 'sig'))
    .filter((alg) => clientKeys.signingKey(alg) !== undefined)
    .filter((alg) => config.profile === undefined || PROFILE_ALGORITHMS.includes(alg))
  const alg = algs.find((name) => Array.isArray(supported) && supported.includes(name)) ?? algs[0]
  if (alg === undefined) throw new ConfigError(['clientKeys must have a key that signs.'])
  return alg
}

/** OIDC Core 10.1: the key is the octets of the secret in UTF-8. */
function secretKey(secret: string | undefined): KeyObject {
  if (secret !== undefined) return createSecretKey(secret, 'utf8')
  throw new OidcError('ERR_OIDC_CLIENT_SECRET', 'To sign with the client secret, there must be one.')
}

/** RFC 6749 A.2, without the space around that comes from reading a file to its end. */
const SECRET = /^[!-~](?:[ -~]*[!-~])?$/

/** OIDC Core 16.19, and what Okta demands. Longer hashes make no longer secret: 32 characters cannot be guessed. */
const MIN_KEY_BYTES = 32

/**
 * The client secret of the moment: a function of the application's is asked each time, so that the secret can change
 * without a restart. `undefined` for a client without one. Throws `ERR_OIDC_CLIENT_SECRET` where the function fails (503) or
 * gives none.
 */
export async function readClientSecret({ clientSecret }: Pick<Config, 'clientSecret'>): Promise<string | undefined> {
  if (typeof clientSecret !== 'function') return clientSecret
  const secret = await callSecretFunction(clientSecret)
  if (typeof secret === 'string' && SECRET.test(secret)) return secret
  throw new OidcError(
    'ERR_OIDC_CLIENT_SECRET',
    'The function clientSecret has given no text of printable ASCII characters without space around it.',
  )
}

async function callSecretFunction(clientSecret: () => unknown): Promise<unknown> {
  try {
    return await clientSecret()
  } catch (error) {
    throw new OidcError('ERR_OIDC_CLIENT_SECRET', 'The function clientSecret has failed.', {
      status: 503,
      cause: error,
    })
  }
}

/**
 * The client secret as a key, to sign, verify, encrypt or decrypt with. Throws as {@link readClientSecret}, and for a secret
 * of less than 32 bytes: who sees what it was used for could try all of them (OIDC Core 16.19).
 */
export async function readSecretKey(config: Pick<Config, 'clientSecret'>): Promise<string | undefined> {
  const secret = await readClientSecret(config)
  if (secret === undefined || Buffer.byteLength(secret) >= MIN_KEY_BYTES) return secret
  throw new OidcError(
    'ERR_OIDC_CLIENT_SECRET',
    `As a key, the client secret must have at least ${MIN_KEY_BYTES} characters.`,
  )
}
