import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import { describe, it } from 'node:test'
import session from 'express-session'
import { type Handler, oidc, requireAuth } from '../../lib/index.ts'
import { type AppOptions, codesOf, startApp, type TestApp, usualOptions } from '../support/app/app.ts'
import { HOSTS, type Host } from '../support/app/hosts.ts'
import { share, stopAfterEach } from '../support/app/stage.ts'
import { createBrowser } from '../support/browser/browser.ts'
import { listen, sendText } from '../support/servers/http-server.ts'
import { startProvider } from '../support/servers/provider.ts'

type Arrangement = Pick<AppOptions, 'bodyParser' | 'mountPath' | 'tls'>

const ARRANGEMENTS: readonly (readonly [name: string, arrangement: Arrangement])[] = [
  ['by itself', {}],
  ['with express.urlencoded() in front', { bodyParser: true }],
  ['under a mount path', { mountPath: '/portal' }],
  ['under a mount path, with express.urlencoded() in front', { mountPath: '/portal', bodyParser: true }],
  ['behind an https proxy', { tls: true }],
  ['behind an https proxy, with express.urlencoded() in front', { tls: true, bodyParser: true }],
  ['behind an https proxy, under a mount path', { tls: true, mountPath: '/portal' }],
  [
    'behind an https proxy, under a mount path, with express.urlencoded() in front',
    {
      tls: true,
      mountPath: '/portal',
      bodyParser: true,
    },
  ],
]

const provider = share(() => startProvider({ idToken: 'fat' }))
const stopLater = stopAfterEach()

async function startReportsApp(
  host: Host,
  arrangement: Arrangement,
  responseMode: 'query' | 'form_post',
): Promise<TestApp> {
  const options = { scope: 'openid profile email groups reports:read', responseMode }
  return stopLater(await startApp({ ...arrangement, host, provider: provider(), options }))
}

/** Logs a user in at a guarded page, with the response in the query. */
async function checkResponseByQuery(app: TestApp): Promise<void> {
  provider().account = 'alice'
  const browser = app.browser()
  const page = await browser.open(`${app.baseUrl}/reports?year=2026`)
  assert.deepEqual([page.status, page.url], [200, `${app.baseUrl}/reports?year=2026`])
  assert.match(String(page.json()['scope']), /\breports:read\b/)
  assert.deepEqual((await browser.open(`${app.baseUrl}/admin`)).json(), { groups: ['admin', 'staff'] })
  await checkLogout(app, browser)
}

/** Logs a user in with a response that the provider posts. */
async function checkResponseByForm(app: TestApp): Promise<void> {
  provider().account = 'bob'
  const browser = app.browser()
  const page = await browser.open(`${app.baseUrl}/profile`)
  assert.deepEqual([page.status, page.url], [200, `${app.baseUrl}/profile`])
  assert.deepEqual([page.json()['sub'], page.json()['email']], ['bob', 'bob@example.test'])
  assert.equal((await browser.open(`${app.baseUrl}/admin`)).status, 403)
  await checkLogout(app, browser)
}

async function checkLogout(app: TestApp, browser: ReturnType<TestApp['browser']>): Promise<void> {
  const thief = browser.clone()
  const page = await browser.post(`${app.baseUrl}/logout`)
  assert.equal(new URL(page.url).origin, app.origin)
  assert.deepEqual(page.json(), { authenticated: false, claims: null })
  // The cookie from before the logout is worthless.
  assert.equal((await thief.open(`${app.baseUrl}/`)).json()['authenticated'], false)
}

const CHECKS = [
  ['query', checkResponseByQuery, []],
  ['form_post', checkResponseByForm, ['ERR_OIDC_INSUFFICIENT_CLAIM']],
] as const

for (const host of HOSTS) {
  describe(`in ${host}`, () => {
    for (const [name, arrangement] of ARRANGEMENTS) {
      for (const [responseMode, check, denials] of CHECKS) {
        it(`a user logs in by ${responseMode}, is allowed or denied by guards, and logs out: ${name}`, async () => {
          const app = await startReportsApp(host, arrangement, responseMode)
          await check(app)
          assert.equal(await app.sessions(), 0)
          assert.deepEqual([codesOf(app), app.otherErrors], [denials, []])
        })
      }
    }
  })
}

describe('without a framework', () => {
  it('a user logs in, passes a guard, and logs out', async () => {
    let answer: RequestListener = () => undefined
    const { port } = stopLater(await listen(createServer((req, res) => answer(req, res))))
    const origin = `http://127.0.0.1:${port}`
    const auth = oidc(usualOptions(provider(), origin))
    const sessions = session({ secret: 'x', resave: false, saveUninitialized: false }) as unknown as Handler
    const guard = requireAuth()
    answer = (req, res) => {
      const fail = (error: unknown): void => void res.writeHead(500).end(String(error))
      const show = (): void =>
        guard(req, res, (error) => (error ? fail(error) : sendText(res, 200, 'text/plain', 'in')))
      sessions(req, res, (error) => (error ? fail(error) : auth(req, res, (other) => (other ? fail(other) : show()))))
    }
    const browser = createBrowser({ origin })
    const page = await browser.open('/anything?a=1')
    assert.deepEqual([page.status, page.url, page.body], [200, `${origin}/anything?a=1`, 'in'])
    await browser.post('/logout', {}, { follow: false })
    assert.equal((await browser.fetch('/anything')).status, 401)
  })
})
