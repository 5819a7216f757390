import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, IncomingMessage, type Server } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { describe, it, mock } from 'node:test'
import express from 'express'
import session from 'express-session'
import { createProxyMiddleware } from 'http-proxy-middleware'
import { WebSocket, WebSocketServer } from 'ws'
import { bearer } from '../../lib/bearer.ts'
import {
  attachAccessToken,
  ConfigError,
  type Handler,
  OidcError,
  type OidcMiddleware,
  type Options,
  oidc,
  requireAuth,
  type UpgradeLogin,
  type UpgradeOptions,
} from '../../lib/index.ts'
import { type AnyOptions, usualOptions } from '../support/app/app.ts'
import { createMortalState } from '../support/app/mortal-state.ts'
import { createStage, share } from '../support/app/stage.ts'
import { type Browser, createBrowser } from '../support/browser/browser.ts'
import { listen } from '../support/servers/http-server.ts'
import { AUDIENCE, startTokenIssuer } from '../support/servers/token-issuer.ts'

const SCOPE = 'openid profile email offline_access'
const stage = createStage()
const theIssuer = share(() => startTokenIssuer())

/** A store that counts its writes, and may fail. */
class WatchedStore extends session.MemoryStore {
  readonly writes: string[] = []
  isDown = false

  override get(id: string, done: (error: unknown, data?: session.SessionData | null) => void): void {
    if (this.isDown) done(new Error('down'))
    else super.get(id, done)
  }

  override set(id: string, data: session.SessionData, done?: (error?: unknown) => void): void {
    this.writes.push(`set ${id}`)
    super.set(id, data, done)
  }

  override touch(id: string, data: session.SessionData, done?: () => void): void {
    this.writes.push(`touch ${id}`)
    super.touch(id, data, done)
  }
}

type OnUpgrade = (req: IncomingMessage, socket: Duplex, head: Buffer, node: Node) => void

interface Node {
  readonly origin: string
  readonly auth: OidcMiddleware
  readonly options: UpgradeOptions
  /** What `authenticateUpgrade()` has resolved or rejected with, in order. */
  readonly logins: UpgradeLogin[]
  readonly errors: OidcError[]
  readonly sockets: WebSocketServer
}

interface Settings {
  readonly options?: Partial<AnyOptions>
  readonly session?: Partial<session.SessionOptions>
  readonly store?: WatchedStore
  readonly bearer?: Handler
  readonly onUpgrade?: OnUpgrade
  /** Of another node, for the same users. */
  readonly baseUrl?: string
}

/** The middleware that takes the access tokens of programs. */
function takeTokens(): Handler {
  const { issuer } = theIssuer()
  return bearer({ issuer, audience: AUDIENCE, algorithms: ['ES256'], dangerouslyAllowInsecureRequests: true })
}

/** An app of Express with express-session, `oidc()` and a WebSocket server of the package ws. */
async function startNode({
  options,
  session: given,
  store = new WatchedStore(),
  ...settings
}: Settings = {}): Promise<Node> {
  const app = express().set('env', 'test')
  const server = createServer(app)
  const { port, stop } = await listen(server)
  const sockets = new WebSocketServer({ noServer: true })
  stage.stopLater({ stop: stopWithSockets(server, stop) })
  const origin = settings.baseUrl ?? `http://127.0.0.1:${port}`
  const sessions = session({ secret: 'a secret of sessions', resave: false, saveUninitialized: false, ...given, store })
  const all = { ...usualOptions(stage.provider, origin), ...stage.provider.clientOptions, ...options } as Options
  const auth = oidc(all)
  app.use(sessions, auth)
  app.get('/profile', requireAuth(), (req, res) => void res.json(req.oidc.claims))
  const upgradeOptions = { session: sessions, ...(settings.bearer === undefined ? {} : { bearer: settings.bearer }) }
  const node: Node = {
    origin: `http://127.0.0.1:${port}`,
    auth,
    options: upgradeOptions,
    logins: [],
    errors: [],
    sockets,
  }
  acceptUpgrades(server, node, settings.onUpgrade ?? welcome)
  return node
}

