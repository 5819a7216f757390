import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { StrictClient } from './client.ts'
import { authenticateClient } from './client-auth.ts'
import { type Demand, findFault, now, type StrictContext, type StrictRequest, sendChanged } from './context.ts'
import { formDemands, sendRefusal } from './direct-request.ts'
import { checkDpop, dpopNonceHeader, sendDpopChallenge } from './dpop.ts'
import { redirectDemands, requestDemands } from './request.ts'
import { type ResolvedRequest, resolveRequestObject } from './request-object.ts'
import { readAskedResponse } from './response-type.ts'

/** How long a pushed request waits for its browser, in seconds. */
const LIFE = 60

/** What proves the client, and is no part of what it asks for. */
const OF_THE_CLIENT = ['client_secret', 'client_assertion', 'client_assertion_type']

/** RFC 9126 2. */
export async function answerPar(context: StrictContext, request: StrictRequest, res: ServerResponse): Promise<void> {
  const change = context.change.parResponse
  const proof = await checkDpop(context, request)
  const { client, demands } = await authenticateClient(context, request)
  const early = findFault(context, '/par', [...formDemands(request), ...demands, ...proof.demands])
  if (early || !client) return sendRefusal(res, early, change)
  if (sendDpopChallenge(context, proof, 'authorizationServer', res)) return
  const pushed = await readPushed(context, client, request.form, proof.jkt)
  const fault = findFault(context, '/par', pushed.demands)
  if (fault) return sendRefusal(res, fault, change)
  const requestUri = `urn:ietf:params:oauth:request_uri:${randomBytes(24).toString('base64url')}`
  const dpopJkt = proof.jkt ?? pushed.params.get('dpop_jkt') ?? undefined
  context.pushedRequests.set(requestUri, {
    client,
    params: pushed.params,
    dpopJkt,
    expiresAt: now() + LIFE,
    isUsed: false,
  })
  const headers = dpopNonceHeader(context, proof, 'authorizationServer')
  sendChanged(res, { request_uri: requestUri, expires_in: LIFE }, change, { status: 201, headers })
}

async function readPushed(
  context: StrictContext,
  client: StrictClient,
  form: URLSearchParams,
  jkt: string | undefined,
): Promise<ResolvedRequest> {
  const sent = new URLSearchParams([...form].filter(([name]) => !OF_THE_CLIENT.includes(name)))
  if (sent.has('request_uri')) {
    return { params: sent, demands: [[true, 'invalid_request', 'request_uri was pushed']] }
  }
  const { params, demands } = await resolveRequestObject(context, client, sent)
  const boundTo = params.get('dpop_jkt') ?? jkt
  return {
    params,
    demands: [
      ...demands,
      ...besideDemands(sent),
      ...redirectDemands(context, client, params),
      ...requestDemands(context, params, readAskedResponse(params)),
      [jkt !== undefined && boundTo !== jkt, 'invalid_dpop_proof', 'dpop_jkt is of another key than the proof'],
    ],
  }
}

/** RFC 9126 3: with a request object, whatever is asked for is in it alone. */
function besideDemands(sent: URLSearchParams): readonly Demand[] {
  if (!sent.has('request')) return []
  const beside = [...sent.keys()].filter((name) => name !== 'request' && name !== 'client_id')
  return beside.map((name) => [true, 'invalid_request', `${name} was pushed beside the request object`])
}
