import type { ServerResponse } from 'node:http'
import { sendOktaPage } from './answers.ts'
import { sendForm } from './authorization-answer.ts'
import { issuerAt, nowInSeconds, type OktaContext, type OktaRequest } from './context.ts'
import { sendSessionCookie, startSession } from './session.ts'
import { issueOktaIdToken } from './tokens.ts'

/**
 * The tile of an application on somebody's own page at Okta. In the mode `SPEC` it asks the application to start a login
 * (OIDC Core 4). In the mode `OKTA` it posts an ID Token that nobody has asked for: without state, without nonce.
 */
export function answerHome(context: OktaContext, { query, url }: OktaRequest, res: ServerResponse): void {
  const client = context.clients.get(query.get('client_id') ?? '')
  const redirectUri = query.get('redirect_uri') ?? ''
  if (client?.idp_initiated_login === 'SPEC') {
    const asked = new URLSearchParams({ iss: issuerAt(url.origin, 'org'), login_hint: context.person.login })
    res.writeHead(302, { Location: `${client['initiate_login_uri']}?${asked}` }).end()
    return
  }
  if (client?.idp_initiated_login !== 'OKTA') {
    sendOktaPage(res, 404, 'There is no such tile.')
    return
  }
  const session = startSession(context, context.person)
  const { person, authTime, sid } = session
  const idToken = issueOktaIdToken(
    context,
    {
      ...{ serverId: 'org', clientId: client.client_id, redirectUri, scopes: ['openid', 'profile', 'email'], sid },
      ...{ person, authTime, nonce: undefined, codeChallenge: undefined, acr: undefined, amr: context.amr },
      ...{ origin: url.origin, issuedAt: nowInSeconds(), isRedeemed: true },
    },
    {},
  )
  sendSessionCookie(res, session)
  sendForm(res, redirectUri, new URLSearchParams({ id_token: idToken }))
}
