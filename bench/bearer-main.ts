// `npm run bench:bearer`: what a guard of an API costs, beside other libraries. CPU time of the process, one and sixteen
// requests at a time, in turns, so that noise meets all of them.
import { createHash, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'
import { createServer } from 'node:http'
import { cpus } from 'node:os'
import { listen, sendJson } from '../test/support/servers/http-server.ts'
import { moduleOf } from './peer-module.ts'

interface ApiRequest {
  readonly headers: Readonly<Record<string, string>>
  readonly [member: string]: unknown
}

type Guard = (req: ApiRequest) => Promise<unknown>
type Middleware = (req: never, res: never, next: (error?: unknown) => void) => void

// As an API runs. In development, errors and advice go to the console.
process.env['NODE_ENV'] = 'production'

const AUDIENCE = 'https://api.example.com'
const URL_OF_REQUEST = `${AUDIENCE}/orders`
const [rounds, block] = [Number(process.argv[2] ?? 40), Number(process.argv[3] ?? 300)]
/** Rounds that do not count: an API that has just started runs code that V8 has not compiled yet. */
const WARM_UP = 6

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const proofKey = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const jwks = { keys: [{ ...rsa.publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'RS256', use: 'sig' }] }
const { crv, kty, x, y } = proofKey.publicKey.export({ format: 'jwk' })
const jkt = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url')

const server = createServer((req, res) => {
  if (req.url === '/introspect')
    sendJson(res, 200, { active: true, sub: 'u', aud: AUDIENCE, client_id: 'c', scope: 'a' })
  else sendJson(res, 200, req.url === '/jwks' ? jwks : metadata)
})
const { port, stop } = await listen(server)
const issuer = `http://127.0.0.1:${port}`
const metadata = { issuer, jwks_uri: `${issuer}/jwks`, introspection_endpoint: `${issuer}/introspect` }

const segment = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

function jws(header: object, claims: object, key: KeyObject): string {
  const content = `${segment(header)}.${segment(claims)}`
  const signature = sign('sha256', Buffer.from(content), { key, dsaEncoding: 'ieee-p1363' })
  return Buffer.from(`${content}.${signature.toString('base64url')}`).toString()
}

function newToken(cnf?: object): string {
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    iss: issuer,
    aud: AUDIENCE,
    sub: 'user-1',
    client_id: 'c',
    iat: now,
    exp: now + 3600,
    jti: crypto.randomUUID(),
  }
  return jws({ alg: 'RS256', kid: 'k', typ: 'at+jwt' }, { ...claims, scope: 'orders:read', cnf }, rsa.privateKey)
}

function requestOf(authorization: string, more: Record<string, string> = {}): ApiRequest {
  // In one piece, as Node reads it from the network. V8 joins the two parts of a sum at the first use, at the cost of that guard.
  const received = Buffer.from(authorization).toString('latin1')
  const headers = { host: 'api.example.com', authorization: received, ...more }
  // Without a spread, after which V8 gives every request a hidden class of its own: to set `req.oidc` there takes 2 µs more.
  return {
    method: 'GET',
    url: '/orders',
    originalUrl: '/orders',
    protocol: 'https',
    query: {},
    socket: {},
    headers,
    rawHeaders: Object.entries(headers).flat(),
    is: () => false,
    get: (name: string) => new Map(Object.entries(headers)).get(name.toLowerCase()),
  }
}

function newDpopRequest(token: string): ApiRequest {
  const ath = createHash('sha256').update(token).digest('base64url')
  const iat = Math.floor(Date.now() / 1000)
  const claims = { htm: 'GET', htu: URL_OF_REQUEST, iat, jti: crypto.randomUUID(), ath }
  const dpop = jws({ typ: 'dpop+jwt', alg: 'ES256', jwk: { crv, kty, x, y } }, claims, proofKey.privateKey)
  return requestOf(`DPoP ${token}`, { dpop })
}

const { bearer } = (await moduleOf('../dist/bearer.js')) as { bearer: (options: object) => Middleware }
const { createPeers, guardOf } = (await moduleOf('./peers/bearer-guards.js')) as {
  createPeers: (settings: object) => Readonly<Record<string, Guard>>
  guardOf: (middleware: Middleware) => Guard
}
const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' })
const { dpop: peerDpop, ...peers } = createPeers({ issuer, audience: AUDIENCE, jwks, pem })
const own = (options: object = {}): Guard =>
  guardOf(bearer({ issuer, audience: AUDIENCE, dangerouslyAllowInsecureRequests: true, ...options }))
