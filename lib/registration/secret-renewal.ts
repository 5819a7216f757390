import type { RegisteredClient } from '../client-metadata.ts'
import { OidcError } from '../errors.ts'
import { rotateClientSecret, type SecretRotation } from './registration.ts'
import type { RegistrationEndpoint } from './registration-endpoint.ts'
import { isSecretExpired } from './secret-life.ts'

/**
 * Asks for a new secret, or for more time with the same. `undefined` where only another client can have one: RFC 7592 has
 * no request for that, and a client that the provider refuses to change is of no use once its secret has ended.
 */
export async function renewSecret(
  endpoint: RegistrationEndpoint,
  old: RegisteredClient,
): Promise<SecretRotation | undefined> {
  try {
    return await rotateClientSecret(endpoint, old)
  } catch (error) {
    if (isReplaceable(old, error)) return undefined
    throw error
  }
}

/** At Okta a refusal is left as it is: another client there would have nobody assigned to it. */
function isReplaceable(old: RegisteredClient, error: unknown): boolean {
  if (!(error instanceof OidcError)) return false
  if (error.code === 'ERR_OIDC_REGISTRATION_SECRET') return true
  const isRefusal = ['ERR_OIDC_REGISTRATION_REFUSED', 'ERR_OIDC_REGISTRATION_UNAUTHORIZED'].includes(error.code)
  return isRefusal && isSecretExpired(old) && old.registration_client_uri !== undefined
}