/** As the documentation has it. */
const welcome: OnUpgrade = (req, socket, head, { sockets, logins }) => {
  const login = logins.at(-1)
  sockets.handleUpgrade(req, socket, head, (webSocket) => {
    webSocket.send(`hello ${login?.oidc.claims.sub}`)
    login?.ended.then((why) => webSocket.close(4401, why))
  })
}

function acceptUpgrades(server: Server, node: Node, onUpgrade: OnUpgrade): void {
  server.on('upgrade', (req, socket, head) => {
    node.auth.authenticateUpgrade(req, node.options).then(
      (login) => {
        node.logins.push(login)
        onUpgrade(req, socket, head, node)
      },
      (error) => {
        node.errors.push(error)
        socket.end(`HTTP/1.1 ${error.status ?? 500} Refused\r\nConnection: close\r\n\r\n`)
      },
    )
  })
}

/** A server does not close connections that were upgraded. */
function stopWithSockets(server: Server, stop: () => Promise<void>): () => Promise<void> {
  const open = new Set<Duplex>()
  server.on('connection', (socket) => open.add(socket))
  return async () => {
    // A watch that stops later would clear a mocked timer of the next test.
    const closed = [...open].filter((socket) => !socket.closed).map((socket) => once(socket, 'close'))
    for (const socket of open) socket.destroy()
    await Promise.all([...closed, stop()])
  }
}

async function logIn({ origin }: Node): Promise<Browser> {
  const browser = createBrowser({ origin })
  assert.equal((await browser.open('/profile')).status, 200)
  return browser
}

/** A list is sent as several headers of that name. */
type Headers = Readonly<Record<string, string | readonly string[]>>

function mapValues(headers: Headers, change: (value: string) => string): Headers {
  const changed = Object.entries(headers).map(([name, value]) => [
    name,
    typeof value === 'string' ? change(value) : value,
  ])
  return Object.fromEntries(changed)
}

interface Client {
  readonly webSocket: WebSocket
  /** The first message, or the status of a refusal. */
  readonly first: Promise<string | number>
  /** The reason of the close. */
  readonly closed: Promise<string>
}

/** `GOOD` stands for a valid access token. */
function withToken(text: string): string {
  return text.includes('GOOD') ? text.replaceAll('GOOD', theIssuer().token()) : text
}

function connect(
  { origin }: Node,
  browser?: Browser,
  headers: Headers = {},
  path = '/',
  protocols: string[] = [],
): Client {
  const cookie = browser?.jar.header(new URL(origin), { sameSite: true, safeNavigation: false })
  const webSocket = new WebSocket(origin.replace('http', 'ws') + withToken(path), protocols.map(withToken), {
    headers: { origin, ...(cookie === undefined ? {} : { cookie }), ...mapValues(headers, withToken) },
  })
  webSocket.on('error', () => undefined)
  const first = new Promise<string | number>((resolve, reject) => {
    webSocket.once('message', (data) => resolve(String(data)))
    webSocket.once('unexpected-response', (_req, response) => {
      resolve(response.statusCode ?? 0)
      response.destroy()
    })
    webSocket.once('error', reject)
  })
  const closed = new Promise<string>((resolve) => webSocket.once('close', (_code, reason) => resolve(String(reason))))
  return { webSocket, first, closed }
}

/** Lets the watch look once. */
function tick(): void {
  mock.timers.tick(1000)
}

