import type { ServerResponse } from 'node:http'
import { sendOAuthError, sendOktaJson, tellUsualRateLimit } from './answers.ts'
import { authenticateOktaClient, isRefusal } from './client-auth.ts'
import type { OktaContext, OktaFamily, OktaRequest } from './context.ts'
import type { OktaClient } from './directory.ts'
import { endpointOf, killFamily } from './token.ts'

/** RFC 7009: 200 in any case. A refresh token takes its access tokens with it, not the other way round. */
export async function answerRevoke(context: OktaContext, request: OktaRequest, res: ServerResponse): Promise<void> {
  const client = await knownClient(context, request, res)
  if (client === undefined) return
  const token = request.form.get('token') ?? ''
  const family = familyOf(context, token)
  if (family?.grant.clientId === client.client_id) killFamily(context, family)
  if (context.accessTokens.get(token)?.clientId === client.client_id) context.accessTokens.delete(token)
  tellUsualRateLimit(res)
  res.writeHead(200).end()
}

/** RFC 7662: `scope` is one string here, unlike in the token. */
export async function answerIntrospect(context: OktaContext, request: OktaRequest, res: ServerResponse): Promise<void> {
  const client = await knownClient(context, request, res)
  if (client === undefined) return
  const grant = context.accessTokens.get(request.form.get('token') ?? '')
  const isOwn = grant?.clientId === client.client_id
  tellUsualRateLimit(res)
  if (grant === undefined || !isOwn) return sendOktaJson(res, 200, { active: false })
  const { scopes, clientId, person } = grant
  const scope = scopes.join(' ')
  const { id: uid, login: sub } = person
  sendOktaJson(res, 200, { active: true, scope, client_id: clientId, username: sub, sub, uid, token_type: 'Bearer' })
}

async function knownClient(
  context: OktaContext,
  request: OktaRequest,
  res: ServerResponse,
): Promise<OktaClient | undefined> {
  const client = await authenticateOktaClient(context, request, endpointOf(request))
  if (!isRefusal(client)) return client
  sendOAuthError(res, client.status, client.error, client.text)
  return undefined
}

function familyOf({ families }: OktaContext, token: string): OktaFamily | undefined {
  return families.find(({ usedAt }) => usedAt.has(token))
}
