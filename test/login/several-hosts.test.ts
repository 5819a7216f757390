import assert from 'node:assert/strict'
import { request } from 'node:http'
import { describe, it } from 'node:test'
import { bearer } from '../../lib/bearer.ts'
import { ConfigError, type ErrorCode, type Handler, requireAuth, requireSameOrigin } from '../../lib/index.ts'
import { clientDocumentOf } from '../../lib/options/client-document.ts'
import { configAt } from '../../lib/options/config.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { HOSTS } from '../support/app/hosts.ts'
import { subjectOf } from '../support/app/logout-observer.ts'
import { type AppSettings, createStage } from '../support/app/stage.ts'
import { isAtProvider, isCallback } from '../support/app/url-predicates.ts'
import { createBrowser, type Navigation } from '../support/browser/browser.ts'

const [SHOP, DESK] = ['shop.example.localhost', 'desk.example.localhost']
const SECRET = 'the secret that seals the cookies of an app'

const stage = createStage({
  app: {
    hostname: SHOP,
    moreHosts: [DESK],
    routes: {
      '/form': [requireSameOrigin(), answerJson(() => ({ posted: true }))],
      '/where': answerJson(({ oidc }) => ({ login: oidc.loginUrl('/profile') })),
    },
  },
})

function start(options: Partial<AnyOptions> = {}, settings: AppSettings = {}): Promise<TestApp> {
  return stage.start({ secret: SECRET, ...options }, settings)
}

function at(host: string, app: TestApp): string {
  return `http://${host}:${app.port}`
}

/** The response at this host, as if the attacker had copied it there. */
function moved(answer: Navigation | undefined, host: string): Navigation {
  const url = new URL(answer?.url ?? '')
  url.hostname = host
  return { method: 'GET', ...answer, url: url.href }
}

/** Status of a request whose lines are sent as they are. */
function rawStatus(app: TestApp, path: string, headers: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port: app.port, path, headers, setHost: false, agent: false }, (res) => {
      res.resume()
      resolve(res.statusCode ?? 0)
    })
    sent.on('error', reject).end()
  })
}

