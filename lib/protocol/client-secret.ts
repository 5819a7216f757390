import type { Config } from '../config/config.ts'
import { OidcError } from '../errors.ts'

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
  const secret = await ask(clientSecret)
  if (typeof secret === 'string' && SECRET.test(secret)) return secret
  throw new OidcError(
    'ERR_OIDC_CLIENT_SECRET',
    'The function clientSecret has given no text of printable ASCII characters without space around it.',
  )
}

async function ask(clientSecret: () => unknown): Promise<unknown> {
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
