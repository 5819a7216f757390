import type { StandardClaims } from '../../../lib/types.ts'

/** A person who can log in at a test provider. */
export interface Account {
  readonly sub: string
  readonly claims: StandardClaims & { readonly groups?: readonly string[] }
}

const ALICE: Account = {
  sub: 'alice',
  claims: {
    name: 'Alice Example',
    given_name: 'Alice',
    family_name: 'Example',
    middle_name: 'Maria',
    nickname: 'Ali',
    preferred_username: 'alice@example.test',
    profile: 'https://example.test/alice',
    picture: 'https://example.test/alice.png',
    website: 'https://alice.example.test',
    gender: 'female',
    birthdate: '1990-04-01',
    zoneinfo: 'Europe/Vienna',
    locale: 'de-AT',
    updated_at: 1_760_000_000,
    email: 'alice@example.test',
    email_verified: true,
    phone_number: '+43 1 2345678',
    phone_number_verified: false,
    address: {
      formatted: 'Ring 1\n1010 Wien',
      street_address: 'Ring 1',
      locality: 'Wien',
      region: 'Wien',
      postal_code: '1010',
      country: 'AT',
    },
    groups: ['admin', 'staff'],
  },
}

const BOB: Account = {
  sub: 'bob',
  claims: { name: 'Bob Example', email: 'bob@example.test', email_verified: false, groups: ['staff'] },
}

export const ACCOUNTS: Readonly<Record<string, Account>> = { alice: ALICE, bob: BOB }

/** Who logs in at the strict provider. */
export const USER_SUBJECT: Account = { sub: 'user-subject', claims: ALICE.claims }

/** Which claims each scope asks for (OIDC Core 5.4), and `groups` as many providers have it. */
export const SCOPE_CLAIMS: Readonly<Record<string, readonly string[]>> = {
  profile: [
    'name',
    'given_name',
    'family_name',
    'middle_name',
    'nickname',
    'preferred_username',
    'profile',
    'picture',
    'website',
    'gender',
    'birthdate',
    'zoneinfo',
    'locale',
    'updated_at',
  ],
  email: ['email', 'email_verified'],
  address: ['address'],
  phone: ['phone_number', 'phone_number_verified'],
  groups: ['groups'],
}

/** The claims that the scopes of a login give. */
export function claimsForScope(account: Account, scope: string): Record<string, unknown> {
  const names = new Set(scope.split(' ').flatMap((name) => SCOPE_CLAIMS[name] ?? []))
  return Object.fromEntries(Object.entries(account.claims).filter(([name]) => names.has(name)))
}
