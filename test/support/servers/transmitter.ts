import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createRsaKeyPair } from '../app/rsa-keys.ts'
import { type KeySet, signJws } from '../app/signing-keys.ts'
import { type Answer, exchange } from '../browser/http-exchange.ts'
import { type JsonObject, now } from '../strict-provider/context.ts'
import { listen, readBody, sendJson } from './http-server.ts'

export const CAEP = 'https://schemas.openid.net/secevent/caep/event-type/'
export const RISC = 'https://schemas.openid.net/secevent/risc/event-type/'
export const VERIFICATION = 'https://schemas.openid.net/secevent/ssf/event-type/verification'
export const SESSION_REVOKED: string = `${CAEP}session-revoked`
export const CREDENTIAL_CHANGE: string = `${CAEP}credential-change`

/** The path of Okta's stream API. */
const STREAM = '/api/v1/ssf/stream'

export interface TransmitterSettings {
  /** The access token that its stream API takes. */
  readonly token?: string
  /** SSF 8.1.2: Okta announces no status endpoint, and streams cannot be paused there. `absent` unless told. */
  readonly statusEndpoint?: 'announced' | 'absent'
  readonly audience?: string
}

/** What a test changes. Undone by `reset()`. */
export interface TransmitterChanges {
  configuration?: ((good: JsonObject) => unknown) | undefined
  keySet?: ((good: KeySet) => unknown) | undefined
  /** Changes the answer of the stream API. */
  stream?: ((good: JsonObject) => JsonObject) | undefined
  /** Answers a request of any kind in place of the transmitter. True: it has. */
  answer?: ((req: IncomingMessage, res: ServerResponse) => boolean) | undefined
}

/** A request to the stream API. */
export interface StreamRequest {
  readonly method: string
  readonly path: string
  readonly authorization: string | undefined
  readonly body: JsonObject
}

export interface Transmitter {
  readonly issuer: string
  readonly audience: string
  readonly token: string
  readonly key: { readonly kid: string; readonly privateKey: ReturnType<typeof createRsaKeyPair>['privateKey'] }
  readonly change: TransmitterChanges
  readonly requests: StreamRequest[]
  /** How often each path was requested. */
  readonly calls: Map<string, number>
  /** The stream that a receiver has created. */
  stream: JsonObject | undefined
  status: string
  /** What a receiver has answered to verification events. */
  readonly verified: Answer[]
  /** The claims of a SET as SSF 1.0 has them. */
  claims(more?: JsonObject): JsonObject
  /** Signs a SET. */
  sign(claims: JsonObject, header?: JsonObject): string
  reset(): void
  stop(): Promise<void>
}

/** A transmitter of Shared Signals that acts as Okta's does: configuration document, keys, and a stream API for one stream. */
export async function startTransmitter(settings: TransmitterSettings = {}): Promise<Transmitter> {
  const { privateKey, publicKey } = createRsaKeyPair()
  const kid = randomBytes(6).toString('base64url')
  const keySet: KeySet = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' }] }
  const server = createServer((req, res) => {
    void handle(transmitter, keySet, settings, req, res).catch((error: unknown) =>
      sendJson(res, 500, { error: String(error) }),
    )
  })
  const { port, stop } = await listen(server)
  const transmitter: Transmitter = {
    issuer: `http://localhost:${port}`,
    audience: settings.audience ?? 'https://app.example/security-events',
    token: settings.token ?? 'the-access-token-of-the-receiver',
    key: { kid, privateKey },
    change: {},
    requests: [],
    calls: new Map(),
    stream: undefined,
    status: 'enabled',
    verified: [],
    claims: (more = {}) => ({
      iss: transmitter.issuer,
      aud: transmitter.audience,
      iat: now(),
      jti: randomBytes(12).toString('base64url'),
      ...more,
    }),
    sign: (claims, header = {}) =>
      signJws('RS256', privateKey, { alg: 'RS256', kid, typ: 'secevent+jwt', ...header }, claims),
    reset() {
      for (const name of Object.keys(transmitter.change)) Reflect.deleteProperty(transmitter.change, name)
      transmitter.requests.length = 0
      transmitter.verified.length = 0
      transmitter.calls.clear()
      transmitter.stream = undefined
      transmitter.status = 'enabled'
    },
    stop,
  }
  return transmitter
}

async function handle(
  transmitter: Transmitter,
  keySet: KeySet,
  settings: TransmitterSettings,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const { change, calls, issuer } = transmitter
  const { pathname, searchParams } = new URL(req.url ?? '/', issuer)
  calls.set(pathname, (calls.get(pathname) ?? 0) + 1)
  const text = await readBody(req)
  if (pathname.startsWith(STREAM)) {
    const body: JsonObject = text === '' ? {} : JSON.parse(text)
    const { method = '', headers } = req
    transmitter.requests.push({ method, path: pathname, authorization: headers.authorization, body })
    if (change.answer?.(req, res) === true) return
    if (headers.authorization !== `Bearer ${transmitter.token}`) return refuse(res, 401, 'E0000011', 'Invalid token')
    return await answerStream(
      transmitter,
      settings,
      { method, path: pathname.slice(STREAM.length), searchParams, body },
      res,
    )
  }
  if (change.answer?.(req, res) === true) return
  if (pathname === '/.well-known/ssf-configuration') {
    const good = configuration(issuer, settings)
    return sendJson(res, 200, change.configuration === undefined ? good : change.configuration(good))
  }
  if (pathname === '/oauth2/v1/keys') {
    return sendJson(res, 200, change.keySet === undefined ? keySet : change.keySet(keySet))
  }
  sendJson(res, 404, { errorCode: 'E0000007', errorSummary: 'Not found' })
}

