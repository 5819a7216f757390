import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { describe, it } from 'node:test'
import express from 'express'
import request from 'supertest'
import { OidcError } from '../../lib/index.ts'
import { startTestProvider, type TestLogin, type TestTarget } from '../../lib/testing.ts'
import { share, stopAfterEach } from '../support/app/stage.ts'
import { listen } from '../support/servers/http-server.ts'
import { BASE_URL, createKitApp, FRAMEWORKS, kitOptions, stoppable } from '../support/test-kit/kit-app.ts'

const SECRET = 'a secret of the client that is long enough'
const HTTPS = 'https://app.example.com/portal'

const shared = share(async () =>
  stoppable(
    await startTestProvider({
      users: [
        { sub: 'ada', name: 'Ada', email: 'ada@example.com', groups: ['staff'] },
        { sub: 'joan', name: 'Joan' },
      ],
      clients: [
        { clientId: 'app', clientSecret: SECRET },
        { clientId: 'https', clientSecret: SECRET, redirectUris: [`${HTTPS}/callback`] },
      ],
      // `login()` needs no page, also if there is one for browsers.
      signInPage: true,
    }),
  ),
)
const stopLater = stopAfterEach()

function createApp(more: object = {}, settings?: Parameters<typeof createKitApp>[1]): ReturnType<typeof createKitApp> {
  return createKitApp(kitOptions(shared(), more), settings)
}

function mountAt(path: string, app: express.Express): express.Express {
  return express().set('env', 'test').set('trust proxy', 1).use(path, app)
}

/** The claims of whoever has this cookie. */
async function claimsOf(app: Parameters<typeof request>[0], { cookie }: TestLogin): Promise<Record<string, unknown>> {
  const response = await request(app).get('/profile').set('Cookie', cookie)
  assert.equal(response.status, 200, response.text)
  return response.body.sub === undefined ? JSON.parse(response.text) : response.body
}

/** `login()` must fail with this message. */
async function assertFails(login: Promise<unknown>, message: RegExp, causeCode?: string): Promise<void> {
  await assert.rejects(login, (error: unknown) => {
    assert.ok(error instanceof OidcError, String(error))
    assert.equal(error.code, 'ERR_OIDC_TESTING')
    assert.match(error.message, message)
    if (causeCode !== undefined) assert.equal(Reflect.get(Object(error.cause), 'code'), causeCode)
    return true
  })
}

