import { createSecretKey, type KeyObject } from 'node:crypto'
import { algorithmsOf } from '../config/client-key-kinds.ts'
import { PROFILE_ALGORITHMS } from '../config/profile.ts'
import { ConfigError, OidcError } from '../errors.ts'
import { findJwsAlgorithm } from '../jose/jws-algorithms.ts'
import type { Json } from '../json-object.ts'
import { readSecretKey } from './client-secret.ts'
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
