import assert from 'node:assert/strict'
import { beforeEach, describe, it, mock } from 'node:test'
import session from 'express-session'
import { ConfigError } from '../../lib/errors.ts'
import type { ErrorCode } from '../../lib/index.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'
import type { IdTokenClaims } from '../../lib/types.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { changeLogins } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'
import { isAtProvider, isCallback } from '../support/app/url-predicates.ts'
import type { Browser, Page } from '../support/browser/browser.ts'
import { assertRefused, type Outcome, type Refusal } from '../support/hostile/hostile.ts'
import { actAsEntra, ENTRA, type Entra, TENANTS } from '../support/servers/entra.ts'
import type { JsonObject } from '../support/strict-provider/context.ts'

const { harbour, lagoon, personal } = TENANTS

const routes: Routes = {
  '/who': answerJson(({ oidc }) => ({ tid: oidc.claims?.['tid'] ?? null, iss: oidc.claims?.iss ?? null })),
  '/userinfo': answerJson(({ oidc }) => oidc.userinfo()),
}

const stage = createStage({ provider: ENTRA, app: { routes } })
let entra: Entra
beforeEach(() => {
  entra = actAsEntra(stage.provider)
})

/** An app for users of the tenants Harbour and Lagoon. */
function start(options: Partial<AnyOptions> = {}): Promise<TestApp> {
  return stage.start({ tenants: [harbour, lagoon], ...options }, { provider: entra })
}

async function logIn(app: TestApp): Promise<Outcome> {
  const browser = app.browser()
  return { browser, page: await browser.open('/login?returnTo=/who') }
}

async function logInOf(tenant: string, app: TestApp): Promise<Browser> {
  entra.tenant = tenant
  const { browser, page } = await logIn(app)
  assert.deepEqual([page.status, page.body], [200, JSON.stringify({ tid: tenant, iss: entra.issuerOf(tenant) })])
  return browser
}

async function assertNotLoggedIn(app: TestApp, outcome: Outcome, refusal: Refusal): Promise<void> {
  const stand = { app, provider: stage.provider, reset: async () => undefined, stop: app.stop }
  await assertRefused(stand, outcome, refusal)
}

function faultsOf(options: object): readonly string[] {
  const app = { baseUrl: 'https://app.example', clientId: 'app', secret: 's'.repeat(32) }
  try {
    parseOptions({ ...app, ...options })
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.faults
  }
  return []
}

describe('a provider with tenants', () => {
  it('logs in users of each allowed tenant, with the tenant’s issuer', async () => {
    const app = await start()
    for (const tenant of [harbour, lagoon]) await logInOf(tenant, app)
    assert.deepEqual([stage.provider.complaints, codesOf(app), await app.sessions()], [[], [], 2])
  })

  it('has one metadata document for all tenants, named common', async () => {
    const app = await start()
    await logInOf(lagoon, app)
    assert.deepEqual(
      stage.provider.requests.filter(({ endpoint }) => endpoint === '/discovery').map(({ path }) => path),
      ['/common/v2.0/.well-known/openid-configuration'],
    )
  })

  it('may have its metadata document elsewhere', async () => {
    const discovery = stage.provider.endpointUrls['/discovery']
    await logInOf(harbour, await start({ discovery }))
  })

  it('may be configured by providerMetadata', async () => {
    const { endpointUrls } = stage.provider
    const providerMetadata = {
      issuer: entra.issuer,
      authorization_endpoint: endpointUrls['/authorize'],
      token_endpoint: endpointUrls['/token'],
      jwks_uri: endpointUrls['/jwks'],
    }
    await logInOf(harbour, await start({ providerMetadata, userinfo: false }))
    assert.equal(stage.provider.calls['/discovery'], 0)
  })

  for (const responseType of ['id_token', 'code id_token']) {
    it(`logs in by other response types: ${responseType}`, async () => {
      await logInOf(harbour, await start({ responseType }))
    })
  }

  it('may be one of several providers', async () => {
    const { issuer, clientId, clientSecret } = entra
    const other = await stage.startOther()
    const app = await stage.start(
      {
        providers: {
          other: { issuer: other.issuer, clientId: other.clientId, clientSecret: other.clientSecret },
          work: { issuer, clientId, clientSecret, tenants: [harbour] },
        },
      },
      {},
    )
    const page = await app.browser().open('/login?provider=work&returnTo=/who')
    assert.equal(page.json()['tid'], harbour)
    entra.tenant = lagoon
    assert.equal((await app.browser().open('/login?provider=work')).status, 403)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_TENANT'])
  })

  for (const [name, issuer] of [
    ['the issuer of a tenant', (): string => entra.issuerOf(harbour)],
    ['the issuer of common', (): string => entra.issuerOf('common')],
    ['a template of another kind', (): string => entra.issuerOf('{tenant}')],
    ['another host', (): string => 'http://localhost:1/{tenantid}/v2.0'],
  ] as const) {
    it(`is refused if its metadata has ${name}`, async () => {
      stage.provider.change.discovery = (metadata) => ({ ...metadata, issuer: issuer() })
      const app = await start()
      await assertNotLoggedIn(app, await logIn(app), { code: 'ERR_OIDC_DISCOVERY_ISSUER' })
    })
  }
})

