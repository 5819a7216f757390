/** A user of an embedded provider. */
export interface Account {
  readonly accountId: string
  readonly userName: string
  /** In clear, because the sign-in page of this demonstration shows it. */
  readonly password: string
  readonly role: string
  readonly claims: Readonly<Record<string, string | boolean | readonly string[]>>
}

/** Two employees of Harbourline. */
export const STAFF: readonly Account[] = [
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

/** A user from the port, who has no account at Harbourline. */
export const PARTNERS: readonly Account[] = [
  {
    accountId: 'fairhaven-carol',
    userName: 'carol',
    password: 'spring-flood',
    role: 'partner',
    claims: {
      name: 'Carol Castell',
      given_name: 'Carol',
      family_name: 'Castell',
      preferred_username: 'carol',
      email: 'carol@fairhaven.example',
      email_verified: true,
      groups: ['partner'],
    },
  },
]

/** A program that calls the API of the app. Its secret is as public as the passwords above. */
export const SCRIPT = { clientId: 'timetable-script', clientSecret: 'ebb-and-flow', scope: 'reports:read' } as const

/** What the tokens for the API of the app are for: their audience. It is a name, and need not be the URL of anything. */
export const API_AUDIENCE = 'https://api.harbourline.example'

/** The account with that name and password. */
export function findAccountByPassword(
  accounts: readonly Account[],
  userName: string,
  password: string,
): Account | undefined {
  return accounts.find((account) => account.userName === userName.trim().toLowerCase() && account.password === password)
}

/** The account with that subject identifier. */
export function findAccountById(accounts: readonly Account[], accountId: string | undefined): Account | undefined {
  return accounts.find((account) => account.accountId === accountId)
}
