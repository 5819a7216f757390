import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { listen, readBody, sendJson } from './http-server.ts'

type Members = Record<string, unknown>

/** One request, as it came. */
export interface RegistrationCall {
  readonly method: string
  /** With the query. */
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: Members | undefined
}

interface Reply {
  readonly status: number
  readonly json?: unknown
  readonly link?: readonly string[]
}

/** What a client has at the provider. */
interface Entry {
  metadata: Members
  secret: string | undefined
  secretExpiresAt: number
  /** The registration access token; Okta has none. */
  token: string | undefined
}

export interface RegistrationProviderOptions {
  /** `rfc7592`: every client has a token and an address of its own. `okta`: neither, and an API token for all. */
  readonly style?: 'rfc7592' | 'okta'
  /** The initial access token or API token; open registration where there is none (RFC 7592 only). */
  readonly token?: string
}

/** A provider of which nothing is there but its registration endpoint and its metadata. */
export interface RegistrationProvider {
  readonly origin: string
  /** The registration endpoint. */
  readonly endpoint: string
  readonly clients: Map<string, Entry>
  readonly calls: RegistrationCall[]
  /** How long secrets live, in seconds; 0: for ever. */
  secretLife: number
  /** Whether an update brings a new secret. */
  renewsSecrets: boolean
  /** Answers in place of the provider, where it returns true. */
  answer: ((call: RegistrationCall, res: ServerResponse) => boolean) | undefined
  /** Changes the members of every client that is told. */
  tell: (members: Members) => Members
  /** Methods and paths of the calls, in order, without discovery. */
  readonly asked: readonly string[]
  stop(): Promise<void>
}

const FORBIDDEN = [
  'client_id_issued_at',
  'client_secret_expires_at',
  'registration_access_token',
  'registration_client_uri',
]

/** Starts a registration endpoint on a free port. */
export async function startRegistrationProvider(
  options: RegistrationProviderOptions = {},
): Promise<RegistrationProvider> {
  let answer = async (_req: IncomingMessage, _res: ServerResponse): Promise<void> => undefined
  const listening = await listen(createServer((req, res) => void answer(req, res)))
  const origin = `http://127.0.0.1:${listening.port}`
  const isOkta = options.style === 'okta'
  const provider: RegistrationProvider = {
    origin,
    endpoint: origin + (isOkta ? '/oauth2/v1/clients' : '/register'),
    clients: new Map(),
    calls: [],
    secretLife: 0,
    renewsSecrets: false,
    answer: undefined,
    tell: (members) => members,
    get asked() {
      return this.calls.filter(({ path }) => !path.startsWith('/.')).map(({ method, path }) => `${method} ${path}`)
    },
    stop: listening.stop,
  }
  const reply = (call: RegistrationCall): Reply => {
    if (call.path.startsWith('/.well-known/')) return { status: 200, json: discoveryOf(provider) }
    return isOkta ? replyAsOkta(provider, options.token, call) : replyByStandard(provider, options.token, call)
  }
  answer = async (req, res) => {
    const text = await readBody(req)
    const call = {
      method: String(req.method),
      path: String(req.url),
      headers: req.headers,
      body: text === '' ? undefined : JSON.parse(text),
    }
    provider.calls.push(call)
    if (provider.answer?.(call, res)) return
    const { status, json, link } = reply(call)
    if (link !== undefined) res.setHeader('Link', link)
    if (json === undefined) res.writeHead(status).end()
    else sendJson(res, status, json)
  }
  return provider
}

function discoveryOf({ origin, endpoint }: RegistrationProvider): Members {
  return {
    issuer: origin,
    authorization_endpoint: `${origin}/authorize`,
    token_endpoint: `${origin}/token`,
    jwks_uri: `${origin}/jwks`,
    registration_endpoint: endpoint,
  }
}

function createEntry(provider: RegistrationProvider, metadata: Members): { id: string; entry: Entry } {
  const id = `client-${provider.clients.size + 1}`
  const entry = { metadata, secret: undefined, secretExpiresAt: 0, token: undefined }
  provider.clients.set(id, entry)
  if (metadata['token_endpoint_auth_method'] !== 'none') giveSecret(provider, entry)
  return { id, entry }
}

function giveSecret(provider: RegistrationProvider, entry: Entry): void {
  entry.secret = `secret-${randomBytes(16).toString('hex')}`
  entry.secretExpiresAt = provider.secretLife === 0 ? 0 : Math.floor(Date.now() / 1000) + provider.secretLife
}

function refusal(status: number, error: string, description: string): Reply {
  return { status, json: { error, error_description: description } }
}

function replyByStandard(provider: RegistrationProvider, token: string | undefined, call: RegistrationCall): Reply {
  const { method, path, headers, body } = call
  const id = path.slice('/register/'.length)
  if (path === '/register') {
    const isAllowed = token === undefined || headers.authorization === `Bearer ${token}`
    return isAllowed ? registerByStandard(provider, body ?? {}) : refusal(401, 'invalid_token', 'no')
  }
  const entry = provider.clients.get(id)
  if (entry === undefined || headers.authorization !== `Bearer ${entry.token}`) {
    return refusal(401, 'invalid_token', `not ${headers.authorization}`)
  }
  if (method === 'DELETE') {
    provider.clients.delete(id)
    return { status: 204 }
  }
  if (method === 'PUT') {
    const fault = faultOfUpdate(FORBIDDEN, id, body)
    if (fault !== undefined) return fault
    entry.metadata = body ?? {}
    entry.token = randomBytes(8).toString('hex')
    if (provider.renewsSecrets) giveSecret(provider, entry)
  }
  return { status: 200, json: provider.tell(standardAnswer(provider, entry, id)) }
}

