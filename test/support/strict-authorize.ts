import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { escapeHtml, sendText } from './http-server.ts'
import {
  type AuthorizationGrant,
  type Demand,
  findFault,
  hasDuplicates,
  isRegistered,
  type StrictContext,
  type StrictRequest,
} from './strict-context.ts'
import { issueIdToken, signByProvider } from './strict-id-token.ts'
import { type AskedResponse, readAskedResponse } from './strict-response-type.ts'

/** OIDC Core 3.1.2, 3.2.2, 3.3.2: answers at once, as the account of the moment. */
export async function answerAuthorize(
  context: StrictContext,
  request: StrictRequest,
  res: ServerResponse,
): Promise<void> {
  const params = request.method === 'POST' ? request.form : request.query
  const unsafe = findFault(context, '/authorize', redirectDemands(context, params))
  if (unsafe) {
    // OIDC Core 3.1.2.6: nobody is sent to an address that is not known to be the client's.
    sendText(res, 400, 'text/html', `<p>${escapeHtml(unsafe.fault)}</p>`)
    return
  }
  const asked = readAskedResponse(params)
  const refused = findFault(context, '/authorize', requestDemands(params, asked))
  const answer = new URLSearchParams(
    refused ? { error: refused.error, error_description: refused.fault } : await grantAsked(context, params, asked),
  )
  const state = params.get('state')
  if (state !== null) answer.set('state', state)
  if (context.issParameter !== 'absent') answer.set('iss', context.issuer)
  const changed = context.change.authorizationResponse?.(answer) ?? answer
  const sent = asked.isJwt ? new URLSearchParams({ response: await signResponse(context, changed) }) : changed
  sendAnswer(params.get('redirect_uri') ?? '', asked, sent, res)
}

function redirectDemands(context: StrictContext, params: URLSearchParams): readonly Demand[] {
  return [
    [hasDuplicates(params), 'invalid_request', 'a parameter is repeated'],
    [params.get('client_id') !== context.clientId, 'invalid_client', 'client_id is not known'],
    [!isRegistered(context, params.get('redirect_uri') ?? ''), 'invalid_request', 'redirect_uri is not registered'],
  ]
}

function requestDemands(params: URLSearchParams, asked: AskedResponse): readonly Demand[] {
  const has = (name: string, pattern: RegExp): boolean => pattern.test(params.get(name) ?? '')
  const lacks = (name: string, pattern: RegExp): boolean => asked.code && !has(name, pattern)
  return [
    [asked.fault === 'type', 'unsupported_response_type', 'response_type is not known'],
    [asked.fault === 'mode', 'invalid_request', 'response_mode is not known'],
    [asked.fault === 'query', 'invalid_request', 'response_mode would put tokens into the query'],
    [!has('scope', /(^| )openid( |$)/), 'invalid_scope', 'scope has no openid'],
    [!has('scope', /^[!#-[\]-~]+( [!#-[\]-~]+)*$/), 'invalid_scope', 'scope is malformed'],
    [!has('state', /^.{16,}$/), 'invalid_request', 'state is missing or easy to guess'],
    [!has('nonce', /^.{16,}$/), 'invalid_request', 'nonce is missing or easy to guess'],
    [lacks('code_challenge', /^[\w-]{43}$/), 'invalid_request', 'code_challenge is missing or malformed'],
    [lacks('code_challenge_method', /^S256$/), 'invalid_request', 'code_challenge_method is not S256'],
    [params.has('max_age') && !has('max_age', /^\d+$/), 'invalid_request', 'max_age is not a number'],
    [params.has('client_secret'), 'invalid_request', 'a secret was sent through the browser'],
  ]
}

function createGrant(context: StrictContext, params: URLSearchParams): AuthorizationGrant {
  return {
    redirectUri: params.get('redirect_uri') ?? '',
    scope: params.get('scope') ?? '',
    nonce: params.get('nonce') ?? '',
    codeChallenge: params.get('code_challenge') ?? '',
    asksAuthTime: params.has('max_age'),
    authTime: context.authTime ?? Math.floor(Date.now() / 1000),
    account: context.account,
    sid: randomBytes(8).toString('hex'),
    isRedeemed: false,
  }
}

/** Whatever the response type asks for, all of one grant (OAuth 2.0 Multiple Response Types 3 and 5). */
async function grantAsked(
  context: StrictContext,
  params: URLSearchParams,
  asked: AskedResponse,
): Promise<Record<string, string>> {
  const grant = createGrant(context, params)
  const code = asked.code ? randomBytes(24).toString('base64url') : undefined
  const accessToken = asked.token ? randomBytes(24).toString('base64url') : undefined
  if (code !== undefined) context.codes.set(code, grant)
  if (accessToken !== undefined) context.accessTokens.set(accessToken, grant)
  const { frontIdTokenHeader: header, frontIdTokenClaims: claims, frontIdToken: jwt } = context.change
  const isFat = code === undefined && accessToken === undefined
  const idToken = asked.idToken
    ? await issueIdToken(context, grant, { accessToken, code, isFat }, { header, claims, jwt })
    : undefined
  return {
    ...(code === undefined ? {} : { code }),
    ...(accessToken === undefined
      ? {}
      : { access_token: accessToken, token_type: 'Bearer', expires_in: '3600', scope: grant.scope }),
    ...(idToken === undefined ? {} : { id_token: idToken }),
  }
}

/** JARM 2.1. */
async function signResponse(context: StrictContext, params: URLSearchParams): Promise<string> {
  const { authorizationSignedResponseAlg: alg, change, issuer: iss, clientId: aud } = context
  const exp = Math.floor(Date.now() / 1000) + 600
  const claims = { ...Object.fromEntries(params), iss, aud, exp }
  const jwt = signByProvider(context, alg, change.responseJwtHeader, change.responseJwtClaims?.(claims) ?? claims)
  return change.responseJwt ? await change.responseJwt(jwt) : jwt
}

function sendAnswer(redirectUri: string, { by }: AskedResponse, answer: URLSearchParams, res: ServerResponse): void {
  if (by === 'form_post') {
    sendText(res, 200, 'text/html; charset=utf-8', formPostPage(redirectUri, answer))
    return
  }
  const separator = by === 'fragment' ? '#' : '?'
  res.writeHead(302, { Location: `${redirectUri}${separator}${answer}`, 'Cache-Control': 'no-store' }).end()
}

/** OAuth 2.0 Form Post Response Mode 2. */
function formPostPage(action: string, params: URLSearchParams): string {
  const inputs = [...params].map(
    ([name, value]) => `<input type="hidden" name="${escapeHtml(name)}" value="${escapeHtml(value)}">`,
  )
  return `<!doctype html>
<html lang="en"><head><title>Submit this form</title></head>
<body onload="document.forms[0].submit()">
<form method="post" action="${escapeHtml(action)}">${inputs.join('')}</form>
</body></html>`
}