describe('the session of a user of a tenant', () => {
  const choices: readonly AnyOptions['sessionClaims'][] = [
    undefined,
    [],
    ['name'],
    () => ({}),
    ({ name }) => ({ name, tid: lagoon, iss: 'https://evil.example' }),
  ]
  for (const [index, sessionClaims] of choices.entries()) {
    it(`stays, whatever sessionClaims returns (${index})`, async () => {
      const app = await start(sessionClaims === undefined ? {} : { sessionClaims })
      const browser = await logInOf(harbour, app)
      assert.equal((await browser.fetch('/profile')).status, 200)
      assert.equal((await browser.fetch('/userinfo')).json()['sub'], 'user-subject')
    })
  }

  it('ends at the provider too, with its own ID Token', async () => {
    const app = await start()
    const browser = await logInOf(lagoon, app)
    const page = await browser.post('/logout', {}, { stopBefore: isAtProvider })
    assert.ok(new URL(page.next?.url ?? '').searchParams.has('id_token_hint'))
    await browser.go(page.next)
    assert.deepEqual([stage.provider.complaints, await app.sessions()], [[], 0])
  })

  it('differs from that of a user with the same sub in another tenant', async () => {
    const app = await start()
    const browser = await logInOf(harbour, app)
    await browser.open('/write')
    entra.tenant = lagoon
    await browser.open('/login')
    const kept = (await browser.fetch('/session')).json()
    assert.deepEqual([kept['cart'], (await browser.fetch('/who')).json()['tid']], [undefined, lagoon])
  })

  for (const [name, change] of [
    ['without a tenant', ({ tid: _, ...claims }: JsonObject) => claims],
    ['with another tenant', (claims: JsonObject) => ({ ...claims, tid: lagoon })],
    ['with another issuer', (claims: JsonObject) => ({ ...claims, iss: `${String(claims['iss'])}/` })],
    ['with the issuer template', (claims: JsonObject) => ({ ...claims, iss: entra.issuer })],
  ] as const) {
    it(`is no login if the store returns it ${name}`, async () => {
      const app = await start()
      const browser = await logInOf(harbour, app)
      await changeLogins(app, (login) => ({ ...login, claims: change(login.claims as JsonObject) as IdTokenClaims }))
      assert.deepEqual((await browser.fetch('/who')).json(), { tid: null, iss: null })
      assert.equal((await browser.fetch('/profile')).status, 401)
    })
  }

  it('stays a login if the app is later configured for that tenant alone', async () => {
    const [secret, store] = ['one secret for the app as it was and as it is', new session.MemoryStore()]
    const was = await stage.start({ secret, tenants: [harbour, lagoon] }, { provider: entra, session: { store } })
    const single = { ...entra, issuer: entra.issuerOf(harbour) }
    const app = await stage.start({ secret }, { provider: single, session: { store } })
    const seen = async (tenant: string): Promise<unknown> => {
      const browser = await logInOf(tenant, was)
      return (await browser.fetch(`${app.baseUrl}/who`)).json()['tid']
    }
    assert.deepEqual([await seen(harbour), await seen(lagoon)], [harbour, null])
  })
})

