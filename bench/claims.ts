import type { IdTokenClaims } from '../lib/types.ts'

/**
 * The 15 claims of a usual login, `nonce` and `at_hash` not counted, which no session needs.
 *
 * @param user Tells users apart, in claims of one length.
 */
export function fifteenClaims(issuer: string, clientId: string, user = 0): IdTokenClaims {
  const now = Math.floor(Date.now() / 1000)
  const suffix = user.toString(36).padStart(8, '0')
  return {
    iss: issuer,
    sub: `00u8x5fq2bKz${suffix}`,
    aud: clientId,
    exp: now + 3600,
    iat: now,
    auth_time: now - 60,
    sid: `idxVtB3kq7rQ0mZ2x${suffix}`,
    name: 'Ada Lovelace',
    given_name: 'Ada',
    family_name: 'Lovelace',
    preferred_username: 'ada.lovelace@example.com',
    email: 'ada.lovelace@example.com',
    email_verified: true,
    locale: 'en-GB',
    groups: ['Everyone', 'staff', 'reports'],
  }
}