function registerByStandard(provider: RegistrationProvider, body: Members): Reply {
  if (!Array.isArray(body['redirect_uris'])) return refusal(400, 'invalid_redirect_uri', 'redirect_uris is missing')
  const { id, entry } = createEntry(provider, body)
  entry.token = randomBytes(8).toString('hex')
  return { status: 201, json: provider.tell(standardAnswer(provider, entry, id)) }
}

function faultOfUpdate(forbidden: readonly string[], id: string, body: Members = {}): Reply | undefined {
  const hit = forbidden.find((name) => name in body)
  if (hit !== undefined) return refusal(400, 'invalid_client_metadata', `${hit} is not to be sent`)
  return body['client_id'] === id ? undefined : refusal(400, 'invalid_client_metadata', 'another client_id')
}

/** When a client was first told of. */
const ISSUED = new WeakMap<Entry, number>()

function issuedAtOf(entry: Entry): number {
  const issuedAt = ISSUED.get(entry) ?? Math.floor(Date.now() / 1000)
  ISSUED.set(entry, issuedAt)
  return issuedAt
}

function standardAnswer(provider: RegistrationProvider, entry: Entry, id: string): Members {
  const { metadata, secret, secretExpiresAt, token } = entry
  return {
    token_endpoint_auth_method: 'client_secret_basic',
    ...metadata,
    client_id: id,
    client_id_issued_at: issuedAtOf(entry),
    ...(secret === undefined ? {} : { client_secret: secret, client_secret_expires_at: secretExpiresAt }),
    registration_access_token: token,
    registration_client_uri: `${provider.endpoint}/${id}`,
  }
}

function replyAsOkta(provider: RegistrationProvider, token: string | undefined, call: RegistrationCall): Reply {
  const { method, headers, body } = call
  const url = new URL(call.path, provider.origin)
  const [, , , , id, ...operation] = url.pathname.split('/')
  if (headers.authorization !== `SSWS ${token}`) return oktaFailure(401, 'E0000011', 'Invalid token provided')
  if (id === undefined) return method === 'POST' ? registerAsOkta(provider, body ?? {}) : listAsOkta(provider, url)
  const entry = provider.clients.get(id)
  if (entry === undefined) return refusal(401, 'invalid_client', "Invalid value for 'client_id' parameter.")
  if (operation.join('/') === 'lifecycle/newSecret') return renewAsOkta(provider, id, entry, call)
  if (method === 'DELETE') {
    provider.clients.delete(id)
    return { status: 204 }
  }
  if (method === 'PUT') {
    const fault = faultOfUpdate([...FORBIDDEN, 'client_secret'], id, body)
    if (fault !== undefined) return fault
    entry.metadata = body ?? {}
  }
  return { status: 200, json: provider.tell(oktaAnswer(entry, id, null)) }
}

function registerAsOkta(provider: RegistrationProvider, body: Members): Reply {
  if (typeof body['client_name'] !== 'string') {
    return refusal(400, 'invalid_client_metadata', 'client_name: The field cannot be left blank')
  }
  const { id, entry } = createEntry(provider, body)
  return { status: 201, json: provider.tell(oktaAnswer(entry, id, entry.secret)) }
}

function renewAsOkta(provider: RegistrationProvider, id: string, entry: Entry, { headers }: RegistrationCall): Reply {
  if (headers['content-length'] !== '0') return { status: 411 }
  if (entry.secret === undefined) return oktaFailure(404, 'E0000007', 'Not found: Resource not found: PublicClientApp')
  giveSecret(provider, entry)
  return { status: 200, json: provider.tell(oktaAnswer(entry, id, entry.secret)) }
}

/** Arrays come back in another order, and everything that is not there comes back as null. */
function oktaAnswer(entry: Entry, id: string, secret: string | null = null): Members {
  const members = Object.entries(entry.metadata).map(([name, value]) => [
    name,
    Array.isArray(value) ? [...value].reverse() : value,
  ])
  return {
    application_type: 'web',
    logo_uri: null,
    initiate_login_uri: null,
    jwks: null,
    ...Object.fromEntries(members),
    client_id: id,
    client_id_issued_at: issuedAtOf(entry),
    client_secret: secret,
    client_secret_expires_at: entry.secretExpiresAt,
  }
}

function listAsOkta(provider: RegistrationProvider, url: URL): Reply {
  const limit = Number(url.searchParams.get('limit') ?? 20)
  const after = Number(url.searchParams.get('after') ?? 0)
  const query = url.searchParams.get('q') ?? ''
  const found = [...provider.clients].filter(([, { metadata }]) => String(metadata['client_name']).startsWith(query))
  const json = found.slice(after, after + limit).map(([id, entry]) => oktaAnswer(entry, id))
  const link = [`<${url.href}>; rel="self"`]
  if (after + limit < found.length) {
    url.searchParams.set('after', String(after + limit))
    link.push(`<${url.href}>; rel="next"`)
  }
  return { status: 200, json, link }
}

function oktaFailure(status: number, errorCode: string, errorSummary: string): Reply {
  return { status, json: { errorCode, errorSummary, errorLink: errorCode, errorId: 'oaeSomething', errorCauses: [] } }
}
