import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { beforeEach, describe, it, mock } from 'node:test'
import { MemoryStore } from 'express-session'
import { isOwnRoute } from '../../lib/http/own-routes.ts'
import { attemptSilentLogin, type FindProviderOptions, type ProviderOptions } from '../../lib/index.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { answerBy, answerJson, type Routes } from '../support/app/app-routes.ts'
import { isIn, postAsServer, subjectOf } from '../support/app/logout-observer.ts'
import { createSeveralProviders } from '../support/app/several-providers.ts'
import { isAtProvider } from '../support/app/url-predicates.ts'
import type { Browser, Navigation } from '../support/browser/browser.ts'

type Name = 'acme' | 'globex'

const stage = createSeveralProviders<Name>({
  acme: { clientId: 'app-at-acme', clientSecret: 'acme-secret_of.at-least-40-characters_0123' },
  globex: { clientId: 'app-at-globex' },
})

const SECRET = 'the secret that seals the cookies of an app'
const SCOPE = 'openid profile email offline_access'

const routes: Routes = {
  '/who': answerJson(({ oidc }) => ({ provider: oidc.provider ?? null, iss: oidc.claims?.iss ?? null })),
  '/refresh': answerJson(async ({ oidc }) => ({ token: await oidc.accessToken({ refresh: true }) })),
  '/login-at-globex': answerBy(({ oidc }) => oidc.login({ provider: 'globex', returnTo: '/who' })),
  '/choose': answerJson(({ url }) => ({ chooser: url })),
}

/** What the database of the app has. */
const tenants = new Map<string, ProviderOptions | Error>()
const asked: string[] = []

beforeEach(() => {
  asked.length = 0
  tenants.clear()
  for (const name of ['acme', 'globex'] as const) tenants.set(name, stage.optionsFor(name))
  // A second client of the provider of acme.
  const { clients } = stage.provider('acme')
  const [client] = clients.values()
  assert.ok(client)
  clients.set('twin-at-acme', { ...client, clientId: 'twin-at-acme' })
  tenants.set('twin', { ...stage.optionsFor('acme'), clientId: 'twin-at-acme' })
})

const find: FindProviderOptions = async (name) => {
  asked.push(name)
  const found = tenants.get(name)
  if (found instanceof Error) throw found
  return found
}

async function start(options: Partial<AnyOptions> = {}, store: MemoryStore = new MemoryStore()): Promise<TestApp> {
  return stage.start({ secret: SECRET, providers: find, ...options }, { routes, session: { store } })
}

async function logIn(app: TestApp, name: string): Promise<Browser> {
  const browser = app.browser()
  const page = await browser.open(`/login?provider=${name}&returnTo=/who`)
  assert.deepEqual([page.status, page.json()['provider']], [200, name], page.body)
  return browser
}

async function responseOf(browser: Browser, name: string): Promise<Navigation> {
  const isCallback = ({ pathname }: URL): boolean => pathname.startsWith('/callback/')
  const { next } = await browser.open(`/login?provider=${name}&returnTo=/who`, { stopBefore: isCallback })
  assert.ok(next)
  return next
}

function at(name: string, answer: Navigation): Navigation {
  const url = new URL(answer.url)
  url.pathname = `/callback/${name}`
  return { ...answer, url: url.href }
}

/** Freezes the clock, so that an answer of the function is recent until the time is moved. */
function freeze(): void {
  mock.timers.enable({ apis: ['Date'], now: Date.now() })
}

/** Longer than an answer is kept. */
const LATER = 61_000

