/** Somebody who can sign in at the embedded provider. */
export interface Account {
  readonly accountId: string
  readonly userName: string
  /** In plain sight: it is shown on the sign-in page of this demonstration. */
  readonly password: string
  readonly role: string
  readonly claims: Readonly<Record<string, string | boolean | readonly string[]>>
}

/** The two people of the demonstration. */
export const ACCOUNTS: readonly Account[] = [
  {
    accountId: 'harbourline-alice',
    userName: 'alice',
    password: 'tide-table',
    role: 'admin',
    claims: {
      name: 'Alice Adams',
      given_name: 'Alice',
      family_name: 'Adams',
      preferred_username: 'alice',
      email: 'alice@harbourline.example',
      email_verified: true,
      groups: ['admin', 'staff'],
    },
  },
  {
    accountId: 'harbourline-bob',
    userName: 'bob',
    password: 'life-jacket',
    role: 'staff',
    claims: {
      name: 'Bob Brown',
      given_name: 'Bob',
      family_name: 'Brown',
      preferred_username: 'bob',
      email: 'bob@harbourline.example',
      email_verified: true,
      groups: ['staff'],
    },
  },
]

/** The account with that name and password. */
export function findAccountByPassword(userName: string, password: string): Account | undefined {
  return ACCOUNTS.find((account) => account.userName === userName.trim().toLowerCase() && account.password === password)
}

/** The account behind a subject identifier, as oidc-provider asks for it. */
export function findAccount(_context: unknown, accountId: string): object | undefined {
  const account = ACCOUNTS.find((candidate) => candidate.accountId === accountId)
  return account && { accountId, claims: () => ({ sub: accountId, ...account.claims }) }
}
