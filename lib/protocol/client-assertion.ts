import { randomBytes } from 'node:crypto'
import { SignJWT } from 'jose'
import type { ClientSigner } from './client-signer.ts'
import type { Provider } from './provider.ts'

/** What an assertion of the client says. */
export interface ClientAssertion extends ClientSigner {
  readonly clientId: string
  /** Who is to believe it. */
  readonly audience: string
  /** Seconds since 1970. */
  readonly now: number
}

/** For how long an assertion can be shown, in seconds. It is used at once, and once. */
const LIFE = 60

/** RFC 7521 4.2, RFC 7523 2.2. */
export const CLIENT_ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/**
 * The client's proof of itself, signed: `private_key_jwt` or `client_secret_jwt` (OIDC Core 9, RFC 7523 3). Each call makes
 * a new one with a `jti` of its own, since a provider takes one only once. The audience is one string, no list: some
 * providers refuse a list, and FAPI 2.0 Security Profile 5.3.3.1 forbids it.
 */
export function createClientAssertion({ clientId, audience, alg, key, kid, now }: ClientAssertion): Promise<string> {
  const jti = randomBytes(24).toString('base64url')
  return new SignJWT({ iss: clientId, sub: clientId, aud: audience, iat: now, exp: now + LIFE, jti })
    .setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }) })
    .sign(key)
}

/**
 * The audience of an assertion for an endpoint, by `clientAssertionAudience`. The issuer, unless told: it means this one
 * provider whichever of its endpoints is asked (OIDC Core 9, FAPI 2.0 Security Profile 5.3.3.1).
 *
 * @param endpoint The URL that is asked, and no other: a provider that got an assertion for another one's address could
 * take it there.
 */
export function assertionAudience(
  { config, metadata }: Pick<Provider, 'config' | 'metadata'>,
  endpoint: string,
): string {
  const { clientAssertionAudience: told = isOkta(metadata.token_endpoint) ? 'endpoint' : 'issuer' } = config
  if (told === 'endpoint') return endpoint
  return told === 'issuer' ? config.issuer : told
}

/**
 * Okta refuses assertions for its issuer, and takes those alone that name the URL that is asked. It is known by the path
 * of its token endpoint, since its customers use domains of their own.
 */
function isOkta(tokenEndpoint: string | undefined): boolean {
  return /^https?:\/\/[^/?#]+\/oauth2\/([^/?#]+\/)?v1\/token$/.test(tokenEndpoint ?? '')
}
