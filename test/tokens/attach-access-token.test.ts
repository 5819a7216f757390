import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { Agent, createServer, type IncomingHttpHeaders, request as requestHttp } from 'node:http'
import { beforeEach, describe, it } from 'node:test'
import { createProxyMiddleware } from 'http-proxy-middleware'
import { decodeJwt } from 'jose'
import { type AttachOptions, attachAccessToken, ConfigError, type Handler, requireAuth } from '../../lib/index.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import type { Routes } from '../support/app/app-routes.ts'
import { HOSTS, type Host } from '../support/app/hosts.ts'
import { createStage, share } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { exchange } from '../support/browser/http-exchange.ts'
import { listen, readBody } from '../support/servers/http-server.ts'
import { answered, type RawHandler } from '../support/strict-provider/context.ts'
import { startStrictProvider } from '../support/strict-provider/provider.ts'

const SCOPE = 'openid profile email offline_access'
const stage = createStage({ app: { errorHandler: 'json' } })

interface ApiRequest {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly body: string
}

interface ApiResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const agent = new Agent({ keepAlive: true })

describe('attachAccessToken()', () => {
  const received: ApiRequest[] = []
  let response: ApiResponse
  beforeEach(() => {
    received.length = 0
    response = { status: 200, headers: { 'content-type': 'application/json' }, body: '{"orders":[7]}' }
  })

  const api = share(async () => {
    const server = createServer(async (req, res) => {
      const { method, url, headers, rawHeaders } = req
      received.push({ method, url, headers, rawHeaders, body: await readBody(req) })
      res.writeHead(response.status, response.headers).end(response.body)
    })
    const { port, stop } = await listen(server)
    return {
      url: `http://127.0.0.1:${port}`,
      stop: async () => {
        agent.destroy()
        await stop()
      },
    }
  })

  /** The real package, with connections that stay open: it then passes the header `Connection` on. */
  function proxy(target: string): Handler {
    return createProxyMiddleware({ target, agent, changeOrigin: true }) as unknown as Handler
  }

  /** A proxy that passes the headers on as they came. */
  const rawProxy: Handler = (req, res) => {
    const { hostname, port } = new URL(api().url)
    const onward = requestHttp({
      hostname,
      port,
      path: req.url,
      method: req.method,
      headers: req.rawHeaders,
      agent: false,
    })
    onward.on('response', (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
      answer.pipe(res)
    })
    req.pipe(onward)
  }

  function routesFor(options: Partial<AttachOptions> = {}): Routes {
    const target = `${api().url}/v1`
    const attach = attachAccessToken({ target, ...options })
    return {
      '/api/orders': [requireAuth(), attach, proxy(target)],
      '/api/raw': [requireAuth(), attachAccessToken({ target: api().url }), rawProxy],
      '/api/open': [attach, proxy(target)],
    }
  }

  async function startLoggedIn(options: Partial<AnyOptions> = {}, attach: Partial<AttachOptions> = {}, host?: Host) {
    const settings = { routes: routesFor(attach), ...(host === undefined ? {} : { host }) }
    const started = await stage.startLoggedIn({ scope: SCOPE, ...options }, settings)
    const { accessToken } = (await started.browser.fetch('/tokens')).json()
    return { ...started, accessToken: String(accessToken) }
  }

  /** Sends what no browser would send. */
  function send(app: TestApp, browser: Browser, path: string, headers: Readonly<Record<string, string>>) {
    const url = new URL(path, app.origin)
    const cookie = browser.jar.header(url, { sameSite: true, safeNavigation: false }) ?? ''
    return exchange({ method: 'GET', url, headers: { cookie, ...headers } })
  }

  for (const host of HOSTS) {
    it(`lets http-proxy-middleware call an API with the token and without the cookie, on ${host}`, async () => {
      const { browser, accessToken } = await startLoggedIn({}, {}, host)
      const read = await browser.fetch('/api/orders?page=2')
      assert.deepEqual([read.status, read.json()], [200, { orders: [7] }])
      const headers = { 'content-type': 'application/json' }
      await browser.fetch('/api/orders', { method: 'POST', body: '{"item":1}', headers })
      assert.deepEqual(
        received.map(({ method, url, body }) => [method, url, body]),
        [
          ['GET', '/v1/api/orders?page=2', ''],
          ['POST', '/v1/api/orders', '{"item":1}'],
        ],
      )
      for (const { headers } of received) {
        assert.deepEqual([headers.authorization, headers.cookie], [`Bearer ${accessToken}`, undefined])
      }
    })
  }

  /** What a client can send to smuggle its own credentials to the API, or to take ours off. */
  const HOSTILE: readonly (readonly [name: string, headers: Readonly<Record<string, string>>])[] = [
    ['a token of its own', { authorization: 'Bearer stolen' }],
    ['a token of its own in other letters', { AUTHORIZATION: 'Basic stolen' }],
    ['a proof of its own', { dpop: 'stolen' }],
    ['a Connection header that names Authorization', { connection: 'Authorization' }],
    ['a Connection header that names it among others', { connection: 'keep-alive, authorization,DPoP , X-Kept' }],
    ['a Connection header that names Cookie', { connection: 'close, Cookie', 'x-kept': '1' }],
    ['a cookie of the API', { 'x-kept': '1' }],
  ]

  for (const path of ['/api/orders', '/api/raw']) {
    for (const [name, headers] of HOSTILE) {
      it(`replaces the credentials of a client that sends ${name} (${path})`, async () => {
        const { app, browser, accessToken } = await startLoggedIn()
        assert.equal((await send(app, browser, path, headers)).status, 200)
        const [request] = received
        const names = (request?.rawHeaders ?? []).filter((_, index) => index % 2 === 0).map((one) => one.toLowerCase())
        assert.equal(request?.headers.authorization, `Bearer ${accessToken}`)
        assert.equal(names.filter((one) => one === 'authorization').length, 1)
        assert.ok(!names.includes('cookie') && !names.includes('dpop'))
        assert.doesNotMatch(String(request?.headers.connection), /authorization|dpop|cookie/i)
        assert.doesNotMatch(JSON.stringify(request), /stolen/)
      })
    }
  }

  it('sends the same headers to a proxy that reads headersDistinct', async () => {
    const seen: unknown[] = []
    const read: Handler = (req, res) => {
      seen.push(req.headersDistinct['authorization'], req.headersDistinct['cookie'], req.headersDistinct['connection'])
      res.end()
    }
    // Read before, as a logger may do.
    const touch: Handler = (req, _res, next) =>
      next(req.headersDistinct['cookie'] === undefined ? new Error() : undefined)
    const routes = { '/api': [touch, attachAccessToken({ target: api().url }), read] }
    const { app, browser } = await stage.startLoggedIn({ scope: SCOPE }, { routes })
    await send(app, browser, '/api', { authorization: 'Bearer stolen', connection: 'Authorization' })
    const { accessToken } = (await browser.fetch('/tokens')).json()
    assert.deepEqual(seen, [[`Bearer ${accessToken}`], undefined, ['keep-alive']])
  })

  it('refreshes a token that has expired', async () => {
    stage.provider.change.tokenResponse = (given) => ({ ...given, expires_in: 0 })
    const { browser, accessToken } = await startLoggedIn()
    assert.equal((await browser.fetch('/api/orders')).status, 200)
    const { accessToken: refreshed } = (await browser.fetch('/tokens')).json()
    assert.notEqual(refreshed, accessToken)
    assert.equal(received[0]?.headers.authorization, `Bearer ${refreshed}`)
  })

  it('requests the token for the resource of the option', async () => {
    const { browser } = await startLoggedIn({}, { resource: 'https://api.example' })
    await browser.fetch('/api/orders')
    const { form } = stage.provider.requests.filter(({ endpoint }) => endpoint === '/token').at(-1) ?? assert.fail()
    assert.deepEqual([form.get('grant_type'), form.get('resource')], ['refresh_token', 'https://api.example'])
  })

  it('answers 401 with loginUrl if the provider refuses to refresh, and the login has ended', async () => {
    stage.provider.change.tokenResponse = (given) => ({ ...given, expires_in: 0 })
    const { app, browser } = await startLoggedIn()
    stage.provider.change.refreshResponse = answered(400, { error: 'invalid_grant' }) as never
    const page = await browser.fetch('/api/orders', { headers: { referer: `${app.origin}/board` } })
    const { error, loginUrl } = page.json()
    assert.deepEqual([page.status, error, loginUrl], [401, 'ERR_OIDC_REFRESH_REFUSED', '/login?returnTo=%2Fboard'])
    assert.deepEqual([received, await app.sessions(), codesOf(app)], [[], 0, []])
  })

  it('passes an outage of the provider to next, and keeps the login', async () => {
    stage.provider.change.tokenResponse = (given) => ({ ...given, expires_in: 0 })
    const { app, browser } = await startLoggedIn()
    const outages: readonly (readonly [RawHandler, number])[] = [
      [(_req, res) => void res.destroy(), 503],
      [(_req, res) => void res.writeHead(500).end(), 502],
      [(_req, res) => void res.writeHead(503).end(), 502],
    ]
    for (const [raw, status] of outages) {
      stage.provider.change.raw['/token'] = raw
      assert.equal((await browser.fetch('/api/orders')).status, status)
    }
    assert.deepEqual(received, [])
    delete stage.provider.change.raw['/token']
    assert.equal((await browser.fetch('/api/orders')).status, 200)
    assert.equal(await app.sessions(), 1)
  })

  it('passes on the responses of the API, also its own 401', async () => {
    const { app, browser } = await startLoggedIn()
    for (const status of [401, 403, 500]) {
      response = { status, headers: { 'www-authenticate': 'Bearer error="invalid_token"' }, body: 'of the API' }
      const page = await browser.fetch('/api/orders')
      assert.deepEqual([page.status, page.body], [status, 'of the API'])
      assert.equal(page.headers['www-authenticate'], 'Bearer error="invalid_token"')
    }
    assert.deepEqual([await app.sessions(), codesOf(app)], [1, []])
  })

  it('answers 401 with loginUrl without a login, even without a guard', async () => {
    const app = await stage.start({}, { routes: routesFor() })
    const page = await app.browser().fetch('/api/open')
    assert.deepEqual([page.status, page.json()['loginUrl'], received], [401, '/login?returnTo=%2F', []])
  })

  it('passes the error to next for a page, so that the browser is not sent round and round', async () => {
    const app = await stage.start({}, { routes: routesFor() })
    assert.equal((await app.browser().open('/api/open')).status, 401)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_TOKEN_UNAVAILABLE'])
  })

  it('refuses an unsafe request of another site, even without a guard', async () => {
    const { app, browser } = await startLoggedIn()
    const url = new URL('/api/open', app.origin)
    const cookie = browser.jar.header(url, { sameSite: true, safeNavigation: false }) ?? ''
    const { status } = await exchange({ method: 'POST', url, headers: { cookie, 'sec-fetch-site': 'cross-site' } })
    assert.deepEqual([status, codesOf(app), received], [403, ['ERR_OIDC_CROSS_ORIGIN_REQUEST'], []])
  })

  it('sends no token to a URL that is not http', async () => {
    const { app, browser } = await startLoggedIn({}, { target: () => 'file:///etc/passwd' })
    assert.equal((await browser.fetch('/api/orders')).status, 500)
    assert.deepEqual([codesOf(app), received], [['ERR_OIDC_TOKEN_UNAVAILABLE'], []])
  })

  it('passes an error to next if the function target throws without a reason, and sends nothing', async () => {
    const target = (): string => {
      throw undefined
    }
    const { app, browser } = await startLoggedIn({}, { target })
    assert.equal((await browser.fetch('/api/orders')).status, 500)
    assert.match(String(app.otherErrors[0]), /The target of attachAccessToken\(\) rejected without a reason/)
    assert.deepEqual(received, [])
  })

  it('adds the path of a request that names a whole URL, and never its host (RFC 9112 3.2.2)', async () => {
    const { app, browser } = await startLoggedIn()
    const url = new URL('/api/orders', app.origin)
    const cookie = browser.jar.header(url, { sameSite: true, safeNavigation: false }) ?? ''
    const status = await new Promise((resolve, reject) => {
      const { hostname, port } = url
      const path = 'http://evil.example/api/orders'
      requestHttp({ hostname, port, path, headers: { cookie }, agent: false }, (res) =>
        resolve(res.resume().statusCode),
      )
        .on('error', reject)
        .end()
    })
    assert.deepEqual([status, received.map((one) => one.url)], [200, ['/v1/api/orders']])
  })

  it('passes ERR_OIDC_NOT_MOUNTED to next without oidc()', async () => {
    const attach = attachAccessToken({ target: 'https://api.example' })
    const req = { headers: {}, rawHeaders: [] } as never
    const error = await new Promise((resolve) => attach(req, {} as never, resolve))
    assert.equal(Object(error).code, 'ERR_OIDC_NOT_MOUNTED')
    await assert.rejects(attach.upgrade(req), { code: 'ERR_OIDC_NOT_MOUNTED' })
  })

  for (const target of [
    ...[undefined, '', '/v1', 'api.example.com', 'ftp://api.example', 'https://user@api.example', 'https://'],
    ...['https://api.example?x=1', 'https://api.example/#a', 'https://api.example\\v1', 7],
  ]) {
    it(`throws for the target ${JSON.stringify(target)}`, () => {
      assert.throws(() => attachAccessToken({ target } as never), ConfigError)
    })
  }

  it('throws for other wrong options', () => {
    const target = 'https://api.example'
    for (const wrong of [undefined, {}, { target, scope: '' }, { target, resource: 7 }, { target, audience: 'x' }]) {
      assert.throws(() => attachAccessToken(wrong as never), ConfigError)
    }
  })

  describe('with tokens that are bound to a key', () => {
    const provider = share(() => startStrictProvider({ dpop: 'nonce' }))

    async function startBound(attach: Partial<AttachOptions> = {}) {
      const { clientOptions } = provider()
      const settings = { routes: routesFor(attach), provider: provider() }
      return stage.startLoggedIn({ ...clientOptions, scope: SCOPE }, settings)
    }

    it('adds a proof for this request and token, with the nonce that the API has demanded', async () => {
      const { browser } = await startBound()
      const { accessToken } = (await browser.fetch('/tokens')).json()
      response = { status: 401, headers: { 'DPoP-Nonce': 'of-the-api' }, body: '' }
      assert.equal((await browser.fetch('/api/orders?page=2', { method: 'PUT' })).status, 401)
      response = { status: 200, headers: {}, body: '' }
      assert.equal((await browser.fetch('/api/orders?page=2', { method: 'PUT' })).status, 200)
      const [first, second] = received.map(({ headers }) => decodeJwt(String(headers['dpop'])))
      const ath = createHash('sha256').update(String(accessToken)).digest('base64url')
      const expected = ['PUT', `${api().url}/v1/api/orders`, ath, 'of-the-api']
      assert.deepEqual([second?.['htm'], second?.['htu'], second?.['ath'], second?.['nonce']], expected)
      assert.deepEqual([first?.['nonce'], received[0]?.headers.authorization], [undefined, `DPoP ${accessToken}`])
      assert.notEqual(first?.jti, second?.jti)
    })

    it('keeps the nonce that a proxy sets as a header of its own', async () => {
      const answer: Handler = (_req, res) => {
        res.setHeader('DPoP-Nonce', 'set-before')
        res.writeHead(200).end()
      }
      const attach = attachAccessToken({ target: api().url })
      const seenProofs: unknown[] = []
      const note: Handler = (req, _res, next) => {
        seenProofs.push(decodeJwt(String(req.headers['dpop']))['nonce'])
        next()
      }
      const settings = { routes: { '/api/set': [requireAuth(), attach, note, answer] }, provider: provider() }
      const { browser } = await stage.startLoggedIn({ ...provider().clientOptions, scope: SCOPE }, settings)
      for (let count = 0; count < 2; count += 1) assert.equal((await browser.fetch('/api/set')).status, 200)
      assert.deepEqual(seenProofs, [undefined, 'set-before'])
    })

    it('names the URL of the function target in the proof', async () => {
      const { browser } = await startBound({ target: (req) => `${api().url}/v2${req.url?.replace('/api', '')}` })
      await browser.fetch('/api/orders?a=1')
      assert.equal(decodeJwt(String(received[0]?.headers['dpop']))['htu'], `${api().url}/v2/orders`)
    })
  })
})