describe('providers that a function finds', () => {
  it('log users in, each at a callback of its own', async () => {
    const app = await start()
    for (const name of ['acme', 'globex', 'twin']) {
      const answer = await responseOf(app.browser(), name)
      assert.equal(new URL(answer.url).pathname, `/callback/${name}`)
      await logIn(app, name)
    }
    assert.deepEqual([codesOf(app), await app.sessions(), [...asked].sort()], [[], 3, ['acme', 'globex', 'twin']])
  })

  it('are asked for when they are needed: not for pages, and not for strangers', async () => {
    const app = await start()
    await app.auth.ready()
    await app.browser().open('/')
    assert.deepEqual(asked, [])
  })

  it('get the request that needs them', async () => {
    const urls: unknown[] = []
    const app = await start({
      providers: (name, req) => {
        urls.push(req?.url)
        return find(name, req)
      },
    })
    await responseOf(app.browser(), 'acme')
    assert.deepEqual(urls, ['/login?provider=acme&returnTo=/who'])
  })

  it('are chosen by req.oidc.login(), and by the chooser', async () => {
    const app = await start({ providerChooser: '/choose' })
    const browser = app.browser()
    assert.equal((await browser.open('/login-at-globex')).json()['provider'], 'globex')
    const page = await app.browser().open('/profile')
    assert.equal(page.json()['chooser'], '/choose?returnTo=%2Fprofile')
  })

  it('have a name in the login URL of a user who is logged in, even if only one is known', async () => {
    const app = await start()
    const browser = await logIn(app, 'acme')
    const page = await browser.open('/login-at-globex')
    assert.equal(page.json()['provider'], 'globex')
  })

  it('are not asked in silence for a visitor, of whom nothing says where they log in', async () => {
    const app = await stage.start(
      { secret: SECRET, providers: find },
      { routes: { ...routes, '/visit': [attemptSilentLogin(), answerJson(() => ({}))] } },
    )
    const browser = app.browser()
    const page = await browser.open('/visit', { follow: false })
    assert.equal(page.status, 200)
    assert.deepEqual(asked, [])
    await browser.open('/login?provider=acme&returnTo=/who')
    assert.equal((await browser.open('/visit')).status, 200)
  })

  it('are asked by silentLogin for a user whose login has expired, and for nobody else', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const app = await start({ silentLogin: true, loginLifetime: 60 })
    const stranger = app.browser()
    assert.deepEqual((await stranger.open('/who')).history.length, 1)
    assert.deepEqual([asked, stranger.cookies()], [[], []])
    const browser = await logIn(app, 'globex')
    mock.timers.tick(61_000)
    const page = await browser.open('/who')
    assert.deepEqual(page.json(), { provider: 'globex', iss: stage.provider('globex').issuer })
    assert.equal(stage.provider('globex').authorizationRequests.at(-1)?.get('prompt'), 'none')
    assert.deepEqual([stage.provider('acme').requests, app.errors], [[], []])
  })

  it('are not asked by silentLogin once the tenant is gone', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const app = await start({ silentLogin: true, loginLifetime: 60 })
    const browser = await logIn(app, 'globex')
    const before = stage.provider('globex').requests.length
    tenants.delete('globex')
    mock.timers.tick(3_600_000)
    const page = await browser.open('/who')
    assert.deepEqual(page.json(), { provider: null, iss: null })
    assert.equal(stage.provider('globex').requests.length, before)
  })

  it('may inherit options from the top', async () => {
    const app = await start({ scope: 'openid email' })
    const { url } = (await app.browser().open('/login?provider=acme', { stopBefore: isAtProvider })).next ?? { url: '' }
    assert.equal(new URL(url).searchParams.get('scope'), 'openid email')
  })

  for (const path of [
    '/login',
    '/login?provider=initech',
    '/login?provider=ACME',
    '/login?provider=',
    '/login?provider=__proto__',
  ]) {
    it(`are unknown at ${path}`, async () => {
      const app = await start()
      const page = await app.browser().open(path, { follow: false })
      assert.deepEqual([page.status, codesOf(app)], [400, ['ERR_OIDC_PROVIDER_UNKNOWN']])
      assert.ok(!page.body.includes('initech'))
    })
  }

  for (const route of ['callback', 'backchannel-logout', 'frontchannel-logout', 'jwks', 'security-events']) {
    it(`are unknown at /${route} for a name that nobody has`, async () => {
      const app = await start()
      const page = await app.browser().open(`/${route}/initech?code=x&state=y`, { follow: false })
      assert.deepEqual([page.status, codesOf(app)], [400, ['ERR_OIDC_PROVIDER_UNKNOWN']])
      const bare = await app.browser().open(`/${route}`, { follow: false })
      assert.equal(bare.status, 404)
    })
  }

  it('are no pages to return to', () => {
    const { app } = parseOptions({ baseUrl: 'https://app.example/portal', secret: SECRET, providers: find })
    for (const path of [
      '/portal/callback/acme',
      '/portal/CALLBACK/acme/',
      '/portal/portal/jwks/acme',
      '/portal/logout',
    ])
      assert.ok(isOwnRoute(path, app), path)
    for (const path of ['/portal/callbacks/acme', '/portal/acme', '/portal/callback-list'])
      assert.ok(!isOwnRoute(path, app), path)
  })

  it('fail with 503 while the function fails, and with its error as the cause', async () => {
    tenants.set('acme', new Error('the database is down'))
    const app = await start()
    const page = await app.browser().open('/login?provider=acme', { follow: false })
    assert.deepEqual([page.status, page.headers['retry-after'], codesOf(app)], [503, '5', ['ERR_OIDC_PROVIDER_LOOKUP']])
    assert.ok(!page.body.includes('database'))
    assert.match(String(app.errors[0]?.cause), /database/)
    assert.equal((await app.browser().open('/')).status, 200)
  })

  const wrong: readonly (readonly [name: string, options: unknown, message: RegExp])[] = [
    ['no issuer', { clientId: 'a' }, /^providers\("acme"\)\.issuer must be/],
    [
      'an unknown option',
      { issuer: 'https://id.example', clientId: 'a', clientID: 'b' },
      /^providers\("acme"\)\.clientID is an option of .* Use clientId\./,
    ],
    [
      'an option of the app',
      { issuer: 'https://id.example', clientId: 'a', baseUrl: 'https://x.example' },
      /^providers\("acme"\)\.baseUrl is not an option of one of the providers: set baseUrl beside providers\.$/m,
    ],
    [
      'a callback',
      { issuer: 'https://id.example', clientId: 'a', callback: '/x' },
      /^providers\("acme"\)\.callback is not an option, because/,
    ],
    [
      'a conflict',
      { issuer: 'https://id.example', clientId: 'a', dpopSigningAlg: 'ES256' },
      /^providers\("acme"\)\.dpopSigningAlg needs/,
    ],
    ['text', 'https://id.example', /^The option providers must return a plain object/],
    ['a list', [], /^The option providers must return a plain object/],
  ]
  for (const [name, options, message] of wrong) {
    it(`are refused with ${name}`, async () => {
      const app = await start({ providers: (async () => options) as unknown as FindProviderOptions })
      await app.browser().open('/login?provider=acme', { follow: false })
      assert.deepEqual(codesOf(app), ['ERR_OIDC_CONFIG'])
      assert.match(String(Reflect.get(app.errors[0] ?? {}, 'faults')), message)
    })
  }

  it('are refused at start with wrong options at the top', () => {
    const app = { baseUrl: 'https://app.example', secret: SECRET, providers: find }
    assert.throws(() => parseOptions({ ...app, scope: 'profile' }), /scope must be scopes/)
    assert.throws(() => parseOptions({ ...app, issuer: 'https://id.example' }), /issuer cannot be combined/)
    assert.throws(() => parseOptions({ ...app, secret: undefined }), /secret is required with providers/)
  })

  it('have routes and redirect URIs of their own', async () => {
    const { found } = parseOptions({
      baseUrl: 'https://app.example',
      secret: SECRET,
      providers: find,
      dangerouslyAllowInsecureRequests: true,
    })
    const config = await found?.findConfig('acme', undefined)
    assert.equal(config?.redirectUri, 'https://app.example/callback/acme')
    assert.equal(config?.routes.backchannelLogout, '/backchannel-logout/acme')
    assert.equal(config?.routes.login, '/login')
  })

  it('publish the public keys of the one that is named, and no private part', async () => {
    const app = await start()
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const key = { ...privateKey.export({ format: 'jwk' }), kid: 'acme-1', alg: 'ES256' }
    const { clientSecret: _, ...options } = stage.optionsFor('acme')
    tenants.set('acme', {
      ...options,
      tokenEndpointAuthMethod: 'private_key_jwt',
      clientKeys: [key],
    } as ProviderOptions)
    const answer = await app.browser().fetch('/jwks/acme')
    assert.deepEqual(
      Object(answer.json()['keys']).map(({ kid, d }: Readonly<Record<string, unknown>>) => [kid, d]),
      [['acme-1', undefined]],
    )
    assert.equal((await app.browser().fetch('/jwks/nobody')).status, 400)
  })

  it('take security events at a route of their own, of the one that is named', async () => {
    const app = await start()
    const sharedSignals = { issuer: 'http://127.0.0.1:9', audience: 'app' }
    tenants.set('acme', { ...stage.optionsFor('acme'), sharedSignals } as ProviderOptions)
    const post = (name: string) =>
      postAsServer(`${app.baseUrl}/security-events/${name}`, 'no SET', { 'content-type': 'application/secevent+jwt' })
    assert.equal((await post('acme')).status, 400)
    assert.equal(codesOf(app).includes('ERR_OIDC_PROVIDER_UNKNOWN'), false)
    assert.notEqual((await post('globex')).status, 202)
  })

  it('work at each of several hosts', async () => {
    const app = await stage.start(
      { secret: SECRET, providers: find },
      { routes, hostname: 'shop.example.localhost', moreHosts: ['desk.example.localhost'] },
    )
    const origin = app.origin.replace('shop', 'desk')
    const browser = app.browser()
    const page = await browser.open(`${origin}/login?provider=acme&returnTo=/who`)
    assert.deepEqual([page.url, page.json()['provider']], [`${origin}/who`, 'acme'])
    assert.deepEqual((await app.browser().open('/login?provider=globex&returnTo=/who')).json()['provider'], 'globex')
  })
})

