import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { before, describe, it } from 'node:test'
import { transform } from 'esbuild'
import type { Page } from 'playwright-core'
import { type Handler, requireAuth, requireSameOrigin } from '../../lib/index.ts'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { ROOT } from '../support/app/project.ts'
import { createStage, share } from '../support/app/stage.ts'
import { skipWithoutChromium } from '../support/browser/chromium.ts'
import { createChromiumPages } from '../support/browser/chromium-pages.ts'
import { listen, sendJson, sendText } from '../support/servers/http-server.ts'

/** In bytes: what one module may cost a page. */
const MOST_MINIFIED = 1500

const SOURCE = readFileSync(`${ROOT}lib/browser.ts`, 'utf8')

async function compiled(minify: boolean): Promise<string> {
  return (await transform(SOURCE, { loader: 'ts', format: 'esm', target: 'es2022', minify })).code
}

describe('express-oidc/browser', () => {
  it(`is smaller than ${MOST_MINIFIED} bytes minified`, async () => {
    const { length } = await compiled(true)
    assert.ok(length < MOST_MINIFIED, `it has ${length} bytes`)
  })

  it('imports nothing, and can be imported on a server', async () => {
    assert.equal(/\bimport\b|\brequire\b/.test(await compiled(true)), false)
    assert.deepEqual(Object.keys(await import('../../lib/browser.ts')).sort(), ['fetch', 'onLogout', 'user'])
  })
})

const html =
  (body: string): Handler =>
  (_req, res) =>
    sendText(res, 200, 'text/html; charset=utf-8', `<!doctype html><title>Page</title>${body}`)

/** The page of an app without a framework. Tests call its functions. */
const SHELL = `<h1>Orders</h1><script type="module">
  import * as oidc from '/express-oidc.js'
  Object.assign(globalThis, { oidc, logouts: 0 })
</script>`