describe('an app with several hosts', () => {
  for (const framework of HOSTS) {
    it(`logs users in and out at each host, in ${framework}`, async () => {
      const app = await start({}, { host: framework })
      for (const host of [SHOP, DESK]) {
        const origin = at(host, app)
        const browser = createBrowser({ origin })
        const page = await browser.open('/login?returnTo=/profile')
        assert.deepEqual([page.status, page.url], [200, `${origin}/profile`])
        const authorize = new URL(page.history.find(({ url }) => url.includes('/authorize'))?.url ?? '')
        assert.equal(authorize.searchParams.get('redirect_uri'), `${origin}/callback`)
        const out = await browser.post('/logout', {}, { stopBefore: isAtProvider })
        const endSession = new URL(out.next?.url ?? '')
        assert.equal(endSession.searchParams.get('post_logout_redirect_uri'), origin)
      }
      assert.deepEqual([codesOf(app), stage.provider.complaints, await app.sessions()], [[], [], 0])
    })
  }

  it('fetches the metadata of the provider once for all hosts', async () => {
    const app = await start()
    for (const host of [SHOP, DESK]) await createBrowser({ origin: at(host, app) }).open('/login')
    assert.equal(stage.provider.calls['/discovery'], 1)
  })

  it('keeps a guarded page at its host', async () => {
    const app = await start()
    const page = await createBrowser({ origin: at(DESK, app) }).open('/profile')
    assert.equal(page.url, `${at(DESK, app)}/profile`)
  })

  it('has a path of its own after a logout at each host, or one URL for all', async () => {
    for (const [postLogoutRedirectUri, expected] of [
      ['/bye', '/bye'],
      ['http://www.example.test/bye', 'http://www.example.test/bye'],
    ] as const) {
      const app = await start({ postLogoutRedirectUri })
      const page = await createBrowser({ origin: at(DESK, app) }).post('/logout', {}, { follow: false })
      assert.equal(page.next?.url, new URL(expected, at(DESK, app)).href)
    }
  })

  it('works with form posts, which the page of its own host posts again', async () => {
    const app = await start({ responseMode: 'form_post' })
    const page = await createBrowser({ origin: at(DESK, app) }).open('/login?returnTo=/profile')
    assert.deepEqual([page.status, page.url, codesOf(app)], [200, `${at(DESK, app)}/profile`, []])
  })

  it('ends the sessions of all hosts by one logout token', async () => {
    const app = await start()
    const browsers = [SHOP, DESK].map((host) => createBrowser({ origin: at(host, app) }))
    for (const browser of browsers) assert.equal((await browser.open('/profile')).status, 200)
    assert.equal(await app.sessions(), 2)
    const { sub } = await subjectOf(browsers[0] ?? app.browser())
    const answer = await stage.provider.postLogoutToken(`${at(DESK, app)}/backchannel-logout`, { sub })
    assert.equal(answer.status, 200, answer.body)
    assert.equal(await app.sessions(), 0)
  })

  it('registers and publishes the redirect URIs of all hosts', () => {
    const baseUrl = ['https://shop.example/portal', 'https://desk.example/portal']
    const clientId = 'https://desk.example/portal/client.json'
    const routes = { clientMetadata: '/client.json' }
    const { clients } = parseOptions({ issuer: 'https://id.example', clientId, secret: SECRET, baseUrl, routes })
    const document = clients[0] && clientDocumentOf(clients[0])
    assert.deepEqual(
      document?.redirect_uris,
      baseUrl.map((url) => `${url}/callback`),
    )
    assert.deepEqual(document?.post_logout_redirect_uris, baseUrl)
  })

  it('has the redirect URI of its host in the configuration of each', () => {
    const baseUrl = ['https://shop.example/portal/', 'https://desk.example:8443/portal']
    const { app, clients } = parseOptions({ issuer: 'https://id.example', clientId: 'a', secret: SECRET, baseUrl })
    const [first] = clients
    const second = app.hosts[1]
    assert.ok(first && second)
    assert.equal(first.redirectUri, 'https://shop.example/portal/callback')
    assert.equal(configAt(first, second).redirectUri, 'https://desk.example:8443/portal/callback')
    assert.equal(configAt(first, second).postLogoutRedirectUri, 'https://desk.example:8443/portal')
  })
})

