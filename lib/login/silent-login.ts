import { AuthorizationError, OidcError, ProviderError } from '../errors.ts'
import { publishError } from '../events.ts'
import { type Request, type Response, wantsPage } from '../http/request.ts'
import { redirect } from '../http/response.ts'
import type { WireParams } from '../options/authorization-params.ts'
import { ONLY_PROVIDER } from '../options/config.ts'
import type { LoginRequest } from '../protocol/authorization-request.ts'
import type { Client, CompletedLogin, RelyingParty } from '../relying-party.ts'
import { readLogin, readTokensId, recordFailedCheck } from '../session/current-login.ts'
import { endLocalLogin } from '../session/end-login.ts'
import { requireSession, type SessionRequest } from '../session/express-session.ts'
import type { TokenRecord, Transaction } from '../types.ts'

/*
 * A silent login (`prompt=none`) shows no page of the provider. Without a login in the session it tries to log the
 * user in. With a login in the session it is a recheck: it checks whether the user still has a session at the
 * provider. The transaction of a recheck has `recheckedTokensId`: the id of the token record of the login that it
 * checks.
 */

/**
 * Before the authorization request: returns the id of the tokens of the login to recheck. Returns `undefined` if this
 * is no recheck. Two kinds of silent logins are none:
 *
 * - Those in a frame. The provider may get no cookie there, and report that no user is logged in.
 * - Those with further parameters. The author of a link could choose parameters that the provider refuses, to log the
 *   user out.
 */
export function findLoginToRecheck(
  rp: RelyingParty,
  client: Client,
  req: Request,
  { isSilent, requirement, authorizationParams }: LoginRequest,
): string | undefined {
  const isPlain = requirement === undefined && Object.keys(authorizationParams).length === 0
  return isSilent === true && isPlain && wantsPage(req)
    ? tokensIdAtProvider(rp, client, requireSession(req))
    : undefined
}

/**
 * A recheck only checks who is logged in. `max_age` would end logins that are old but valid, and `login_hint` may name
 * someone else than the ID Token hint does (OIDC Core 3.1.2.1, OIDC Session Management 3.1).
 */
export function withoutLoginHintAndMaxAge({ max_age: _age, login_hint: _hint, ...params }: WireParams): WireParams {
  return params
}

/** Proxies reject URLs of more than 4 to 8 kB. A provider that gets its own cookie does not need the hint. */
const MAX_ID_TOKEN_HINT_LENGTH = 2000

/** Returns the parameter `id_token_hint`, so that the provider reports on this user and no other. */
export async function idTokenHintParam(rp: RelyingParty, client: Client, req: SessionRequest): Promise<WireParams> {
  const idToken = (await readTokensAtProvider(rp, client, req))?.idToken
  return idToken === undefined || idToken.length > MAX_ID_TOKEN_HINT_LENGTH ? {} : { id_token_hint: idToken }
}

/**
 * Returns the scopes that a login requests in addition to the option `scope`: its own, and the granted ones that the
 * current login requested. The new login replaces the current one, so a step-up or a recheck would lose these scopes
 * otherwise.
 */
export async function scopesBesideOption(
  rp: RelyingParty,
  client: Client,
  req: SessionRequest,
  { scope: own = [] }: LoginRequest,
): Promise<readonly string[]> {
  const granted = readLogin(req, rp.config)?.scope.split(' ') ?? []
  // Only the granted scopes that were also requested: a provider may grant scopes that no client can request.
  const requested = granted.length === 0 ? undefined : (await readTokensAtProvider(rp, client, req))?.requestedScope
  return [...(requested?.split(' ').filter((one) => granted.includes(one)) ?? []), ...own]
}

/** Reads the tokens of the current login, if it is of this provider. */
async function readTokensAtProvider(
  rp: RelyingParty,
  client: Client,
  req: SessionRequest,
): Promise<TokenRecord | undefined> {
  const id = tokensIdAtProvider(rp, client, req)
  return id === undefined ? undefined : await rp.tokenRecords.read(req.sessionStore, id)
}

function tokensIdAtProvider(rp: RelyingParty, { config }: Client, req: SessionRequest): string | undefined {
  const login = readLogin(req, rp.config)
  const isAtThisProvider = login !== undefined && (login.provider ?? ONLY_PROVIDER) === config.name
  return isAtThisProvider ? readTokensId(req, rp.config) : undefined
}

/**
 * Call this if the authorization request cannot be created. Redirects back to the page that started the silent login,
 * because pages must work while the provider is down. Rethrows the error if no page started the login, and any error
 * but that of the provider or of our rate limit.
 */
export async function redirectBackToPage(
  rp: RelyingParty,
  req: Request,
  res: Response,
  login: LoginRequest,
  error: unknown,
): Promise<void> {
  if (!isStartedByPage(rp, req, login) || !isProviderErrorOrRateLimit(error) || res.headersSent) throw error
  publishError(error)
  if (login.recheckedTokensId !== undefined) await recordFailedCheck(requireSession(req), rp.config)
  redirect(res, rp.config.origin + login.returnTo)
}

