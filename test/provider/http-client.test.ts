import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import diagnostics from 'node:diagnostics_channel'
import { once } from 'node:events'
import http, { type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { after, describe, it, mock } from 'node:test'
import { inspect, promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { ProviderError } from '../../lib/errors.ts'
import type { Config } from '../../lib/options/config.ts'
import { errorFromStatus } from '../../lib/provider/error-response.ts'
import { createHttpClient } from '../../lib/provider/http-client.ts'
import { moduleUrl, NODE_ARGS } from '../support/app/project.ts'

const servers: net.Server[] = []
const sockets: net.Socket[] = []

after(() => {
  for (const server of servers) server.close()
  for (const socket of sockets) socket.destroy()
})

async function listen(server: net.Server): Promise<string> {
  servers.push(server)
  server.on('connection', (socket) => sockets.push(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function startServer(listener: RequestListener): Promise<string> {
  return await listen(http.createServer(listener))
}

/** A server that says what it likes, HTTP or not. */
async function startRawServer(answer: (socket: net.Socket) => void): Promise<string> {
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => answer(socket))
  })
  return await listen(server)
}

function startClient(changes: Partial<Pick<Config, 'timeout' | 'fetch' | 'dangerouslyAllowInsecureRequests'>> = {}) {
  return createHttpClient({ timeout: 5, fetch: undefined, dangerouslyAllowInsecureRequests: true, ...changes })
}

function json(res: ServerResponse, value: unknown, headers: Record<string, string> = {}): void {
  res.writeHead(200, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(value))
}

async function refuses(promise: Promise<unknown>, code: string): Promise<ProviderError> {
  const error = await promise.then(
    () => assert.fail('nothing was refused'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof ProviderError, inspect(error))
  assert.equal(error.code, code, inspect(error))
  assert.ok(!error.message.includes('secret'), error.message)
  return error
}

/** Milliseconds that the work took. */
async function timed(work: Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await work
  return performance.now() - startedAt
}

/** A promise with its end in one's own hands. */
function createSignal() {
  let resolve: () => void = () => undefined
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve: () => resolve() }
}

const transports: readonly [string, Partial<Config>][] = [
  ['over its own connections', {}],
  ['over a fetch function', { fetch: (url, init) => fetch(url, init) }],
]

for (const [name, config] of transports) {
  describe(`the HTTP client ${name}`, () => {
    const client = startClient(config)

    it('fetches a JSON object with its headers', async () => {
      let received: IncomingMessage['headers'] = {}
      const origin = await startServer((req, res) => {
        received = req.headers
        json(res, { a: [1, { b: 2 }] }, { 'Cache-Control': 'max-age=5' })
      })
      const { json: document, headers } = await client.getJson(`${origin}/document?secret=1`)
      assert.deepEqual(document, { a: [1, { b: 2 }] })
      assert.ok(Object.isFrozen(document))
      assert.equal(headers.get('cache-control'), 'max-age=5')
      assert.equal(received['accept'], 'application/json')
      assert.equal(received['accept-encoding'], 'identity')
      assert.equal(received['user-agent'], 'express-oidc')
    })

    it('posts a body', async () => {
      const received: unknown[] = []
      const origin = await startServer(async (req, res) => {
        let body = ''
        for await (const chunk of req) body += chunk
        received.push(req.method, req.url, req.headers['content-type'], req.headers['content-length'], body)
        res.writeHead(400, { 'Content-Type': 'text/plain' }).end('no')
      })
      const headers = { 'Content-Type': 'application/x-www-form-urlencoded', 'USER-AGENT': 'other' }
      const { status, body } = await client.request(`${origin}/token?a=b`, { method: 'POST', headers, body: 'c=d' })
      assert.deepEqual(received, ['POST', '/token?a=b', headers['Content-Type'], '3', 'c=d'])
      assert.equal(status, 400)
      assert.equal(Buffer.from(body).toString(), 'no')
    })

    const types: readonly [string | undefined, boolean][] = [
      ['application/json', true],
      ['application/json; charset=utf-8', true],
      ['application/json ;charset=utf-8', true],
      ['Application/JSON', true],
      ['application/jwk-set+json', true],
      ['application/jwk-set+json;charset=UTF-8', true],
      ['text/html', false],
      ['text/json', false],
      ['application/jsonp', false],
      ['application/json-seq', false],
      ['application/jwt', false],
      ['text/plain; application/json', false],
      ['application/json, text/html', false],
      ['', false],
      [undefined, false],
    ]
    for (const [type, isJson] of types) {
      it(`${isJson ? 'accepts' : 'refuses'} the content type ${type}`, async () => {
        const origin = await startServer((_, res) => {
          res.writeHead(200, type === undefined ? {} : { 'Content-Type': type }).end('{"a":1}')
        })
        if (isJson) assert.deepEqual((await client.getJson(origin)).json, { a: 1 })
        else await refuses(client.getJson(origin), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID')
      })
    }

    const bodies: readonly [string, string | Buffer][] = [
      ['nothing', ''],
      ['HTML', '<html>secret</html>'],
      ['a list', '[{"keys":[]}]'],
      ['null', 'null'],
      ['a string', '"secret"'],
      ['a number', '1'],
      ['half an object', '{"secret":'],
      ['two objects', '{}{}'],
      ['something that is not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
      ['an object of great depth', `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
    ]
    for (const [what, body] of bodies) {
      it(`refuses a JSON response that is ${what}`, async () => {
        const origin = await startServer((_, res) => {
          res.writeHead(200, { 'Content-Type': 'application/json' }).end(body)
        })
        await refuses(client.getJson(origin), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID')
      })
    }

    for (const status of [201, 204, 304, 400, 401, 403, 404, 500, 503]) {
      it(`refuses a document with status ${status}`, async () => {
        const origin = await startServer((_, res) => {
          res.writeHead(status, { 'Content-Type': 'application/json' }).end(status === 304 ? undefined : '{"secret":1}')
        })
        const { message } = await refuses(client.getJson(`${origin}/keys?secret`), 'ERR_OIDC_PROVIDER_STATUS')
        assert.equal(message, `${origin}/keys answered ${status}.`)
      })
    }

    it('says when to retry at a busy provider', async () => {
      const origin = await startServer((_, res) => res.writeHead(429, { 'Retry-After': '17' }).end())
      const error = await refuses(client.getJson(origin), 'ERR_OIDC_PROVIDER_BUSY')
      assert.equal(error.retryAfter, 17)
      assert.equal(error.headers['Retry-After'], '17')
    })

    for (const status of [300, 301, 302, 303, 307, 308, 399]) {
      it(`does not follow a redirect with status ${status}`, async () => {
        let requests = 0
        const origin = await startServer((req, res) => {
          requests += 1
          if (req.url === '/there') json(res, {})
          else res.writeHead(status, { Location: '/there' }).end()
        })
        await refuses(client.getJson(origin), 'ERR_OIDC_PROVIDER_REDIRECT')
        await refuses(client.request(origin, { method: 'POST', body: 'secret' }), 'ERR_OIDC_PROVIDER_REDIRECT')
        assert.equal(requests, 2)
      })
    }

    it('refuses a compressed response', async () => {
      const origin = await startServer((_, res) => {
        res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' }).end(gzipSync('{}'))
      })
      await refuses(client.getJson(origin), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID')
    })

    it('accepts a response of 1 MiB', async () => {
      const origin = await startServer((_, res) => json(res, { a: 'x'.repeat(1_048_576 - 8) }))
      assert.equal(String((await client.getJson(origin)).json['a']).length, 1_048_568)
    })

    it('refuses a response that is one byte larger and does not say its size', async () => {
      const origin = await startServer((_, res) => {
        res.writeHead(200, { 'Content-Type': 'application/json' })
        res.write('{"a":"')
        res.end(`${'x'.repeat(1_048_576 - 7)}"}`)
      })
      await refuses(client.getJson(origin), 'ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE')
    })

    for (const announced of [true, false]) {
      it(`refuses 4 MiB ${announced ? 'by their content-length' : 'while they arrive'}, and closes the connection`, async () => {
        const closed = createSignal()
        const origin = await startServer((_, res) => {
          res.on('close', closed.resolve)
          res.writeHead(200, {
            'Content-Type': 'application/json',
            ...(announced ? { 'Content-Length': '4194304' } : {}),
          })
          // It never ends: only a client that gives up before the end gets on.
          res.write(Buffer.alloc(announced ? 1 : 4_194_303, '['))
        })
        const took = await timed(refuses(client.getJson(origin), 'ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE'))
        assert.ok(took < 3000, `${took} ms`)
        await closed.promise
      })
    }

    const slow: readonly [string, RequestListener][] = [
      ['never answers', () => undefined],
      ['sends its headers and no more', (_, res) => res.writeHead(200).flushHeaders()],
      [
        'sends a byte now and then',
        (_, res) => {
          res.writeHead(200, { 'Content-Type': 'application/json' })
          const timer = setInterval(() => res.write(' '), 100)
          res.on('close', () => clearInterval(timer))
        },
      ],
    ]
    for (const [what, listener] of slow) {
      it(`stops waiting for a provider that ${what}, and closes the connection`, async () => {
        const closed = createSignal()
        const origin = await startServer((req, res) => {
          res.on('close', closed.resolve)
          listener(req, res)
        })
        const hasty = startClient({ ...config, timeout: 0.3 })
        const took = await timed(refuses(hasty.getJson(`${origin}/?secret`), 'ERR_OIDC_PROVIDER_TIMEOUT'))
        assert.ok(took > 250 && took < 3000, `${took} ms`)
        await closed.promise
      })
    }

    it('stops waiting for headers that come byte by byte', async () => {
      const origin = await startRawServer((socket) => {
        socket.write('HTTP/1.1 200 OK\r\nX-Slow: ')
        const timer = setInterval(() => socket.write('x'), 100)
        socket.on('close', () => clearInterval(timer))
      })
      const hasty = startClient({ ...config, timeout: 0.3 })
      await refuses(hasty.getJson(origin), 'ERR_OIDC_PROVIDER_TIMEOUT')
    })

    it('reports that nothing listens at the port', async () => {
      const server = net.createServer()
      const origin = await listen(server)
      server.close()
      await once(server, 'close')
      const error = await refuses(client.getJson(`${origin}/?secret`), 'ERR_OIDC_PROVIDER_UNREACHABLE')
      assert.match(inspect(error.cause), /ECONNREFUSED/)
      assert.equal(error.status, 503)
    })

    it('reports that the connection broke before the response, after one request', async () => {
      let requests = 0
      const origin = await startServer((req) => {
        requests += 1
        req.socket.destroy()
      })
      await refuses(client.getJson(origin), 'ERR_OIDC_PROVIDER_UNREACHABLE')
      assert.equal(requests, 1)
    })

    it('reports that the connection broke within the response', async () => {
      const origin = await startServer((_, res) => {
        res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '2' }).write('{')
        setImmediate(() => res.socket?.destroy())
      })
      await refuses(client.getJson(origin), 'ERR_OIDC_PROVIDER_UNREACHABLE')
    })

    it('sends requests only over https, unless insecure requests are allowed', async () => {
      let requests = 0
      const origin = await startServer((_, res) => {
        requests += 1
        json(res, {})
      })
      const strict = startClient({ ...config, dangerouslyAllowInsecureRequests: false })
      const secured = origin.replace('http:', 'https:')
      await refuses(strict.getJson(origin), 'ERR_OIDC_METADATA_INVALID')
      await refuses(strict.request(origin, { method: 'POST', body: 'secret' }), 'ERR_OIDC_METADATA_INVALID')
      await refuses(strict.getJson(secured), 'ERR_OIDC_PROVIDER_UNREACHABLE')
      assert.equal(requests, 0)
    })

    for (const url of ['', '/keys', 'keys', 'ftp://op.example.com/keys', 'file:///etc/passwd', 'data:,{}']) {
      it(`sends no request to ${url || 'an empty URL'}`, async () => {
        await refuses(client.getJson(url), 'ERR_OIDC_METADATA_INVALID')
      })
    }

    it('sends no request to a URL with a user or a password', async () => {
      await refuses(client.getJson('http://secret@127.0.0.1/'), 'ERR_OIDC_METADATA_INVALID')
      await refuses(client.getJson('http://:secret@127.0.0.1/'), 'ERR_OIDC_METADATA_INVALID')
    })

    it('publishes each request with its outcome', async () => {
      const seen: unknown[] = []
      const watch = (message: unknown) => seen.push(message)
      diagnostics.subscribe('express-oidc:provider', watch)
      try {
        const origin = await startServer((req, res) => (req.url === '/move' ? res.writeHead(302).end() : json(res, {})))
        await client.getJson(`${origin}/keys?secret`)
        await refuses(client.getJson(`${origin}/move`), 'ERR_OIDC_PROVIDER_REDIRECT')
        const [first, second] = seen as Record<string, unknown>[]
        assert.deepEqual({ ...first, milliseconds: 0 }, event('GET', `${origin}/keys`, 200))
        assert.equal(typeof first?.['milliseconds'], 'number')
        assert.deepEqual({ ...second, milliseconds: 0 }, event('GET', `${origin}/move`, 'ERR_OIDC_PROVIDER_REDIRECT'))
      } finally {
        diagnostics.unsubscribe('express-oidc:provider', watch)
      }
    })
  })
}