describe('a tenant that is not allowed', () => {
  for (const tenant of [personal, 'common', 'organizations', 'constructor', harbour.toUpperCase(), `${harbour}.`]) {
    it(`logs no user in: ${tenant}`, async () => {
      entra.tenant = tenant
      const app = await start({ userinfo: true })
      await assertNotLoggedIn(app, await logIn(app), { code: 'ERR_OIDC_TENANT', status: 403, calls: { '/token': 1 } })
    })
  }

  for (const responseType of ['id_token', 'code id_token']) {
    it(`logs no user in with another response type: ${responseType}`, async () => {
      entra.tenant = personal
      const app = await start({ responseType })
      const { page } = await logIn(app)
      assert.deepEqual([page.status, codesOf(app), await app.sessions()], [403, ['ERR_OIDC_TENANT'], 0])
    })
  }

  it('keeps an existing login', async () => {
    const app = await start()
    const browser = await logInOf(harbour, app)
    entra.tenant = personal
    assert.equal((await browser.open('/login')).status, 403)
    assert.equal((await browser.fetch('/who')).json()['tid'], harbour)
  })
})

describe('tenants as a function', () => {
  it('is called with the tenant id, once for each login', async () => {
    const asked: unknown[][] = []
    const tenants = (...given: unknown[]): boolean => asked.push(given) > 0
    await logInOf(lagoon, await start({ tenants }))
    assert.deepEqual(asked, [[lagoon]])
  })

  it('may be asynchronous', async () => {
    const tenants = async (tenantId: string): Promise<boolean> => {
      await new Promise((resolve) => setImmediate(resolve))
      return tenantId === harbour
    }
    const app = await start({ tenants })
    await logInOf(harbour, app)
    entra.tenant = lagoon
    assert.equal((await logIn(app)).page.status, 403)
  })

  const answers: readonly unknown[] = [false, undefined, null, 0, 1, 'true', {}, [true], Promise.resolve('true')]
  for (const [index, answer] of answers.entries()) {
    it(`refuses a tenant unless it returns true (${index})`, async () => {
      const app = await start({ tenants: (() => answer) as () => boolean })
      await assertNotLoggedIn(app, await logIn(app), { code: 'ERR_OIDC_TENANT', calls: { '/token': 1 } })
    })
  }

  const failures: readonly (readonly [name: string, tenants: () => Promise<boolean>])[] = [
    ['throws', () => assert.fail('the directory is down')],
    ['rejects', () => Promise.reject(new Error('the directory is down'))],
  ]
  for (const [name, tenants] of failures) {
    it(`logs no user in if it ${name}, and passes on its error`, async () => {
      const app = await start({ tenants })
      const { page } = await logIn(app)
      assert.equal(page.status, 500)
      assert.deepEqual(
        [codesOf(app), app.otherErrors.map((error) => String(error).includes('directory'))],
        [[], [true]],
      )
      assert.equal(await app.sessions(), 0)
    })
  }

  it('is not called with an invalid tenant id', async () => {
    const asked: string[] = []
    const app = await start({ tenants: (tenantId) => asked.push(tenantId) > 0 })
    entra.tenant = '../evil'
    assert.equal((await logIn(app)).page.status, 502)
    assert.deepEqual(asked, [])
  })
})