describe('authenticateUpgrade()', () => {
  it('gives the login of the session to a WebSocket', async () => {
    const node = await startNode()
    const { first } = connect(node, await logIn(node))
    assert.equal(await first, 'hello user-subject')
    const [login] = node.logins
    assert.deepEqual([login?.authenticatedBy, login?.oidc.claims.name], ['session', 'Alice Example'])
  })

  it('neither makes, writes nor extends a session, with rolling, resave and saveUninitialized', async () => {
    const store = new WatchedStore()
    const node = await startNode({ store, session: { rolling: true, resave: true, saveUninitialized: true } })
    const browser = await logIn(node)
    store.writes.length = 0
    const welcomed = connect(node, browser)
    assert.equal(await welcomed.first, 'hello user-subject')
    const refused = connect(node)
    assert.equal(await refused.first, 401)
    welcomed.webSocket.terminate()
    await welcomed.closed
    assert.deepEqual(store.writes, [])
  })

  it('passes the access token on to the API of a proxy', async () => {
    const seen: IncomingMessage['headers'][] = []
    const api = createServer()
    const upstream = new WebSocketServer({ server: api })
    upstream.on('connection', (webSocket, req) => {
      seen.push(req.headers)
      webSocket.send('from the API')
    })
    const { port, stop } = await listen(api)
    stage.stopLater({ stop: stopWithSockets(api, stop) })
    const target = `http://127.0.0.1:${port}`
    const attach = attachAccessToken({ target })
    const proxy = createProxyMiddleware({ target, ws: true })
    const onUpgrade: OnUpgrade = (req, socket, head) => {
      attach.upgrade(req).then(
        () => proxy.upgrade(req as never, socket as never, head),
        () => socket.destroy(),
      )
    }
    const node = await startNode({ options: { scope: SCOPE }, onUpgrade })
    const { first } = connect(node, await logIn(node), { authorization: 'Basic c3RvbGVu', dpop: 'stolen' })
    assert.equal(await first, 'from the API')
    const [token] = stage.provider.accessTokens.keys()
    assert.deepEqual(
      [seen[0]?.authorization, seen[0]?.cookie, seen[0]?.['dpop']],
      [`Bearer ${[...stage.provider.accessTokens.keys()].at(-1)}`, undefined, undefined],
    )
    assert.ok(token)
  })

  it('rejects wrong options', async () => {
    const node = await startNode()
    for (const wrong of [
      undefined,
      {},
      { session: {} },
      { session: () => undefined, bearer: 'x' },
      { session: () => undefined, store: 1 },
    ]) {
      await assert.rejects(node.auth.authenticateUpgrade({ headers: {} } as never, wrong as never), ConfigError)
    }
  })

  it('rejects with what the session middleware rejects with', async () => {
    const store = new WatchedStore()
    const node = await startNode({ store })
    const browser = await logIn(node)
    store.isDown = true
    assert.equal(await connect(node, browser).first, 500)
    assert.equal(Object(node.errors[0]).message, 'down')
    const none: Handler = (_req, _res, next) => next()
    const error: unknown = await node.auth
      .authenticateUpgrade({ headers: {}, rawHeaders: [], socket: {} } as never, { session: none })
      .catch((reason: unknown) => reason)
    assert.ok(error instanceof OidcError && error.code === 'ERR_OIDC_SESSION_MISSING')
  })
})

/** Each differs by one thing from a request that is accepted. */
const REFUSED: readonly (readonly [
  name: string,
  change: { headers?: Headers; path?: string; protocols?: string[]; isAnonymous?: true },
  status: number,
  code: string,
])[] = [
  ['of a page of another site', { headers: { 'sec-fetch-site': 'cross-site' } }, 403, 'ERR_OIDC_CROSS_ORIGIN_REQUEST'],
  ['of a page of a subdomain', { headers: { 'sec-fetch-site': 'same-site' } }, 403, 'ERR_OIDC_CROSS_ORIGIN_REQUEST'],
  ['of another origin', { headers: { origin: 'https://evil.example' } }, 403, 'ERR_OIDC_CROSS_ORIGIN_REQUEST'],
  ['of an opaque origin', { headers: { origin: 'null' } }, 403, 'ERR_OIDC_CROSS_ORIGIN_REQUEST'],
  [
    'of another origin that says it is ours',
    { headers: { origin: 'https://evil.example', 'sec-fetch-site': 'same-origin' } },
    403,
    'ERR_OIDC_CROSS_ORIGIN_REQUEST',
  ],
  [
    'of another origin, which Host and X-Forwarded-Host name',
    { headers: { origin: 'http://evil.example', host: 'evil.example', 'x-forwarded-host': 'evil.example' } },
    403,
    'ERR_OIDC_CROSS_ORIGIN_REQUEST',
  ],
  ['without a session', { isAnonymous: true }, 401, 'ERR_OIDC_LOGIN_REQUIRED'],
  [
    'with a session that nobody signed',
    { headers: { cookie: 'connect.sid=s%3Aabc.def' } },
    401,
    'ERR_OIDC_LOGIN_REQUIRED',
  ],
  [
    'with a bad access token beside a session',
    { headers: { authorization: 'Bearer bad' } },
    401,
    'ERR_OIDC_UPGRADE_TOKEN',
  ],
  [
    'with a bad access token of another scheme beside a session',
    { headers: { authorization: 'DPoP GOOD' } },
    401,
    'ERR_OIDC_UPGRADE_TOKEN',
  ],
  [
    'with a token in the query',
    { isAnonymous: true, path: '/?access_token=GOOD&authorization=Bearer%20GOOD' },
    401,
    'ERR_OIDC_LOGIN_REQUIRED',
  ],
  ['with a token as a protocol', { isAnonymous: true, protocols: ['bearer', 'GOOD'] }, 401, 'ERR_OIDC_LOGIN_REQUIRED'],
  [
    'with a token in a cookie',
    { isAnonymous: true, headers: { cookie: 'access_token=GOOD; Authorization=Bearer GOOD' } },
    401,
    'ERR_OIDC_LOGIN_REQUIRED',
  ],
]

