import assert from 'node:assert/strict'
import { beforeEach, describe, it, mock } from 'node:test'
import { ConfigError, requireAuth, requireScope } from '../../lib/index.ts'
import { codesOf } from '../support/app/app.ts'
import { answerBy, answerJson, type Routes } from '../support/app/app-routes.ts'
import { createStage, share } from '../support/app/stage.ts'
import { isAtProvider, isCallback } from '../support/app/url-predicates.ts'
import { startProvider } from '../support/servers/provider.ts'

const MORE = 'reports:read'
const INSUFFICIENT = 'ERR_OIDC_INSUFFICIENT_SCOPE'

const scopes = answerJson(({ oidc }) => oidc.scope?.split(' ').sort())

const routes: Routes = {
  '/scopes': [requireAuth(), scopes],
  '/report': [requireAuth({ scope: MORE }), scopes],
  '/both': [requireAuth({ scope: [MORE, 'reports:write'] }), scopes],
  '/strong-report': [requireAuth({ acr: 'urn:example:mfa', scope: MORE }), scopes],
  '/strong': [requireAuth({ acr: 'urn:example:mfa' }), scopes],
  '/right': [requireScope(MORE), scopes],
  '/ask': answerBy(({ oidc }) => oidc.login({ returnTo: '/scopes', scope: `${MORE} reports:write` })),
  '/ask-quietly': answerBy(({ oidc }) =>
    oidc.login({ returnTo: '/scopes', scope: MORE, authorizationParams: { prompt: 'none' } }),
  ),
  '/meets': answerJson(({ oidc }) => [oidc.meets({ scope: MORE }), oidc.meets({ scope: [MORE, 'openid'] })]),
}

const USUAL = ['email', 'openid', 'profile']
const WITH_MORE = [...USUAL, MORE].sort()

describe('more scopes for one login, at oidc-provider', () => {
  const provider = share(() => startProvider({}))
  const stage = createStage({ app: { routes, errorHandler: 'json' } })
  beforeEach(() => Object.assign(provider(), { consent: 'give', withheld: [], account: 'alice' }))

  async function startLoggedIn() {
    const app = await stage.start({}, { provider: provider() })
    const browser = app.browser()
    assert.deepEqual((await browser.open('/scopes')).json(), USUAL, String(app.errors))
    return { app, browser }
  }

  it('are granted in a login that a guard starts, and stay for the next ones', async () => {
    const { app, browser } = await startLoggedIn()
    const page = await browser.open('/report?a=1')
    assert.deepEqual([page.status, page.url, page.json()], [200, `${app.origin}/report?a=1`, WITH_MORE])
    assert.equal((await browser.open('/report')).history.length, 1)
    assert.deepEqual((await browser.open('/both')).json(), [...WITH_MORE, 'reports:write'].sort())
    assert.deepEqual([(await browser.open('/right')).status, app.errors], [200, []])
    assert.deepEqual((await browser.open('/meets')).json(), [true, true])
  })

  it('are granted in a login that the application starts', async () => {
    const { app, browser } = await startLoggedIn()
    assert.deepEqual((await browser.open('/ask')).json(), [...WITH_MORE, 'reports:write'].sort())
    assert.deepEqual(app.errors, [])
  })

  it('are not requested by a login that begins anew', async () => {
    const { app, browser } = await startLoggedIn()
    await browser.open('/ask')
    await browser.post('/logout')
    assert.deepEqual((await browser.open('/scopes')).json(), USUAL, String(app.errors))
  })

  it('leave the login as it was if the user refuses the whole request', async () => {
    const { app, browser } = await startLoggedIn()
    provider().consent = 'refuse'
    assert.equal((await browser.open('/both')).status, 403)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_AUTHORIZATION'])
    assert.deepEqual((await browser.open('/scopes')).json(), USUAL)
  })

  it('end in 403 if the provider withholds one, and the login stays as it was', async () => {
    const { app, browser } = await startLoggedIn()
    provider().withheld = ['reports:write']
    const page = await browser.open('/both')
    assert.deepEqual([page.status, codesOf(app)], [403, [INSUFFICIENT]])
    assert.match(app.errors[0]?.message ?? '', /did not grant all scopes.+reports:read, reports:write/)
    assert.ok(page.history.length < 12)
    assert.deepEqual((await browser.open('/scopes')).json(), USUAL)
  })

  it('are what the provider has granted, if the application starts the login', async () => {
    const { app, browser } = await startLoggedIn()
    provider().withheld = ['reports:write']
    assert.deepEqual((await browser.open('/ask')).json(), WITH_MORE)
    assert.deepEqual(app.errors, [])
  })
})