describe('the issuer of an ID Token of a tenant', () => {
  /** Changes the claims about the tenant. */
  type Said = (entra: Entra) => JsonObject

  const rows: readonly (readonly [name: string, said: Said])[] = [
    ['no tid', () => ({ tid: undefined })],
    ['tid of another tenant', () => ({ tid: lagoon })],
    ['iss of another tenant', ({ issuerOf }) => ({ iss: issuerOf(lagoon) })],
    ['tid in another case', () => ({ tid: harbour.toUpperCase() })],
    ['the template for iss', ({ issuer }) => ({ iss: issuer })],
    ['the template for iss, and the placeholder for tid', ({ issuer }) => ({ iss: issuer, tid: '{tenantid}' })],
    ['the template for iss, and no tid', ({ issuer }) => ({ iss: issuer, tid: undefined })],
    ['a list for tid', ({ issuerOf }) => ({ iss: issuerOf(harbour), tid: [harbour] })],
    ['a list for both', ({ issuerOf }) => ({ iss: [issuerOf(harbour)], tid: [harbour] })],
    ['an object for tid', () => ({ tid: { id: harbour } })],
    ['null for tid', ({ issuerOf }) => ({ tid: null, iss: issuerOf('null') })],
    ['a number for tid', ({ issuerOf }) => ({ tid: 7, iss: issuerOf('7') })],
    ['true for tid', ({ issuerOf }) => ({ tid: true, iss: issuerOf('true') })],
    ['a slash at the end of iss', ({ issuerOf }) => ({ iss: `${issuerOf(harbour)}/` })],
    ['another version of iss', ({ issuerOf }) => ({ iss: issuerOf(harbour).replace('v2.0', 'v1.0') })],
    ['another host in iss', () => ({ iss: `https://sts.evil.example/${harbour}/v2.0` })],
    ['no iss', () => ({ iss: undefined })],
  ]

  const tricky = [
    ...['', '.', '..', '../evil', 'a/../b', '%2f', '%2e%2e', 'a%2fb', 'a\\b', 'a/b', 'a?b', 'a#b', 'a b', ' a', 'a\n'],
    ...['$&', '$`', "$'", '{tenantid}', '__proto__', '-a', 'ä', 'a\u0000', 'a@b', 'x'.repeat(129)],
  ]
  const named: typeof rows = tricky.map((tid) => [
    `${JSON.stringify(tid.slice(0, 20))} for tid and in iss`,
    ({ issuerOf }) => ({ tid, iss: issuerOf(tid) }),
  ])

  for (const [name, said] of [...rows, ...named]) {
    it(`is refused with ${name}`, async () => {
      // The issuer of the key would be refused first.
      entra.keyIssuers.set(stage.provider.keys.rsa.kid, undefined)
      entra.changeClaims = (claims) => ({ ...claims, ...said(entra) })
      const app = await start({ tenants: () => true })
      const refusal = { code: 'ERR_OIDC_ID_TOKEN_ISSUER', calls: { '/token': 1 } } as const
      await assertNotLoggedIn(app, await logIn(app), refusal)
    })
  }

  for (const [name, said] of rows) {
    it(`is refused by the issuer of the key too: ${name}`, async () => {
      entra.changeClaims = (claims) => ({ ...claims, ...said(entra) })
      const app = await start({ tenants: () => true })
      await assertNotLoggedIn(app, await logIn(app), { code: 'ERR_OIDC_ID_TOKEN_KEY', calls: { '/token': 1 } })
    })
  }

  it('is refused in the front channel before the code is redeemed', async () => {
    entra.keyIssuers.set(stage.provider.keys.rsa.kid, undefined)
    entra.changeClaims = (claims) => ({ ...claims, tid: lagoon })
    const app = await start({ responseType: 'code id_token' })
    await assertNotLoggedIn(app, await logIn(app), { code: 'ERR_OIDC_ID_TOKEN_ISSUER', status: 400 })
  })
})

