import type { ServerResponse } from 'node:http'
import { escapeHtml, sendText } from './http-server.ts'
import { findFault, hasDuplicates, isRegistered, type StrictContext, type StrictRequest } from './strict-context.ts'

/** OIDC RP-Initiated Logout 2 and 3: asks nobody, and sends the browser back. */
export function answerLogout(context: StrictContext, request: StrictRequest, res: ServerResponse): void {
  const params = request.method === 'POST' ? request.form : request.query
  const hint = params.get('id_token_hint')
  const clientId = params.get('client_id')
  const target = params.get('post_logout_redirect_uri')
  const fault = findFault(context, '/logout', [
    [hasDuplicates(params), 'invalid_request', 'a parameter is repeated'],
    [hint !== null && !context.idTokens.has(hint), 'invalid_request', 'id_token_hint is not ours'],
    [clientId !== null && clientId !== context.clientId, 'invalid_request', 'client_id is not known'],
    [target !== null && hint === null && clientId === null, 'invalid_request', 'nothing tells who asks to come back'],
    [
      target !== null && !isRegistered(context, target),
      'invalid_request',
      'post_logout_redirect_uri is not registered',
    ],
  ])
  if (fault) {
    sendText(res, 400, 'text/html', `<p>${escapeHtml(fault.fault)}</p>`)
    return
  }
  if (target === null) {
    sendText(res, 200, 'text/html', '<p>Signed out.</p>')
    return
  }
  const location = new URL(target)
  const state = params.get('state')
  if (state !== null) location.searchParams.set('state', state)
  res.writeHead(302, { Location: location.href }).end()
}
