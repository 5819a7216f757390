import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createSigningKeys, type SigningKey } from '../app/signing-keys.ts'
import { type Listening, listen, readBody, sendText } from '../servers/http-server.ts'
import { nameRequest, sendOktaError } from './answers.ts'
import { answerAuthorize } from './authorize.ts'
import { answerClients } from './clients.ts'
import { issuerAt, type OktaContext, type OktaEndpoint, type OktaRequest } from './context.ts'
import { answerHome } from './dashboard-tile.ts'
import { ALICE, type OktaClient, type OktaServer } from './directory.ts'
import { newDpopNonce } from './dpop.ts'
import { answerLogout } from './logout.ts'
import { answerKeys, answerMetadata, findDocument, isServer } from './metadata.ts'
import { answerPushedRequest } from './par.ts'
import { answerToken } from './token.ts'
import { answerIntrospect, answerRevoke } from './token-state.ts'
import { answerUserinfo } from './userinfo.ts'
import { answerWebfinger } from './webfinger.ts'

/** An organisation at an Okta-like provider, with its own authorization server and custom ones, in one process. */
export interface Okta extends OktaContext {
  /** The issuer of a server at the organisation's own domain: `org`, or the id of a custom one. */
  issuer(serverId: string): string
  server(serverId: string): OktaServer
  /** The application that the tests log in to. */
  readonly client: OktaClient
  /** What a server was asked at an endpoint, in order. */
  requestsTo(endpoint: OktaEndpoint): readonly OktaRequest[]
  /** Everything as at the beginning, but for the keys. */
  reset(): void
  /** Takes new keys, unannounced. */
  rotateKeys(serverId: string): Promise<void>
  stop(): Promise<void>
}

const CLIENT_ID = '0oa1gcq4UD7gCbYDW0h7'
const CLIENT_SECRET = 'Okta-Secret_of-40-characters_0123456789A'

let shared: Promise<readonly [org: SigningKey, custom: SigningKey]> | undefined

/** Starts an Okta-like provider on a free port. */
export async function startOkta(): Promise<Okta> {
  shared ??= Promise.all([newKey(), newKey()])
  const [orgKey, customKey] = await shared
  let answer = (_req: IncomingMessage, res: ServerResponse): void => void res.writeHead(503).end()
  const listening = await listen(createServer((req, res) => answer(req, res)))
  const context = createContext(listening.port)
  const okta = createHandle(context, listening, { org: [orgKey], default: [customKey] })
  answer = (req, res) => {
    dispatch(context, req, res).catch((error: unknown) => sendText(res, 500, 'text/plain', String(error)))
  }
  return okta
}

export function newKey(): SigningKey {
  return createSigningKeys().rsa
}

function createContext(port: number): OktaContext {
  return {
    ...beginning(),
    orgOrigin: `http://localhost:${port}`,
    customOrigin: `http://127.0.0.1:${port}`,
    servers: new Map(),
    clients: new Map(),
    change: { raw: {} },
    requests: [],
    sessions: new Map(),
    codes: new Map(),
    accessTokens: new Map(),
    boundTo: new Map(),
    families: [],
    idTokens: new Map(),
    consents: new Set(),
    sessionTokens: new Map(),
    pushedRequests: new Map(),
    seenIds: new Set(),
  }
}

function beginning(): Pick<
  OktaContext,
  'person' | 'signIn' | 'amr' | 'engine' | 'nonceRule' | 'logoutState' | 'license' | 'dpopNonce'
> {
  return {
    person: ALICE,
    signIn: 'signs in',
    amr: ['pwd'],
    engine: 'identity',
    nonceRule: 'today',
    logoutState: 'as sent',
    license: 'licensed',
    dpopNonce: newDpopNonce(),
  }
}

function newServer(id: string, keys: readonly SigningKey[]): OktaServer {
  const own =
    id === 'org' ? { scopes: [], accessTokenLifetime: 3600 } : { scopes: ['reports:read'], accessTokenLifetime: 300 }
  return { id, issuerMode: 'DYNAMIC', keys, keysMaxAge: 3_885_115, claims: [], policy: 'matches', ...own }
}

function newClient(): OktaClient {
  return {
    client_id: CLIENT_ID,
    client_secret: CLIENT_SECRET,
    client_name: 'The app of the tests',
    token_endpoint_auth_method: 'client_secret_basic',
    issuer_mode: 'DYNAMIC',
    assignment: 'assigned',
    consent_method: 'TRUSTED',
    groups_claim: 'filter',
    rotation_type: 'ROTATE',
    leeway: 30,
    idp_initiated_login: 'DISABLED',
  }
}

