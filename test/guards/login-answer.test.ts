import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Handler, requireAuth } from '../../lib/index.ts'
import { startApp, type TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { createStage, share } from '../support/app/stage.ts'
import { exchange } from '../support/browser/http-exchange.ts'

const ok = answerJson(() => ({ ok: true }))

const routes: Routes = {
  '/api': [requireAuth(), ok],
  '/strict': [requireAuth({ maxAge: 60 }), ok],
}

const stage = createStage({ app: { routes } })

type Headers = Readonly<Record<string, string>>

async function answerTo(app: TestApp, headers: Headers, path = '/api', method = 'GET') {
  const url = new URL(app.baseUrl + path)
  const { status, headers: received, body } = await exchange({ method, url, headers: { accept: '*/*', ...headers } })
  assert.equal(status, 401)
  return { headers: received, body }
}

async function returnToOf(app: TestApp, headers: Headers): Promise<string | null> {
  const { loginUrl } = JSON.parse((await answerTo(app, headers)).body)
  assert.match(loginUrl, /^(\/portal)?\/login\?/)
  return new URL(loginUrl, app.origin).searchParams.get('returnTo')
}

const htmx = { 'hx-request': 'true' }

/** The page that sent the request, as a header says it, and where the login returns to. `ORIGIN` is that of the app. */
const PAGES: readonly (readonly [name: string, headers: Headers, returnTo: string])[] = [
  ['the page that sent the request', { referer: 'ORIGIN/board?week=3&a=b' }, '/board?week=3&a=b'],
  ['that page without its fragment', { referer: 'ORIGIN/board#top' }, '/board'],
  ['the page that htmx names', { ...htmx, 'hx-current-url': 'ORIGIN/board?week=4#top' }, '/board?week=4'],
  ['that page rather than the referrer', { ...htmx, 'hx-current-url': 'ORIGIN/a', referer: 'ORIGIN/b' }, '/a'],
  ['the referrer if another script names a page', { 'hx-current-url': 'ORIGIN/a', referer: 'ORIGIN/b' }, '/b'],
  ['the home page without a referrer', {}, '/'],
  ['the home page for another origin', { referer: 'https://evil.example/board' }, '/'],
  ['the home page for another port', { referer: 'ORIGIN0/board' }, '/'],
  ['the home page for our origin as a user name', { referer: 'ORIGIN@evil.example/board' }, '/'],
  ['the home page for an origin that begins like ours', { referer: 'ORIGIN.evil.example/board' }, '/'],
  ['the home page for another origin that htmx names', { ...htmx, 'hx-current-url': 'https://evil.example/' }, '/'],
  ['the home page for another host, which Host names', { host: 'evil.example', referer: 'http://evil.example/a' }, '/'],
  ['the home page for two slashes', { referer: 'ORIGIN//evil.example/board' }, '/'],
  ['the home page for a slash and a backslash', { referer: 'ORIGIN/\\evil.example' }, '/'],
  ['the home page for an encoded backslash', { referer: 'ORIGIN/%5Cevil.example' }, '/'],
  ['the home page for an encoded slash', { referer: 'ORIGIN/%2Fevil.example' }, '/'],
  ['the home page for a script as a URL', { referer: 'javascript:alert(1)' }, '/'],
  ['the home page for no URL', { referer: '/board' }, '/'],
  ['the home page for our login route', { referer: 'ORIGIN/login?returnTo=/a' }, '/'],
  ['the home page for our callback', { referer: 'ORIGIN/callback?code=1&state=2' }, '/'],
  ['the home page for our logout route in other letters', { ...htmx, 'hx-current-url': 'ORIGIN/LogOut/' }, '/'],
  ['the home page for an address that is too long', { referer: `ORIGIN/${'a'.repeat(4096)}` }, '/'],
]

describe('a request without a login that is no navigation', () => {
  const plain = share(() => startApp({ provider: stage.provider, routes }))
  const mounted = share(() => startApp({ provider: stage.provider, routes, mountPath: '/portal' }))

  describe('the login URL that a script gets leads back to', () => {
    for (const [name, headers, returnTo] of PAGES) {
      it(name, async () => {
        const entries = Object.entries(headers).map(([key, value]) => [key, value.replace('ORIGIN', plain().origin)])
        assert.equal(await returnToOf(plain(), Object.fromEntries(entries)), returnTo)
      })
    }

    it('no page outside of the path of baseUrl', async () => {
      const { origin } = mounted()
      assert.equal(await returnToOf(mounted(), { referer: `${origin}/portal/board` }), '/portal/board')
      assert.equal(await returnToOf(mounted(), { referer: `${origin}/elsewhere` }), '/portal/')
      assert.equal(await returnToOf(mounted(), { referer: `${origin}/portal/login` }), '/portal/')
    })
  })

  describe('htmx', () => {
    it('gets the login URL in HX-Redirect too', async () => {
      const { headers, body } = await answerTo(plain(), { ...htmx, 'hx-current-url': `${plain().origin}/board` })
      assert.equal(headers['hx-redirect'], '/login?returnTo=%2Fboard')
      assert.equal(JSON.parse(body).loginUrl, headers['hx-redirect'])
    })

    it('is sent to the page of a link that it follows by itself', async () => {
      const boosted = { ...htmx, 'hx-boosted': 'true', 'hx-current-url': `${plain().origin}/board` }
      const { headers } = await answerTo(plain(), boosted, '/api?week=3')
      assert.equal(headers['hx-redirect'], '/login?returnTo=%2Fapi%3Fweek%3D3')
      const posted = await answerTo(plain(), boosted, '/api', 'POST')
      assert.equal(posted.headers['hx-redirect'], '/login?returnTo=%2Fboard')
    })

    it('gets the stronger login that a page requires', async () => {
      const { headers } = await answerTo(plain(), htmx, '/strict')
      assert.match(String(headers['hx-redirect']), /^\/login\?returnTo=%2F&requirement=[\w-]+$/)
    })

    it('is the only one that gets this header', async () => {
      for (const headers of [{}, { 'hx-request': 'false' }]) {
        assert.equal((await answerTo(plain(), headers)).headers['hx-redirect'], undefined)
      }
    })
  })

  describe('a guarded page in a frame', () => {
    const framed = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe', accept: 'text/html' }

    it('is a page with a link that opens at the top and leads back to the page around it', async () => {
      const { headers, body } = await answerTo(plain(), { ...framed, referer: `${plain().origin}/board?a=1&b="` })
      assert.match(String(headers['content-type']), /^text\/html/)
      assert.ok(body.includes('<a href="/login?returnTo=%2Fboard%3Fa%3D1%26b%3D%2522" target="_top">'), body)
      assert.match(
        String(headers['content-security-policy']),
        /default-src 'none'.*base-uri 'none'; form-action 'none'/,
      )
      assert.equal(headers['cache-control'], 'no-store')
    })

    it('leads back to itself if the page around it is of another origin', async () => {
      const { body } = await answerTo(plain(), { ...framed, referer: 'https://evil.example/' }, '/api?x=<script>')
      assert.match(
        body,
        /<a href="\/login\?returnTo=%2Fapi%3Fx%3D%253Cscript%253E|<a href="\/login\?returnTo=%2Fapi%3Fx%3D%3Cscript%3E/,
      )
      assert.doesNotMatch(body, /evil|<script/)
    })

    it('keeps the policy of the application, which may forbid to frame its pages', async () => {
      const withPolicy: Handler = (_req, res, next) => {
        res.setHeader('Content-Security-Policy', "frame-ancestors 'self'")
        next()
      }
      const app = await stage.start({}, { before: [withPolicy] })
      const { headers } = await answerTo(app, framed)
      assert.match(String(headers['content-security-policy']), /^frame-ancestors 'self', default-src 'none'/)
    })

    for (const dest of ['frame', 'embed', 'object']) {
      it(`is the same in <${dest}>`, async () => {
        const { body } = await answerTo(plain(), { ...framed, 'sec-fetch-dest': dest })
        assert.match(body, /target="_top"/)
      })
    }

    it('shows a link for a stronger login too', async () => {
      const { body } = await answerTo(plain(), framed, '/strict')
      assert.match(body, /requirement=[\w-]+" target="_top"/)
    })
  })
})
