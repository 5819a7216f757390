import { AccessDeniedError, OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import { allowMethods, type Request, type Response, readForm, requestQuery } from '../http/request.ts'
import { redirect } from '../http/response.ts'
import { type Config, ONLY_PROVIDER } from '../options/config.ts'
import { responseDeliveryOf } from '../options/response-type.ts'
import {
  checkAuthorizationResponse,
  type ResponseParams,
  readAuthorizationResponse,
  readResponseJwt,
  stateOf,
} from '../protocol/authorization-response.ts'
import { redeemResponse } from '../protocol/redeem-response.ts'
import { meetsRequirement } from '../protocol/step-up.ts'
import { completeClaims } from '../protocol/userinfo.ts'
import { type Client, type CompletedLogin, clientOf, type RelyingParty } from '../relying-party.ts'
import { readLogin, readTokensId } from '../session/current-login.ts'
import { requireSession, type SessionRequest } from '../session/express-session.ts'
import { endSession, regenerateSession, saveLogin } from '../session/login-session.ts'
import { chooseSessionClaims, endOfLogin } from '../session/session-claims.ts'
import type { IdTokenClaims, Login, Transaction } from '../types.ts'
import { repostResponse } from './repost-page.ts'
import { completeLogin } from './silent-login.ts'

/** `GET` or `POST /callback`: takes the provider's answer, and ends in a session and a redirect, or in an error. */
export async function callbackRoute(rp: RelyingParty, client: Client, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'GET', 'POST')
  const { origin, basePath } = rp.config
  const request = requireSession(req)
  const fields = req.method === 'POST' ? await readForm(req) : requestQuery(req)
  const response = readAuthorizationResponse(fields)
  if (req.method === 'GET') checkQuery(client, fields)
  if (await repostResponse(rp, client, request, res, fields)) return

  const found = await findTransaction(rp, client, request, res, response)
  if (found === undefined) return redirect(res, `${origin}${basePath}/`)
  const { params, transaction } = found
  checkProvider(client.config, transaction)
  const completed = await completeLogin(rp, request, res, transaction, () =>
    rp.redeemOnce(transaction.state, () => redeem(client, params, transaction)),
  )
  if (completed === undefined || (await startLoginSession(rp, request, res, completed, transaction))) {
    redirect(res, origin + transaction.returnTo)
  }
}

/**
 * OAuth 2.0 Multiple Response Types 5: whatever is in a query is in logs, histories and referrers too. So are the tokens
 * in a JWT (JARM 2.3.1).
 */
function checkQuery({ config }: Client, fields: URLSearchParams): void {
  const isOpaque = fields.has('response') && config.responseType !== 'code'
  if (!isOpaque && !fields.has('id_token') && !fields.has('access_token')) return
  throw new OidcError('ERR_OIDC_RESPONSE_TOKEN', 'The authorization response has a token in its query.')
}

/** An answer, and the login on its way that it belongs to. */
interface FoundTransaction {
  readonly params: ResponseParams
  readonly transaction: Transaction
}

/**
 * The login that this answer belongs to; `undefined` where there is none any more, but the person is logged in: a late or
 * repeated answer (the back button, a second tab) is no failure then.
 */
async function findTransaction(
  rp: RelyingParty,
  client: Client,
  req: SessionRequest,
  res: Response,
  response: ResponseParams,
): Promise<FoundTransaction | undefined> {
  try {
    const params = await openResponse(client, response)
    return { params, transaction: rp.transactions.take(req, res, stateOf(params)) }
  } catch (error) {
    if (error instanceof OidcError && readLogin(req, rp.config) !== undefined) return undefined
    throw error
  }
}

/** A response that was asked for as a JWT is taken as nothing else, and none is taken for one (JARM 2.4). */
async function openResponse({ config, findProvider }: Client, response: ResponseParams): Promise<ResponseParams> {
  const { isJwt } = responseDeliveryOf(config.responseMode, config.responseType)
  if (isJwt) return readResponseJwt(await findProvider(), response)
  if (!response.has('response')) return response
  throw new OidcError('ERR_OIDC_CALLBACK_INVALID', 'The authorization response is a JWT, which was not asked for.')
}

