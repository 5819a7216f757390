import { createServer, type Socket } from 'node:net'
import { parseOptions } from '../../../lib/options/parse-options.ts'
import { createHttpClient } from '../../../lib/provider/http-client.ts'
import { createProviderFinder } from '../../../lib/provider/provider.ts'
import { postForm, requestResource } from '../../../lib/provider/requests.ts'

// Run with --unhandled-rejections=strict: breaks the connection at every byte position of a response, for GET and POST, on
// fresh and on reused connections, and prints what came of it. A promise without an owner ends the process.

const BODY = '{"keys":[]}'
const OK = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n'
const COMPLETE = `${OK}Content-Length: ${BODY.length}\r\n\r\n${BODY}`
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\n${BODY.slice(0, 5)}\r\n6\r\n${BODY.slice(5)}\r\n0\r\n\r\n`

/** The responses, by their form. */
const RESPONSES = {
  complete: COMPLETE,
  chunked: CHUNKED,
  'until the end of the connection': `${OK}Connection: close\r\n\r\n${BODY}`,
  'after early hints': `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${COMPLETE}`,
  'a refusal': COMPLETE.replace('200 OK', '400 Bad Request'),
  'a redirect': 'HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 2\r\n\r\n{}',
  'another protocol': 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n',
} as const

type Form = keyof typeof RESPONSES

const OTHER_FORMS = [
  'until the end of the connection',
  'after early hints',
  'a refusal',
  'a redirect',
  'another protocol',
] as const

/** How the connection ends: by RST, or in order, by FIN. */
type Break = 'reset' | 'close'

/** What one request gets: a complete response, none at all, or the first bytes of one and then the end of the connection. */
type Plan = 'complete' | 'silent' | { readonly text: string; readonly how: Break }

/** What the next requests of each path get. When the plan is used up, they get a complete response. */
const plans = new Map<string, Plan[]>()
const requests = new Map<string, number>()
/** Complete responses of other paths than `/keys`. */
const documents = new Map<string, string>()

function serve(socket: Socket): void {
  socket.on('error', () => undefined)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
    const end = text.indexOf('\r\n\r\n')
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)
    if (end < 0 || text.length < end + 4 + length) return
    const path = text.split(' ')[1] ?? ''
    text = ''
    requests.set(path, (requests.get(path) ?? 0) + 1)
    answer(socket, plans.get(path)?.shift() ?? 'complete', documents.get(path) ?? COMPLETE)
  })
}

function answer(socket: Socket, plan: Plan, complete: string): void {
  if (plan === 'silent') return
  if (plan === 'complete') {
    socket.write(complete)
    return
  }
  const end = (): void => void (plan.how === 'reset' ? socket.resetAndDestroy() : socket.end())
  if (plan.text === '') end()
  // Two turns of the event loop: libuv takes a reset that it sees together with data for an end in order.
  else socket.write(plan.text, () => setImmediate(() => setImmediate(end)))
}

const server = createServer(serve).listen(0, '127.0.0.1')
await new Promise((resolve) => server.once('listening', resolve))
const origin = `http://127.0.0.1:${Object(server.address()).port}`

/** One position of the sweep, and what came of it. */
export interface Outcome {
  /** What sends the request: Node's client, the global `fetch`, or a part of the library. */
  readonly sender: string
  readonly method: 'GET' | 'POST'
  readonly isReused: boolean
  readonly form: Form
  readonly how: Break
  /** How many bytes of the response were sent. */
  readonly bytes: number
  readonly isInHead: boolean
  readonly isWhole: boolean
  /** The status of the response, or the code of the error. */
  readonly code: string
  readonly requests: number
}

/** Sends one request whose response breaks off, and counts the requests for this path. */
async function attempt(path: string, plan: Plan, send: () => Promise<unknown>): Promise<[code: string, count: number]> {
  const isSilent = typeof plan === 'object' && plan.text === ''
  // A needless retry gets no response: when the first request gives up, nobody owns the second.
  plans.set(path, [plan, ...(isSilent ? [] : (['silent'] as const))])
  const before = requests.get(path) ?? 0
  const code = await send().then(
    (value) => String(Object(value).status ?? 200),
    (error: unknown) => String(Object(error).code),
  )
  // Whatever was started too late has its chance to fail here.
  await new Promise((resolve) => setImmediate(resolve))
  plans.delete(path)
  return [code, (requests.get(path) ?? 0) - before]
}

const outcomes: Outcome[] = []

/** The positions of a response: each so many bytes, and in any case the first and the last ones. */
function positions(text: string, step: number): readonly number[] {
  const head = text.indexOf('\r\n\r\n') + 4
  const edges = [0, 1, head - 1, head, head + 1, text.length - 1, text.length]
  const all = Array.from({ length: text.length + 1 }, (_, index) => index)
  return all.filter((index) => index % step === 0 || edges.includes(index))
}

