import { OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import { allowMethods, headerOf, type Request, type Response, readForm, redirect, requestQuery } from '../http.ts'
import {
  checkAuthorizationResponse,
  type ResponseParams,
  readAuthorizationResponse,
  stateOf,
} from '../protocol/authorization-response.ts'
import { redeemCode } from '../protocol/tokens.ts'
import { completeClaims } from '../protocol/userinfo.ts'
import type { CompletedLogin, RelyingParty } from '../relying-party.ts'
import { requireSession, type SessionRequest } from '../session/express-session.ts'
import { destroySession, readLogin, saveSession, startSession } from '../session/login-session.ts'
import { chooseSessionClaims } from '../session/session-claims.ts'
import { isStrict, sessionCookieName } from '../session/session-cookie.ts'
import type { Transaction } from '../types.ts'
import { sendRelayPage, takeRelayMark } from './relay-page.ts'

/** `GET` or `POST /callback`: takes the provider's answer, and ends in a session and a redirect, or in an error. */
export async function callbackRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'GET', 'POST')
  const request = requireSession(req)
  const fields = req.method === 'POST' ? await readForm(req) : requestQuery(req)
  const isRelayed = takeRelayMark(fields)
  if (!isRelayed && needsRelay(rp, request, fields)) return relay(rp, request, res, fields)

  const params = readAuthorizationResponse(fields)
  const transaction = takeTransaction(rp, request, res, params)
  if (transaction === undefined) return redirect(res, rp.config.origin + homeOf(rp))
  const completed = await rp.redeemOnce(transaction.state, () => redeem(rp, params, transaction))
  await beginSession(rp, request, res, completed, transaction.startedAt)
  redirect(res, rp.config.origin + transaction.returnTo)
}

function homeOf(rp: RelyingParty): string {
  return `${rp.config.basePath}/`
}

/** Whether the browser has kept a cookie back that this answer needs, because another site sent it here. */
function needsRelay(rp: RelyingParty, req: SessionRequest, fields: URLSearchParams): boolean {
  const state = fields.get('state')
  if (state === null) return false
  if (req.method === 'POST') return !rp.transactions.has(req, state)
  const site = headerOf(req, 'sec-fetch-site') ?? 'cross-site'
  return isStrict(req.session.cookie) && site !== 'same-origin'
}

/** The session that express-session has made in the absence of the browser's own must not take its place. */
async function relay(rp: RelyingParty, req: SessionRequest, res: Response, fields: URLSearchParams): Promise<void> {
  if (sessionCookieName(req, req.sessionID) === undefined) await destroySession(req)
  sendRelayPage(res, rp.config.redirectUri, fields)
}

/**
 * The login that this answer belongs to; `undefined` where there is none any more, but the person is logged in: a late or
 * repeated answer (the back button, a second tab) is no failure then.
 */
function takeTransaction(
  rp: RelyingParty,
  req: SessionRequest,
  res: Response,
  params: ResponseParams,
): Transaction | undefined {
  try {
    return rp.transactions.take(req, res, stateOf(params))
  } catch (error) {
    if (error instanceof OidcError && readLogin(req, rp.config) !== undefined) return undefined
    throw error
  }
}

async function redeem(rp: RelyingParty, params: ResponseParams, transaction: Transaction): Promise<CompletedLogin> {
  const { config } = rp
  const provider = await rp.findProvider()
  const code = checkAuthorizationResponse(params, transaction, provider.metadata)
  const redeemed = await redeemCode(provider, config, code, transaction)
  const claims = await completeClaims(provider, config, redeemed)
  const loggedInAt = Math.floor(Date.now() / 1000)
  const login = {
    claims: chooseSessionClaims(claims, config),
    scope: redeemed.scope,
    loggedInAt,
    expiresAt: loggedInAt + config.loginLifetime,
  }
  return { login, tokens: redeemed.tokens }
}

async function beginSession(
  rp: RelyingParty,
  req: SessionRequest,
  res: Response,
  { login, tokens }: CompletedLogin,
  startedAt: number,
): Promise<void> {
  const { claims, scope } = login
  if (readLogin(req, rp.config) !== undefined) await rp.tokenRecords.remove(req)
  await startSession(req, rp.config, login, startedAt)
  try {
    await rp.config.hooks.afterLogin?.({ req, res, claims, scope })
    await rp.tokenRecords.save(req, tokens, login)
    await saveSession(req)
  } catch (error) {
    // express-session would save what is left of it when the answer ends.
    await Promise.allSettled([rp.tokenRecords.remove(req), destroySession(req)])
    throw error
  }
  rp.landing.mark(req, res)
  publish['express-oidc:login'](() => ({ issuer: claims.iss, sub: claims.sub, scope }))
}