describe('a request for a host that the app does not have', () => {
  const UNKNOWN: ErrorCode = 'ERR_OIDC_HOST_UNKNOWN'

  for (const host of ['evil.example', `${SHOP}.`, `x.${SHOP}`, `${SHOP}.evil.example`, 'localhost', '127.0.0.1']) {
    it(`is refused with 421, and is never taken for the first host: ${host}`, async () => {
      const app = await start()
      const browser = createBrowser({ origin: at(host, app) })
      for (const path of ['/login', '/', '/profile']) {
        const page = await browser.open(path, { follow: false })
        assert.deepEqual([page.status, page.next, page.headers['set-cookie']], [421, undefined, undefined], path)
        assert.ok(!page.body.includes(SHOP))
      }
      assert.deepEqual(codesOf(app), [UNKNOWN, UNKNOWN, UNKNOWN])
      assert.deepEqual(stage.provider.requests, [])
    })
  }

  const lines = (
    app: TestApp,
  ): readonly (readonly [name: string, path: string, headers: readonly string[], ok: boolean])[] => {
    const [shop, desk] = [`${SHOP}:${app.port}`, `${DESK}:${app.port}`]
    return [
      ['the host of the app', '/where', ['Host', shop], true],
      ['in capitals', '/where', ['Host', shop.toUpperCase()], true],
      ['another port', '/where', ['Host', `${SHOP}:1`], false],
      ['no port', '/where', ['Host', SHOP], false],
      ['credentials in front', '/where', ['Host', `a@${shop}`], false],
      ['a path behind', '/where', ['Host', `${shop}/x`], false],
      ['a query behind', '/where', ['Host', `${shop}?`], false],
      ['a backslash behind', '/where', ['Host', `${shop}\\`], false],
      ['an empty host', '/where', ['Host', ''], false],
      ['two different hosts of the app', '/where', ['Host', shop, 'Host', desk], false],
      ['a host of the app, and then another', '/where', ['Host', shop, 'Host', 'evil.example'], false],
      ['another host in the request target', 'http://evil.example/where', ['Host', shop], false],
      ['another host of the app in the request target', `http://${desk}/where`, ['Host', shop], false],
      ['the same host in the request target', `http://${shop}/where`, ['Host', shop], true],
      ['a forwarded host that nobody trusts', '/where', ['Host', 'evil.example', 'X-Forwarded-Host', shop], false],
    ]
  }

  it('is found by all that names the host, each of which must agree', async () => {
    const app = await start()
    for (const [name, path, headers, isAccepted] of lines(app)) {
      // Node itself answers some of them with 400.
      assert.equal((await rawStatus(app, path, headers)) === 200, isAccepted, name)
    }
  })

  it('is refused as an upgrade', async () => {
    const app = await start()
    const req = Object.assign(Object.create(null), {
      headers: { host: 'evil.example', connection: 'upgrade' },
      rawHeaders: ['Host', 'evil.example'],
      url: '/',
    })
    const session: Handler = (_req, _res, next) => next()
    await assert.rejects(app.auth.authenticateUpgrade(req, { session }), { code: UNKNOWN, status: 421 })
  })

  it('does not reach handlers that are mounted in front, such as a health check', async () => {
    const before: readonly Handler[] = [(req, res, next) => (req.url === '/healthz' ? void res.end('ok') : next())]
    const app = await start({}, { before })
    assert.equal((await createBrowser({ origin: at('10.0.0.7', app) }).open('/healthz')).body, 'ok')
  })
})

describe('behind a proxy, an app with several hosts', () => {
  const trust = (value: unknown): readonly Handler[] => [
    (req, _res, next) => {
      const app: unknown = Reflect.get(req, 'app')
      Object(app).set?.('trust proxy', value)
      next()
    },
  ]

  async function forwarded(
    before: readonly Handler[],
    forwardedHost: string,
    host: string = 'internal',
  ): Promise<string> {
    const app = await start({}, { before })
    const names = forwardedHost.replaceAll('PORT', String(app.port))
    const browser = createBrowser({ origin: at(host, app) })
    const page = await browser.open('/login', { follow: false, headers: { 'x-forwarded-host': names } })
    const redirectUri = new URL(page.next?.url ?? 'http://none').searchParams.get('redirect_uri')
    return redirectUri === null ? String(page.status) : new URL(redirectUri).hostname
  }

  it('takes the forwarded host of a proxy that Express trusts', async () => {
    assert.equal(await forwarded(trust(true), `${DESK}:PORT`), DESK)
    assert.equal(await forwarded(trust('loopback'), `${DESK}:PORT`, SHOP), DESK)
    assert.equal(await forwarded(trust(true), `${DESK}:PORT, internal`), DESK)
  })

  it('takes it from nobody else', async () => {
    assert.equal(await forwarded([], `${DESK}:PORT`), '421')
    assert.equal(await forwarded([], `${DESK}:PORT`, SHOP), SHOP)
    assert.equal(await forwarded(trust('10.0.0.0/8'), `${DESK}:PORT`, SHOP), SHOP)
  })

  it('refuses a forwarded host that it does not have', async () => {
    assert.equal(await forwarded(trust(true), 'evil.example', SHOP), '421')
    assert.equal(await forwarded(trust(true), `evil.example, ${DESK}:PORT`, SHOP), '421')
  })
})

