import type { ServerResponse } from 'node:http'
import { sendText } from '../servers/http-server.ts'
import { sendOktaError } from './answers.ts'
import { issuerAt, type OktaContext, type OktaRequest } from './context.ts'

const ISSUER_RELATION = 'http://openid.net/specs/connect/1.0/issuer'

/** Resources are `okta:acct:` and not `acct:`, and the answer may be an identity provider of another kind. */
export function answerWebfinger(context: OktaContext, { query, url }: OktaRequest, res: ServerResponse): void {
  const resource = query.get('resource') ?? ''
  const [, login] = /^okta:acct:(.+)$/.exec(resource) ?? []
  if (login === undefined) {
    sendOktaError(res, 400, 'E0000001', 'Api validation failed: resource')
    return
  }
  const isFederated = login.endsWith('@federated.example.test')
  const link = isFederated
    ? { rel: 'okta:idp', href: `${url.origin}/sso/idps/0oak4jk7ujVkFUn9h0g3`, titles: { und: 'A SAML provider' } }
    : { rel: ISSUER_RELATION, href: issuerAt(context.orgOrigin, 'org'), titles: { und: 'Okta' } }
  sendText(res, 200, 'application/jrd+json', JSON.stringify({ subject: resource, links: [link] }))
}
