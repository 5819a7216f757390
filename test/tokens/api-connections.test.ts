import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Agent, createServer } from 'node:https'
import { after, before, beforeEach, describe, it } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { parseOptions } from '../../lib/options/parse-options.ts'
import { createApiFetch } from '../../lib/provider/api-fetch.ts'
import { createConnections } from '../../lib/provider/connections.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { createStage } from '../support/app/stage.ts'
import { listen, readBody } from '../support/servers/http-server.ts'
import { createCertificate, LOOPBACK_CERTIFICATE } from '../support/servers/tls-certificate.ts'

const authority = createCertificate('the authority')
const { cert, key } = createCertificate('client:one', authority)
const fingerprint = new X509Certificate(cert).fingerprint256
const tlsClientCertificate = { cert, key, ca: LOOPBACK_CERTIFICATE.cert }

/** What an API has seen of a request. */
interface Seen {
  readonly line: string
  readonly certificate: string | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

type Answer = (req: IncomingMessage, res: ServerResponse) => void

/** An API over TLS. A strict one serves nobody who shows no certificate. */
async function startApi(demand: 'strict' | 'lenient') {
  const seen: Seen[] = []
  const options = {
    ...LOOPBACK_CERTIFICATE,
    requestCert: true,
    rejectUnauthorized: demand === 'strict',
    ca: authority.cert,
  }
  const listening = await listen(
    createServer(options, async (req, res) => {
      const { raw } = (req.socket as TLSSocket).getPeerCertificate()
      const certificate = raw && new X509Certificate(raw).fingerprint256
      const { method, url, headers } = req
      seen.push({ line: `${method} ${url}`, certificate, headers, body: await readBody(req) })
      api.answer(req, res)
    }),
  )
  const usual: Answer = (_, res) => res.end('{"orders":[]}')
  const api = { origin: `https://localhost:${listening.port}`, seen, answer: usual, usual, stop: listening.stop }
  return api
}

type Api = Awaited<ReturnType<typeof startApi>>

const BASE = { issuer: 'https://id.example.com', clientId: 'client', baseUrl: 'https://app.example.com' }
const SECRET = 'a secret of at least 32 characters'

function apiFetch(options: object) {
  const [config] = parseOptions({ ...BASE, secret: SECRET, ...options }).clients
  assert.ok(config)
  const call = createApiFetch(config)
  return (url: string, init: RequestInit = {}) => call(new URL(url), init)
}

const stage = createStage({ app: { errorHandler: 'json' } })
let strict: Api
let other: Api

before(async () => {
  strict = await startApi('strict')
  other = await startApi('lenient')
})
after(() => Promise.all([strict.stop(), other.stop()]))
beforeEach(() => {
  for (const api of [strict, other]) {
    api.seen.length = 0
    api.answer = api.usual
  }
})

describe('req.oidc.fetch() with tlsClientCertificate', () => {
  it('N-49: shows the certificate that the token may be bound to (RFC 8705 3)', async () => {
    const call = answerJson(async ({ oidc }) => {
      const response = await oidc.fetch(`${strict.origin}/orders`)
      return { status: response.status, orders: await response.json() }
    })
    const { browser } = await stage.startLoggedIn({ tlsClientCertificate }, { routes: { '/orders': call } })
    assert.deepEqual((await browser.fetch('/orders')).json(), { status: 200, orders: { orders: [] } })
    const [seen] = strict.seen
    assert.equal(seen?.certificate, fingerprint)
    assert.match(String(seen?.headers.authorization), /^Bearer ./)
  })
})

describe('the function that calls APIs', () => {
  const call = apiFetch({ tlsClientCertificate })

  it('is the global fetch if the options do not say how to connect', async () => {
    await assert.rejects(apiFetch({})(`${other.origin}/`), TypeError)
    assert.equal(other.seen.length, 0)
  })

  for (const [name, options] of [
    ['the authorities of ca', { ca: [LOOPBACK_CERTIFICATE.cert] }],
    ['agent', { agent: new Agent({ ca: LOOPBACK_CERTIFICATE.cert }) }],
    [
      'the authorities of agent and the certificate',
      { agent: new Agent({ ca: LOOPBACK_CERTIFICATE.cert }), tlsClientCertificate: { cert, key } },
    ],
  ] as const) {
    it(`connects with ${name}`, async () => {
      assert.equal((await apiFetch(options)(`${other.origin}/`)).status, 200)
      assert.equal(other.seen[0]?.certificate, 'tlsClientCertificate' in options ? fingerprint : undefined)
    })
  }

  it('refuses a server whose certificate nobody signed that is trusted', async () => {
    await assert.rejects(apiFetch({ tlsClientCertificate: { cert, key } })(`${other.origin}/`), TypeError)
    await assert.rejects(apiFetch({ ca: authority.cert })(`${other.origin}/`), TypeError)
    assert.equal(other.seen.length, 0)
  })

  it('returns a standard response', async () => {
    strict.answer = (_, res) =>
      res
        .writeHead(
          418,
          'Short',
          [
            ['Set-Cookie', 'a=1'],
            ['Set-Cookie', 'b=2'],
            ['X-One', '1'],
          ].flat(),
        )
        .end('tea')
    const response = await call(`${strict.origin}/tea?x=1`)
    assert.ok(response instanceof Response)
    assert.deepEqual(
      [response.status, response.statusText, response.ok, response.url, response.redirected, response.type],
      [418, 'Short', false, `${strict.origin}/tea?x=1`, false, 'default'],
    )
    assert.deepEqual([response.headers.getSetCookie(), response.headers.get('x-one')], [['a=1', 'b=2'], '1'])
    assert.equal(await response.text(), 'tea')
  })

  it('streams the body in both directions', async () => {
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('one '))
        controller.enqueue(new TextEncoder().encode('two'))
        controller.close()
      },
    })
    strict.answer = (_, res) => {
      res.write('first')
      finish = () => res.end('last')
    }
    let finish = () => {}
    const init = { method: 'POST', body: stream, duplex: 'half' } as RequestInit
    const response = await call(`${strict.origin}/`, init)
    const reader = response.body?.getReader()
    assert.equal(Buffer.from((await reader?.read())?.value ?? []).toString(), 'first')
    finish()
    assert.equal(Buffer.from((await reader?.read())?.value ?? []).toString(), 'last')
    assert.equal((await reader?.read())?.done, true)
    const [seen] = strict.seen
    assert.deepEqual([seen?.body, seen?.headers['transfer-encoding']], ['one two', 'chunked'])
  })

  const form = new FormData()
  form.set('file', new Blob(['content'], { type: 'text/plain' }), 'a.txt')
  const BODIES: readonly (readonly [
    name: string,
    body: RequestInit['body'],
    type: RegExp | undefined,
    sent: RegExp,
  ])[] = [
    ['text', 'an order', /^text\/plain;charset=UTF-8$/, /^an order$/],
    ['bytes', Buffer.from('an order'), undefined, /^an order$/],
    ['a form', new URLSearchParams({ a: 'ä b' }), /^application\/x-www-form-urlencoded/, /^a=%C3%A4\+b$/],
    ['a multipart form', form, /^multipart\/form-data; boundary=/, /name="file"; filename="a.txt"[\s\S]*content/],
    ['a blob', new Blob(['an order'], { type: 'text/x-order' }), /^text\/x-order$/, /^an order$/],
  ]
  for (const [name, body, type, sent] of BODIES) {
    it(`sends ${name} with its length and type`, async () => {
      await call(`${strict.origin}/`, { method: 'DELETE', body: body ?? null })
      const [seen] = strict.seen
      assert.match(String(seen?.body), sent)
      assert.equal(seen?.headers['content-length'], String(Buffer.byteLength(seen?.body ?? '')))
      if (type !== undefined) assert.match(String(seen?.headers['content-type']), type)
    })
  }

  it('ignores the headers of a connection, so that one request stays one', async () => {
    const headers = { 'content-length': '3', 'transfer-encoding': 'chunked', connection: 'x-one', 'x-one': '1' }
    await call(`${strict.origin}/`, { method: 'POST', body: 'GET / HTTP/1.1', headers })
    const [seen] = strict.seen
    assert.deepEqual(
      [seen?.body, seen?.headers['content-length'], seen?.headers['x-one']],
      ['GET / HTTP/1.1', '14', '1'],
    )
    assert.equal(seen?.headers['transfer-encoding'], undefined)
  })

  for (const [coding, encode] of [
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['x-unknown', (text: Buffer) => text],
  ] as const) {
    it(`reads a body with the content coding ${coding}`, async () => {
      strict.answer = (_, res) => res.writeHead(200, { 'content-encoding': coding }).end(encode(Buffer.from('a text')))
      assert.equal(await (await call(`${strict.origin}/`)).text(), 'a text')
    })
  }

  it('errors the body if the coding is not what the header says', async () => {
    strict.answer = (_, res) => res.writeHead(200, { 'content-encoding': 'gzip' }).end('plain')
    await assert.rejects((await call(`${strict.origin}/`)).text(), TypeError)
  })

  it('has no body where the response cannot have one', async () => {
    strict.answer = (_, res) => res.writeHead(204).end()
    assert.equal((await call(`${strict.origin}/`)).body, null)
    strict.answer = strict.usual
    assert.equal((await call(`${strict.origin}/`, { method: 'HEAD' })).body, null)
  })

  it('rejects as the global fetch does', async () => {
    strict.answer = (req) => req.socket.destroy()
    await assert.rejects(call(`${strict.origin}/`), { name: 'TypeError', message: /got no response/ })
    await assert.rejects(call(`${strict.origin}/`, { body: 'x' }), TypeError, 'A GET has no body.')
    strict.answer = (req, res) => {
      res.writeHead(200, { 'content-length': '10' }).write('half')
      req.socket.destroySoon()
    }
    await assert.rejects((await call(`${strict.origin}/`)).text(), { name: 'TypeError', message: /not complete/ })
  })

  it('ends a request that is aborted, before and after the response', async () => {
    const reason = new Error('enough')
    await assert.rejects(call(`${strict.origin}/`, { signal: AbortSignal.abort(reason) }), reason)
    const before = new AbortController()
    strict.answer = () => before.abort(reason)
    await assert.rejects(call(`${strict.origin}/`, { signal: before.signal }), reason)
    const later = new AbortController()
    strict.answer = (_, res) => res.write('half')
    const response = await call(`${strict.origin}/`, { signal: later.signal })
    later.abort(reason)
    await assert.rejects(response.text(), reason)
  })

  it('frees the connection if the body is cancelled', async () => {
    const closed = new Promise((resolve) => {
      strict.answer = (req, res) => {
        req.socket.once('close', resolve)
        res.write('half')
      }
    })
    const response = await call(`${strict.origin}/`)
    await response.body?.cancel()
    await closed
  })

  it('ends a connection on which nothing comes', async () => {
    const send = createConnections({ ...{ tlsClientCertificate }, inactivityTimeout: 20 })
    strict.answer = () => undefined
    const limit = { isStopped: false, onStop: () => undefined }
    await assert.rejects(send(new URL(strict.origin), { method: 'GET', headers: {} }, limit), /did not go on in time/)
  })
})

