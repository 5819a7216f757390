import { OidcError } from '../errors.ts'
import { publishError } from '../events.ts'
import { isKeptFormPage } from '../http/own-routes.ts'
import {
  allowMethods,
  isPrefetch,
  type Request,
  type Response,
  readForm,
  requestQuery,
  wantsPage,
} from '../http/request.ts'
import { isFromOwnPage } from '../http/request-origin.ts'
import { redirect, rejectPrefetch } from '../http/response.ts'
import { homePage } from '../http/return-to.ts'
import { rememberReturnTo } from '../http/way-on.ts'
import { type Operations, traced } from '../operations.ts'
import { type Config, ONLY_PROVIDER } from '../options/config.ts'
import { responseDeliveryOf } from '../options/response-type.ts'
import {
  additionalParams,
  checkAuthorizationResponse,
  type ResponseParams,
  readAuthorizationResponse,
  readResponseJwt,
  stateOf,
} from '../protocol/authorization-response.ts'
import { redeemResponse } from '../protocol/redeem-response.ts'
import { narrowedGrant } from '../protocol/refreshed-login.ts'
import { checkRequirement } from '../protocol/step-up.ts'
import { completeClaims } from '../protocol/userinfo.ts'
import type { Client, CompletedLogin, RelyingParty } from '../relying-party.ts'
import { readLogin, readTokensId } from '../session/current-login.ts'
import { requireSession, type SessionRequest } from '../session/express-session.ts'
import { createKeptForms } from '../session/kept-forms.ts'
import { chooseSessionClaims, endOfNewLogin } from '../session/session-claims.ts'
import { loginIdOf } from '../session/transaction.ts'
import { nowInSeconds } from '../time/seconds.ts'
import type { Transaction } from '../types.ts'
import { grantedScope } from './granted-scope.ts'
import { checkResponseMode, REPOSTED_PARAM, repostResponse } from './repost-page.ts'
import { startLoginSession } from './session-start.ts'
import { completeLogin } from './silent-login.ts'
import { isUsed, markUsed, responseId, restartLogin } from './used-response.ts'

/** `GET` or `POST /callback`: accepts the authorization response, saves the login in a new session and redirects. */
export async function callbackRoute(rp: RelyingParty, client: Client, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'GET', 'POST')
  // A response can be used only once. A prefetch must not use it up: the user may never open the page.
  if (isPrefetch(req)) return rejectPrefetch(res)
  const sessionReq = requireSession(req)
  const fields = req.method === 'POST' ? await readForm(req) : requestQuery(req)
  const response = readAuthorizationResponse(fields)
  if (req.method === 'GET') rejectTokensInQuery(client, fields)
  if (await repostResponse(rp, client, sessionReq, res, fields)) return

  const { name, callback } = client.config
  await traced(
    'express-oidc:callback',
    () => ({ provider: name, route: callback, ...rp.transactions.peekTrace(req, response.get('state')) }),
    (operation) => acceptResponse(rp, client, sessionReq, res, response, operation),
  )
}

/**
 * A token must not be in a query, which logs, histories and referrers keep (OAuth 2.0 Multiple Response Types 5). A
 * response in a JWT may contain tokens, so a JWT in the query is accepted only if `responseType` is `code` (JARM
 * 2.3.1).
 */
function rejectTokensInQuery({ config }: Client, fields: URLSearchParams): void {
  const mayHoldTokens = fields.has('response') && config.responseType !== 'code'
  if (!mayHoldTokens && !fields.has('id_token') && !fields.has('access_token')) return
  throw new OidcError(
    'ERR_OIDC_RESPONSE_TOKEN',
    `The provider put a token into the query of ${config.redirectUri}, where logs and histories keep it. It must respond ` +
      `to responseType '${config.responseType}' by '${config.responseMode}', as we request.`,
  )
}

