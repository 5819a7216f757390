import { type Account, PARTNERS, STAFF } from './accounts.ts'

/** Who an embedded provider is: what it calls itself, how it looks, and who can sign in there. */
export interface Identity {
  /** Its name in the options of the app, in its cookies, and as the class of its pages. */
  readonly name: string
  readonly owner: string
  readonly title: string
  /** The address of its mark. */
  readonly mark: string
  /** Whom it is for, as the app says to those who choose. */
  readonly audience: string
  readonly accounts: readonly Account[]
}

/** The company's own. */
export const HARBOURLINE: Identity = {
  name: 'harbourline',
  owner: 'Harbourline',
  title: 'Accounts',
  mark: '/assets/mark.svg',
  audience: 'For everybody who works at Harbourline.',
  accounts: STAFF,
}

/** A partner's: another site with other people and another look, which knows nothing of the first. */
export const FAIRHAVEN: Identity = {
  name: 'fairhaven',
  owner: 'Port of Fairhaven',
  title: 'Sign-on',
  mark: '/assets/fairhaven.svg',
  audience: 'For our partners at the port.',
  accounts: PARTNERS,
}
