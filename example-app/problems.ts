import type { ErrorRequestHandler, RequestHandler } from 'express'
import { AccessDeniedError, AuthorizationError, OidcError } from '../lib/index.ts'
import { type Problem, problemPage } from './pages/problem.ts'
import { CrossOriginError } from './same-origin.ts'
import { visitorOf } from './visitor.ts'

const HOME = { href: '/', label: 'Back to the start' }
const AGAIN = { href: '/login?returnTo=/profile', label: 'Try again' }

const NOT_FOUND: Problem = {
  status: 404,
  title: 'No such page',
  text: 'The address may be mistyped, or the page has moved.',
  action: HOME,
}

// The messages of errors are for operators. These texts are for users, and never show what the provider sent.
const CANCELLED: Problem = {
  status: 403,
  title: 'Sign-in was cancelled',
  text: 'You did not allow Harbourline to sign you in. Nothing was changed, and nothing was stored.',
  action: AGAIN,
}

const SCOPE_MISSING: Problem = {
  status: 403,
  title: 'Reports need your permission',
  text: 'You are signed in, but you did not allow Harbourline to read reports for you. You can allow it now.',
  action: { href: '/permissions?returnTo=/reports', label: 'Choose what to allow' },
}

const CLAIM_MISSING: Problem = {
  status: 403,
  title: 'This page is for admins',
  text: 'You are signed in, but not a member of the group admin. Ask Alice: she is.',
  action: { href: '/profile', label: 'See your groups' },
}

const CROSS_ORIGIN: Problem = {
  status: 403,
  title: 'That form was not ours',
  text: 'It was not sent from a page of Harbourline, so nothing was changed.',
  action: HOME,
}

/** Responds if no page has that address. */
export const showNotFound: RequestHandler = (req, res) => {
  res.status(404).send(problemPage(NOT_FOUND, req.path, visitorOf(req)))
}

/** Responds to every error with a friendly page. Scripts want no page, so their errors go to the next handler. */
export const showProblem: ErrorRequestHandler = (error, req, res, next) => {
  if (res.headersSent || !req.accepts('html')) return next(error)
  const problem = toProblem(error)
  if (problem.status >= 500) console.error(error)
  if (error instanceof OidcError) res.set(error.headers)
  res.status(problem.status).send(problemPage(problem, req.path, visitorOf(req)))
}

function toProblem(error: unknown): Problem {
  if (error instanceof AuthorizationError && error.refusal.error === 'access_denied') return CANCELLED
  if (error instanceof AccessDeniedError) {
    return error.code === 'ERR_OIDC_INSUFFICIENT_SCOPE' ? SCOPE_MISSING : CLAIM_MISSING
  }
  if (error instanceof OidcError) return toSignInProblem(error)
  if (error instanceof CrossOriginError) return CROSS_ORIGIN
  return {
    status: 500,
    title: 'That did not work',
    text: 'The fault is ours, and it has been written down. Please try again in a moment.',
    action: HOME,
  }
}

function toSignInProblem({ status, code }: OidcError): Problem {
  const text =
    status === 400
      ? 'It may have taken too long, or begun in another window. A fresh start usually helps.'
      : 'The sign-in service did not answer as it should. Please try again in a moment.'
  return { status, title: 'Sign-in did not work', text, action: AGAIN, reference: code }
}