describe('iss in the response of a provider with tenants (RFC 9207)', () => {
  async function respondWith(iss: string): Promise<{ app: TestApp; page: Page }> {
    const app = await start()
    const browser = app.browser()
    const { next } = await browser.open('/login?returnTo=/who', { stopBefore: isCallback })
    assert.ok(next)
    const url = new URL(next.url)
    url.searchParams.set('iss', iss)
    return { app, page: await browser.go({ ...next, url: url.href }) }
  }

  for (const tenant of [harbour, '{tenantid}']) {
    it(`may name ${tenant}`, async () => {
      const { page } = await respondWith(entra.issuerOf(tenant))
      assert.equal(page.status, 200)
    })
  }

  const others: readonly (readonly [name: string, iss: () => string])[] = [
    ['another host', () => `https://evil.example/${harbour}/v2.0`],
    ['a host that begins with ours', () => entra.issuerOf(harbour).replace(/\/\/[^/]+/, '$&.evil.example')],
    ['another version', () => entra.issuerOf(harbour).replace('v2.0', 'v1.0')],
    ['a path below a tenant', () => `${entra.issuerOf(harbour)}/x`],
    ['no tenant', () => entra.issuerOf('')],
    ['more than a tenant', () => entra.issuerOf('a/b')],
    ['half of the issuer', () => entra.issuer.split('{')[0] ?? ''],
  ]
  for (const [name, iss] of others) {
    it(`must not be ${name}`, async () => {
      const { app, page } = await respondWith(iss())
      assert.deepEqual([page.status, codesOf(app)], [400, ['ERR_OIDC_RESPONSE_ISSUER']])
      assert.deepEqual([stage.provider.calls['/token'], await app.sessions()], [0, 0])
    })
  }
})

describe('the issuer of a key of a provider with tenants', () => {
  /** Sets the issuer of the key that signs all tokens. */
  function sign(issuer: unknown): void {
    entra.keyIssuers.set(stage.provider.keys.rsa.kid, issuer)
  }

  const good: readonly (readonly [name: string, issuer: () => unknown])[] = [
    ['all tenants', () => entra.issuer],
    ['this tenant', () => entra.issuerOf(harbour)],
    ['no issuer', () => undefined],
  ]
  for (const [name, issuer] of good) {
    it(`may be ${name}`, async () => {
      sign(issuer())
      await logInOf(harbour, await start())
    })
  }

  const bad: readonly (readonly [name: string, issuer: () => unknown])[] = [
    ['another tenant', () => entra.issuerOf(lagoon)],
    ['the tenant of personal accounts', () => entra.issuerOf(personal)],
    ['all tenants of another provider', () => 'https://evil.example/{tenantid}/v2.0'],
    ['all tenants of another version', () => entra.issuer.replace('v2.0', 'v1.0')],
    ['a template of another kind', () => entra.issuer.replace('tenantid', 'tenant')],
    ['empty', () => ''],
    ['null', () => null],
    ['a list', () => [entra.issuerOf(harbour)]],
    ['an object', () => ({ [entra.issuerOf(harbour)]: true })],
    ['true', () => true],
  ]
  for (const [name, issuer] of bad) {
    it(`must not be ${name}`, async () => {
      sign(issuer())
      const app = await start()
      await assertNotLoggedIn(app, await logIn(app), { code: 'ERR_OIDC_ID_TOKEN_KEY', calls: { '/token': 1 } })
    })
  }

  it('is checked for a token without a kid too', async () => {
    sign(entra.issuerOf(lagoon))
    stage.provider.change.idTokenHeader = ({ kid: _, ...header }) => header
    const app = await start()
    const { page } = await logIn(app)
    assert.equal(page.status, 502)
    assert.match(String(codesOf(app)), /^ERR_OIDC_ID_TOKEN_(KEY|SIGNATURE)$/)
    assert.equal(await app.sessions(), 0)
    sign(entra.issuer)
  })

  it('is compared with the token, not with the option tenants', async () => {
    sign(entra.issuerOf(lagoon))
    await logInOf(lagoon, await start())
  })

  it('is checked for ID Tokens in the front channel too', async () => {
    sign(entra.issuerOf(lagoon))
    const app = await start({ responseType: 'id_token' })
    await assertNotLoggedIn(app, await logIn(app), { code: 'ERR_OIDC_ID_TOKEN_KEY', status: 400 })
  })

  it('causes only a few requests to the provider, however often it is wrong', async () => {
    sign(entra.issuerOf(lagoon))
    const app = await start()
    for (let attempt = 0; attempt < 12; attempt++) await logIn(app)
    assert.ok(stage.provider.calls['/jwks'] <= 7, String(stage.provider.calls['/jwks']))
  })
})