describe('authenticateUpgrade() refuses a request', () => {
  for (const [name, { headers = {}, path = '/', protocols = [], isAnonymous }, status, code] of REFUSED) {
    it(name, async () => {
      const node = await startNode({ bearer: takeTokens() })
      const browser = isAnonymous === true ? undefined : await logIn(node)
      assert.equal(await connect(node, browser, headers, path, protocols).first, status)
      assert.deepEqual([node.errors.map((error) => error.code), node.logins], [[code], []])
      assert.doesNotMatch(node.errors[0]?.message ?? '', /evil|good|bad/)
    })
  }

  it('with a bad access token in a second Authorization header, which Node drops, beside a session', async () => {
    const node = await startNode({ bearer: takeTokens() })
    const headers = { authorization: ['Basic eDp5', 'Bearer bad'] }
    assert.equal(await connect(node, await logIn(node), headers).first, 400)
    assert.deepEqual([node.errors.map(({ code }) => code), node.logins], [['ERR_OIDC_UPGRADE_TOKEN'], []])
  })

  it('with any access token, if no bearer() is given', async () => {
    const node = await startNode()
    assert.equal(await connect(node, await logIn(node), { authorization: 'bearer GOOD' }).first, 401)
    assert.equal(node.errors[0]?.code, 'ERR_OIDC_UPGRADE_TOKEN')
  })

  it('and says what bearer() says', async () => {
    const node = await startNode({ bearer: takeTokens() })
    assert.equal(await connect(node, undefined, { authorization: 'Bearer bad' }).first, 401)
    assert.match(String(node.errors[0]?.headers['www-authenticate']), /^Bearer .*error="invalid_token"/)
  })

  it('with a token that the middleware in the option bearer lets pass as nobody', async () => {
    for (const lax of [
      ((_req, _res, next) => next()) as Handler,
      ((req, _res, next) => {
        Object.assign(req, { oidc: { isAuthenticated: false } })
        next()
      }) as Handler,
    ]) {
      const node = await startNode({ bearer: lax })
      assert.equal(await connect(node, await logIn(node), { authorization: 'Bearer GOOD' }).first, 401)
      assert.deepEqual([node.errors.map((error) => error.code), node.logins], [['ERR_OIDC_UPGRADE_TOKEN'], []])
    }
  })

  it('with a message about the option that the developer wrote', async () => {
    const respond: Handler = (_req, res) => {
      res.statusCode = 403
      res.end()
    }
    const token = { authorization: 'Bearer GOOD' }
    const rows = [
      [{}, token, 401, /pass the middleware of bearer\(\) to authenticateUpgrade\(\)/],
      [{ bearer: respond }, token, 403, /the option bearer of authenticateUpgrade\(\) refused it\./],
      [{ bearer: ((_req, _res, next) => next()) as Handler }, token, 401, /the option bearer .* without a login/],
      [
        { session: respond },
        {},
        500,
        /^The middleware in the option session of authenticateUpgrade\(\) responded instead/,
      ],
    ] as const
    const { auth, options } = await startNode()
    for (const [given, headers, status, message] of rows) {
      const req = Object.assign(new IncomingMessage(new Socket()), { headers, url: '/' })
      await assert.rejects(auth.authenticateUpgrade(req, { ...options, ...given }), { status, message })
    }
  })

  it('of a login whose provider the function in the option providers does not find any more', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const { issuer, clientId, clientSecret, clientOptions } = stage.provider
    const tenants = new Map([['acme', { issuer, clientId, clientSecret, ...clientOptions }]])
    const only = { issuer: undefined, clientId: undefined, clientSecret: undefined }
    const options = {
      ...only,
      secret: 'the secret of an app with many tenants',
      providers: (name: string) => tenants.get(name),
    }
    const node = await startNode({ options: options as never })
    const browser = createBrowser({ origin: node.origin })
    stage.provider.redirectUris = [`${node.origin}/callback/acme`]
    assert.equal((await browser.open('/login?provider=acme&returnTo=/profile')).status, 200)
    assert.equal(await connect(node, browser).first, 'hello user-subject')
    tenants.delete('acme')
    mock.timers.tick(61_000)
    assert.equal(await connect(node, browser).first, 401)
    assert.deepEqual([node.errors.map((error) => error.code), node.logins.length], [['ERR_OIDC_LOGIN_REQUIRED'], 1])
  })

  it('of a login whose token record is gone, even if its session was written back', async () => {
    const store = new WatchedStore()
    const node = await startNode({ store })
    const browser = await logIn(node)
    const { sessions } = store as unknown as { sessions: Record<string, string> }
    for (const id of Object.keys(sessions)) if (id.startsWith('oidc-tokens-')) Reflect.deleteProperty(sessions, id)
    assert.equal(await connect(node, browser).first, 401)
    assert.equal(node.errors[0]?.code, 'ERR_OIDC_LOGIN_REQUIRED')
  })
})