describe('provider.login()', () => {
  for (const [name, createIt] of Object.entries(FRAMEWORKS)) {
    it(`logs in at an app of ${name} that has no port of its own`, async () => {
      const app = createIt(kitOptions(shared()))
      const login = await shared().login(app as TestTarget)
      const { sub, name: called } = await claimsOf(app, login)
      assert.deepEqual([sub, called, login.sub], ['ada', 'Ada', 'ada'])
    })
  }

  it('logs in one of the users, one with more claims, and one that nobody has heard of', async () => {
    const app = createApp()
    assert.equal((await claimsOf(app, await shared().login(app, 'joan')))['name'], 'Joan')
    const { sub, groups } = await claimsOf(app, await shared().login(app, { groups: ['board'] }))
    assert.deepEqual([sub, groups], ['ada', ['board']])
    const other = await claimsOf(app, await shared().login(app, { sub: 'grace', acr: 'urn:mfa', amr: ['otp'] }))
    assert.deepEqual(
      [other['sub'], other['name'], other['acr'], other['amr']],
      ['grace', undefined, 'urn:mfa', ['otp']],
    )
  })

  it('answers the session cookie alone, and what Playwright needs of it and of the provider', async () => {
    const { cookie, cookies, sid, url } = await shared().login(createApp())
    assert.match(cookie, /^connect\.sid=[^;]+$/)
    const { port } = new URL(shared().issuer)
    assert.deepEqual(
      cookies.map(({ name, domain, path, httpOnly, secure, sameSite }) => [
        name,
        domain,
        path,
        httpOnly,
        secure,
        sameSite,
      ]),
      [
        ['connect.sid', 'localhost', '/', true, false, 'Lax'],
        [`test-provider-${port}`, '127.0.0.1', '/', true, false, 'Lax'],
      ],
    )
    assert.match(sid, /^[\w-]{32}$/)
    assert.equal(url, `${BASE_URL}/`)
  })

  it('keeps two users of one app apart', async () => {
    const app = createApp()
    const [ada, joan] = await Promise.all([shared().login(app, 'ada'), shared().login(app, 'joan')])
    assert.deepEqual([(await claimsOf(app, ada))['sub'], (await claimsOf(app, joan))['sub']], ['ada', 'joan'])
  })

  it('takes the session at the provider that the test names', async () => {
    const { sid } = await shared().login(createApp(), { sid: 'a-session' })
    assert.equal(sid, 'a-session')
  })

  it('starts at a guarded page, too', async () => {
    const { url } = await shared().login(createApp(), 'ada', { path: '/profile?tab=2' })
    assert.equal(url, `${BASE_URL}/profile?tab=2`)
  })

  it('takes a form for response_mode=form_post', async () => {
    const app = createApp({ responseMode: 'form_post' })
    assert.equal((await claimsOf(app, await shared().login(app)))['sub'], 'ada')
  })

  it('logs in at a server that listens, at one that does not, and at a URL with a path', async () => {
    const idle = createServer(createApp())
    assert.ok((await shared().login(idle)).cookie)
    assert.equal(idle.listening, false)
    const server = createServer()
    const { port } = stopLater(await listen(server))
    const baseUrl = `http://localhost:${port}/portal`
    server.on('request', mountAt('/portal', createApp({ baseUrl })))
    const login = await shared().login(server, 'ada', { path: '/portal/login' })
    assert.equal((await claimsOf(`http://localhost:${port}/portal`, login))['sub'], 'ada')
    assert.ok((await shared().login(new URL(baseUrl), 'joan')).cookie)
  })

  it('follows a request that the app posts', async () => {
    const app = createApp({ authorizationRequestMethod: 'POST' })
    assert.equal((await claimsOf(app, await shared().login(app, 'joan')))['sub'], 'joan')
  })

  it('is the proxy in front of an app with an https baseUrl and a secure cookie', async () => {
    const options = { clientId: 'https', baseUrl: HTTPS }
    const settings = { trustProxy: true, session: { cookie: { secure: true, path: '/portal' } } }
    const app = mountAt('/portal', createApp(options, settings))
    const { cookies, cookie } = await shared().login(app, 'ada', { path: '/portal/login' })
    const [own] = cookies
    assert.deepEqual([own?.domain, own?.path, own?.secure], ['app.example.com', '/portal', true])
    assert.match(cookie, /^connect\.sid=/)
  })

  it('reads each attribute of a cookie', async () => {
    const cookie = { maxAge: 60_000, domain: 'example.com', sameSite: 'strict', httpOnly: false }
    const login = await shared().login(createApp({}, { session: { name: 'own', cookie } }))
    const [own] = login.cookies
    assert.deepEqual([own?.name, own?.domain, own?.sameSite, own?.httpOnly], ['own', '.example.com', 'Strict', false])
    assert.ok(Number(own?.expires) > Date.now() / 1000)
  })

  it('sees a cookie that one response sets and another removes', async () => {
    const app = createApp()
    const target: TestTarget = (req, res) => {
      const isCallback = req.url?.startsWith('/callback')
      res.setHeader('Set-Cookie', isCallback ? ['a=; Max-Age=0', 'b=2; SameSite=None; Max-Age=9', 'c'] : ['a=1', 'b=1'])
      app(req, res)
    }
    const { cookie, cookies } = await shared().login(target)
    assert.match(cookie, /b=2; c=; connect\.sid=/)
    assert.equal(cookies.find(({ name }) => name === 'b')?.sameSite, 'None')
  })
})