function event(method: string, url: string, outcome: number | string) {
  return { method, url, outcome, milliseconds: 0 }
}

describe('the connections of the HTTP client', () => {
  it('are reused', async () => {
    let connections = 0
    const server = http.createServer((_, res) => json(res, {}))
    server.on('connection', () => {
      connections += 1
    })
    const origin = await listen(server)
    const client = startClient()
    for (let count = 0; count < 4; count += 1) await client.getJson(origin)
    await client.request(origin, { method: 'POST', body: 'a' })
    assert.equal(connections, 1)
  })

  /** Answers the first request on each connection, and hangs up at the second. */
  async function startForgetfulServer() {
    const requests: string[] = []
    const known = new WeakSet<object>()
    const origin = await startServer((req, res) => {
      requests.push(String(req.method))
      if (known.has(req.socket)) req.socket.resetAndDestroy()
      else json(res, {})
      known.add(req.socket)
    })
    return { origin, requests }
  }

  it('are replaced once for a GET if the server has closed them', async () => {
    const { origin, requests } = await startForgetfulServer()
    const client = startClient()
    await client.getJson(origin)
    await client.getJson(origin)
    assert.deepEqual(requests, ['GET', 'GET', 'GET'])
  })

  it('are not replaced for a POST', async () => {
    const { origin, requests } = await startForgetfulServer()
    const client = startClient()
    await client.getJson(origin)
    const post = client.request(origin, { method: 'POST', body: 'code=secret' })
    await refuses(post, 'ERR_OIDC_PROVIDER_UNREACHABLE')
    assert.deepEqual(requests, ['GET', 'POST'])
  })

  it('keep no process alive', async () => {
    const origin = await startServer((_, res) => json(res, {}, { 'Keep-Alive': 'timeout=600' }))
    const script = `
      import { createHttpClient } from '${moduleUrl('lib/provider/http-client.ts')}'
      const config = { timeout: 600, fetch: undefined, dangerouslyAllowInsecureRequests: true }
      await createHttpClient(config).getJson('${origin}')
      const doneAt = Date.now()
      process.on('exit', () => process.stdout.write(String(Date.now() - doneAt)))`
    const args = [...NODE_ARGS, '--input-type=module', '--eval', script]
    const { stdout } = await promisify(execFile)(process.execPath, args)
    assert.match(stdout, /^\d+$/)
    assert.ok(Number(stdout) < 2000, `${stdout} ms`)
  })

  it('report a response that is not HTTP, without its bytes', async () => {
    const origin = await startRawServer((socket) => socket.end('secret bytes\r\n\r\n'))
    const error = await refuses(startClient().getJson(origin), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID')
    assert.equal(Reflect.get(error.cause ?? {}, 'rawPacket'), undefined)
  })

  it('refuse endless headers', async () => {
    const origin = await startRawServer((socket) => {
      socket.end(`HTTP/1.1 200 OK\r\nX-Long: ${'x'.repeat(100_000)}\r\n\r\n`)
    })
    await refuses(startClient().getJson(origin), 'ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE')
  })

  for (const status of [600, 999]) {
    it(`refuse the status ${status}`, async () => {
      const origin = await startRawServer((socket) => socket.end(`HTTP/1.1 ${status} Odd\r\n\r\n`))
      await refuses(startClient().getJson(origin), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID')
    })
  }
})

describe('a fetch function', () => {
  const url = 'https://op.example.com/keys'
  const strict = { dangerouslyAllowInsecureRequests: false }

  function jsonResponse(body: ConstructorParameters<typeof Response>[0]): Response {
    return new Response(body, { headers: { 'Content-Type': 'application/json' } })
  }

  it('gets the URL and the request', async () => {
    const calls: [string, RequestInit][] = []
    const client = startClient({
      ...strict,
      fetch: async (...call) => {
        calls.push(call)
        return jsonResponse('{}')
      },
    })
    await client.getJson(url)
    await client.request(url, { method: 'POST', headers: { a: 'b' }, body: 'c' })
    const [[address, get] = [], [, post] = []] = calls
    assert.equal(address, url)
    assert.deepEqual([get?.method, get?.body, get?.redirect], ['GET', null, 'manual'])
    assert.ok(get?.signal instanceof AbortSignal)
    assert.deepEqual([post?.method, post?.body, new Headers(post?.headers).get('a')], ['POST', 'c', 'b'])
  })

  it('is not awaited for longer than the timeout, even if it ignores the signal', async () => {
    const client = startClient({ timeout: 0.1, fetch: () => new Promise(() => undefined) })
    await refuses(client.getJson(url), 'ERR_OIDC_PROVIDER_TIMEOUT')
  })

  it('has its endless body cancelled after the timeout', async () => {
    const cancelled = createSignal()
    const client = startClient({
      timeout: 0.1,
      fetch: async () => jsonResponse(new ReadableStream({ cancel: cancelled.resolve })),
    })
    await refuses(client.getJson(url), 'ERR_OIDC_PROVIDER_TIMEOUT')
    await cancelled.promise
  })

  it('has its body cancelled if it responds too late', async () => {
    const cancelled = createSignal()
    let answer: (response: Response) => void = () => undefined
    const client = startClient({
      timeout: 0.1,
      fetch: () =>
        new Promise((resolve) => {
          answer = resolve
        }),
    })
    await refuses(client.getJson(url), 'ERR_OIDC_PROVIDER_TIMEOUT')
    const cancel = () => {
      cancelled.resolve()
      throw new Error('cannot be cancelled')
    }
    answer(jsonResponse(new ReadableStream({ cancel })))
    await cancelled.promise
  })

  it('may stream endlessly: only 1 MiB is read', async () => {
    let chunks = 0
    const stream = new ReadableStream({
      pull(controller) {
        chunks += 1
        controller.enqueue(new Uint8Array(65_536))
      },
    })
    const client = startClient({ fetch: async () => jsonResponse(stream) })
    await refuses(client.getJson(url), 'ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE')
    assert.ok(chunks < 24, `${chunks} chunks`)
  })

  it('must return chunks of bytes', async () => {
    const stream = new ReadableStream({ pull: (controller) => controller.enqueue('{}') })
    const client = startClient({ fetch: async () => jsonResponse(stream) })
    await refuses(client.getJson(url), 'ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE')
  })

  it('must not follow a redirect', async () => {
    const origin = await startServer((req, res) => {
      if (req.url === '/there') json(res, {})
      else res.writeHead(302, { Location: '/there' }).end()
    })
    const client = startClient({ fetch: (address, init) => fetch(address, { ...init, redirect: 'follow' }) })
    await refuses(client.getJson(origin), 'ERR_OIDC_PROVIDER_REDIRECT')
  })

  it('must not hide a redirect', async () => {
    const hidden = Object.defineProperties(Response.error(), { type: { value: 'opaqueredirect' } })
    const client = startClient({ fetch: async () => hidden })
    await refuses(client.getJson(url), 'ERR_OIDC_PROVIDER_REDIRECT')
  })

  it('must return a status', async () => {
    const client = startClient({ fetch: async () => Response.error() })
    await refuses(client.getJson(url), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID')
  })

  for (const fault of [new Error('secret'), 'secret', undefined]) {
    it(`may fail with ${inspect(fault)?.split('\n')[0]}`, async () => {
      const client = startClient({ fetch: () => Promise.reject(fault) })
      const error = await refuses(client.getJson(url), 'ERR_OIDC_PROVIDER_UNREACHABLE')
      assert.equal(error.cause, fault)
    })
  }

  it('may throw synchronously', async () => {
    const client = startClient({
      fetch: () => {
        throw new Error('at once')
      },
    })
    await refuses(client.getJson(url), 'ERR_OIDC_PROVIDER_UNREACHABLE')
  })
})

describe('a status that cannot be used', () => {
  const date = 'Mon, 23 Nov 2026 12:00:00 GMT'
  const dateAt = Date.parse(date) / 1000
  const cases: readonly [string, number, Record<string, string>, number | undefined][] = [
    ['429 with seconds', 429, { 'Retry-After': '30' }, 30],
    ['429 with no seconds', 429, { 'Retry-After': '0' }, 1],
    ['429 with very many seconds', 429, { 'Retry-After': '9'.repeat(400) }, 3600],
    ['429 with a date', 429, { 'Retry-After': 'Mon, 23 Nov 2026 12:01:00 GMT', Date: date }, 60],
    ['429 with a date gone by', 429, { 'Retry-After': 'Mon, 23 Nov 2026 11:00:00 GMT', Date: date }, 1],
    ['429 with a date by our own clock', 429, { 'Retry-After': 'Mon, 23 Nov 2026 12:01:00 GMT' }, 70],
    ['429 with Okta’s reset', 429, { 'X-Rate-Limit-Reset': String(dateAt + 45), Date: date }, 45],
    ['429 with Okta’s reset by our own clock', 429, { 'X-Rate-Limit-Reset': String(dateAt + 45) }, 55],
    ['429 with Okta’s reset and a broken date', 429, { 'X-Rate-Limit-Reset': String(dateAt + 45), Date: '5' }, 55],
    ['429 with a reset gone by', 429, { 'X-Rate-Limit-Reset': '5', Date: date }, 1],
    ['429 with both', 429, { 'Retry-After': '7', 'X-Rate-Limit-Reset': String(dateAt + 45), Date: date }, 7],
    [
      '429 with a word, and a reset',
      429,
      { 'Retry-After': 'soon', 'X-Rate-Limit-Reset': String(dateAt), Date: date },
      1,
    ],
    ['429 with negative seconds', 429, { 'Retry-After': '-5' }, undefined],
    ['429 with half a second', 429, { 'Retry-After': '0.5' }, undefined],
    ['429 with an impossible date', 429, { 'Retry-After': 'Mon, 99 Foo 2026 12:00:00 GMT' }, undefined],
    ['429 with a negative reset', 429, { 'X-Rate-Limit-Reset': '-1', Date: date }, undefined],
    ['429 alone', 429, {}, undefined],
    ['503 with seconds', 503, { 'Retry-After': '30' }, 30],
  ]
  for (const [name, status, headers, retryAfter] of cases) {
    it(`is reported as a busy provider: ${name}`, () => {
      mock.timers.enable({ apis: ['Date'], now: (dateAt - 10) * 1000 })
      try {
        const error = errorFromStatus({ status, headers: new Headers(headers) })
        assert.equal(error.code, 'ERR_OIDC_PROVIDER_BUSY')
        assert.equal(error.status, 503)
        assert.equal(error.retryAfter, retryAfter)
      } finally {
        mock.timers.reset()
      }
    })
  }

  for (const [status, headers] of [
    [503, {}],
    [503, { 'Retry-After': 'soon' }],
    [500, { 'Retry-After': '5' }],
    [404, {}],
  ] as const) {
    it(`is reported as a failed request: ${status} with ${JSON.stringify(headers)}`, () => {
      const error = errorFromStatus({ status, headers: new Headers(headers) }, 'https://op.example.com/token')
      assert.equal(error.code, 'ERR_OIDC_PROVIDER_STATUS')
      assert.equal(error.retryAfter, undefined)
      assert.equal(error.message, `https://op.example.com/token answered ${status}.`)
    })
  }
})