describe('authenticateUpgrade() accepts a request', () => {
  it('of a trusted origin', async () => {
    const node = await startNode({ options: { trustedOrigins: ['https://admin.example'] } })
    const headers = { origin: 'https://admin.example', 'sec-fetch-site': 'cross-site' }
    assert.equal(await connect(node, await logIn(node), headers).first, 'hello user-subject')
  })

  it('of our own page, with Basic credentials for a proxy', async () => {
    const node = await startNode()
    const headers = { authorization: 'Basic eDp5', 'sec-fetch-site': 'same-origin' }
    assert.equal(await connect(node, await logIn(node), headers).first, 'hello user-subject')
  })

  it('of a program with an access token, without a session', async () => {
    const node = await startNode({ bearer: takeTokens() })
    assert.equal(
      await connect(node, undefined, { authorization: `Bearer ${theIssuer().token()}` }).first,
      'hello alice',
    )
    assert.equal(node.logins[0]?.authenticatedBy, 'access_token')
  })
})

describe('N-10: a shared state that has lost its sessions', () => {
  const logOutAtProvider = (node: Node) =>
    stage.provider.postLogoutToken(`${node.origin}/backchannel-logout`, { sub: 'user-subject' } as never)

  it('does not let the upgrade of a user pass whom the provider has logged out', async () => {
    const [sharedState, store] = [createMortalState(), new WatchedStore()]
    const node = await startNode({ store, options: { sharedState } })
    const browser = await logIn(node)
    sharedState.lose()
    assert.equal((await logOutAtProvider(node)).status, 200)
    store.writes.length = 0
    assert.equal(await connect(node, browser).first, 401)
    assert.deepEqual([node.errors.map(({ code }) => code), store.writes], [['ERR_OIDC_LOGIN_REQUIRED'], []])
  })

  it('knows the session again after an upgrade, so that a later logout closes the WebSocket', async () => {
    mock.timers.enable({ apis: ['Date', 'setInterval'], now: Date.now() })
    const [sharedState, store] = [createMortalState(), new WatchedStore()]
    const node = await startNode({ store, options: { sharedState } })
    const browser = await logIn(node)
    sharedState.lose()
    // Longer than a process believes the epoch that it has read.
    mock.timers.tick(10_000)
    store.writes.length = 0
    const { first, closed } = connect(node, browser)
    assert.deepEqual([await first, store.writes], ['hello user-subject', []])
    assert.equal((await logOutAtProvider(node)).status, 200)
    tick()
    assert.equal(await closed, 'logout')
  })
})