describe('a failure of provider.login()', () => {
  it('is what the library has found, if the app runs in this process', async () => {
    const wrong = createApp({ idTokenSignedResponseAlg: 'RS256' })
    await assertFails(
      shared().login(wrong),
      /callback "\/callback" of the app answered 502 .*'RS256'/,
      'ERR_OIDC_ID_TOKEN_ALG',
    )
    const secret = createApp({ clientSecret: 'another secret that is long enough too' })
    await assertFails(shared().login(secret), /ERR_OIDC_TOKEN_REQUEST/, 'ERR_OIDC_TOKEN_REQUEST')
  })

  it('names a route that is not there, and how to say which it is', async () => {
    const app = createApp({ routes: { login: '/sign-in' } })
    await assertFails(shared().login(app), /no route "\/login".*path: '\/portal\/login'/)
    assert.ok((await shared().login(app, 'ada', { path: '/sign-in' })).cookie)
  })

  it('names a page that starts no login, one that redirects for ever, and one that redirects elsewhere', async () => {
    const app = createApp()
    await assertFails(shared().login(app, 'ada', { path: '/open' }), /answered 200 to "\/open", and did not redirect/)
    await assertFails(shared().login(app, 'ada', { path: '/loop' }), /more than 20 redirects/)
    await assertFails(
      shared().login(app, 'ada', { path: '/away' }),
      /"https:\/\/elsewhere\.example\.com", which is neither/,
    )
  })

  it('names an app that is at another provider', async () => {
    const other = stopLater(stoppable(await startTestProvider()))
    const app = createKitApp(kitOptions(other))
    await assertFails(
      shared().login(app),
      /redirected to "http:\/\/127\.0\.0\.1:\d+", which is neither.*provider\.options/,
    )
  })

  it('names a baseUrl that is not the URL of the app', async () => {
    const { port } = stopLater(await listen(createServer(createApp())))
    const url = `http://localhost:${port}`
    await assertFails(shared().login(url), new RegExp(`runs at "${url}".*"${BASE_URL}".*Set baseUrl`))
  })

  it('names a redirect URI that is not registered, and says where to register it', async () => {
    const settings = { trustProxy: true, session: { cookie: { secure: true } } }
    const app = createApp({ baseUrl: 'https://other.example.com' }, settings)
    await assertFails(shared().login(app), /"https:\/\/other\.example\.com\/callback" is not registered.*redirectUris/)
  })

  it('repeats why the provider has refused the request', async () => {
    await assertFails(shared().login(createApp({ clientId: 'nobody' })), /answered 400 .*There is no client/)
  })

  it('names a session cookie that was not set', async () => {
    const app = createApp({}, { session: { cookie: { secure: true } } })
    await assertFails(shared().login(app), /set no session cookie.*trust proxy/, 'ERR_OIDC_SESSION_COOKIE_INSECURE')
  })

  it('tells the status of an app that fails, and its error if it has one', async () => {
    const broken: TestTarget = (_req, res) => {
      res.statusCode = 502
      res.end('{"error":"ERR_OIDC_PROVIDER_STATUS"}')
    }
    await assertFails(shared().login(broken), /answered 502 \("ERR_OIDC_PROVIDER_STATUS"\) to "\/login"/)
  })

  it('says so if nothing listens, at the app or at the provider', async () => {
    await assertFails(shared().login('http://127.0.0.1:1'), /app at "http:\/\/127\.0\.0\.1:1" does not answer/)
    shared().misbehave('down', { endpoint: 'authorization', times: 1 })
    await assertFails(shared().login(createApp()), /test provider does not answer.*behave\(\)/)
  })

  it('says so if the app is no app, or the URL no URL', async () => {
    for (const target of [undefined, {}, Promise.resolve(createApp())]) {
      await assertFails(shared().login(target as unknown as TestTarget), /must be an Express or Connect app/)
    }
    await assertFails(shared().login('localhost:3000'), /URL of the app must be absolute/)
  })

  it('says so if a user is unknown, or a claim is not for the user to have', async () => {
    await assertFails(shared().login(createApp(), 'mallory'), /No member of users/)
    await assertFails(shared().login(createApp(), { iss: 'https://evil.example.com' }), /"iss" itself.*"wrongIssuer"/)
  })
})
