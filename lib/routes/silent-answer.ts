import type { ErrorCode } from '../error-status.ts'
import { AuthorizationError, OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import type { Response } from '../http.ts'
import type { CompletedLogin, RelyingParty } from '../relying-party.ts'
import type { SessionRequest } from '../session/express-session.ts'
import { noteCheck } from '../session/last-check.ts'
import { readLogin, readTokensId } from '../session/login-session.ts'
import type { Transaction } from '../types.ts'
import { logoutHere } from './local-logout.ts'

/** OIDC Core 3.1.2.6: what providers answer where they would have to ask the person something. */
const QUESTIONS: ReadonlySet<string> = new Set([
  ...['login_required', 'interaction_required', 'consent_required', 'account_selection_required'],
])

/** RFC 6749 4.1.2.1: what they answer where they cannot say. */
const TROUBLES: ReadonlySet<string> = new Set(['server_error', 'temporarily_unavailable'])

const AWAY: ReadonlySet<ErrorCode> = new Set([
  ...(['ERR_OIDC_PROVIDER_UNREACHABLE', 'ERR_OIDC_PROVIDER_TIMEOUT'] as const),
  ...(['ERR_OIDC_PROVIDER_BUSY', 'ERR_OIDC_PROVIDER_STATUS'] as const),
])

/** How long a request may last, in seconds. */
const LONGEST_REQUEST = 60

/**
 * What a login has come to; `undefined` where it was a silent one that nobody is to notice: it has found nobody, or it was
 * to check a login that has ended or gone on since. Rejects with what is a failure all the same.
 */
export async function redeemUnlessSilent(
  rp: RelyingParty,
  req: SessionRequest,
  res: Response,
  transaction: Transaction,
  redeem: () => Promise<CompletedLogin>,
): Promise<CompletedLogin | undefined> {
  if (!isConcerned(rp, req, transaction)) return undefined
  try {
    const completed = await redeem()
    const isFirst = await isFirstAnswer(rp, req, transaction)
    return isFirst && isConcerned(rp, req, transaction) ? unprolonged(rp, req, transaction, completed) : undefined
  } catch (error) {
    if (transaction.isSilent !== true) throw error
    await settle(rp, req, res, transaction, error)
    return undefined
  }
}

/** A check does not ask how recent the login is, so `max_age` would be for nothing if the login lasted longer by it. */
function unprolonged(
  rp: RelyingParty,
  req: SessionRequest,
  { checks }: Transaction,
  completed: CompletedLogin,
): CompletedLogin {
  const checked = checks === undefined ? undefined : readLogin(req, rp.config)
  if (checked?.claims.sub !== completed.login.claims.sub) return completed
  const expiresAt = Math.min(checked.expiresAt, completed.login.expiresAt)
  return { ...completed, login: { ...completed.login, expiresAt } }
}

/**
 * Whether an answer has to do with this session. That of a check has only with the login that was checked: another tab may
 * have checked it meanwhile, or logged out, and whoever has logged out is not to be logged in again.
 */
function isConcerned(rp: RelyingParty, req: SessionRequest, { checks }: Transaction): boolean {
  if (checks === undefined) return true
  return !rp.ended.has(req) && readLogin(req, rp.config) !== undefined && readTokensId(req, rp.config) === checks
}

/**
 * Whether no other tab's answer has had the login go on: each would begin a session, and the browser keeps but one. To be
 * asked last, for an answer that comes to nothing is not to keep another from it.
 */
async function isFirstAnswer(rp: RelyingParty, req: SessionRequest, { checks }: Transaction): Promise<boolean> {
  return checks === undefined || rp.stateOf(req.sessionStore).once(`checked:${checks}`, LONGEST_REQUEST)
}

async function settle(
  rp: RelyingParty,
  req: SessionRequest,
  res: Response,
  transaction: Transaction,
  error: unknown,
): Promise<void> {
  const isCheck = transaction.checks !== undefined
  if (isCheck && isAway(error)) publish['express-oidc:error'](() => ({ code: error.code, error }))
  else if (!isNobodyThere(error)) throw error
  if (!isCheck || !isConcerned(rp, req, transaction)) return
  // OIDC Session Management 2. That it would have to ask something, or has lost the consent, does not say that nobody is there.
  if (refusalOf(error) === 'login_required') await logoutHere(rp, req, res, 'session-check')
  else await noteCheck(req, rp.config)
}

/** Whether the provider could not be asked: that it is down is no reason to keep anybody from a page. */
function isAway(error: unknown): error is OidcError {
  return TROUBLES.has(refusalOf(error) ?? '') || (error instanceof OidcError && AWAY.has(error.code))
}

/** Whether a silent login has found nobody who is logged in at the provider, or nobody whose login will do. */
function isNobodyThere(error: unknown): boolean {
  if (error instanceof OidcError && error.code === 'ERR_OIDC_INSUFFICIENT_AUTHENTICATION') return true
  return QUESTIONS.has(refusalOf(error) ?? '')
}

function refusalOf(error: unknown): string | undefined {
  return error instanceof AuthorizationError ? error.refusal.error : undefined
}
