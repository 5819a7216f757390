import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { escapeHtml, sendText } from '../servers/http-server.ts'
import type { Asked } from './authorization-request.ts'
import {
  nowInSeconds,
  type OktaContext,
  type OktaGrant,
  type OktaRequest,
  type OktaSession,
  serverOf,
} from './context.ts'
import { sendSessionCookie } from './session.ts'
import { issueOktaAccessToken, issueOktaIdToken } from './tokens.ts'

/** Classes that are not known are left aside without a word; of the known the first is taken. */
const ACR_VALUES = ['urn:okta:loa:1fa:any', 'urn:okta:loa:1fa:pwd', 'urn:okta:loa:2fa:any', 'phr', 'phrh']

function createGrant(context: OktaContext, request: OktaRequest, asked: Asked, session: OktaSession): OktaGrant {
  const { params, client, redirectUri, scopes } = asked
  const acr = params
    .get('acr_values')
    ?.split(' ')
    .find((value) => ACR_VALUES.includes(value))
  return {
    serverId: request.serverId,
    clientId: client.client_id,
    person: session.person,
    redirectUri,
    scopes,
    nonce: params.get('nonce') ?? undefined,
    codeChallenge: params.get('code_challenge') ?? undefined,
    origin: request.url.origin,
    authTime: session.authTime,
    acr,
    // Several names of these are not in RFC 8176.
    amr: acr?.includes('2fa') ? ['pwd', 'okta_verify', 'mfa'] : context.amr,
    sid: session.sid,
    issuedAt: nowInSeconds(),
    isRedeemed: false,
  }
}

/** Grants what was asked for, and sends it the way that was asked for. */
export async function answerAsked(
  context: OktaContext,
  request: OktaRequest,
  asked: Asked,
  session: OktaSession,
  res: ServerResponse,
): Promise<void> {
  const grant = createGrant(context, request, asked, session)
  const code = asked.words.includes('code') ? randomBytes(32).toString('base64url') : undefined
  const accessToken = asked.words.includes('token') ? await issueOktaAccessToken(context, grant) : undefined
  if (code !== undefined) context.codes.set(code, grant)
  const idToken = asked.words.includes('id_token')
    ? issueOktaIdToken(context, grant, { accessToken, code, nonce: grant.nonce })
    : undefined
  sendSessionCookie(res, session)
  const answer = new URLSearchParams({
    ...(code === undefined ? {} : { code }),
    ...(idToken === undefined ? {} : { id_token: idToken }),
    ...(accessToken === undefined
      ? {}
      : {
          access_token: accessToken,
          token_type: 'Bearer',
          expires_in: String(serverOf(context, request).accessTokenLifetime),
          scope: grant.scopes.join(' '),
        }),
  })
  sendAnswer(context, asked, answer, res)
}

/** Sends the browser back, with the state that it came with. */
export function sendAnswer(
  context: OktaContext,
  { params, mode, redirectUri }: Asked,
  answer: URLSearchParams,
  res: ServerResponse,
): void {
  const state = params.get('state')
  if (state !== null) answer.set('state', state)
  const changed = context.change.authorizationAnswer?.(answer) ?? answer
  if (mode === 'form_post') sendForm(res, redirectUri, changed)
  else if (mode === 'okta_post_message') sendPostMessage(res, redirectUri, changed)
  else redirectWith(res, redirectUri + (mode === 'fragment' ? '#' : '?') + String(changed))
}

function redirectWith(res: ServerResponse, location: string): void {
  res.writeHead(302, { Location: location, 'Referrer-Policy': 'no-referrer', 'Cache-Control': 'no-store' }).end()
}

/** OAuth 2.0 Form Post Response Mode 2. */
export function sendForm(res: ServerResponse, action: string, fields: URLSearchParams): void {
  const inputs = [...fields].map(
    ([name, value]) => `<input type="hidden" name="${escapeHtml(name)}" value="${escapeHtml(value)}"/>`,
  )
  const form = `<form id="appForm" action="${escapeHtml(action)}" method="POST">${inputs.join('')}</form>`
  sendText(
    res,
    200,
    'text/html;charset=utf-8',
    `<!doctype html><body onload="document.forms[0].submit()">${form}</body>`,
  )
}

/** For the window that has opened this one: no server ever gets it. */
function sendPostMessage(res: ServerResponse, redirectUri: string, answer: URLSearchParams): void {
  const data = JSON.stringify(Object.fromEntries(answer)).replace(/</g, '\\u003c')
  const script = `window.opener.postMessage(${data}, ${JSON.stringify(new URL(redirectUri).origin)})`
  sendText(res, 200, 'text/html;charset=utf-8', `<!doctype html><script>${script}</script>`)
}
