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

/** OIDC Core 3.1.2: answers at once, as the account of the moment. */
export function answerAuthorize(context: StrictContext, request: StrictRequest, res: ServerResponse): void {
  const params = request.method === 'POST' ? request.form : request.query
  const unsafe = findFault(context, '/authorize', redirectDemands(context, params))
  if (unsafe) {
    // OIDC Core 3.1.2.6: nobody is sent to an address that is not known to be the client's.
    sendText(res, 400, 'text/html', `<p>${escapeHtml(unsafe.fault)}</p>`)
    return
  }
  const refused = findFault(context, '/authorize', requestDemands(params))
  const answer = new URLSearchParams(
    refused ? { error: refused.error, error_description: refused.fault } : { code: issueCode(context, params) },
  )
  const state = params.get('state')
  if (state !== null) answer.set('state', state)
  if (context.issParameter !== 'absent') answer.set('iss', context.issuer)
  sendAnswer(context, params, answer, res)
}

function redirectDemands(context: StrictContext, params: URLSearchParams): readonly Demand[] {
  return [
    [hasDuplicates(params), 'invalid_request', 'a parameter is repeated'],
    [params.get('client_id') !== context.clientId, 'invalid_client', 'client_id is not known'],
    [!isRegistered(context, params.get('redirect_uri') ?? ''), 'invalid_request', 'redirect_uri is not registered'],
  ]
}

function requestDemands(params: URLSearchParams): readonly Demand[] {
  const has = (name: string, pattern: RegExp): boolean => pattern.test(params.get(name) ?? '')
  const mode = params.get('response_mode') ?? 'query'
  return [
    [!has('response_type', /^code$/), 'unsupported_response_type', 'response_type is not code'],
    [!has('scope', /(^| )openid( |$)/), 'invalid_scope', 'scope has no openid'],
    [!has('scope', /^[!#-[\]-~]+( [!#-[\]-~]+)*$/), 'invalid_scope', 'scope is malformed'],
    [!has('state', /^.{16,}$/), 'invalid_request', 'state is missing or easy to guess'],
    [!has('nonce', /^.{16,}$/), 'invalid_request', 'nonce is missing or easy to guess'],
    [!has('code_challenge', /^[\w-]{43}$/), 'invalid_request', 'code_challenge is missing or malformed'],
    [!has('code_challenge_method', /^S256$/), 'invalid_request', 'code_challenge_method is not S256'],
    [!['query', 'fragment', 'form_post'].includes(mode), 'invalid_request', 'response_mode is not known'],
    [params.has('max_age') && !has('max_age', /^\d+$/), 'invalid_request', 'max_age is not a number'],
    [params.has('client_secret'), 'invalid_request', 'a secret was sent through the browser'],
  ]
}

function issueCode(context: StrictContext, params: URLSearchParams): string {
  const code = randomBytes(24).toString('base64url')
  const grant: AuthorizationGrant = {
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
  context.codes.set(code, grant)
  return code
}

function sendAnswer(context: StrictContext, params: URLSearchParams, good: URLSearchParams, res: ServerResponse): void {
  const answer = context.change.authorizationResponse?.(good) ?? good
  const redirectUri = params.get('redirect_uri') ?? ''
  if (params.get('response_mode') === 'form_post') {
    sendText(res, 200, 'text/html; charset=utf-8', formPostPage(redirectUri, answer))
    return
  }
  const separator = params.get('response_mode') === 'fragment' ? '#' : '?'
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