describe('the login of a provider that a function finds', () => {
  it('goes on, refreshes and logs out on a node that has never seen the provider', async () => {
    const store = new MemoryStore()
    const first = await start({ scope: SCOPE }, store)
    const browser = await logIn(first, 'acme')
    const second = await start({ scope: SCOPE }, store)
    asked.length = 0
    const page = await browser.fetch(`${second.baseUrl}/refresh`)
    assert.equal(typeof page.json()['token'], 'string', page.body)
    assert.deepEqual(asked, ['acme'])
    const third = await start({ scope: SCOPE }, store)
    const out = await browser.post(`${third.baseUrl}/logout`, {}, { from: third.origin, stopBefore: isAtProvider })
    const endSession = new URL(out.next?.url ?? '')
    assert.equal(endSession.origin, new URL(stage.provider('acme').issuer).origin)
    assert.ok(endSession.searchParams.has('id_token_hint'))
    assert.deepEqual([await third.sessions(), codesOf(second), codesOf(third)], [0, [], []])
  })

  it('ends by a logout token, also on a node that has never seen the provider', async () => {
    const store = new MemoryStore()
    const first = await start({}, store)
    const [alice, other] = [await logIn(first, 'acme'), await logIn(first, 'globex')]
    const second = await start({ baseUrl: first.baseUrl }, store)
    const answer = await stage
      .provider('acme')
      .postLogoutToken(`${second.origin}/backchannel-logout/acme`, await subjectOf(alice, first))
    assert.equal(answer.status, 200, answer.body)
    assert.deepEqual([await isIn(alice, first), await isIn(other, first)], [false, true])
  })

  it('is listed and ended by the application on a node that has never seen the provider', async () => {
    const store = new MemoryStore()
    const first = await start({}, store)
    const browser = await logIn(first, 'acme')
    const { sub } = await subjectOf(browser, first)
    const second = await start({ baseUrl: first.baseUrl }, store)
    const query = { sub, provider: 'acme', store }
    assert.deepEqual(
      (await second.auth.sessions.list(query)).map(({ provider }) => provider),
      ['acme'],
    )
    await assert.rejects(second.auth.sessions.list({ sub, store }), { code: 'ERR_OIDC_CONFIG' })
    await assert.rejects(second.auth.sessions.list({ sub, store, provider: 'initech' }), { code: 'ERR_OIDC_CONFIG' })
    assert.equal(await second.auth.sessions.end(query), 1)
    assert.equal(await isIn(browser, first), false)
  })

  it('ends with its next request if the provider is removed, and does not come back with it', async () => {
    freeze()
    const app = await start()
    const [browser, other] = [await logIn(app, 'acme'), await logIn(app, 'globex')]
    const removed = tenants.get('acme')
    tenants.delete('acme')
    assert.equal(await isIn(browser), true)
    mock.timers.tick(LATER)
    assert.deepEqual([await isIn(browser), await isIn(other)], [false, true])
    assert.equal(await app.sessions(), 1)
    tenants.set('acme', removed ?? ({} as ProviderOptions))
    mock.timers.tick(LATER)
    assert.equal(await isIn(browser), false)
  })

  it('ends with its next request if the provider has another issuer', async () => {
    freeze()
    const app = await start()
    const browser = await logIn(app, 'acme')
    tenants.set('acme', stage.optionsFor('globex'))
    mock.timers.tick(LATER)
    assert.deepEqual((await browser.fetch('/who')).json(), { provider: null, iss: null })
    assert.equal(await app.sessions(), 0)
    assert.equal((await (await logIn(app, 'acme')).fetch('/who')).json()['iss'], stage.provider('globex').issuer)
  })

  it('is no login on a node where the provider was never there', async () => {
    const store = new MemoryStore()
    const browser = await logIn(await start({}, store), 'acme')
    tenants.delete('acme')
    const second = await start({}, store)
    assert.equal(await isIn(browser, second), false)
  })

  it('goes on while the function fails, for ten minutes, and then gets 503 but is not ended', async () => {
    freeze()
    const app = await start()
    const browser = await logIn(app, 'acme')
    const options = tenants.get('acme')
    tenants.set('acme', new Error('the database is down'))
    mock.timers.tick(LATER)
    assert.equal(await isIn(browser), true)
    mock.timers.tick(600_000)
    const page = await browser.fetch('/profile')
    assert.deepEqual([page.status, codesOf(app)], [503, ['ERR_OIDC_PROVIDER_LOOKUP']])
    tenants.set('acme', options ?? ({} as ProviderOptions))
    mock.timers.tick(5001)
    assert.equal(await isIn(browser), true)
  })

  it('keeps nothing of the session for the same user at another provider', async () => {
    const app = await start()
    const browser = await logIn(app, 'acme')
    await browser.open('/write')
    await browser.open('/login?provider=acme')
    assert.equal((await browser.fetch('/session')).json()['cart'], 'book')
    // The same issuer, and the same subject.
    await browser.open('/login?provider=twin')
    assert.equal((await browser.fetch('/session')).json()['cart'], undefined)
    assert.equal((await browser.fetch('/who')).json()['provider'], 'twin')
  })
})

