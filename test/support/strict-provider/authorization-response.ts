import type { ServerResponse } from 'node:http'
import { escapeHtml, sendText } from '../servers/http-server.ts'
import type { StrictClient } from './client.ts'
import { now, type StrictContext } from './context.ts'
import { encryptForClient } from './encryption.ts'
import { signByProvider } from './id-token.ts'
import type { AskedResponse } from './response-type.ts'

/** An answer, and what it answers. */
export interface AuthorizationResponse {
  readonly params: URLSearchParams
  readonly asked: AskedResponse
  readonly answer: URLSearchParams
}

/** Sends an answer the way that was asked for: with `state`, with `iss` (RFC 9207 2), and as the test has it changed. */
export async function sendAuthorizationResponse(
  context: StrictContext,
  client: StrictClient,
  { params, asked, answer }: AuthorizationResponse,
  res: ServerResponse,
): Promise<void> {
  const state = params.get('state')
  if (state !== null) answer.set('state', state)
  if (context.issParameter !== 'absent') answer.set('iss', context.issuer)
  const changed = context.change.authorizationResponse?.(answer) ?? answer
  const sent = asked.isJwt
    ? new URLSearchParams({ response: await createResponseJwt(context, client, changed) })
    : changed
  sendAnswer(params.get('redirect_uri') ?? '', asked, sent, res)
}

/** JARM 2.1 and 2.2. */
async function createResponseJwt(
  context: StrictContext,
  client: StrictClient,
  params: URLSearchParams,
): Promise<string> {
  const { change, issuer: iss } = context
  const claims = { ...Object.fromEntries(params), iss, aud: client.clientId, exp: now() + 600 }
  const signed = signByProvider(context, client, {
    alg: client.authorizationSignedResponseAlg,
    header: change.responseJwtHeader,
    claims: change.responseJwtClaims?.(claims) ?? claims,
  })
  const jwt = change.responseJwt ? await change.responseJwt(signed) : signed
  const { authorizationEncryptedResponseAlg: alg, authorizationEncryptedResponseEnc: enc } = client
  return await encryptForClient(context, client, { alg, enc }, jwt, change.encryptedResponseJwt)
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