async function acceptResponse(
  rp: RelyingParty,
  client: Client,
  sessionReq: SessionRequest,
  res: Response,
  response: ResponseParams,
  operation: Operations['express-oidc:callback'] | undefined,
): Promise<void> {
  const found = await findTransaction(rp, client, sessionReq, res, response)
  if (found === undefined) return redirectToPage(rp, sessionReq, res, { returnTo: homePage(rp.config) })
  const { params, transaction } = found
  if (operation !== undefined) operation.loginId = loginIdOf(transaction)
  rememberReturnTo(sessionReq, transaction.returnTo)
  checkProvider(client.config, transaction)
  checkResponseMode(client, sessionReq, response, params)
  if (transaction.responseType === 'none') {
    checkAuthorizationResponse(params, transaction, await client.findProvider())
    return redirectToPage(rp, sessionReq, res, transaction)
  }
  try {
    const completed = await completeLogin(rp, sessionReq, res, transaction, () =>
      rp.redeemOnce(responseId(client, params, transaction), () => redeem(rp, client, sessionReq, found)),
    )
    // Without a completed login, the session stays as it is. `startLoginSession` returns false if the hook
    // `afterLogin` has sent the response.
    if (completed === undefined || (await startLoginSession(rp, sessionReq, res, completed, transaction)))
      redirectToPage(
        rp,
        sessionReq,
        res,
        completed === undefined ? transaction : withKeptFormTicket(rp, sessionReq, transaction),
      )
  } catch (error) {
    await handleFailure(rp, client, sessionReq, res, transaction, error)
  }
}

/** The parameters of a response, and the transaction of the login that it belongs to. */
interface FoundTransaction {
  readonly params: ResponseParams
  readonly transaction: Transaction
}

/**
 * Finds the login in progress that this response belongs to. Returns `undefined` if there is none but the user is
 * logged in. Then the response is late or repeated (the back button, a second tab), which is not an error.
 */
async function findTransaction(
  rp: RelyingParty,
  client: Client,
  req: SessionRequest,
  res: Response,
  response: ResponseParams,
): Promise<FoundTransaction | undefined> {
  try {
    const params = await readParams(client, response)
    return { params, transaction: rp.transactions.take(req, res, stateOf(params)) }
  } catch (error) {
    if (!(error instanceof OidcError) || readLogin(req, rp.config) === undefined) throw error
    // The cause is the provider's own error, in a response without a state. Nothing else would report it.
    if (error.cause !== undefined) publishError(error)
    return undefined
  }
}

/**
 * Returns the parameters, from the verified JWT if we requested one. Refuses a JWT that we did not request (JARM
 * 2.4).
 */
async function readParams({ config, findProvider }: Client, response: ResponseParams): Promise<ResponseParams> {
  const { isJwt } = responseDeliveryOf(config.responseMode, config.responseType)
  if (isJwt) return readResponseJwt(await findProvider(), response)
  if (!response.has('response')) return response
  throw new OidcError(
    'ERR_OIDC_CALLBACK_INVALID',
    `The authorization response is a JWT, but responseMode is '${config.responseMode}'. Set responseMode to 'jwt', or ` +
      'have the provider send plain parameters.',
  )
}

/**
 * Each provider has its own callback. A response at the callback of another provider is a mix-up attack, or the
 * redirect URI is registered wrongly (RFC 9700 4.4.2.2).
 */
function checkProvider({ name, redirectUri }: Config, { provider = ONLY_PROVIDER }: Transaction): void {
  if (provider === name) return
  throw new OidcError(
    'ERR_OIDC_RESPONSE_ISSUER',
    `The authorization response came to ${redirectUri}, the callback of the provider '${name}', but the login started at ` +
      `'${provider}'. Register each provider's own callback as its redirect URI.`,
  )
}