describe('more scopes for one login', () => {
  const stage = createStage({ app: { routes, errorHandler: 'json' } })
  const lastScope = (): string | null | undefined => stage.provider.authorizationRequests.at(-1)?.get('scope')

  it('are requested in the first login of a user who is not logged in', async () => {
    const app = await stage.start()
    const page = await app.browser().open('/report')
    assert.deepEqual([page.status, lastScope()], [200, `openid profile email ${MORE}`])
    assert.equal(stage.provider.calls['/authorize'], 1)
  })

  it('stay in a stronger login and in a recheck', async () => {
    const { app, browser } = await stage.startLoggedIn()
    await browser.open('/report')
    assert.deepEqual((await browser.open('/strong')).json(), WITH_MORE)
    await browser.open('/login?prompt=none&returnTo=/scopes')
    assert.deepEqual([lastScope(), app.errors], [`openid profile email ${MORE}`, []])
    assert.deepEqual((await browser.open('/scopes')).json(), WITH_MORE)
  })

  it('are requested together with a stronger login', async () => {
    const { browser } = await stage.startLoggedIn()
    assert.equal((await browser.open('/strong-report')).status, 200)
    const request = stage.provider.authorizationRequests.at(-1)
    assert.deepEqual([request?.get('acr_values'), stage.provider.calls['/authorize']], ['urn:example:mfa', 2])
  })

  for (const [name, options] of [
    ['pushed', { pushed: 'required' }],
    ['signed', { requestObjectSigningAlg: 'ES256' }],
  ] as const) {
    it(`are part of a request that is ${name}`, async () => {
      const provider = await stage.startOther(options)
      const { app, browser } = await stage.startLoggedIn({}, { provider })
      const page = await browser.open('/report')
      assert.deepEqual([page.status, page.json(), provider.complaints], [200, WITH_MORE, []], String(app.errors))
    })
  }

  it('are taken for granted by dangerouslyAssumeRequestedScope alone if the response names no scope', async () => {
    const nameless = ({ scope: _, ...json }: Record<string, unknown>) => json
    const assuming = await stage.startLoggedIn({ dangerouslyAssumeRequestedScope: true })
    stage.provider.change.tokenResponse = nameless
    assert.deepEqual((await assuming.browser.open('/report')).json(), WITH_MORE)
    const { app, browser } = await stage.startLoggedIn()
    assert.deepEqual([(await browser.open('/report')).status, codesOf(app)], [403, [INSUFFICIENT]])
  })

  it('go with include_granted_scopes if authorizationParams has it, and without it otherwise', async () => {
    const { browser } = await stage.startLoggedIn({ authorizationParams: { include_granted_scopes: 'true' } })
    await browser.open('/report')
    assert.equal(stage.provider.authorizationRequests.at(-1)?.get('include_granted_scopes'), 'true')
    const usual = await stage.startLoggedIn()
    await usual.browser.open('/report')
    assert.equal(stage.provider.authorizationRequests.at(-1)?.has('include_granted_scopes'), false)
  })

  it('are requested again if a response is used twice', async () => {
    const { browser } = await stage.startLoggedIn()
    const stopped = await browser.open('/ask', { stopBefore: isCallback })
    const copy = browser.clone()
    copy.jar.remove(({ name }) => !name.startsWith('oidc-tx.'))
    await browser.go(stopped.next ?? assert.fail())
    const page = await copy.go(stopped.next ?? assert.fail(), { stopBefore: isAtProvider })
    const { searchParams } = new URL(page.next?.url ?? assert.fail(`${page.status}`))
    assert.equal(searchParams.get('scope'), `openid profile email ${MORE} reports:write`)
  })
})

describe('a provider that does not grant a scope', () => {
  const stage = createStage({ app: { routes, errorHandler: 'json' } })
  const named = (scope: unknown) => (json: Record<string, unknown>) => ({ ...json, scope })
  const rows: readonly (readonly [name: string, scope: unknown])[] = [
    ['grants the others', 'openid profile email'],
    ['grants none', ''],
    ['names none', undefined],
    ['grants one that begins with its name', `openid ${MORE}:all`],
    ['grants the beginning of its name', 'openid reports'],
    ['writes its name in capitals', `openid ${MORE.toUpperCase()}`],
    ['separates them by commas', `openid,${MORE}`],
    ['separates them by tabs', `openid\t${MORE}`],
  ]
  for (const [name, scope] of rows) {
    it(`and ${name} ends in 403, once, and the login stays`, async () => {
      const { app, browser } = await stage.startLoggedIn()
      const before = JSON.stringify(await app.records())
      stage.provider.change.tokenResponse = named(scope)
      const page = await browser.open('/report')
      assert.deepEqual([page.status, page.headers.location, codesOf(app)], [403, undefined, [INSUFFICIENT]])
      assert.equal(stage.provider.calls['/authorize'], 2)
      assert.equal(JSON.stringify(await app.records()), before)
      stage.provider.change.tokenResponse = undefined
      assert.equal((await browser.fetch('/report')).status, 401)
    })
  }

  it('does not make guards that demand different things redirect for ever', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const app = await stage.start(
      {},
      {
        routes: {
          ...routes,
          '/torn': [requireAuth({ scope: MORE }), requireAuth({ acr: 'urn:example:none' }), scopes],
        },
      },
    )
    const browser = app.browser()
    stage.provider.change.idTokenClaims = ({ acr: _, ...claims }) => claims
    const page = await browser.open('/torn')
    assert.equal(page.status, 403)
    assert.ok(page.history.length < 20)
  })
})

