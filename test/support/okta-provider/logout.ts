import type { ServerResponse } from 'node:http'
import { sendOktaPage } from './answers.ts'
import { isRegistered } from './authorization-request.ts'
import type { OktaContext, OktaRequest } from './context.ts'
import { findSession } from './session.ts'

/**
 * OIDC RP-Initiated Logout 2, by Okta's rules: the hint must be there, be one of ours as it was before any encryption, and
 * be about whoever the session is of. That it has expired is no matter. Whatever is wrong shows a page, and nobody is
 * sent back. The tokens stay good.
 */
export function answerLogout(context: OktaContext, request: OktaRequest, res: ServerResponse): void {
  const params = request.method === 'POST' ? request.form : request.query
  const fault = faultOf(context, request, params)
  if (fault !== undefined) {
    sendOktaPage(res, 400, fault)
    return
  }
  const session = findSession(context, request)
  if (session !== undefined) context.sessions.delete(session.sid)
  const target = params.get('post_logout_redirect_uri')
  if (target === null) sendOktaPage(res, 200, 'Sign in')
  else res.writeHead(302, { Location: target + stateAfter(context, target, params.get('state')) }).end()
}

function faultOf(context: OktaContext, request: OktaRequest, params: URLSearchParams): string | undefined {
  const hint = params.get('id_token_hint')
  const grant = context.idTokens.get(hint ?? '')
  if (hint === null) return "The 'id_token_hint' parameter is required."
  if (grant === undefined) return "Invalid value for 'id_token_hint' parameter."
  const session = findSession(context, request)
  if (session !== undefined && session.person.id !== grant.person.id) return 'The hint is for another user.'
  const target = params.get('post_logout_redirect_uri')
  const registered = context.clients.get(grant.clientId)?.post_logout_redirect_uris
  if (target === null || isRegistered(registered, target)) return undefined
  return "The 'post_logout_redirect_uri' parameter must be a Logout redirect URI."
}

/** As in an example of the documentation there may be no `?` in front, and some send no state at all. */
function stateAfter({ logoutState }: OktaContext, target: string, state: string | null): string {
  if (state === null || logoutState === 'missing') return ''
  if (logoutState === 'without question mark') return `&state=${state}`
  return `${target.includes('?') ? '&' : '?'}state=${state}`
}