/** The end of the last head: that of the response itself comes after the early hints. */
function isInHead(form: Form, bytes: number): boolean {
  return bytes < RESPONSES[form].indexOf('\r\n\r\n', form === 'after early hints' ? 60 : 0) + 4
}

async function sweepClient(sender: string, form: Form, how: Break, step: number): Promise<void> {
  const fetch = sender === 'fetch' ? globalThis.fetch : undefined
  const text = RESPONSES[form]
  for (const method of ['GET', 'POST'] as const) {
    for (const isReused of [false, true]) {
      for (const bytes of positions(text, step)) {
        const client = createHttpClient({ timeout: 5, fetch, dangerouslyAllowInsecureRequests: true })
        const body = method === 'POST' ? { body: 'grant_type=x' } : {}
        const send = () => client.request(`${origin}/keys`, { method, ...body })
        // The global fetch may still have the connection that was reset last.
        if (isReused) await send().catch(send)
        const [code, count] = await attempt('/keys', { text: text.slice(0, bytes), how }, send)
        const isWhole = bytes === text.length
        const position = { bytes, isInHead: isInHead(form, bytes), isWhole }
        outcomes.push({ sender, method, isReused, form, how, ...position, code, requests: count })
      }
    }
  }
}

const METADATA = {
  issuer: origin,
  authorization_endpoint: `${origin}/authorize`,
  token_endpoint: `${origin}/token`,
  userinfo_endpoint: `${origin}/userinfo`,
  jwks_uri: `${origin}/jwks`,
  response_types_supported: ['code'],
  subject_types_supported: ['public'],
  id_token_signing_alg_values_supported: ['ES256'],
}
/** The public key of RFC 7517 A.1. */
const JWK = {
  kty: 'EC',
  crv: 'P-256',
  x: 'MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4',
  y: '4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM',
}
const DISCOVERY = '/.well-known/openid-configuration'

/** A complete response with this document. */
function respond(document: object): string {
  const text = JSON.stringify(document)
  return `${OK}Content-Length: ${text.length}\r\n\r\n${text}`
}

type Find = ReturnType<typeof createProviderFinder>

/** The requests that the library itself sends, each with its path. */
const REQUESTS: Readonly<
  Record<string, readonly [path: string, 'GET' | 'POST', send: (find: Find) => Promise<unknown>]>
> = {
  metadata: [DISCOVERY, 'GET', (find) => find()],
  keys: ['/jwks', 'GET', async (find) => (await find()).keys.keysFor({ alg: 'ES256' })],
  UserInfo: [
    '/userinfo',
    'GET',
    async (find) => requestResource(await find(), `${origin}/userinfo`, { accessToken: 'x', tokenType: 'Bearer' }),
  ],
  token: ['/token', 'POST', async (find) => postForm(await find(), 'token_endpoint', { grant_type: 'x' })],
}

/** Through all that stands between a login and the connection: caches, renewals in the background, client authentication. */
async function sweepProvider(step: number): Promise<void> {
  documents.set(DISCOVERY, respond(METADATA))
  documents.set('/jwks', respond({ keys: [JWK] }))
  const [config] = parseOptions({
    issuer: origin,
    clientId: 'client',
    clientSecret: 'a secret of a client of 32 characters',
    baseUrl: 'http://127.0.0.1',
    idTokenSignedResponseAlg: 'ES256',
    dangerouslyAllowInsecureRequests: true,
  }).clients
  if (config === undefined) throw new Error('There is no client.')
  for (const [sender, [path, method, send]] of Object.entries(REQUESTS)) {
    const text = documents.get(path) ?? COMPLETE
    // The metadata is requested first. It leaves the connection behind that the next request uses, or closes it.
    for (const isReused of path === DISCOVERY ? [false] : [false, true]) {
      for (const bytes of positions(text, step)) {
        const find = createProviderFinder(config)
        const metadata = respond(METADATA)
        documents.set(DISCOVERY, isReused ? metadata : metadata.replace(OK, `${OK}Connection: close\r\n`))
        if (path !== DISCOVERY) await find()
        const [code, count] = await attempt(path, { text: text.slice(0, bytes), how: 'reset' }, () => send(find))
        const isWhole = bytes === text.length
        const position = { bytes, isInHead: bytes < text.indexOf('\r\n\r\n') + 4, isWhole }
        outcomes.push({ sender, method, isReused, form: 'complete', how: 'reset', ...position, code, requests: count })
      }
    }
  }
}

await sweepClient('client', 'complete', 'reset', 1)
await sweepClient('client', 'chunked', 'reset', 1)
for (const form of OTHER_FORMS) await sweepClient('client', form, 'reset', 31)
for (const form of ['complete', 'chunked'] as const) {
  await sweepClient('client', form, 'close', 47)
  await sweepClient('fetch', form, 'reset', 47)
}
await sweepProvider(97)
server.close()
process.stdout.write(JSON.stringify(outcomes), () => process.exit(0))