const remembering = own()
const introspection = { clientId: 'api', clientSecret: 'a-secret-of-the-api' }

/** What verifying the signature alone costs, with a key that is imported already. */
async function floor({ headers: { authorization = '' } }: ApiRequest): Promise<void> {
  const token = authorization.slice('Bearer '.length)
  const end = token.lastIndexOf('.')
  const isRight = verify(
    'sha256',
    Buffer.from(token.slice(0, end)),
    rsa.publicKey,
    Buffer.from(token.slice(end + 1), 'base64url'),
  )
  if (!isRight) throw new Error('the signature is wrong')
}

const fresh = (): readonly ApiRequest[] => Array.from({ length: block }, () => requestOf(`Bearer ${newToken()}`))
const repeated = (): readonly ApiRequest[] => Array.from({ length: block * 10 }, () => requestOf(`Bearer ${theToken}`))
const proofs = (): readonly ApiRequest[] => Array.from({ length: block }, () => newDpopRequest(boundToken))
const theToken = newToken()
const boundToken = newToken({ jkt })

/** What is measured: the requests of one block, and those who get the same ones. */
const TASKS: Readonly<
  Record<string, { readonly requests: () => readonly ApiRequest[]; readonly guards: Readonly<Record<string, Guard>> }>
> = {
  // Without its memory, every token is new to it.
  'new token': {
    requests: fresh,
    guards: { 'express-oidc': own({ tokenCacheSize: 0 }), ...peers, 'node:crypto': floor },
  },
  'repeated token': {
    requests: repeated,
    guards: { 'express-oidc': remembering, 'aws-jwt-verify': peers['aws-jwt-verify'] ?? floor },
  },
  'DPoP, repeated token': {
    requests: proofs,
    guards: { 'express-oidc': own({ baseUrl: AUDIENCE }), 'express-oauth2-jwt-bearer': peerDpop ?? floor },
  },
  'introspection, from memory': {
    requests: () => Array.from({ length: block * 10 }, () => requestOf('Bearer an-opaque-token')),
    guards: { 'express-oidc': own({ introspection }) },
  },
}

async function costOf(guard: Guard, requests: readonly ApiRequest[], lanes: number): Promise<number> {
  const queue = requests.values()
  const started = process.cpuUsage()
  const lane = async (): Promise<void> => {
    for (const req of queue) await guard(req)
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  const { user, system } = process.cpuUsage(started)
  return (user + system) / requests.length
}

/** Each is first in turn, for the first to read new requests waits for the memory. The direction changes after that. */
function inTurn(names: readonly string[], round: number): readonly string[] {
  const start = round % names.length
  const turned = [...names.slice(start), ...names.slice(0, start)]
  return Math.floor(round / names.length) % 2 === 0 ? turned : turned.reverse()
}

function show(values: readonly number[]): string {
  const sorted = [...values].sort((one, other) => one - other)
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return `${median.toFixed(0)} (${mean.toFixed(0)})`
}

console.log(
  `Node ${process.version}, ${cpus()[0]?.model}, ${rounds} rounds of ${block}: microseconds of CPU, median (mean)\n`,
)
console.log('| | guard | 1 at a time | 16 at a time |\n| --- | --- | --- | --- |')
for (const [task, { requests, guards }] of Object.entries(TASKS)) {
  const found = new Map<string, number[][]>(Object.keys(guards).map((name) => [name, [[], []]]))
  for (let round = -WARM_UP; round < rounds; round += 1) {
    const names = inTurn(Object.keys(guards), round + WARM_UP)
    for (const [index, lanes] of [1, 16].entries()) {
      // A proof is accepted once, so each guard gets its own.
      const shared = task.startsWith('DPoP') ? undefined : requests()
      for (const name of names) {
        const cost = await costOf(guards[name] ?? floor, shared ?? requests(), lanes)
        if (round >= 0) found.get(name)?.[index]?.push(cost)
      }
    }
  }
  for (const [name, [one = [], many = []]] of found) console.log(`| ${task} | ${name} | ${show(one)} | ${show(many)} |`)
}
await stop()