/** True if the provider failed, or if `requestUriRateLimit` allows no further login now. */
function isProviderErrorOrRateLimit(error: unknown): error is OidcError {
  return error instanceof ProviderError || (error instanceof OidcError && error.code === 'ERR_OIDC_LOGIN_RATE_LIMIT')
}

/**
 * True if a page, not a link, started this silent login and will not start it again after the redirect back.
 * Otherwise the browser would be redirected for ever.
 */
function isStartedByPage(rp: RelyingParty, req: Request, { isSilent, recheckedTokensId }: LoginRequest): boolean {
  if (recheckedTokensId !== undefined) return true
  return isSilent === true && rp.silentLogins.wasTried(req) && readLogin(req, rp.config) === undefined
}

/**
 * At the callback, for every login, silent or not: returns the completed login. Returns `undefined` if a silent login
 * failed, or if the login of a recheck has ended or was renewed in the meantime. Rejects if any other login failed,
 * and with any error that is not ours.
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

/**
 * False if this is the response to a recheck, and the login that it checks is not the current one any more. Another
 * tab may have renewed the login. Or the user may have logged out, and must not be logged in again.
 */
function belongsToCurrentLogin(rp: RelyingParty, req: SessionRequest, { recheckedTokensId }: Transaction): boolean {
  if (recheckedTokensId === undefined) return true
  return (
    !rp.storeWatch.isEnded(req) &&
    readLogin(req, rp.config) !== undefined &&
    readTokensId(req, rp.config) === recheckedTokensId
  )
}

/** How long the first response is remembered, in seconds. The responses of other tabs come within that time. */
const FIRST_RESPONSE_SECONDS = 60

/**
 * Several tabs may recheck one login at once. Each response would start a new session, but the browser keeps only one
 * of them, so only the first response counts. Call this after all checks: a refused response must not block the
 * others.
 */
async function claimFirstResponse(
  rp: RelyingParty,
  req: SessionRequest,
  { recheckedTokensId }: Transaction,
): Promise<boolean> {
  return (
    recheckedTokensId === undefined ||
    rp.sharedStateOf(req.sessionStore).once(`checked:${recheckedTokensId}`, FIRST_RESPONSE_SECONDS)
  )
}

/**
 * A recheck must not make a login of the same user last longer. It sends no `max_age`, so otherwise a user could stay
 * logged in without ever meeting `max_age`.
 */
function keepEarlierExpiry(
  rp: RelyingParty,
  req: SessionRequest,
  { recheckedTokensId }: Transaction,
  completed: CompletedLogin,
): CompletedLogin {
  const rechecked = recheckedTokensId === undefined ? undefined : readLogin(req, rp.config)
  if (rechecked === undefined || rechecked.claims.sub !== completed.login.claims.sub) return completed
  const expiresAt = Math.min(rechecked.expiresAt, completed.login.expiresAt)
  return { ...completed, login: { ...completed.login, expiresAt } }
}

/**
 * The user did not start a silent login, so the page must work even if it fails. Publishes the error, unless it only
 * says that the provider would have to show a page. If a recheck failed: ends the login if the provider has no
 * session any more, or else records that the check failed. Rethrows an error that is not ours, such as that of a
 * hook.
 */
async function handleSilentFailure(
  rp: RelyingParty,
  req: SessionRequest,
  res: Response,
  transaction: Transaction,
  error: unknown,
): Promise<void> {
  if (!(error instanceof OidcError)) throw error
  if (!requiresInteraction(error)) publishError(error)
  if (transaction.recheckedTokensId === undefined || !belongsToCurrentLogin(rp, req, transaction)) return
  // Only login_required says that the session ended (OIDC Session Management 2). consent_required, for example, does
  // not.
  if (authorizationErrorOf(error) === 'login_required') await endLocalLogin(rp, req, res, 'session-check')
  else await recordFailedCheck(req, rp.config)
}

/** The errors of a provider that would have to show a page (OIDC Core 3.1.2.6). */
const INTERACTION_ERRORS: ReadonlySet<string> = new Set([
  ...['login_required', 'interaction_required', 'consent_required', 'account_selection_required'],
])

/** Our errors for a login that is too weak, is too old or lacks a scope. Only a page of the provider can solve them. */
const INSUFFICIENT_LOGIN_CODES: ReadonlySet<string> = new Set([
  'ERR_OIDC_INSUFFICIENT_AUTHENTICATION',
  'ERR_OIDC_INSUFFICIENT_SCOPE',
])

/** True if the provider would have to show a page. */
function requiresInteraction(error: OidcError): boolean {
  if (INSUFFICIENT_LOGIN_CODES.has(error.code)) return true
  return INTERACTION_ERRORS.has(authorizationErrorOf(error) ?? '')
}

function authorizationErrorOf(error: unknown): string | undefined {
  return error instanceof AuthorizationError ? error.refusal.error : undefined
}
