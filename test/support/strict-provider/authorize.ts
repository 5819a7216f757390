import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { escapeHtml, sendText } from '../servers/http-server.ts'
import { sendAuthorizationResponse } from './authorization-response.ts'
import { beginBrowserSession } from './check-session.ts'
import type { StrictClient } from './client.ts'
import { findFault, type StrictContext, type StrictRequest } from './context.ts'
import { ACCESS_TOKEN_LIFE, createAccessToken, createGrant } from './grant.ts'
import { issueIdToken } from './id-token.ts'
import {
  type AuthorizationRequest,
  needsLogin,
  readAuthorizationRequest,
  redirectDemands,
  requestDemands,
} from './request.ts'
import { type AskedResponse, readAskedResponse } from './response-type.ts'

/** OIDC Core 3.1.2, 3.2.2, 3.3.2: answers at once, as the account of the moment. */
export async function answerAuthorize(
  context: StrictContext,
  request: StrictRequest,
  res: ServerResponse,
): Promise<void> {
  const sent = request.method === 'POST' ? request.form : request.query
  const read = await readAuthorizationRequest(context, sent)
  const { client, params } = read
  context.authorizationRequests.push(params)
  const unsafe = redirectDemands(context, client, params)
  if (!client || unsafe.some(([isBroken]) => isBroken)) {
    // OIDC Core 3.1.2.6: nobody is sent to an address that is not known to be the client's.
    const brokenOnTheWay = read.demands.some(([isBroken]) => isBroken)
    const fault = findFault(context, '/authorize', brokenOnTheWay ? read.demands : unsafe)
    sendText(res, 400, 'text/html', `<p>${escapeHtml(fault?.fault ?? '')}</p>`)
    return
  }
  const asked = readAskedResponse(params)
  const fault = findFault(context, '/authorize', [...read.demands, ...requestDemands(context, params, asked)])
  const answer = fault
    ? { error: fault.error, error_description: fault.fault }
    : needsLogin(context, params)
      ? { error: 'login_required', error_description: 'nobody is logged in' }
      : { ...(await grantAsked(context, client, read, asked)), ...beginBrowserSession(context, request, params, res) }
  await sendAuthorizationResponse(context, client, { params, asked, answer: new URLSearchParams(answer) }, res)
}

/** Whatever the response type asks for, all of one grant (OAuth 2.0 Multiple Response Types 3 and 5). */
async function grantAsked(
  context: StrictContext,
  client: StrictClient,
  request: AuthorizationRequest,
  asked: AskedResponse,
): Promise<Record<string, string>> {
  const grant = createGrant(context, client, request)
  const code = asked.code ? randomBytes(24).toString('base64url') : undefined
  const accessToken = asked.token ? createAccessToken(context, grant, grant.scope) : undefined
  if (code !== undefined) context.codes.set(code, grant)
  const { frontIdTokenHeader: header, frontIdTokenClaims: claims, frontIdToken: jwt } = context.change
  const isFat = code === undefined && accessToken === undefined
  const change = { header, claims, jwt, jwe: context.change.encryptedFrontIdToken }
  const idToken = asked.idToken ? await issueIdToken(context, grant, { accessToken, code, isFat }, change) : undefined
  return {
    ...(code === undefined ? {} : { code }),
    ...(accessToken === undefined
      ? {}
      : {
          access_token: accessToken,
          token_type: 'Bearer',
          expires_in: String(ACCESS_TOKEN_LIFE),
          scope: grant.scope,
        }),
    ...(idToken === undefined ? {} : { id_token: idToken }),
  }
}
