import type { ServerResponse } from 'node:http'
import { sendOktaJson, tellUsualRateLimit } from './answers.ts'
import type { OktaContext, OktaRequest } from './context.ts'
import { isBoundTo } from './dpop.ts'
import { fatClaims } from './tokens.ts'

const SCOPES = ['profile', 'email', 'address', 'phone']

/** OIDC Core 5.3. A token for `openid` alone is refused, in the header and with no body. */
export async function answerUserinfo(context: OktaContext, request: OktaRequest, res: ServerResponse): Promise<void> {
  const [scheme, accessToken = ''] = (request.headers.authorization ?? '').split(' ')
  const jkt = context.boundTo.get(accessToken)
  const isProved = jkt === undefined ? scheme === 'Bearer' : await isBoundTo(jkt, request, accessToken)
  const grant = isProved ? context.accessTokens.get(accessToken) : undefined
  tellUsualRateLimit(res)
  if (grant === undefined) {
    challenge(res, 401, 'invalid_token', 'The access token is invalid.')
  } else if (grant.scopes.some((scope) => SCOPES.includes(scope))) {
    const claims = { sub: grant.person.id, ...fatClaims(context, grant) }
    sendOktaJson(res, 200, context.change.userinfo?.(claims) ?? claims)
  } else {
    challenge(res, 403, 'insufficient_scope', TOO_NARROW)
  }
}

const TOO_NARROW =
  'The access token must provide access to at least one of these scopes - profile, email, address or phone'

function challenge(res: ServerResponse, status: number, error: string, text: string): void {
  res.writeHead(status, { 'WWW-Authenticate': `Bearer error="${error}", error_description="${text}"` }).end()
}
