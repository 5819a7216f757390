import { OidcError } from '../errors.ts'
import { isInstant } from '../instant.ts'
import { isOfIssuer } from '../issuer.ts'
import { verifyJws } from '../jose/jws.ts'
import type { JsonObject } from '../json-object.ts'
import type { Provider } from './provider.ts'
import { expectationsOf } from './token-expectations.ts'

/** What a revocation that has been verified is from, and by which name it is told from others. */
export interface RevocationJwt {
  readonly issuer: string
  readonly jti: string
}

/** The longest life of such a token, in seconds: Okta's end five minutes after they are made. */
const LONGEST_LIFE = 600

/**
 * Verifies what a provider proves itself with when it demands that all sessions of a person end (Global Token Revocation,
 * Okta's Universal Logout). Throws `ERR_OIDC_REVOCATION_JWT`, and the codes of fetching the keys.
 *
 * @param audience The address of the receiver, without query.
 */
export async function verifyRevocationJwt(
  provider: Provider,
  token: unknown,
  audience: string,
): Promise<RevocationJwt> {
  const { issuer, clientId, clockTolerance } = provider.config
  const { alg, clientSecret } = await expectationsOf(provider, 'REVOCATION_JWT')
  const { claims } = await verifyJws('REVOCATION_JWT', token, provider.keys, { alg, clientSecret })
  const isSound =
    isOfIssuer(issuer, claims) &&
    claims['sub'] === clientId &&
    claims['aud'] === audience &&
    typeof claims['jti'] === 'string' &&
    claims['jti'] !== '' &&
    isTimely(claims, clockTolerance)
  if (!isSound)
    throw new OidcError('ERR_OIDC_REVOCATION_JWT', 'The token is no demand of the provider for this receiver.')
  return { issuer: String(claims['iss']), jti: String(claims['jti']) }
}

/** How long a `jti` must be remembered, in seconds: after that, the token has ended. */
export function revocationRememberedSeconds(clockTolerance: number): number {
  return LONGEST_LIFE + 2 * clockTolerance
}

function isTimely({ iat, exp, nbf }: JsonObject, clockTolerance: number): boolean {
  const now = Date.now() / 1000
  return (
    isInstant(iat) &&
    isInstant(exp) &&
    iat <= now + clockTolerance &&
    now < exp + clockTolerance &&
    exp - iat <= LONGEST_LIFE &&
    (nbf === undefined || (isInstant(nbf) && nbf <= now + clockTolerance))
  )
}
