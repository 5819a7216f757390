import { AuthorizationError, type ErrorCode, OidcError, ProviderError } from '../errors.ts'
import { publish } from '../events.ts'
import { type Request, type Response, wantsPage } from '../http/request.ts'
import { redirect } from '../http/response.ts'
import type { WireParams } from '../options/authorization-params.ts'
import { ONLY_PROVIDER } from '../options/config.ts'
import type { LoginRequest } from '../protocol/authorization-request.ts'
import type { Client, CompletedLogin, RelyingParty } from '../relying-party.ts'
import { readLogin, readTokensId, recordFailedCheck } from '../session/current-login.ts'
import { requireSession, type SessionRequest } from '../session/express-session.ts'
import { endLocalLogin } from '../session/login-session.ts'
import type { Transaction } from '../types.ts'

/** Proxies refuse addresses of more than 4 to 8 kB: a provider that has its cookie needs no hint. */
const MAX_ID_TOKEN_HINT_LENGTH = 2000

/**
 * The login that a silent login at this provider holds against the provider's session, by the id of its tokens; `undefined`
 * where it holds none. A page is needed: in a frame the provider may have no cookie, and know nobody. With any parameter of
 * its own a link does not ask whether the person is there, but for something else, and whoever made it must end nothing.
 */
export function findLoginToRecheck(
  rp: RelyingParty,
  client: Client,
  req: Request,
  { isSilent, requirement, authorizationParams }: LoginRequest,
): string | undefined {
  const isPlain = requirement === undefined && Object.keys(authorizationParams).length === 0
  return isSilent === true && isPlain && wantsPage(req) ? tokensIdOfLoginAt(rp, client, requireSession(req)) : undefined
}

/** Whether a page has sent somebody here on its own, and will not do so again. */
export function isStartedByPage(
  rp: RelyingParty,
  req: Request,
  { isSilent, recheckedTokensId }: LoginRequest,
): boolean {
  if (recheckedTokensId !== undefined) return true
  return isSilent === true && rp.silentLogins.wasTried(req) && readLogin(req, rp.config) === undefined
}

/** Pages are there while the provider is not. Throws what does not come from that. */
export async function redirectBack(
  { config }: RelyingParty,
  req: Request,
  res: Response,
  { returnTo, recheckedTokensId }: LoginRequest,
  error: unknown,
): Promise<void> {
  if (!(error instanceof ProviderError) || res.headersSent) throw error
  publish['express-oidc:error'](() => ({ code: error.code, error }))
  if (recheckedTokensId !== undefined) await recordFailedCheck(requireSession(req), config)
  redirect(res, config.origin + returnTo)
}

/**
 * What is asked of a check beyond what every login asks: nothing but who is there. How recent a login is says nothing of
 * whether it is over, and whoever is meant, the ID Token says (OIDC Core 3.1.2.1, OIDC Session Management 3.1).
 */
export function withoutLoginHintAndMaxAge({ max_age: _age, login_hint: _hint, ...params }: WireParams): WireParams {
  return params
}

/** The ID Token as a hint, so that the provider answers for this person alone. */
export async function idTokenHintParam(rp: RelyingParty, client: Client, req: SessionRequest): Promise<WireParams> {
  const id = tokensIdOfLoginAt(rp, client, req)
  const idToken = id === undefined ? undefined : (await rp.tokenRecords.read(req.sessionStore, id))?.idToken
  return idToken === undefined || idToken.length > MAX_ID_TOKEN_HINT_LENGTH ? {} : { id_token_hint: idToken }
}

/** Of a login at that very provider. */
function tokensIdOfLoginAt(rp: RelyingParty, { config }: Client, req: SessionRequest): string | undefined {
  const login = readLogin(req, rp.config)
  const isThere = login !== undefined && (login.provider ?? ONLY_PROVIDER) === config.name
  return isThere ? readTokensId(req, rp.config) : undefined
}

/** OIDC Core 3.1.2.6: what providers answer where they would have to ask the person something. */
const INTERACTION_ERRORS: ReadonlySet<string> = new Set([
  ...['login_required', 'interaction_required', 'consent_required', 'account_selection_required'],
])

/** RFC 6749 4.1.2.1: what they answer where they cannot say. */
const TEMPORARY_ERRORS: ReadonlySet<string> = new Set(['server_error', 'temporarily_unavailable'])

