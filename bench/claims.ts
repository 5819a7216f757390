import type { IdTokenClaims } from '../lib/types.ts'

/** The 15 claims of a usual login, `nonce` and `at_hash` not counted, which no session needs. */
export function fifteenClaims(issuer: string, clientId: string): IdTokenClaims {
  const now = Math.floor(Date.now() / 1000)
  return {
    iss: issuer,
    sub: '00u8x5fq2bKzWv3Lk4x7',
    aud: clientId,
    exp: now + 3600,
    iat: now,
    auth_time: now - 60,
    sid: 'idxVtB3kq7rQ0mZ2xS5nYw8Ag',
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