describe('a script whose login lacks a scope', () => {
  const stage = createStage({ app: { routes, errorHandler: 'json' } })

  it('gets 401 with a challenge and a login URL that requests it', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const answer = await browser.fetch('/report')
    const description = 'error_description="A login with more scopes is needed"'
    assert.deepEqual(
      [answer.status, answer.headers['www-authenticate'], answer.json()['error']],
      [401, `Bearer error="insufficient_scope", ${description}, scope="${MORE}"`, INSUFFICIENT],
    )
    const url = new URL(String(answer.json()['loginUrl']), app.origin)
    assert.ok(!url.href.includes('reports'))
    await browser.open(url.href)
    assert.deepEqual((await browser.fetch('/report')).json(), WITH_MORE)
  })

  it('gets 403 from requireScope(), and no login', async () => {
    const { app, browser } = await stage.startLoggedIn()
    assert.deepEqual([(await browser.open('/right')).status, codesOf(app)], [403, [INSUFFICIENT]])
    assert.equal(stage.provider.calls['/authorize'], 1)
  })
})

describe('a link', () => {
  const stage = createStage({ app: { routes, errorHandler: 'json' } })

  it('cannot add scopes to a login', async () => {
    const app = await stage.start()
    const words = `scope=openid+${MORE}&requirement[scope]=${MORE}&include_granted_scopes=true`
    await app.browser().open(`/login?returnTo=/scopes&${words}`)
    const request = stage.provider.authorizationRequests.at(-1)
    assert.deepEqual([request?.get('scope'), request?.has('include_granted_scopes')], ['openid profile email', false])
  })

  it('cannot take away the scope that a guard requires', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const login = await browser.open('/report', { follow: false })
    const url = new URL(login.headers.location ?? '', app.origin)
    url.searchParams.set('scope', 'openid')
    await browser.open(url.href)
    assert.equal(stage.provider.authorizationRequests.at(-1)?.get('scope'), `openid profile email ${MORE}`)
  })

  it('with a requirement that another application has sealed adds none', async () => {
    const [app, other] = [await stage.start(), await stage.start({ secret: 'another secret, of another application' })]
    const login = await other.browser().open('/report', { follow: false })
    const sealed = new URL(login.headers.location ?? '', other.origin).searchParams.get('requirement') ?? assert.fail()
    await app.browser().open(`/login?returnTo=/scopes&requirement=${encodeURIComponent(sealed)}`)
    assert.equal(stage.provider.authorizationRequests.at(-1)?.get('scope'), 'openid profile email')
  })
})

describe('login({ scope })', () => {
  const stage = createStage({ app: { errorHandler: 'json' } })
  const wrong: readonly unknown[] = [
    '',
    ' a',
    'a ',
    'a  b',
    'a\tb',
    'a"b',
    'a\\b',
    'ä',
    7,
    null,
    {},
    ['a'],
    'a '.repeat(21),
  ]

  it('refuses what is no list of scopes, and redirects nobody', async () => {
    const routes: Routes = Object.fromEntries(
      wrong.map((scope, index) => [`/wrong-${index}`, answerBy(({ oidc }) => oidc.login({ scope } as object))]),
    )
    const { app, browser } = await stage.startLoggedIn({}, { routes })
    for (const path of Object.keys(routes)) assert.equal((await browser.open(path)).status, 500, path)
    assert.deepEqual(new Set(codesOf(app)), new Set(['ERR_OIDC_CONFIG']))
    assert.equal(stage.provider.calls['/authorize'], 1)
  })

  it('and requireAuth({ scope }) refuse a scope that cannot exist', () => {
    for (const scope of ['', 'a b', [], ['a', ''], [7], undefined, null, 'ä']) {
      assert.throws(() => requireAuth({ scope } as object), ConfigError, JSON.stringify(scope))
    }
  })
})