describe('a key that names an issuer', () => {
  const single = createStage()

  for (const issuer of ['https://evil.example', 'https://evil.example/{tenantid}', 7, null, []]) {
    it(`is like any other key without tenants: ${JSON.stringify(issuer)}`, async () => {
      single.provider.change.jwks = ({ keys }) => ({ keys: [keys].flat().map((key) => ({ ...Object(key), issuer })) })
      const { app } = await single.startLoggedIn()
      assert.deepEqual(codesOf(app), [])
    })
  }
})

describe('a refresh for a user of a tenant', () => {
  async function refreshed(change: (claims: JsonObject) => JsonObject): Promise<{ app: TestApp; page: Page }> {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const app = await start({ scope: 'openid profile email offline_access' })
    const browser = await logInOf(harbour, app)
    mock.timers.tick(3_590_000)
    entra.changeClaims = change
    return { app, page: await browser.fetch('/access-token') }
  }

  it('accepts an ID Token of the same tenant', async () => {
    const { app, page } = await refreshed((claims) => claims)
    assert.equal(page.status, 200, page.body)
    assert.deepEqual([page.status, codesOf(app), stage.provider.calls['/token']], [200, [], 2])
  })

  const others: readonly (readonly [name: string, change: (claims: JsonObject) => JsonObject, code: ErrorCode])[] = [
    [
      'of another allowed tenant',
      (claims) => ({ ...claims, tid: lagoon, iss: entra.issuerOf(lagoon) }),
      'ERR_OIDC_ID_TOKEN_ISSUER',
    ],
    ['without a tenant', (claims) => ({ ...claims, iss: entra.issuer, tid: undefined }), 'ERR_OIDC_ID_TOKEN_KEY'],
  ]
  for (const [name, change, code] of others) {
    it(`is refused with an ID Token ${name}`, async () => {
      const { app, page } = await refreshed(change)
      assert.notEqual(page.status, 200)
      assert.deepEqual(codesOf(app), [code])
    })
  }
})

describe('the options for tenants', () => {
  const issuer = 'https://login.example/{tenantid}/v2.0'

  it('are a list or a function', () => {
    assert.deepEqual(faultsOf({ issuer, tenants: [harbour] }), [])
    assert.deepEqual(faultsOf({ issuer, tenants: () => true }), [])
    assert.deepEqual(faultsOf({ providers: { work: { issuer, clientId: 'app', tenants: [harbour] } } }), [])
  })

  const wrong: readonly (readonly [name: string, options: object, fault: RegExp])[] = [
    ['an issuer template without tenants', { issuer }, /^tenants is required if issuer contains \{tenantid\}/],
    [
      'tenants without an issuer template',
      { issuer: 'https://login.example', tenants: [harbour] },
      /^tenants needs an issuer that/,
    ],
    ['an empty list', { issuer, tenants: [] }, /^tenants must be a list of one or more tenant ids/],
    ['an invalid tenant id', { issuer, tenants: [harbour, '../x'] }, /^tenants\[1\] must be a tenant id/],
    ['a wildcard', { issuer, tenants: ['*'] }, /^tenants\[0\] must be a tenant id/],
    ['the placeholder', { issuer, tenants: ['{tenantid}'] }, /^tenants\[0\] must be a tenant id/],
    ['true', { issuer, tenants: true }, /^tenants must be a list of one or more tenant ids/],
    ['a tenant', { issuer, tenants: harbour }, /^tenants must be a list of one or more tenant ids/],
    [
      'another placeholder',
      { issuer: 'https://login.example/{tenantId}', tenants: [harbour] },
      /contains a placeholder/,
    ],
    ['two placeholders', { issuer: `${issuer}/{tenantid}`, tenants: [harbour] }, /contains a placeholder/],
    [
      'a placeholder in the host',
      { issuer: 'https://{tenantid}.example/v2.0', tenants: [harbour] },
      /contains a placeholder/,
    ],
    ['a placeholder as the host', { issuer: 'https://{tenantid}/v2.0', tenants: [harbour] }, /contains a placeholder/],
  ]
  for (const [name, options, fault] of wrong) {
    it(`are refused: ${name}`, () => {
      const faults = faultsOf(options)
      assert.match(faults[0] ?? '', fault, faults.join('\n'))
    })
  }
})