describe('the hosts of an app', () => {
  it('do not share a login in progress: a copy of its cookie does not complete it elsewhere', async () => {
    const app = await start()
    const browser = createBrowser({ origin: at(SHOP, app) })
    const { next } = await browser.open('/login?returnTo=/profile', { stopBefore: isCallback })
    assert.ok(next)
    const withoutCookie = await createBrowser({ origin: at(DESK, app) }).go(moved(next, DESK))
    const cookie = browser
      .cookies(SHOP)
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ')
    const thief = createBrowser({ origin: at(DESK, app) })
    const withCookie = await thief.go(moved(next, DESK), { headers: { cookie } })
    assert.deepEqual([withoutCookie.status, withCookie.status], [400, 400])
    assert.deepEqual(codesOf(app), ['ERR_OIDC_TRANSACTION_MISSING', 'ERR_OIDC_TRANSACTION_INVALID'])
    assert.deepEqual([stage.provider.calls['/token'], await app.sessions()], [0, 0])
    assert.equal((await browser.go(next)).url, `${at(SHOP, app)}/profile`)
  })

  it('return to themselves, whatever returnTo says', async () => {
    const app = await start()
    const browser = createBrowser({ origin: at(DESK, app) })
    for (const returnTo of [`${at(SHOP, app)}/profile`, `//${SHOP}:${app.port}/profile`]) {
      const page = await browser.open(`/login?returnTo=${encodeURIComponent(returnTo)}`)
      assert.equal(page.url, `${at(DESK, app)}/`)
    }
  })

  it('are other origins to one another', async () => {
    const app = await start()
    const browser = createBrowser({ origin: at(DESK, app) })
    await browser.open('/profile')
    const post = async (from: string): Promise<number> =>
      (await browser.post('/form', {}, { from, follow: false })).status
    assert.deepEqual([await post(at(DESK, app)), await post(at(SHOP, app))], [200, 403])
    const logout = await browser.post('/logout', {}, { from: at(SHOP, app), follow: false })
    assert.equal(logout.status, 403)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_CROSS_ORIGIN_REQUEST', 'ERR_OIDC_CROSS_SITE_LOGOUT'])
  })

  it('do not share sessions, unless the app shares their cookie', async () => {
    const app = await start()
    const browser = createBrowser({ origin: at(SHOP, app) })
    await browser.open('/profile')
    const elsewhere = await browser.open(`${at(DESK, app)}/`)
    assert.equal(elsewhere.json()['authenticated'], false)
    const shared = await start({}, { session: { cookie: { domain: '.example.localhost' } } })
    const one = createBrowser({ origin: at(SHOP, shared) })
    await one.open('/profile')
    assert.equal((await one.open(`${at(DESK, shared)}/`)).json()['authenticated'], true)
  })
})

describe('bearer()', () => {
  it('has one URL, which decides the host of its metadata', () => {
    const baseUrl = ['https://shop.example', 'https://desk.example']
    assert.throws(
      () =>
        bearer({ issuer: 'https://id.example', audience: 'api', baseUrl } as unknown as Parameters<typeof bearer>[0]),
      (error) => error instanceof ConfigError && /^baseUrl must be/.test(error.faults[0] ?? ''),
    )
    assert.equal(typeof requireAuth(), 'function')
  })
})

describe('baseUrl as a list', () => {
  const faultsOf = (baseUrl: unknown): readonly string[] => {
    try {
      parseOptions({ issuer: 'https://id.example', clientId: 'a', secret: SECRET, baseUrl })
      return []
    } catch (error) {
      assert.ok(error instanceof ConfigError)
      return error.faults
    }
  }

  it('may have one URL, ports, paths and hosts beyond ASCII', () => {
    assert.deepEqual(faultsOf(['https://app.example']), [])
    assert.deepEqual(
      faultsOf(['https://app.example/a', 'https://app.example:8443/a/', 'https://münchen.example/a']),
      [],
    )
  })

  it('is refused if it is empty, or holds anything else', () => {
    assert.match(faultsOf([])[0] ?? '', /^baseUrl must be a list of one or more URLs of this application\./)
    assert.match(faultsOf(['https://app.example', '*.example'])[0] ?? '', /^baseUrl\[1\] must be an absolute https URL/)
    assert.match(faultsOf(['https://app.example', undefined])[0] ?? '', /^baseUrl\[1\] must be/)
  })
})
