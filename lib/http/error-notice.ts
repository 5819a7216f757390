import { AuthorizationError, type OidcError } from '../errors.ts'
import type { WayOn } from './way-on.ts'

/** What a user reads after a failure. It never repeats text of the provider, the request, the error or its cause. */
export interface ErrorNotice {
  readonly title: string
  readonly text: string
  /** The way on: a path of the application, and what the link says. */
  readonly link: { readonly href: string; readonly text: string } | undefined
}

/** A notice for these errors. The first that applies counts. */
interface Rule {
  readonly isFor: (error: OidcError, step: WayOn['step']) => boolean
  readonly title: string
  readonly text: string
  readonly link: 'login' | 'page' | 'home' | 'logout'
  readonly label?: string
}

const ASK_AGAIN = 'Please try again. If it fails again, contact us and quote the reference below.'

const RULES: readonly Rule[] = [
  {
    isFor: (error) => error instanceof AuthorizationError && error.refusal.error === 'access_denied',
    title: 'You are not signed in',
    text: 'The sign-in was cancelled, or your account is not allowed to use this application.',
    link: 'login',
  },
  {
    isFor: ({ code }) => code.startsWith('ERR_OIDC_FORM_'),
    title: 'Your form was not sent',
    text: 'Please open the page with the form again, and send it once more.',
    link: 'home',
  },
  {
    isFor: ({ status }, step) => step === 'logout' && status < 500,
    title: 'You are still signed in',
    text: 'The request to sign out did not come from a page of this application.',
    link: 'logout',
    label: 'Sign out',
  },
  {
    isFor: ({ code }) => code === 'ERR_OIDC_CROSS_ORIGIN_REQUEST' || code === 'ERR_OIDC_CSRF_HEADER',
    title: 'Request refused',
    text: 'The request did not come from a page of this application. Please open the page again, and retry.',
    link: 'home',
  },
  {
    isFor: ({ code }) => code === 'ERR_OIDC_INSUFFICIENT_AUTHENTICATION',
    title: 'No access',
    text: 'This page needs a stronger sign-in than your account has.',
    link: 'home',
  },
  {
    isFor: ({ status }) => status === 403,
    title: 'No access',
    text: 'Your account is not allowed to open this page.',
    link: 'home',
  },
  {
    isFor: ({ status }) => status === 405,
    title: 'This did not work',
    text: 'The address cannot be opened in this way.',
    link: 'home',
  },
  {
    isFor: ({ status }, step) => (status === 503 || status === 504) && step === 'login',
    title: 'Sign-in is temporarily unavailable',
    text: 'Please try again in a minute.',
    link: 'login',
  },
  {
    isFor: ({ status }) => status === 503 || status === 504,
    title: 'Temporarily unavailable',
    text: 'Please try again in a minute.',
    link: 'page',
  },
  {
    isFor: ({ status }) => status === 500,
    title: 'Something went wrong',
    text: 'This is a problem of the application, not of your account. Please contact us and quote the reference below.',
    link: 'home',
  },
  { isFor: (_error, step) => step === 'login', title: 'Sign-in failed', text: ASK_AGAIN, link: 'login' },
  {
    isFor: ({ status }) => status === 401,
    title: 'Please sign in again',
    text: 'Your sign-in has expired, or it is no longer sufficient for this page.',
    link: 'login',
    label: 'Sign in',
  },
]

const OTHERWISE: Omit<Rule, 'isFor'> = { title: 'This page did not load', text: ASK_AGAIN, link: 'page' }

/** Finds the words and the way on for an error. Behind `bearer()` there is no login, so there is no way on. */
export function noticeFor(error: OidcError, wayOn: WayOn | undefined): ErrorNotice {
  // Without `oidc()` nothing is known about the request: most errors are those of logins.
  const { title, text, link, label } = RULES.find(({ isFor }) => isFor(error, wayOn?.step ?? 'login')) ?? OTHERWISE
  return { title, text, link: wayOn && linkTo(link, label, wayOn) }
}

function linkTo(kind: Rule['link'], label: string | undefined, wayOn: WayOn): ErrorNotice['link'] {
  const { home, page, loginUrl, logoutUrl } = wayOn
  if (kind === 'login') return { href: loginUrl, text: label ?? 'Try again' }
  if (kind === 'logout') return { href: logoutUrl, text: label ?? 'Sign out' }
  if (kind === 'page' && page !== undefined) return { href: page, text: label ?? 'Try again' }
  // A link to the page that has just failed leads nowhere.
  return page === home ? undefined : { href: home, text: label ?? 'Go to the home page' }
}
