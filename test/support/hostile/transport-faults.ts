import type { ServerResponse } from 'node:http'
import { mock } from 'node:test'
import { gzipSync } from 'node:zlib'
import { sendText } from '../servers/http-server.ts'
import type { RawHandler } from '../strict-provider/context.ts'
import { EVIL_HTML, type Row } from './hostile.ts'

const JSON_TYPE = 'application/json'
/** Longer than any request to a provider may take here. */
const MILLISECONDS = 30_000

const body =
  (type: string, text: string, status = 200): RawHandler =>
  (_req, res) =>
    sendText(res, status, type, text)

const answer =
  (status: number, headers: Readonly<Record<string, string>> = {}, text = ''): RawHandler =>
  (_req, res) => {
    res.writeHead(status, { 'Content-Type': JSON_TYPE, ...headers }).end(text)
  }

/** Redirects to a place where there is nothing: the strict provider would complain. */
const redirect =
  (status: number): RawHandler =>
  (_req, res) => {
    res.writeHead(status, { Location: '/evil' }).end()
  }

/** Sends the beginning, and then nothing but white space; the client's time runs out meanwhile. */
const drip: RawHandler = (_req, res) => {
  res.writeHead(200, { 'Content-Type': JSON_TYPE })
  let count = 0
  const timer = setInterval(() => {
    res.write(' ')
    count += 1
    if (count === 4) mock.timers.tick(MILLISECONDS)
  }, 1)
  res.on('close', () => clearInterval(timer))
}

/**
 * Lets time pass until the client has given up: another request may have used up the first step. The next step comes a
 * second later, because the client needs a moment to close, and its next request must not meet it.
 */
const hang: RawHandler = (_req, res) => {
  let count = 0
  const timer = setInterval(() => {
    if (count % 100 === 0) mock.timers.tick(MILLISECONDS)
    count += 1
  }, 10)
  res.on('close', () => clearInterval(timer))
}

const large =
  (headers: Readonly<Record<string, string>>): RawHandler =>
  (_req, res) => {
    res.on('error', () => undefined)
    res.writeHead(200, { 'Content-Type': JSON_TYPE, ...headers })
    res.end(`{"x":"${'x'.repeat(4_194_304)}"}`)
  }

const compressed: RawHandler = (_req, res) => {
  res.writeHead(200, { 'Content-Type': JSON_TYPE, 'Content-Encoding': 'gzip' }).end(gzipSync('{}'))
}

const raw =
  (text: string): RawHandler =>
  (_req, res) => {
    socketOf(res).end(text)
  }

function socketOf(res: ServerResponse): NodeJS.WritableStream {
  if (res.socket === null) throw new Error('the connection is gone')
  return res.socket
}

const halfway: RawHandler = (_req, res) => {
  res.writeHead(200, { 'Content-Type': JSON_TYPE, 'Content-Length': '1000' })
  res.write('{', () => res.destroy())
}

/** Redirects that no request of ours follows. */
export const REDIRECTS: readonly Row<RawHandler>[] = [301, 302, 303, 307, 308].map((status) => [
  `a redirect with ${status}`,
  redirect(status),
  'ERR_OIDC_PROVIDER_REDIRECT',
])

/**
 * What may go wrong with any request to a provider, whatever it is for. They need `mock.timers` with `setTimeout`: the
 * time that a request may take is up when they say so.
 */
export const CONNECTION_FAULTS: readonly Row<RawHandler>[] = [
  ...REDIRECTS,
  ['4 MiB', large({}), 'ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE'],
  ['4 MiB by announcement', large({ 'Content-Length': '4194312' }), 'ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE'],
  ['headers of 64 KiB', answer(200, { 'X-Evil': 'x'.repeat(65_536) }), 'ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE'],
  ['an answer byte by byte', drip, 'ERR_OIDC_PROVIDER_TIMEOUT'],
  ['no answer', hang, 'ERR_OIDC_PROVIDER_TIMEOUT'],
  ['a compressed answer', compressed, 'ERR_OIDC_PROVIDER_RESPONSE_INVALID'],
  ['a connection that breaks', (_req, res) => void res.destroy(), 'ERR_OIDC_PROVIDER_UNREACHABLE'],
  ['a connection that breaks halfway', halfway, 'ERR_OIDC_PROVIDER_UNREACHABLE'],
  ['an answer that is not HTTP', raw(EVIL_HTML), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID'],
  ['429', answer(429), 'ERR_OIDC_PROVIDER_BUSY'],
  ['429 with a time', answer(429, { 'Retry-After': '7' }, EVIL_HTML), 'ERR_OIDC_PROVIDER_BUSY'],
  [
    '429 in the manner of Okta',
    answer(429, { 'X-Rate-Limit-Reset': '4102444800' }, '{"errorCode":"E0000047"}'),
    'ERR_OIDC_PROVIDER_BUSY',
  ],
  ['503 with a time', answer(503, { 'Retry-After': '7' }), 'ERR_OIDC_PROVIDER_BUSY'],
  ['503 without a time', answer(503), 'ERR_OIDC_PROVIDER_STATUS'],
  ['500', body('text/html', EVIL_HTML, 500), 'ERR_OIDC_PROVIDER_STATUS'],
  ['502', body('text/html', EVIL_HTML, 502), 'ERR_OIDC_PROVIDER_STATUS'],
]

/** What may go wrong with a document: metadata and keys. */
export const DOCUMENT_FAULTS: readonly Row<RawHandler>[] = [
  ...CONNECTION_FAULTS,
  [
    '404 in the manner of Okta',
    answer(404, {}, JSON.stringify({ errorCode: 'E0000007', errorSummary: EVIL_HTML, errorCauses: [] })),
    'ERR_OIDC_PROVIDER_STATUS',
  ],
  ['401', answer(401, { 'WWW-Authenticate': `Bearer error="${EVIL_HTML}"` }), 'ERR_OIDC_PROVIDER_STATUS'],
  ['403', body('text/html', EVIL_HTML, 403), 'ERR_OIDC_PROVIDER_STATUS'],
  ['201', answer(201, {}, '{}'), 'ERR_OIDC_PROVIDER_STATUS'],
  ['204', answer(204), 'ERR_OIDC_PROVIDER_STATUS'],
  ['304', answer(304), 'ERR_OIDC_PROVIDER_STATUS'],
  ['HTML', body('text/html', EVIL_HTML), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID'],
  ['HTML as JSON', body(JSON_TYPE, EVIL_HTML), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID'],
  ['JSON as HTML', body('text/html', '{}'), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID'],
  ['JSON as text', body('text/plain', '{}'), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID'],
  ['JSON as something like JSON', body('application/jsonp', '{}'), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID'],
  ['a JWT', body('application/jwt', 'e30.e30.'), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID'],
  ['nothing', body(JSON_TYPE, ''), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID'],
  ['a list', body(JSON_TYPE, '[{}]'), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID'],
  ['null', body(JSON_TYPE, 'null'), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID'],
  ['text', body(JSON_TYPE, JSON.stringify(EVIL_HTML)), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID'],
  ['half a document', body(JSON_TYPE, '{"issuer":'), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID'],
  ['two documents', body(JSON_TYPE, '{}{}'), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID'],
  [
    'a document nested 40 deep',
    body(JSON_TYPE, `{"x":${'['.repeat(40)}${']'.repeat(40)}}`),
    'ERR_OIDC_PROVIDER_RESPONSE_INVALID',
  ],
  [
    'a document nested 100000 deep',
    body(JSON_TYPE, `{"x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`),
    'ERR_OIDC_PROVIDER_RESPONSE_INVALID',
  ],
]