describe('a login in progress at a provider that a function finds', () => {
  async function assertRefused(app: TestApp, browser: Browser, answer: Navigation, code: string): Promise<void> {
    const page = await browser.go(answer)
    assert.deepEqual([page.status, codesOf(app), await app.sessions()], [400, [code], 0])
    assert.deepEqual([stage.provider('acme').calls['/token'], stage.provider('globex').calls['/token']], [0, 0])
  }

  for (const [from, to] of [
    ['acme', 'globex'],
    ['globex', 'acme'],
    ['acme', 'twin'],
    ['twin', 'acme'],
  ] as const) {
    it(`is refused at the callback of another: ${from} at ${to}`, async () => {
      const app = await start()
      const browser = app.browser()
      await assertRefused(app, browser, at(to, await responseOf(browser, from)), 'ERR_OIDC_RESPONSE_ISSUER')
    })

    it(`is refused with the state of another: ${to} in the response of ${from}`, async () => {
      const app = await start()
      const browser = app.browser()
      const [answer, other] = [await responseOf(browser, from), await responseOf(browser, to)]
      const url = new URL(answer.url)
      url.searchParams.set('state', new URL(other.url).searchParams.get('state') ?? '')
      await assertRefused(app, browser, { ...answer, url: url.href }, 'ERR_OIDC_RESPONSE_ISSUER')
    })
  }

  it('is refused if the provider is removed meanwhile', async () => {
    freeze()
    const app = await start()
    const browser = app.browser()
    const answer = await responseOf(browser, 'acme')
    tenants.delete('acme')
    mock.timers.tick(LATER)
    await assertRefused(app, browser, answer, 'ERR_OIDC_PROVIDER_UNKNOWN')
  })

  it('is refused if the provider has another issuer meanwhile, and the code goes nowhere', async () => {
    freeze()
    const app = await start()
    const browser = app.browser()
    const answer = await responseOf(browser, 'acme')
    tenants.set('acme', stage.optionsFor('globex'))
    mock.timers.tick(LATER)
    await assertRefused(app, browser, answer, 'ERR_OIDC_RESPONSE_ISSUER')
  })

  it('completes on a node that has never seen the provider', async () => {
    const store = new MemoryStore()
    const [first, second] = [await start({}, store), await start({}, store)]
    const browser = first.browser()
    const answer = await responseOf(browser, 'acme')
    asked.length = 0
    await browser.go({ ...answer, url: answer.url.replace(first.origin, second.origin) }, { follow: false })
    assert.deepEqual([asked, codesOf(second), await second.sessions()], [['acme'], [], 1])
  })
})