const UNAVAILABLE_CODES: ReadonlySet<ErrorCode> = new Set([
  ...(['ERR_OIDC_PROVIDER_UNREACHABLE', 'ERR_OIDC_PROVIDER_TIMEOUT'] as const),
  ...(['ERR_OIDC_PROVIDER_BUSY', 'ERR_OIDC_PROVIDER_STATUS'] as const),
])

/** How long a request may last, in seconds. */
const LONGEST_REQUEST = 60

/**
 * What a login has come to; `undefined` where it was a silent one that nobody is to notice: it has found nobody, or it was
 * to check a login that has ended or gone on since. Rejects with what is a failure all the same.
 */
export async function completeLogin(
  rp: RelyingParty,
  req: SessionRequest,
  res: Response,
  transaction: Transaction,
  redeem: () => Promise<CompletedLogin>,
): Promise<CompletedLogin | undefined> {
  if (!belongsToCurrentLogin(rp, req, transaction)) return undefined
  try {
    const completed = await redeem()
    const isFirst = await claimFirstResponse(rp, req, transaction)
    return isFirst && belongsToCurrentLogin(rp, req, transaction)
      ? keepEarlierExpiry(rp, req, transaction, completed)
      : undefined
  } catch (error) {
    if (transaction.isSilent !== true) throw error
    await handleSilentFailure(rp, req, res, transaction, error)
    return undefined
  }
}

/** A check does not ask how recent the login is, so `max_age` would be for nothing if the login lasted longer by it. */
function keepEarlierExpiry(
  rp: RelyingParty,
  req: SessionRequest,
  { recheckedTokensId }: Transaction,
  completed: CompletedLogin,
): CompletedLogin {
  const checked = recheckedTokensId === undefined ? undefined : readLogin(req, rp.config)
  if (checked?.claims.sub !== completed.login.claims.sub) return completed
  const expiresAt = Math.min(checked.expiresAt, completed.login.expiresAt)
  return { ...completed, login: { ...completed.login, expiresAt } }
}

/**
 * Whether an answer has to do with this session. That of a check has only with the login that was checked: another tab may
 * have checked it meanwhile, or logged out, and whoever has logged out is not to be logged in again.
 */
function belongsToCurrentLogin(rp: RelyingParty, req: SessionRequest, { recheckedTokensId }: Transaction): boolean {
  if (recheckedTokensId === undefined) return true
  return (
    !rp.storeWatch.isEnded(req) &&
    readLogin(req, rp.config) !== undefined &&
    readTokensId(req, rp.config) === recheckedTokensId
  )
}

/**
 * Whether no other tab's answer has had the login go on: each would begin a session, and the browser keeps but one. To be
 * asked last, for an answer that comes to nothing is not to keep another from it.
 */
async function claimFirstResponse(
  rp: RelyingParty,
  req: SessionRequest,
  { recheckedTokensId }: Transaction,
): Promise<boolean> {
  return (
    recheckedTokensId === undefined ||
    rp.sharedStateOf(req.sessionStore).once(`checked:${recheckedTokensId}`, LONGEST_REQUEST)
  )
}

async function handleSilentFailure(
  rp: RelyingParty,
  req: SessionRequest,
  res: Response,
  transaction: Transaction,
  error: unknown,
): Promise<void> {
  const isCheck = transaction.recheckedTokensId !== undefined
  if (isCheck && isProviderUnavailable(error)) publish['express-oidc:error'](() => ({ code: error.code, error }))
  else if (!hasNoProviderSession(error)) throw error
  if (!isCheck || !belongsToCurrentLogin(rp, req, transaction)) return
  // OIDC Session Management 2. That it would have to ask something, or has lost the consent, does not say that nobody is there.
  if (refusalOf(error) === 'login_required') await endLocalLogin(rp, req, res, 'session-check')
  else await recordFailedCheck(req, rp.config)
}

/** Whether the provider could not be asked: that it is down is no reason to keep anybody from a page. */
function isProviderUnavailable(error: unknown): error is OidcError {
  return (
    TEMPORARY_ERRORS.has(refusalOf(error) ?? '') || (error instanceof OidcError && UNAVAILABLE_CODES.has(error.code))
  )
}

/** Whether a silent login has found nobody who is logged in at the provider, or nobody whose login will do. */
function hasNoProviderSession(error: unknown): boolean {
  if (error instanceof OidcError && error.code === 'ERR_OIDC_INSUFFICIENT_AUTHENTICATION') return true
  return INTERACTION_ERRORS.has(refusalOf(error) ?? '')
}

function refusalOf(error: unknown): string | undefined {
  return error instanceof AuthorizationError ? error.refusal.error : undefined
}
