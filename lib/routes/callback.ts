import { OidcError } from '../errors.ts'
import { allowMethods, type Request, type Response, readForm, redirect, requestQuery } from '../http.ts'
import {
  checkAuthorizationResponse,
  type ResponseParams,
  readAuthorizationResponse,
  stateOf,
} from '../protocol/authorization-response.ts'
import { readResponseJwt } from '../protocol/response-jwt.ts'
import { redeemResponse } from '../protocol/tokens.ts'
import { completeClaims } from '../protocol/userinfo.ts'
import type { CompletedLogin, RelyingParty } from '../relying-party.ts'
import { carriageOf } from '../response-type.ts'
import { requireSession, type SessionRequest } from '../session/express-session.ts'
import { readLogin } from '../session/login-session.ts'
import { chooseSessionClaims } from '../session/session-claims.ts'
import type { Transaction } from '../types.ts'
import { beginSession } from './begin-session.ts'
import { relayAnswer } from './relay.ts'

/** `GET` or `POST /callback`: takes the provider's answer, and ends in a session and a redirect, or in an error. */
export async function callbackRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'GET', 'POST')
  const { origin, basePath } = rp.config
  const request = requireSession(req)
  const fields = req.method === 'POST' ? await readForm(req) : requestQuery(req)
  const response = readAuthorizationResponse(fields)
  if (req.method === 'GET') checkQuery(rp, fields)
  if (await relayAnswer(rp, request, res, fields)) return

  const found = await findTransaction(rp, request, res, response)
  if (found === undefined) return redirect(res, `${origin}${basePath}/`)
  const { params, transaction } = found
  const completed = await rp.redeemOnce(transaction.state, () => redeem(rp, params, transaction))
  if (await beginSession(rp, request, res, completed, transaction.startedAt)) {
    redirect(res, origin + transaction.returnTo)
  }
}

/**
 * OAuth 2.0 Multiple Response Types 5: whatever is in a query is in logs, histories and referrers too. So are the tokens
 * in a JWT (JARM 2.3.1).
 */
function checkQuery({ config }: RelyingParty, fields: URLSearchParams): void {
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
  req: SessionRequest,
  res: Response,
  response: ResponseParams,
): Promise<FoundTransaction | undefined> {
  try {
    const params = await openResponse(rp, response)
    return { params, transaction: rp.transactions.take(req, res, stateOf(params)) }
  } catch (error) {
    if (error instanceof OidcError && readLogin(req, rp.config) !== undefined) return undefined
    throw error
  }
}

/** A response that was asked for as a JWT is taken as nothing else, and none is taken for one (JARM 2.4). */
async function openResponse(rp: RelyingParty, response: ResponseParams): Promise<ResponseParams> {
  const { isJwt } = carriageOf(rp.config.responseMode, rp.config.responseType)
  if (isJwt) return readResponseJwt(await rp.findProvider(), rp.config, response)
  if (!response.has('response')) return response
  throw new OidcError('ERR_OIDC_CALLBACK_INVALID', 'The authorization response is a JWT, which was not asked for.')
}

async function redeem(rp: RelyingParty, params: ResponseParams, transaction: Transaction): Promise<CompletedLogin> {
  const { config } = rp
  const provider = await rp.findProvider()
  const response = checkAuthorizationResponse(params, transaction, provider.metadata)
  const redeemed = await redeemResponse(provider, config, response, transaction)
  const claims = await completeClaims(provider, config, redeemed)
  const loggedInAt = Math.floor(Date.now() / 1000)
  const login = {
    claims: chooseSessionClaims(claims, config),
    scope: redeemed.scope ?? scopeWhenUntold(rp),
    loggedInAt,
    expiresAt: loggedInAt + config.loginLifetime,
  }
  return { login, claims, tokens: redeemed.tokens }
}

/**
 * RFC 6749 5.1: a scope that is left out is the one that was asked for. But the request went through the person's own
 * browser, where scopes can be taken out of it, and no provider would say so: what it does not name is not believed.
 */
function scopeWhenUntold({ config }: RelyingParty): string {
  return config.dangerouslyAssumeRequestedScope ? config.scope : 'openid'
}