describe('the end of a login', () => {
  /** An app with two users who are connected. Time stands still; a test moves it. */
  async function startTwo(settings: Settings = {}) {
    mock.timers.enable({ apis: ['Date', 'setInterval'], now: Date.now() })
    const node = await startNode(settings)
    const [alice, bob] = [await logIn(node), await logIn(node)]
    const [one, two, other] = [connect(node, alice), connect(node, alice), connect(node, bob)]
    for (const { first } of [one, two, other]) assert.equal(await first, 'hello user-subject')
    return { node, alice, bob, one, two, other }
  }

  it('closes the WebSockets of a user who logs out, and no others', async () => {
    const { alice, one, two, other } = await startTwo()
    await alice.post('/logout', {}, { follow: false })
    tick()
    assert.deepEqual([await one.closed, await two.closed], ['logout', 'logout'])
    assert.equal(other.webSocket.readyState, WebSocket.OPEN)
  })

  it('is noticed on another node', async () => {
    const store = new WatchedStore()
    const { node, alice, one, other } = await startTwo({ store })
    const second = await startNode({ store, baseUrl: node.origin })
    const cookie = alice.jar.header(new URL(node.origin), { sameSite: true, safeNavigation: false }) ?? ''
    const response = await fetch(`${second.origin}/logout`, {
      method: 'POST',
      headers: { cookie, origin: node.origin },
      redirect: 'manual',
    })
    assert.ok(response.status < 400, String(response.status))
    tick()
    assert.equal(await one.closed, 'logout')
    assert.equal(other.webSocket.readyState, WebSocket.OPEN)
  })

  it('is noticed after a logout at the provider', async () => {
    const { node, one, two, other } = await startTwo()
    const answer = await stage.provider.postLogoutToken(`${node.origin}/backchannel-logout`, {
      sub: 'user-subject',
    } as never)
    assert.equal(answer.status, 200, answer.body)
    tick()
    assert.deepEqual(await Promise.all([one.closed, two.closed, other.closed]), ['logout', 'logout', 'logout'])
  })

  it('is noticed when the login expires', async () => {
    const { one, node } = await startTwo({ options: { loginLifetime: 600 } })
    mock.timers.tick(598_000)
    assert.equal(one.webSocket.readyState, WebSocket.OPEN)
    mock.timers.tick(2_000)
    assert.equal(await one.closed, 'expired')
    assert.equal(await node.logins[0]?.ended, 'expired')
  })

  it('is noticed when nobody uses the session, while an open WebSocket is no use', async () => {
    const { alice, one, other } = await startTwo({ options: { idleTimeout: 600 } })
    mock.timers.tick(500_000)
    assert.equal((await alice.open('/profile')).status, 200)
    mock.timers.tick(101_000)
    assert.equal(await other.closed, 'expired')
    assert.equal(one.webSocket.readyState, WebSocket.OPEN)
  })

  it('is noticed when an access token expires', async () => {
    mock.timers.enable({ apis: ['Date', 'setInterval'], now: Date.now() })
    const node = await startNode({ bearer: takeTokens() })
    const { first, closed } = connect(node, undefined, { authorization: `Bearer ${theIssuer().token()}` })
    assert.equal(await first, 'hello alice')
    mock.timers.tick(301_000)
    assert.equal(await closed, 'expired')
  })

  it('is noticed while the store is down only by its time', async () => {
    const store = new WatchedStore()
    const { one } = await startTwo({ store, options: { loginLifetime: 600 } })
    store.isDown = true
    tick()
    tick()
    assert.equal(one.webSocket.readyState, WebSocket.OPEN)
    mock.timers.tick(600_000)
    assert.equal(await one.closed, 'expired')
  })

  it('is not looked for after the WebSocket has closed', async () => {
    const { node, one, two, other, alice } = await startTwo()
    for (const { webSocket, closed } of [one, two, other]) {
      webSocket.terminate()
      await closed
    }
    while (node.sockets.clients.size > 0) await new Promise((resolve) => setImmediate(resolve))
    await alice.post('/logout', {}, { follow: false })
    tick()
    let isSettled = false
    void node.logins[0]?.ended.then(() => {
      isSettled = true
    })
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(isSettled, false)
  })
})
