import type { ServerResponse } from 'node:http'
import { escapeHtml, sendText } from '../servers/http-server.ts'
import { endBrowserSession } from './check-session.ts'
import {
  type AuthorizationGrant,
  findFault,
  hasDuplicates,
  isRegistered,
  type StrictContext,
  type StrictRequest,
} from './context.ts'
import { tellClient } from './logout-token.ts'

/**
 * OIDC RP-Initiated Logout 2 and 3: asks nobody, tells the client by its channels while the browser waits, and sends the
 * browser back. Without a word of whose it is, the person whose login was the last one logs out here.
 */
export async function answerLogout(context: StrictContext, request: StrictRequest, res: ServerResponse): Promise<void> {
  const params = request.method === 'POST' ? request.form : request.query
  const hint = params.get('id_token_hint')
  const clientId = params.get('client_id')
  const target = params.get('post_logout_redirect_uri')
  const hinted = context.idTokens.get(hint ?? '')
  const named = context.clients.get(clientId ?? '')
  const registered = (hinted?.client ?? named)?.postLogoutRedirectUris ?? context.redirectUris
  const fault = findFault(context, '/logout', [
    [hasDuplicates(params), 'invalid_request', 'a parameter is repeated'],
    [hint !== null && !hinted, 'invalid_request', 'id_token_hint is not ours'],
    [clientId !== null && !named, 'invalid_request', 'client_id is not known'],
    [
      hinted !== undefined && named !== undefined && hinted.client.clientId !== named.clientId,
      'invalid_request',
      'client_id is another one',
    ],
    [target !== null && hint === null && clientId === null, 'invalid_request', 'nothing tells who asks to come back'],
    [
      target !== null && !isRegistered(registered, target),
      'invalid_request',
      'post_logout_redirect_uri is not registered',
    ],
  ])
  if (fault) {
    sendText(res, 400, 'text/html', `<p>${escapeHtml(fault.fault)}</p>`)
    return
  }
  const grant = hinted ?? (clientId === null ? [...context.idTokens.values()].at(-1) : undefined)
  if (grant) await tellClient(context, grant)
  endBrowserSession(context, request, res)
  const next = target === null ? undefined : landing(context, target, params.get('state'))
  const frame = grant && frameOf(context, grant)
  if (frame) sendText(res, 200, 'text/html', framePage(frame, next))
  else if (next === undefined) sendText(res, 200, 'text/html', '<p>Signed out.</p>')
  else res.writeHead(302, { Location: next }).end()
}

function landing({ change }: StrictContext, target: string, state: string | null): string {
  const good = new URLSearchParams(state === null ? {} : { state })
  const location = new URL(target)
  for (const [name, value] of change.postLogoutParams?.(good) ?? good) location.searchParams.set(name, value)
  return location.href
}

/** OIDC Front-Channel Logout 2. */
function frameOf({ change, issuer }: StrictContext, { client, sid }: AuthorizationGrant): string | undefined {
  if (client.frontchannelLogoutUri === undefined) return undefined
  const url = new URL(client.frontchannelLogoutUri)
  if (client.frontchannelLogoutSessionRequired !== false) {
    url.searchParams.set('iss', issuer)
    url.searchParams.set('sid', sid)
  }
  return (change.frontchannelLogoutUrl?.(url) ?? url).href
}

/** The page goes on when the frame has loaded, as that of the conformance suite does. */
function framePage(frame: string, next: string | undefined): string {
  const goOn = next === undefined ? "document.title = 'framed'" : 'location = document.links[0].href'
  return `<!doctype html><title>signing out</title>
<p>Signed out.</p>${next === undefined ? '' : `<a href="${escapeHtml(next)}">go on</a>`}
<iframe hidden src="${escapeHtml(frame)}"></iframe>
<script>document.querySelector('iframe').onload = () => { ${goOn} }</script>
`
}
