import { type Account, PARTNERS, STAFF } from './accounts.ts'

/** The name, the look and the users of an embedded provider. */
export interface Identity {
  /** Its name in the app's options, in its cookies, and in the class of its pages. */
  readonly name: string
  readonly owner: string
  readonly title: string
  /** The URL of its logo. */
  readonly mark: string
  /** Its users, as the page that lists the providers describes them. */
  readonly audience: string
  readonly accounts: readonly Account[]
  /** True for the provider that also issues access tokens for the API of the app. */
  readonly issuesApiTokens: boolean
}

/** The provider of the company itself. */
export const HARBOURLINE: Identity = {
  name: 'harbourline',
  owner: 'Harbourline',
  title: 'Accounts',
  mark: '/assets/mark.svg',
  audience: 'For everybody who works at Harbourline.',
  accounts: STAFF,
  issuesApiTokens: true,
}

/** The provider of a partner: another site, with other users and another look. */
export const FAIRHAVEN: Identity = {
  name: 'fairhaven',
  owner: 'Port of Fairhaven',
  title: 'Sign-on',
  mark: '/assets/fairhaven.svg',
  audience: 'For our partners at the port.',
  accounts: PARTNERS,
  issuesApiTokens: false,
}