/** As Okta's: https://{org}/.well-known/ssf-configuration. */
function configuration(issuer: string, { statusEndpoint }: TransmitterSettings): JsonObject {
  return {
    issuer,
    jwks_uri: `${issuer}/oauth2/v1/keys`,
    configuration_endpoint: issuer + STREAM,
    verification_endpoint: `${issuer}${STREAM}/verification`,
    ...(statusEndpoint === 'announced' ? { status_endpoint: `${issuer}${STREAM}/status` } : {}),
    delivery_methods_supported: ['https://schemas.openid.net/secevent/risc/delivery-method/push', 'urn:ietf:rfc:8935'],
    authorization_schemes: [{ spec_urn: 'urn:ietf:rfc:6749' }],
    default_subjects: 'ALL',
    spec_version: '1_0-ID3',
  }
}

/** As Okta's APIs answer errors. */
function refuse(res: ServerResponse, status: number, errorCode: string, errorSummary: string): void {
  sendJson(res, status, { errorCode, errorSummary, errorLink: errorCode, errorId: 'oae0123456789', errorCauses: [] })
}

interface Call {
  readonly method: string
  readonly path: string
  readonly searchParams: URLSearchParams
  readonly body: JsonObject
}

async function answerStream(
  transmitter: Transmitter,
  settings: TransmitterSettings,
  { method, path, searchParams, body }: Call,
  res: ServerResponse,
): Promise<void> {
  const { stream, change, audience, issuer } = transmitter
  const shown = (config: JsonObject): JsonObject => change.stream?.(config) ?? config
  const create = (streamId: string): JsonObject => ({
    stream_id: streamId,
    iss: issuer,
    aud: audience,
    events_supported: [SESSION_REVOKED, CREDENTIAL_CHANGE],
    events_delivered: [SESSION_REVOKED, CREDENTIAL_CHANGE].filter((type) =>
      [body['events_requested']].flat().includes(type),
    ),
    format: 'iss_sub',
    min_verification_interval: 60,
    ...body,
  })
  if (path === '' && method === 'POST') {
    if (stream !== undefined) return refuse(res, 409, 'E0000241', 'A stream already exists for this client')
    transmitter.stream = create(`esc${randomBytes(8).toString('hex')}`)
    return sendJson(res, 201, shown(transmitter.stream))
  }
  if (path === '' && method === 'GET' && stream === undefined) return sendJson(res, 200, [])
  const id = searchParams.get('stream_id') ?? body['stream_id'] ?? stream?.['stream_id']
  if (stream === undefined || id !== stream['stream_id']) return refuse(res, 404, 'E0000007', 'Not found: stream')
  if (path === '' && method === 'GET') return sendJson(res, 200, [shown(stream)])
  if (path === '' && method === 'PUT') {
    transmitter.stream = create(String(id))
    return sendJson(res, 200, shown(transmitter.stream))
  }
  if (path === '' && method === 'DELETE') {
    transmitter.stream = undefined
    res.writeHead(204).end()
    return
  }
  if (path === '/status' && method === 'GET') return sendJson(res, 200, { stream_id: id, status: transmitter.status })
  if (path === '/status' && method === 'POST' && settings.statusEndpoint === 'announced') {
    transmitter.status = String(body['status'])
    return sendJson(res, 200, { stream_id: id, status: transmitter.status })
  }
  if (path === '/verification' && method === 'POST') {
    res.writeHead(204).end()
    transmitter.verified.push(await deliverVerification(transmitter, stream, body))
    return
  }
  refuse(res, 405, 'E0000022', 'The endpoint does not support the provided HTTP method')
}

async function deliverVerification(transmitter: Transmitter, stream: JsonObject, body: JsonObject): Promise<Answer> {
  const { endpoint_url: url, authorization_header: authorization } = Object(stream['delivery'])
  const { state, stream_id: id } = body
  const claims = transmitter.claims({
    sub_id: { format: 'opaque', id },
    events: { [VERIFICATION]: state === undefined ? {} : { state } },
  })
  return await push(url, transmitter.sign(claims), authorization === undefined ? {} : { authorization })
}

/** Posts a SET as a transmitter does (RFC 8935 2.1). */
export function push(url: string, set: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  const usual = { 'content-type': 'application/secevent+jwt', accept: 'application/json' }
  return exchange({ method: 'POST', url: new URL(url), headers: { ...usual, ...headers }, body: set })
}
