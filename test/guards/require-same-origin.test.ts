import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { ConfigError, type Handler, requireAuth, requireSameOrigin } from '../../lib/index.ts'
import { type AnyOptions, codesOf, startApp, type TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { HOSTS } from '../support/app/hosts.ts'
import { createStage, share } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { exchange } from '../support/browser/http-exchange.ts'

const TRUSTED = 'https://admin.example'

const passed = answerJson(() => ({ passed: true }))

/** As the package method-override: the method of a header replaces that of the request. */
const overrideMethod: Handler = (req, _res, next) => {
  const method = req.headers['x-http-method-override']
  if (method !== undefined) Object.assign(req, { originalMethod: req.method, method: String(method) })
  next()
}

const routes: Routes = {
  '/open': [requireSameOrigin(), passed],
  '/trusting': [requireSameOrigin({ trustedOrigins: ['https://partner.example'] }), passed],
  '/api': [requireSameOrigin({ header: true }), passed],
  '/guarded': [requireAuth(), passed],
}

const stage = createStage({ app: { routes, errorHandler: 'json' } })

type Headers = Readonly<Record<string, string>>
type HeadersAt = (app: TestApp) => Headers

async function request(app: TestApp, method: string, path: string, headers: Headers, browser?: Browser) {
  const url = new URL(path, app.origin)
  const cookie = browser?.jar.header(url, { sameSite: true, safeNavigation: true })
  return exchange({ method, url, headers: { ...(cookie ? { cookie } : {}), ...headers } })
}

/** Each differs by one header from a request that passes. */
const REFUSED: readonly (readonly [name: string, headers: HeadersAt, method?: string])[] = [
  ['of another site', () => ({ 'sec-fetch-site': 'cross-site' })],
  ['of a subdomain', () => ({ 'sec-fetch-site': 'same-site' })],
  ['of another site that says it is ours in Origin', ({ origin }) => ({ 'sec-fetch-site': 'cross-site', origin })],
  ['with an unknown Sec-Fetch-Site', () => ({ 'sec-fetch-site': 'SAME-ORIGIN' })],
  ['with an empty Sec-Fetch-Site', () => ({ 'sec-fetch-site': '' })],
  ['with two values of Sec-Fetch-Site', () => ({ 'sec-fetch-site': 'same-origin, cross-site' })],
  ['of another origin', () => ({ origin: 'https://evil.example' })],
  ['of an opaque origin', () => ({ origin: 'null' })],
  ['with an empty Origin', () => ({ origin: '' })],
  ['of our host at another port', ({ origin }) => ({ origin: `${origin}1` })],
  ['of our host with another scheme', ({ origin }) => ({ origin: origin.replace('http:', 'https:') })],
  ['of our origin with a path', ({ origin }) => ({ origin: `${origin}/` })],
  ['whose origin is that of Host', () => ({ origin: 'http://evil.example', host: 'evil.example' })],
  [
    'whose origin is that of X-Forwarded-Host',
    () => ({ origin: 'https://evil.example', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' }),
  ],
  ['of an origin that begins like a trusted one', () => ({ origin: `${TRUSTED}.evil.example` })],
  ['of a trusted origin in Referer only', () => ({ 'sec-fetch-site': 'cross-site', referer: `${TRUSTED}/` })],
  ['by TRACE', () => ({ 'sec-fetch-site': 'cross-site' }), 'TRACE'],
  ['by PUT', () => ({ 'sec-fetch-site': 'cross-site' }), 'PUT'],
  ['by DELETE', () => ({ 'sec-fetch-site': 'cross-site' }), 'DELETE'],
  ['by a method that we do not know', () => ({ 'sec-fetch-site': 'cross-site' }), 'PROPFIND'],
  ['by POST as GET', () => ({ 'sec-fetch-site': 'cross-site', 'x-http-method-override': 'GET' })],
  ['by GET as POST', () => ({ 'sec-fetch-site': 'cross-site', 'x-http-method-override': 'POST' }), 'GET'],
]

const ACCEPTED: readonly (readonly [name: string, headers: HeadersAt, method?: string])[] = [
  ['of our own page', () => ({ 'sec-fetch-site': 'same-origin' })],
  ['of our own page in a sandboxed frame', () => ({ 'sec-fetch-site': 'same-origin', origin: 'null' })],
  ['that the user has started', () => ({ 'sec-fetch-site': 'none' })],
  ['of our own page in an old browser', ({ origin }) => ({ origin })],
  ['of a program', () => ({})],
  ['of a trusted origin', () => ({ 'sec-fetch-site': 'cross-site', origin: TRUSTED })],
  ['of a trusted origin in an old browser', () => ({ origin: TRUSTED })],
  ['by GET of another site', () => ({ 'sec-fetch-site': 'cross-site' }), 'GET'],
  ['by HEAD of another site', () => ({ 'sec-fetch-site': 'cross-site' }), 'HEAD'],
  ['by OPTIONS of another site', () => ({ 'sec-fetch-site': 'cross-site' }), 'OPTIONS'],
]

describe('requireSameOrigin() and a guard with a session', () => {
  const app = share(() =>
    startApp({
      provider: stage.provider,
      routes,
      errorHandler: 'json',
      before: [overrideMethod],
      options: { trustedOrigins: [TRUSTED] },
    }),
  )
  let browser: Browser
  before(async () => {
    browser = app().browser()
    await browser.open('/guarded')
  })

  for (const path of ['/open', '/guarded']) {
    for (const [name, headers, method = 'POST'] of REFUSED) {
      it(`refuse a request ${name} (${path})`, async () => {
        app().errors.length = 0
        const answer = await request(app(), method, path, headers(app()), browser)
        assert.equal(answer.status, 403)
        assert.deepEqual(codesOf(app()), ['ERR_OIDC_CROSS_ORIGIN_REQUEST'])
        assert.doesNotMatch(String(app().errors[0]?.message), /evil|admin/)
      })
    }

    for (const [name, headers, method = 'POST'] of ACCEPTED) {
      it(`let a request ${name} pass (${path})`, async () => {
        const answer = await request(app(), method, path, headers(app()), browser)
        assert.equal(answer.status, 200, answer.body)
      })
    }
  }

  it('differ for a request without a login: the guard answers 401', async () => {
    const answer = await request(app(), 'POST', '/guarded', { 'sec-fetch-site': 'cross-site' })
    assert.equal(answer.status, 401)
  })
})

describe('requireSameOrigin()', () => {
  it('adds its own trusted origins to those of the options', async () => {
    const app = await stage.start({ trustedOrigins: [TRUSTED] })
    const statusOf = async (path: string, origin: string): Promise<number> =>
      (await request(app, 'POST', path, { origin })).status
    assert.deepEqual(
      [
        await statusOf('/trusting', 'https://partner.example'),
        await statusOf('/trusting', TRUSTED),
        await statusOf('/open', 'https://partner.example'),
      ],
      [200, 200, 403],
    )
  })

  it('requires the header of every request but a preflight, if it is told to', async () => {
    const app = await stage.start()
    const cases: readonly (readonly [method: string, headers: Headers, status: number])[] = [
      ['GET', {}, 403],
      ['POST', { origin: app.origin }, 403],
      ['POST', { 'x-csrf': '' }, 403],
      ['POST', { 'x-csrf': '0' }, 403],
      ['POST', { 'x-csrf': '1, 1' }, 403],
      ['OPTIONS', {}, 403],
      ['GET', { 'x-csrf': '1' }, 200],
      ['POST', { 'x-csrf': '1' }, 200],
      ['OPTIONS', { 'access-control-request-method': 'POST' }, 200],
    ]
    for (const [method, headers, status] of cases) {
      const answer = await request(app, method, '/api', headers)
      assert.equal(answer.status, status, `${method} ${JSON.stringify(headers)}`)
    }
    assert.deepEqual([...new Set(codesOf(app))], ['ERR_OIDC_CSRF_HEADER'])
  })

  it('checks the sender even if the header is there', async () => {
    const app = await stage.start()
    const headers = { 'x-csrf': '1', 'sec-fetch-site': 'cross-site' }
    assert.equal((await request(app, 'POST', '/api', headers)).status, 403)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_CROSS_ORIGIN_REQUEST'])
  })

  it('passes ERR_OIDC_NOT_MOUNTED to next without oidc()', async () => {
    const errors: unknown[] = []
    requireSameOrigin()({ headers: {} } as never, {} as never, (error) => void errors.push(error))
    assert.deepEqual(
      errors.map((error) => Object(error).code),
      ['ERR_OIDC_NOT_MOUNTED'],
    )
  })

  it('throws for anything but its options', () => {
    for (const wrong of [
      { origins: [] },
      { header: 'X-CSRF' },
      { trustedOrigins: ['*'] },
      { trustedOrigins: 'https://a.example' },
      { url: '/' },
    ]) {
      assert.throws(() => requireSameOrigin(wrong as never), ConfigError)
    }
  })
})

describe('the CSRF protection of guards', () => {
  const crossSite = { 'sec-fetch-site': 'cross-site' }

  async function startLoggedIn(options: Partial<AnyOptions>, host: (typeof HOSTS)[number] = 'express5') {
    return stage.startLoggedIn(options, { host })
  }

  for (const host of HOSTS) {
    it(`refuses a form of another site on ${host}`, async () => {
      const { app, browser } = await startLoggedIn({}, host)
      assert.equal((await request(app, 'POST', '/guarded', crossSite, browser)).status, 403)
    })
  }

  it('is off if the option says so, but requireSameOrigin() is not', async () => {
    const { app, browser } = await startLoggedIn({ csrfProtection: false })
    assert.equal((await request(app, 'POST', '/guarded', crossSite, browser)).status, 200)
    assert.equal((await request(app, 'POST', '/open', crossSite, browser)).status, 403)
  })
})