describe('a page that uses express-oidc/browser', { skip: skipWithoutChromium }, () => {
  const stage = createStage({ app: { errorHandler: 'json' } })
  const openPage = createChromiumPages()
  const seen: IncomingHttpHeaders[] = []
  let code = ''
  before(async () => {
    code = await compiled(false)
  })

  /** Another origin of the same site: its pages send our cookies. */
  const neighbour = share(async () => {
    const server = createServer((req, res) => {
      seen.push(req.headers)
      res.setHeader('Access-Control-Allow-Origin', req.headers.origin ?? '*')
      res.setHeader('Access-Control-Allow-Headers', '*')
      const app = new URL(req.url ?? '/', 'http://localhost').searchParams.get('app')
      if (app === null) sendJson(res, 401, { error: 'ERR_OIDC_LOGIN_REQUIRED', loginUrl: '/login' })
      else html(`<form method="post" action="${app}/form"><button>Win</button></form>`)(req, res, () => undefined)
    })
    const { port, stop } = await listen(server)
    return { origin: `http://127.0.0.1:${port}`, stop }
  })

  const orders = answerJson(({ headers, method }) => ({ orders: [7], header: headers['x-csrf'], method }))
  const routes: Routes = {
    '/express-oidc.js': (_req, res) => sendText(res, 200, 'text/javascript', code),
    '/board': html(SHELL),
    '/api/orders': [requireSameOrigin({ header: true }), requireAuth(), orders],
    '/api/refused': (_req, res) => sendJson(res, 401, { error: 'invalid_token', loginUrl: '/login' }),
    '/api/odd': (_req, res) =>
      sendJson(res, 401, { error: 'ERR_OIDC_LOGIN_REQUIRED', loginUrl: 'https://evil.example' }),
    '/api/text': (_req, res) => sendText(res, 401, 'text/plain', 'no'),
    '/form': [requireAuth(), answerJson(({ method }) => ({ method }))],
    '/framed': [requireAuth(), html('<p>inside</p>')],
    '/around': html('<iframe src="/framed"></iframe>'),
    '/forms': html('<form method="post" action="/form"><button>Send</button></form>'),
  }

  /** An app, and a page of it in a browser without a login. */
  async function openBoard(path = '/board'): Promise<{ app: TestApp; page: Page }> {
    const app = await stage.start({ routes: { user: '/user' } }, { routes })
    const page = await openPage()
    await open(page, app, path)
    return { app, page }
  }

  async function open(page: Page, app: TestApp, path: string): Promise<void> {
    await page.goto(app.origin + path)
    await page.waitForFunction('"oidc" in globalThis')
  }

  async function logIn(page: Page, app: TestApp): Promise<void> {
    await page.goto(`${app.origin}/login?returnTo=/board`)
    await page.waitForFunction('"oidc" in globalThis')
  }

  it('logs in at a 401, and comes back to the same place, query and fragment included', async () => {
    const { app, page } = await openBoard('/board?tab=2&q=%26#orders/7')
    await page.evaluate('void oidc.fetch("/api/orders")')
    await page.waitForEvent('load')
    await page.waitForFunction('"oidc" in globalThis')
    assert.equal(page.url(), `${app.origin}/board?tab=2&q=%26#orders/7`)
    const found = await page.evaluate('oidc.fetch("/api/orders").then((response) => response.json())')
    assert.deepEqual(found, { orders: [7], header: '1', method: 'GET' })
    assert.equal(stage.provider.calls['/authorize'], 1)
  })

  it('sends what the global fetch takes: a URL, a Request, a method and a body', async () => {
    const { app, page } = await openBoard()
    await logIn(page, app)
    const methods = await page.evaluate(`Promise.all([
      oidc.fetch(new URL('/api/orders', location.href)),
      oidc.fetch(new Request('/api/orders', { method: 'POST', body: 'x' })),
      oidc.fetch('/api/orders', { method: 'DELETE' }),
    ].map(async (sent) => (await (await sent).json()).method))`)
    assert.deepEqual(methods, ['GET', 'POST', 'DELETE'])
  })

  it('returns a 401 that is not about our login, and goes nowhere', async () => {
    const { app, page } = await openBoard()
    const statuses = await page.evaluate(
      `Promise.all(['/api/refused', '/api/odd', '/api/text'].map(async (url) => (await oidc.fetch(url)).status))`,
    )
    assert.deepEqual([statuses, page.url()], [[401, 401, 401], `${app.origin}/board`])
  })

  it('sends no header to another origin, and does not follow its 401', async () => {
    const { app, page } = await openBoard()
    seen.length = 0
    const status = await page.evaluate(`oidc.fetch('${neighbour().origin}/').then((response) => response.status)`)
    assert.deepEqual([status, page.url()], [401, `${app.origin}/board`])
    assert.deepEqual(
      seen.map((headers) => headers['x-csrf']),
      [undefined],
    )
  })

  it('knows who is logged in', async () => {
    const { app, page } = await openBoard()
    assert.equal(await page.evaluate('oidc.user()'), undefined)
    await logIn(page, app)
    assert.equal(await page.evaluate('oidc.user().then(({ claims }) => claims.name)'), 'Alice Example')
    await assert.rejects(page.evaluate('oidc.user("/nowhere")'), /routes\.user responded 404/)
  })

  it('is told once of a logout in another tab', async () => {
    const { app, page } = await openBoard()
    await logIn(page, app)
    await page.evaluate('oidc.user().then(() => oidc.onLogout(() => logouts++))')
    const other = await page.context().newPage()
    await open(other, app, '/board')
    await other.evaluate(`fetch('/logout', { method: 'POST' })`)
    await page.bringToFront()
    await page.waitForFunction(`logouts || document.dispatchEvent(new Event('visibilitychange')) && logouts`)
    await page.evaluate(`document.dispatchEvent(new Event('visibilitychange')); oidc.user()`)
    assert.equal(await page.evaluate('logouts'), 1)
  })

  it('is told nothing after it has stopped, nor while the server is away', async () => {
    const { app, page } = await openBoard()
    await logIn(page, app)
    const known = page.waitForResponse('**/user')
    await page.evaluate('void (globalThis.stop = oidc.onLogout(() => logouts++))')
    await known
    await page.route('**/user', (route) => route.abort())
    const failed = page.waitForEvent('requestfailed')
    await page.evaluate(`void document.dispatchEvent(new Event('visibilitychange'))`)
    await failed
    await page.unroute('**/user')
    await page.evaluate(`stop(), fetch('/logout', { method: 'POST' })`)
    await page.evaluate(`document.dispatchEvent(new Event('visibilitychange')), oidc.user()`)
    assert.equal(await page.evaluate('logouts'), 0)
  })

  it('can send forms and requests of its own through guards', async () => {
    const { app, page } = await openBoard()
    await logIn(page, app)
    assert.equal(await page.evaluate(`fetch('/form', { method: 'PUT' }).then(({ status }) => status)`), 200)
    await page.goto(`${app.origin}/forms`)
    await page.click('button')
    await page.waitForURL(`${app.origin}/form`)
    assert.deepEqual(JSON.parse((await page.textContent('body')) ?? ''), { method: 'POST' })
    assert.deepEqual(app.errors, [])
  })

  it('is protected against a form and a script of another origin of the same site', async () => {
    const { app, page } = await openBoard()
    await logIn(page, app)
    await page.goto(`${neighbour().origin}/?app=${app.origin}`)
    await page.evaluate(`fetch('${app.origin}/user', { mode: 'no-cors', credentials: 'include' })`)
    await page.click('button')
    await page.waitForURL(`${app.origin}/form`)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_CROSS_ORIGIN_REQUEST', 'ERR_OIDC_CROSS_ORIGIN_REQUEST'])
  })

  it('shows a link in a frame that logs in at the top, and leads back to the page around it', async () => {
    const app = await stage.start({}, { routes })
    const page = await openPage()
    await page.goto(`${app.origin}/around`)
    await page.frameLocator('iframe').getByRole('link', { name: 'Sign in' }).click()
    await page.waitForURL(`${app.origin}/around#`)
    assert.equal(await page.frameLocator('iframe').locator('p').textContent(), 'inside')
  })
})