async function redeem(client: Client, params: ResponseParams, transaction: Transaction): Promise<CompletedLogin> {
  const provider = await client.findProvider()
  const { config } = provider
  const response = checkAuthorizationResponse(params, transaction, provider)
  const redeemed = await redeemResponse(provider, response, transaction)
  checkRequirement(config, transaction, redeemed.claims)
  const claims = await completeClaims(provider, redeemed)
  const loggedInAt = Math.floor(Date.now() / 1000)
  const login = {
    ...(transaction.provider === undefined ? {} : { provider: transaction.provider }),
    claims: chooseSessionClaims(claims, config),
    scope: redeemed.scope ?? defaultGrantedScope(config),
    loggedInAt,
    expiresAt: endOfLogin(config, redeemed.claims, loggedInAt),
  }
  return { login, claims, tokens: redeemed.tokens }
}

/** RFC 9700 4.4.2.2: each provider's answers have an address of their own. */
function checkProvider({ name }: Config, { provider = ONLY_PROVIDER }: Transaction): void {
  if (provider === name) return
  throw new OidcError('ERR_OIDC_RESPONSE_ISSUER', 'The authorization response came to the address of another provider.')
}

/** Asked for is not granted: providers may ignore `acr_values` and `max_age`. The login that was there stays. */
function checkRequirement(config: Config, { requirement }: Transaction, claims: IdTokenClaims): void {
  if (requirement === undefined || meetsRequirement(claims, requirement, config)) return
  throw new AccessDeniedError(
    'ERR_OIDC_INSUFFICIENT_AUTHENTICATION',
    'The provider has not authenticated the person as strongly or as recently as this page needs.',
  )
}

/**
 * RFC 6749 5.1: a scope that is left out is the one that was asked for. But the request went through the person's own
 * browser, where scopes can be taken out of it, and no provider would say so: what it does not name is not believed.
 */
function defaultGrantedScope({ dangerouslyAssumeRequestedScope, scope }: Config): string {
  return dangerouslyAssumeRequestedScope ? scope : 'openid'
}

/**
 * Begins the session of a completed login. False where the hook `afterLogin` has answered the request itself: then
 * nobody is logged in, as when it throws. Throws `ERR_OIDC_LOGIN_ENDED` where the provider has logged the person out since
 * the login was started.
 */
async function startLoginSession(
  rp: RelyingParty,
  req: SessionRequest,
  res: Response,
  completed: CompletedLogin,
  { startedAt, recheckedTokensId }: Pick<Transaction, 'startedAt' | 'recheckedTokensId'>,
): Promise<boolean> {
  const previousTokens = readTokensId(req, rp.config)
  if (previousTokens !== undefined) await rp.tokenRecords.remove(req.sessionStore, previousTokens)
  const isBegun = await storeLoginInSession(rp, req, res, completed, startedAt).catch(async (error: unknown) => {
    await endSession(req, rp.storeWatch).catch(() => undefined)
    throw error
  })
  if (!isBegun) {
    await endSession(req, rp.storeWatch)
    return false
  }
  // A login that was only checked has had its session before.
  if (recheckedTokensId === undefined) rp.loopBrake.countLogin(req, res)
  const { claims, scope, provider = ONLY_PROVIDER } = completed.login
  publish['express-oidc:login'](() => ({ provider, issuer: claims.iss, sub: claims.sub, scope }))
  return true
}

async function storeLoginInSession(
  rp: RelyingParty,
  req: SessionRequest,
  res: Response,
  { login, claims, tokens }: CompletedLogin,
  startedAt: number,
): Promise<boolean> {
  const before = { id: req.sessionID, tokensId: readTokensId(req, rp.config) }
  await regenerateSession(req, rp.config, rp.storeWatch, login, startedAt)
  // Nothing of the login is in the session yet: express-session saves it as soon as a hook answers.
  const { name } = clientOf(rp, login).config
  await rp.config.hooks.afterLogin?.({ req, res, provider: name, claims, scope: login.scope, tokens })
  if (res.headersSent) return false
  const tokensId = await rp.tokenRecords.save(req.sessionStore, tokens, login)
  // Requests that have read the login from before must not write it back.
  if (req.sessionID === before.id) rp.storeWatch.loginChanges.replace(before.tokensId, { login, tokensId })
  try {
    await saveLogin(req, rp.config, { login, tokensId })
    await checkNotLoggedOutMeanwhile(rp, req, login, startedAt)
  } catch (error) {
    await rp.tokenRecords.remove(req.sessionStore, tokensId).catch(() => undefined)
    throw error
  }
  return true
}

/** Only now: a logout at the provider in this moment either finds the saved session, or is found here. */
async function checkNotLoggedOutMeanwhile(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login,
  startedAt: number,
): Promise<void> {
  if (!(await rp.providerLogouts.wasLoggedOutSince(req.sessionStore, login, startedAt))) return
  throw new OidcError('ERR_OIDC_LOGIN_ENDED', 'The provider has logged the person out while this login was on its way.')
}
