import { createSecretKey, type KeyObject } from 'node:crypto'
import { ConfigError, OidcError } from '../errors.ts'
import { usesClientSecret } from '../jose/algorithms.ts'
import { algorithmsOf, type ClientKeys } from '../jose/client-keys.ts'
import { MIN_SECRET_LENGTH } from '../jose/jwk.ts'
import type { Config } from '../options/config.ts'
import { isCredential } from '../options/credential.ts'
import { PROFILE_ALGORITHMS } from '../options/profile.ts'
import type { Json } from '../types.ts'

/** What the client signs its assertions and its authorization requests with. */
export interface ClientSigner {
  readonly alg: string
  /** The private key, or the client secret for HS256, HS384 and HS512. */
  readonly key: KeyObject
  /** The `kid` of the private key, as the provider knows it. */
  readonly kid: string | undefined
}

/** The keys of a client: its secret, and its key pairs. */
export interface SigningClient {
  readonly config: Pick<Config, 'clientSecret' | 'profile'>
  readonly clientKeys: Pick<ClientKeys, 'signingKey' | 'publicJwks'>
}

/**
 * Finds the key for an algorithm: the first of `clientKeys` that signs with it, or the client secret. Throws
 * `ERR_OIDC_CONFIG` if there is no such key, and `ERR_OIDC_CLIENT_SECRET` if the secret is missing or too short.
 */
export async function findSigner({ config, clientKeys }: SigningClient, alg: string): Promise<ClientSigner> {
  if (usesClientSecret(alg)) return { alg, key: secretKey(await readSecretKey(config), alg), kid: undefined }
  const found = clientKeys.signingKey(alg)
  if (found === undefined) throw new ConfigError([`clientKeys has no key that signs with ${alg}. Add one.`])
  return { alg, key: found.key, kid: found.kid }
}

/**
 * The algorithm to sign with if the options name none: the first that a key in `clientKeys` can sign with and that the
 * provider supports. For an RSA key that is RS256, or PS256 in a FAPI profile. Throws `ERR_OIDC_CONFIG` if no key can sign.
 *
 * @param supported The algorithms in the provider's metadata. Ignored if absent or not a list.
 */
export function defaultSigningAlg({ config, clientKeys }: SigningClient, supported: Json | undefined): string {
  const algs = clientKeys.publicJwks.keys
    .flatMap((jwk) => algorithmsOf(jwk, 'sig'))
    .filter((alg) => clientKeys.signingKey(alg) !== undefined)
    .filter((alg) => config.profile === undefined || PROFILE_ALGORITHMS.includes(alg))
  const alg = algs.find((name) => Array.isArray(supported) && supported.includes(name)) ?? algs[0]
  if (alg === undefined) throw new ConfigError(['clientKeys has no key that signs. Add one.'])
  return alg
}

/** OIDC Core 10.1: the key is the bytes of the secret in UTF-8. */
function secretKey(secret: string | undefined, alg: string): KeyObject {
  if (secret !== undefined) return createSecretKey(secret, 'utf8')
  throw new OidcError('ERR_OIDC_CLIENT_SECRET', `To sign with ${alg}, set clientSecret.`)
}

/**
 * The current client secret. If it is a function, it is called each time, so that the secret can change without a restart.
 * Returns `undefined` for a client without a secret. Throws `ERR_OIDC_CLIENT_SECRET` if the function fails (status 503) or
 * returns no usable text.
 */
export async function readClientSecret({ clientSecret }: Pick<Config, 'clientSecret'>): Promise<string | undefined> {
  if (typeof clientSecret !== 'function') return clientSecret
  const secret = await callSecretFunction(clientSecret)
  if (isCredential(secret)) return secret
  throw new OidcError(
    'ERR_OIDC_CLIENT_SECRET',
    'The function clientSecret must return printable ASCII text without a space at its start.',
  )
}

async function callSecretFunction(clientSecret: () => unknown): Promise<unknown> {
  try {
    return await clientSecret()
  } catch (error) {
    throw new OidcError('ERR_OIDC_CLIENT_SECRET', 'The function clientSecret failed. Its error is the cause.', {
      status: 503,
      cause: error,
    })
  }
}

/**
 * The client secret for use as a key: to sign, verify, encrypt or decrypt. Throws what {@link readClientSecret} throws, and
 * refuses a secret of less than 32 bytes: who sees a signature could find it by trying (OIDC Core 16.19).
 */
export async function readSecretKey(config: Pick<Config, 'clientSecret'>): Promise<string | undefined> {
  const secret = await readClientSecret(config)
  if (secret === undefined || Buffer.byteLength(secret) >= MIN_SECRET_LENGTH) return secret
  throw new OidcError(
    'ERR_OIDC_CLIENT_SECRET',
    `clientSecret must have at least ${MIN_SECRET_LENGTH} characters, because it is used as a key.`,
  )
}
