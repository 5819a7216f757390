import type { ServerResponse } from 'node:http'
import { authenticateClient } from './client-auth.ts'
import { findFault, type StrictContext, type StrictRequest, sendChanged } from './context.ts'
import { formDemands, sendRefusal } from './direct-request.ts'

/** RFC 7009 2: 200 for a token that is not known, too. */
export async function answerRevocation(
  context: StrictContext,
  request: StrictRequest,
  res: ServerResponse,
): Promise<void> {
  const { form } = request
  const { client, demands } = await authenticateClient(context, request)
  const token = form.get('token') ?? ''
  const hint = form.get('token_type_hint')
  const accessToken = context.accessTokens.get(token)
  const refreshToken = context.refreshTokens.get(token)
  const kind = accessToken ? 'access_token' : refreshToken ? 'refresh_token' : hint
  const owner = (accessToken ?? refreshToken)?.grant.client
  const fault = findFault(context, '/revoke', [
    ...formDemands(request),
    ...demands,
    [token === '', 'invalid_request', 'there is no token'],
    [hint !== null && hint !== kind, 'invalid_request', 'token_type_hint is of another kind of token'],
    [owner !== undefined && owner.clientId !== client?.clientId, 'invalid_grant', 'the token is of another client'],
  ])
  if (fault) return sendRefusal(res, fault, context.change.revocationResponse)
  if (accessToken) accessToken.isRevoked = true
  // RFC 7009 2.1: the access tokens of the same grant go with it.
  if (refreshToken) refreshToken.grant.isRevoked = true
  sendChanged(res, {}, context.change.revocationResponse)
}
