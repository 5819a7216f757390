import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { sendOAuthError, sendOktaError, sendOktaJson } from './answers.ts'
import { nowInSeconds, type OktaContext, type OktaRequest } from './context.ts'
import type { JsonObject, OktaClient } from './directory.ts'

/** What a client has that was registered by nobody in particular. */
export const NEW_CLIENT = {
  token_endpoint_auth_method: 'client_secret_basic',
  issuer_mode: 'DYNAMIC',
  assignment: 'assigned',
  // The Apps API has `TRUSTED` here.
  consent_method: 'REQUIRED',
  groups_claim: 'filter',
  rotation_type: 'ROTATE',
  leeway: 30,
  idp_initiated_login: 'DISABLED',
} as const

/** What belongs to the application and is never told here. */
const OF_THE_APP = [
  ...['issuer_mode', 'assignment', 'consent_method', 'groups_claim', 'rotation_type', 'leeway', 'idp_initiated_login'],
  ...['pinned_keys'],
]

/** An API token of an administrator's. */
export const API_TOKEN = '00QCjAl4MlV-WPXM5t7rGqqNh0iV0kxKvTr4ZEDEx0'

/** Dynamic client registration: one address for all servers, and neither a token nor an address to manage it by. */
export function answerClients(context: OktaContext, request: OktaRequest, res: ServerResponse): void {
  const [, , , , id = '', lifecycle] = request.url.pathname.split('/')
  const client = context.clients.get(id)
  if (request.headers.authorization !== `SSWS ${API_TOKEN}`)
    sendOktaError(res, 401, 'E0000011', 'Invalid token provided')
  else if (id === '') answerAll(context, request, res)
  else if (client === undefined) sendOAuthError(res, 401, 'invalid_client', "Invalid value for 'client_id' parameter.")
  else if (lifecycle === undefined) answerOne(context, client, request, res)
  else answerNewSecret(client, request, res)
}

function answerAll(context: OktaContext, request: OktaRequest, res: ServerResponse): void {
  if (request.method === 'GET') listClients(context, request, res)
  else if (request.method === 'POST') registerClient(context, request, res)
  else sendUnsupported(res)
}

function answerOne(context: OktaContext, client: OktaClient, request: OktaRequest, res: ServerResponse): void {
  if (request.method === 'GET') sendOktaJson(res, 200, withoutSecret(client))
  else if (request.method === 'PUT') replaceClient(context, client, request, res)
  else if (request.method === 'DELETE') deleteClient(context, client, res)
  else sendUnsupported(res)
}

function sendUnsupported(res: ServerResponse): void {
  sendOktaError(res, 405, 'E0000022', 'The endpoint does not support the provided HTTP method')
}

function deleteClient({ clients }: OktaContext, { client_id: id }: OktaClient, res: ServerResponse): void {
  clients.delete(id)
  res.writeHead(204).end()
}

function registerClient(context: OktaContext, request: OktaRequest, res: ServerResponse): void {
  const metadata = readMetadata(request, res)
  if (metadata === undefined) return
  const client = createClient(metadata)
  context.clients.set(client.client_id, client)
  sendOktaJson(res, 201, publicMembers(client))
}

function readMetadata({ body }: OktaRequest, res: ServerResponse): JsonObject | undefined {
  const metadata: JsonObject = JSON.parse(body)
  if (typeof metadata['client_name'] === 'string' && metadata['client_name'] !== '') return metadata
  sendOAuthError(res, 400, 'invalid_client_metadata', 'client_name: The field cannot be left blank')
  return undefined
}

function createClient(metadata: JsonObject): OktaClient {
  const method = String(metadata['token_endpoint_auth_method'] ?? NEW_CLIENT.token_endpoint_auth_method)
  const hasSecret = method.startsWith('client_secret')
  return {
    ...NEW_CLIENT,
    ...metadata,
    token_endpoint_auth_method: method,
    client_id: `0oa${randomBytes(8).toString('hex')}`,
    client_id_issued_at: nowInSeconds(),
    ...(hasSecret ? { client_secret: randomBytes(30).toString('base64url'), client_secret_expires_at: 0 } : {}),
  }
}

/** There are nulls in it, and the arrays come in another order than they were sent. */
function publicMembers(client: OktaClient): JsonObject {
  const members = Object.entries(client).filter(([name]) => !OF_THE_APP.includes(name))
  const turned = members.map(([name, value]) => [name, Array.isArray(value) ? [...value].reverse() : value])
  return { logo_uri: null, tos_uri: null, ...Object.fromEntries(turned) }
}

function withoutSecret(client: OktaClient): JsonObject {
  const { client_secret: _secret, ...members } = publicMembers(client)
  return members
}

/** A full replacement: what is not sent is gone. */
function replaceClient(context: OktaContext, client: OktaClient, request: OktaRequest, res: ServerResponse): void {
  const metadata = readMetadata(request, res)
  if (metadata === undefined) return
  const own = ['client_id_issued_at', 'client_secret_expires_at', 'client_secret'].find((name) => name in metadata)
  if (own !== undefined || metadata['client_id'] !== client.client_id) {
    sendOAuthError(res, 400, 'invalid_client_metadata', `${own ?? 'client_id'}: The field cannot be changed`)
    return
  }
  const { client_id, client_secret, client_id_issued_at, client_secret_expires_at } = client
  const kept = { client_id, client_secret, client_id_issued_at, client_secret_expires_at }
  const method = { token_endpoint_auth_method: NEW_CLIENT.token_endpoint_auth_method }
  const replaced = { ...NEW_CLIENT, ...method, ...metadata, ...kept }
  context.clients.set(client_id, replaced)
  sendOktaJson(res, 200, withoutSecret(replaced))
}

/** A request without a body must still say so: 411 otherwise. */
function answerNewSecret(client: OktaClient, { method, url, headers }: OktaRequest, res: ServerResponse): void {
  if (method !== 'POST' || !url.pathname.endsWith('/lifecycle/newSecret')) {
    sendUnsupported(res)
  } else if (headers['content-length'] === undefined) {
    res.writeHead(411).end()
  } else if (client.client_secret === undefined) {
    sendOktaError(res, 404, 'E0000007', `Not found: Resource not found: ${client.client_id} (PublicClientApp)`)
  } else {
    client.client_secret = randomBytes(30).toString('base64url')
    sendOktaJson(res, 200, publicMembers(client))
  }
}

/** Pages by `Link`: the address of the next one is to be taken as it is. */
function listClients({ clients }: OktaContext, { url, query }: OktaRequest, res: ServerResponse): void {
  const limit = Math.min(Number(query.get('limit') ?? 20), 200)
  const q = query.get('q') ?? ''
  const found = [...clients.values()].filter(({ client_name: name = '' }) => String(name).startsWith(q))
  const start = found.findIndex(({ client_id }) => client_id === query.get('after')) + 1
  const page = found.slice(start, start + limit)
  const self = `<${url.href}>; rel="self"`
  const next = new URL(url)
  next.searchParams.set('after', page.at(-1)?.client_id ?? '')
  const hasMore = start + limit < found.length
  res.setHeader('Link', hasMore ? [self, `<${next.href}>; rel="next"`] : [self])
  sendOktaJson(res, 200, page.map(withoutSecret))
}