/** Checks the response, redeems its code, verifies the ID Token, and returns the login with its tokens. */
async function redeem(
  rp: RelyingParty,
  client: Client,
  req: SessionRequest,
  { params, transaction }: FoundTransaction,
): Promise<CompletedLogin> {
  const provider = await client.findProvider()
  const { config } = provider
  const response = checkAuthorizationResponse(params, transaction, provider)
  await markUsed(rp, req, transaction)
  const redeemed = await redeemResponse(provider, response, transaction)
  const scope = grantedScope(rp, config, transaction, redeemed.scope)
  checkRequirement(transaction.requirement, redeemed.claims, { ...config, scope })
  const { authorizationDetails = [] } = redeemed
  const loggedInAt = Math.floor(nowInSeconds())
  const expiresAt = endOfNewLogin(config, redeemed.claims, loggedInAt)
  const completed = await completeClaims(provider, { ...redeemed, scope: redeemed.scope ?? transaction.scope })
  const { claims, userinfo, tokens, refreshed = {} } = completed
  const login = {
    ...(transaction.provider === undefined ? {} : { provider: transaction.provider }),
    claims: chooseSessionClaims(claims, config),
    ...narrowedGrant({ scope, ...(authorizationDetails.length === 0 ? {} : { authorizationDetails }) }, refreshed),
    loggedInAt,
    expiresAt,
    // A security event ends the logins that started before it, even if they were completed after it.
    ...(config.sharedSignals === undefined ? {} : { startedAt: Math.floor(transaction.startedAt) }),
  }
  const { [REPOSTED_PARAM]: _, ...responseParams } = additionalParams(params)
  const received = {
    idTokenClaims: redeemed.claims,
    userinfo,
    responseParams,
    tokenResponseParams: redeemed.otherMembers,
  }
  return { login, claims, tokens, received }
}

/**
 * If the login returns to the page that posts a kept form: adds a ticket to its URL. The ticket proves that the form
 * waited for this login.
 */
function withKeptFormTicket({ config }: RelyingParty, req: SessionRequest, transaction: Transaction): Transaction {
  const { returnTo } = transaction
  if (!isKeptFormPage(returnTo, config)) return transaction
  const id = new URL(returnTo, config.origin).searchParams.get('id') ?? ''
  const ticket = createKeptForms(config).ticketFor(id, readTokensId(req, config) ?? '')
  return {
    ...transaction,
    returnTo: `${config.basePath}${config.routes.keptForm}?id=${encodeURIComponent(id)}&login=${ticket}`,
  }
}

/**
 * Handles two failures without an error page:
 *
 * - A silent login failed. The user did not start it, so the browser goes back to the page.
 * - The response was used before. The browser goes back to the page if the user is logged in, or else logs in again.
 *
 * Rethrows any other error. Also rethrows if a hook has sent a response, and if a script would have to log in again.
 */
async function handleFailure(
  rp: RelyingParty,
  client: Client,
  req: SessionRequest,
  res: Response,
  transaction: Transaction,
  error: unknown,
): Promise<void> {
  const isSilent = transaction.isSilent === true
  if (!(error instanceof OidcError) || !(isSilent || isUsed(error)) || res.headersSent) throw error
  // Another request with the same response may have logged the user in.
  const canGoToPage = isSilent || readLogin(req, rp.config) !== undefined
  if (!canGoToPage && !wantsPage(req)) throw error
  publishError(error)
  if (canGoToPage) redirectToPage(rp, req, res, transaction)
  else await restartLogin(rp, client, req, res, transaction)
}

/**
 * Redirects to the page that the login was started for. A browser keeps the fragment of the callback URL unless the
 * new URL has one. Some providers add a fragment, such as `#_=_`, and no request shows it, so an empty one replaces it:
 * the address ends in `#`. That is not needed after our own page has posted the response, because it posts to a URL
 * without a fragment. After a silent login the browser must keep the fragment, because it is that of the page that the
 * user was on.
 */
function redirectToPage(
  { config }: RelyingParty,
  req: SessionRequest,
  res: Response,
  { returnTo, isSilent }: Pick<Transaction, 'returnTo' | 'isSilent'>,
): void {
  const isReposted = req.method === 'POST' && isFromOwnPage(req, config.origin)
  const needsNoFragment = isReposted || isSilent === true || returnTo.includes('#')
  redirect(res, config.origin + (needsNoFragment ? returnTo : `${returnTo}#`))
}
