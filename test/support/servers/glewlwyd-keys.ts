import type { JsonWebKey } from 'node:crypto'
import type { Options } from '../../../lib/index.ts'
import { createSigningKeys, type SigningKey } from '../app/signing-keys.ts'

/** The keys of a client. */
export interface GlewlwydClientKeys {
  /** For the app. */
  readonly clientKeys: NonNullable<Options['clientKeys']>
  /** For glewlwyd: `jwks` of a client. */
  readonly jwks: { readonly keys: readonly JsonWebKey[] }
  /** The identifier of the key that glewlwyd encrypts to: `alg_kid` of a client. */
  readonly encryptionKid: string
}

/** Makes a key that signs by RS256, and one to encrypt to by RSA-OAEP-256. */
export function createGlewlwydClientKeys(): GlewlwydClientKeys {
  const [signing, encrypting] = [createSigningKeys(), createSigningKeys()]
  const uses = [
    { key: signing.rsa, members: { use: 'sig', alg: 'RS256' } },
    { key: encrypting.rsa, members: { use: 'enc', alg: 'RSA-OAEP-256' } },
  ] as const
  return {
    clientKeys: uses.map(({ key, members }) => ({ ...privateJwk(key), ...members })),
    jwks: { keys: uses.map(({ key, members }) => ({ ...key.jwk, ...members })) },
    encryptionKid: encrypting.rsa.kid,
  }
}

function privateJwk({ privateKey, kid }: SigningKey): { kty: string; kid: string } {
  // An RSA key always has a `kty`.
  return { ...(privateKey.export({ format: 'jwk' }) as { kty: string }), kid }
}
