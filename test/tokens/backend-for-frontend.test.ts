import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { beforeEach, describe, it } from 'node:test'
import express from 'express'
import session from 'express-session'
import { createProxyMiddleware } from 'http-proxy-middleware'
import { bearer, requireScope } from '../../lib/bearer.ts'
import { attachAccessToken, oidc, requireAuth, requireSameOrigin } from '../../lib/index.ts'
import { startTestProvider, type TestProvider } from '../../lib/testing.ts'
import { share } from '../support/app/stage.ts'
import { listen } from '../support/servers/http-server.ts'

// The recipe of docs/single-page-apps.md, "A remote API", whole: an app, a proxy, and an API on another server.

/** What the API has got: who, and the headers of the browser. */
interface Call {
  readonly sub: string | undefined
  readonly cookie: string | undefined
  readonly csrf: unknown
}

const calls: Call[] = []
beforeEach(() => {
  calls.length = 0
})

const provider = share(async () => {
  const started = await startTestProvider()
  return { started, stop: () => started.close() }
})

/** The API, which takes access tokens alone. */
function createApi({ bearerOptions }: TestProvider): express.Express {
  const api = express()
  api.use(bearer(bearerOptions), requireScope('orders:read'))
  api.all('/v1/orders', (req, res) => {
    const { sub } = req.oidc.claims ?? {}
    calls.push({ sub, cookie: req.headers.cookie, csrf: req.headers['x-csrf'] })
    res.json({ ordersOf: sub })
  })
  return api
}

function createFrontend({ options }: TestProvider, target: string, baseUrl: string): express.Express {
  const app = express().set('env', 'test')
  app.use(session({ secret: 'the secret of the sessions', resave: false, saveUninitialized: false }))
  app.use(oidc({ ...options, baseUrl, scope: 'openid offline_access orders:read' }))
  app.use(
    '/api',
    requireSameOrigin({ header: true }),
    requireAuth(),
    attachAccessToken({ target }),
    createProxyMiddleware({ target, changeOrigin: true }),
  )
  return app
}

const servers = share(async () => {
  const { started } = provider()
  const api = await listen(createServer(createApi(started)))
  const server = createServer()
  const { port, stop } = await listen(server)
  const origin = `http://127.0.0.1:${port}`
  server.on('request', createFrontend(started, `http://127.0.0.1:${api.port}/v1`, origin))
  return { origin, stop: () => Promise.all([stop(), api.stop()]).then(() => undefined) }
})

const SCRIPT = { 'x-csrf': '1', 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' }

async function call(headers: Readonly<Record<string, string>>, method = 'GET') {
  const response = await fetch(`${servers().origin}/api/orders`, { method, headers, redirect: 'manual' })
  const body = (await response.json().catch(() => ({}))) as Record<string, unknown>
  return { status: response.status, body }
}

describe('a backend for a frontend, as the documentation has it', () => {
  it('lets a script of its page call a remote API with the token of the user', async () => {
    const { cookie } = await provider().started.login(servers().origin, 'alice')
    const { status, body } = await call({ ...SCRIPT, cookie })
    assert.deepEqual([status, body], [200, { ordersOf: 'alice' }])
    assert.deepEqual(calls, [{ sub: 'alice', cookie: undefined, csrf: '1' }])
  })

  it('lets nobody else call it', async () => {
    const { cookie } = await provider().started.login(servers().origin)
    const { 'x-csrf': _, ...withoutHeader } = SCRIPT
    const anonymous = await call(SCRIPT)
    assert.deepEqual([anonymous.status, anonymous.body['loginUrl']], [401, '/login?returnTo=%2F'])
    assert.equal((await call({ ...withoutHeader, cookie })).status, 403)
    assert.equal((await call({ ...SCRIPT, cookie, 'sec-fetch-site': 'cross-site' }, 'POST')).status, 403)
    const token = await provider().started.accessToken({ scope: 'orders:read' })
    assert.equal((await call({ ...SCRIPT, authorization: `Bearer ${token}` })).status, 401)
    assert.deepEqual(calls, [])
  })

  it('hands on what the API refuses', async () => {
    const { cookie } = await provider().started.login(servers().origin, {}, { path: '/login' })
    const { status } = await fetch(`${servers().origin}/api/nowhere`, { headers: { ...SCRIPT, cookie } })
    assert.deepEqual([status, calls], [404, []])
  })
})
