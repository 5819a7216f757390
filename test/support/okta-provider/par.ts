import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { sendOAuthError, sendOktaJson } from './answers.ts'
import { authenticateOktaClient, isRefusal } from './client-auth.ts'
import type { OktaContext, OktaRequest } from './context.ts'
import { endpointOf } from './token.ts'

/** RFC 9126 2. What proves the client is no part of the request that is pushed. */
export async function answerPushedRequest(
  context: OktaContext,
  request: OktaRequest,
  res: ServerResponse,
): Promise<void> {
  const client = await authenticateOktaClient(context, request, endpointOf(request))
  if (isRefusal(client)) return sendOAuthError(res, client.status, client.error, client.text)
  const params = new URLSearchParams(request.form)
  if (params.has('request_uri')) return sendOAuthError(res, 400, 'invalid_request', "'request_uri' must not be pushed.")
  for (const name of ['client_secret', 'client_assertion', 'client_assertion_type']) params.delete(name)
  params.set('client_id', client.client_id)
  const uri = `urn:okta:${randomBytes(16).toString('base64url')}`
  context.pushedRequests.set(uri, params)
  sendOktaJson(res, 201, { request_uri: uri, expires_in: 3600 })
}