describe('a redirect of an API', () => {
  const call = apiFetch({ tlsClientCertificate })
  const headers = { authorization: 'Bearer the-token' }
  const redirectTo = (status: number, location: string): Answer => {
    return (req, res) => (req.url === '/' ? res.writeHead(status, { location }).end() : res.end('there'))
  }

  it('is followed on the same origin', async () => {
    for (const [status, method, line] of [
      [301, 'POST', 'GET /next'],
      [303, 'PUT', 'GET /next'],
      [307, 'POST', 'POST /next'],
      [302, 'GET', 'GET /next'],
    ] as const) {
      strict.seen.length = 0
      strict.answer = redirectTo(status, 'next')
      const response = await call(`${strict.origin}/`, {
        method,
        headers,
        ...(method === 'GET' ? {} : { body: 'order' }),
      })
      assert.deepEqual(
        [await response.text(), response.url, response.redirected],
        ['there', `${strict.origin}/next`, true],
      )
      const next = strict.seen[1]
      assert.deepEqual([next?.line, next?.headers.authorization], [line, headers.authorization])
      assert.equal(next?.body, line.startsWith('POST') ? 'order' : '')
      assert.equal(next?.headers['content-type'] === undefined, line.startsWith('GET'))
    }
  })

  for (const [name, location] of [
    ['another port', () => other.origin],
    ['another scheme', () => strict.origin.replace('https', 'http')],
    ['no URL', () => 'https://'],
  ] as const) {
    it(`is returned, and not followed with token and certificate, to ${name}`, async () => {
      strict.answer = redirectTo(307, location())
      const response = await call(`${strict.origin}/`, { headers })
      assert.deepEqual(
        [response.status, response.headers.get('location'), response.redirected],
        [307, location(), false],
      )
      assert.deepEqual([strict.seen.length, other.seen.length], [1, 0])
    })
  }

  it('is returned if the request says so, or if its body cannot be sent again', async () => {
    strict.answer = redirectTo(307, '/next')
    assert.equal((await call(`${strict.origin}/`, { redirect: 'manual' })).status, 307)
    const init = { method: 'POST', body: new Blob(['once']).stream(), duplex: 'half' } as RequestInit
    assert.equal((await call(`${strict.origin}/`, init)).status, 307)
    await assert.rejects(call(`${strict.origin}/`, { redirect: 'error' }), TypeError)
  })

  it('is followed twenty times at most', async () => {
    strict.answer = (_, res) => res.writeHead(302, { location: '/' }).end()
    await assert.rejects(call(`${strict.origin}/`), TypeError)
    assert.equal(strict.seen.length, 21)
  })
})