describe('a logout token at the route of another provider', () => {
  for (const to of ['globex', 'twin']) {
    it(`ends nothing: one of acme at ${to}`, async () => {
      const app = await start()
      const browsers = [await logIn(app, 'acme'), await logIn(app, to)]
      const token = await stage.provider('acme').issueLogoutToken(await subjectOf(browsers[0] ?? app.browser()))
      const answer = await postAsServer(`${app.baseUrl}/backchannel-logout/${to}`, `logout_token=${token}`)
      assert.equal(answer.status, 400)
      for (const browser of browsers) assert.equal(await isIn(browser), true)
    })
  }

  it('ends nothing at the route without a name', async () => {
    const app = await start()
    const browser = await logIn(app, 'acme')
    const token = await stage.provider('acme').issueLogoutToken(await subjectOf(browser))
    assert.equal((await postAsServer(`${app.baseUrl}/backchannel-logout`, `logout_token=${token}`)).status, 404)
    assert.equal(await isIn(browser), true)
  })

  it('ends nothing in a frame of another provider', async () => {
    const app = await start()
    const browser = await logIn(app, 'acme')
    const { sid } = await subjectOf(browser)
    const iss = encodeURIComponent(stage.provider('acme').issuer)
    const refused = await browser.open(`/frontchannel-logout/globex?iss=${iss}&sid=${sid}`)
    assert.equal(refused.status, 400)
    assert.equal((await browser.open('/frontchannel-logout/globex')).status, 200)
    assert.equal(await isIn(browser), true)
    const page = await browser.open(`/frontchannel-logout/acme?iss=${iss}&sid=${sid}`)
    const ancestors = String(page.headers['content-security-policy'])
    assert.ok(!ancestors.includes(new URL(stage.provider('globex').issuer).origin))
    assert.equal(await isIn(browser), false)
  })
})
