import type { ServerResponse } from 'node:http'
import { claimsForScope } from './accounts.ts'
import { findFault, type StrictContext, type StrictRequest, sendChanged } from './strict-context.ts'

/** OIDC Core 5.3. The access token is taken from the header alone (RFC 6750 2.1). */
export function answerUserinfo(context: StrictContext, request: StrictRequest, res: ServerResponse): void {
  const [scheme = '', accessToken = ''] = (request.headers.authorization ?? '').split(' ')
  const grant = context.accessTokens.get(accessToken)
  const fault = findFault(context, '/userinfo', [
    [request.query.has('access_token'), 'invalid_request', 'the access token is in the address'],
    [scheme.toLowerCase() !== 'bearer', 'invalid_request', 'there is no Bearer token'],
    [!grant, 'invalid_token', 'the access token is not known'],
  ])
  if (fault || !grant) {
    const headers = { 'WWW-Authenticate': `Bearer error="${fault?.error}"` }
    sendChanged(res, { error: fault?.error }, context.change.userinfo, { status: 401, headers })
    return
  }
  const claims = { sub: grant.account.sub, ...claimsForScope(grant.account, grant.scope) }
  sendChanged(res, claims, context.change.userinfo)
}