function createHandle(
  context: OktaContext,
  listening: Listening,
  keys: Readonly<Record<string, readonly SigningKey[]>>,
): Okta {
  function server(serverId: string): OktaServer {
    const found = context.servers.get(serverId)
    if (found === undefined) throw new Error(`there is no server ${serverId}`)
    return found
  }
  function reset(): void {
    const { servers, clients, sessions, codes, accessTokens, idTokens, consents, pushedRequests, families } = context
    for (const memory of [servers, clients, sessions, codes, accessTokens, idTokens, consents, pushedRequests])
      memory.clear()
    families.length = 0
    context.requests.length = 0
    for (const name of Object.keys(context.change)) Reflect.deleteProperty(context.change, name)
    Object.assign(context.change, { raw: {} })
    Object.assign(context, beginning())
    for (const [id, own] of Object.entries(keys)) servers.set(id, newServer(id, own))
    clients.set(CLIENT_ID, newClient())
  }
  reset()
  async function rotateKeys(serverId: string): Promise<void> {
    server(serverId).keys = [newKey()]
  }
  function clientOfTests(): OktaClient {
    const client = context.clients.get(CLIENT_ID)
    if (client === undefined) throw new Error('the application of the tests is gone')
    return client
  }
  // One object is both: the endpoints read what the test writes.
  const okta = Object.assign(context, {
    client: clientOfTests(),
    issuer: (serverId: string) => issuerAt(context.orgOrigin, serverId),
    server,
    requestsTo: (endpoint: OktaEndpoint) => context.requests.filter((request) => request.endpoint === endpoint),
    reset,
    rotateKeys,
    stop: listening.stop,
  })
  return Object.defineProperty(okta, 'client', { get: clientOfTests })
}

/** What stands behind `/v1/`. */
const ENDPOINTS: readonly OktaEndpoint[] = [
  ...(['authorize', 'token', 'keys', 'userinfo', 'logout', 'revoke', 'introspect', 'par', 'clients'] as const),
]

function locate(path: string): Pick<OktaRequest, 'endpoint' | 'serverId'> | undefined {
  if (path === '/.well-known/webfinger') return { endpoint: 'webfinger', serverId: 'org' }
  if (path === '/home') return { endpoint: 'home', serverId: 'org' }
  const document = findDocument(path)
  if (document !== undefined) return document
  const { id = 'org', name } = /^\/oauth2\/(?:(?<id>(?!v1\/)[^/]+)\/)?v1\/(?<name>[a-z]+)/.exec(path)?.groups ?? {}
  const endpoint = ENDPOINTS.find((known) => known === name)
  // Clients are the organisation's, and only they have anything below them.
  const isWhole = endpoint === 'clients' ? id === 'org' : path.endsWith(`/v1/${name}`)
  return endpoint === undefined || !isWhole ? undefined : { endpoint, serverId: id }
}

async function dispatch(context: OktaContext, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const url = new URL(req.url ?? '/', `http://${req.headers.host}`)
  const located = locate(url.pathname)
  nameRequest(res)
  if (located === undefined) return sendOktaError(res, 404, 'E0000022', 'The endpoint does not exist')
  const body = await readBody(req)
  const isForm = req.headers['content-type']?.startsWith('application/x-www-form-urlencoded')
  const form = new URLSearchParams(isForm ? body : '')
  const { method = 'GET', headers } = req
  const request = { ...located, method, url, headers, query: url.searchParams, form, body }
  context.requests.push(request)
  const raw = context.change.raw[located.endpoint]
  if (raw !== undefined && raw(req, res) !== false) return
  if (headers['user-agent'] === undefined && isAskedByServers(located.endpoint)) {
    return sendOktaError(res, 403, 'E0000006', 'A User-Agent is required')
  }
  if (isServer(context, request, res)) await answerEndpoint(context, request, res)
}

/** The browsers of the tests do not say what they are. */
function isAskedByServers(endpoint: OktaEndpoint): boolean {
  return !['authorize', 'logout', 'home'].includes(endpoint)
}

type Answer = (context: OktaContext, request: OktaRequest, res: ServerResponse) => Promise<void> | void

const ANSWERS: Readonly<Record<OktaEndpoint, Answer>> = {
  discovery: answerMetadata,
  'oauth-discovery': answerMetadata,
  webfinger: answerWebfinger,
  authorize: answerAuthorize,
  token: answerToken,
  keys: answerKeys,
  userinfo: answerUserinfo,
  logout: answerLogout,
  revoke: answerRevoke,
  introspect: answerIntrospect,
  par: answerPushedRequest,
  clients: answerClients,
  home: answerHome,
}

async function answerEndpoint(context: OktaContext, request: OktaRequest, res: ServerResponse): Promise<void> {
  await ANSWERS[request.endpoint](context, request, res)
}
