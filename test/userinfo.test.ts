import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, it, mock } from 'node:test'
import session from 'express-session'
import { type Options, ProviderError } from '../lib/index.ts'
import { type AppOptions, startApp, type TestApp } from './support/app.ts'
import { answerJson } from './support/app-routes.ts'
import { startProvider } from './support/provider.ts'
import type { JsonChange } from './support/strict-context.ts'
import { type StrictProvider, startStrictProvider } from './support/strict-provider.ts'

let fat: StrictProvider
let thin: StrictProvider
let apps: TestApp[] = []
before(async () => {
  fat = await startStrictProvider({ idToken: 'fat' })
  thin = await startStrictProvider({ idToken: 'thin' })
})
beforeEach(() => {
  fat.reset()
  thin.reset()
})
afterEach(async () => {
  mock.timers.reset()
  await Promise.all(apps.map((app) => app.stop()))
  apps = []
})
after(() => Promise.all([fat.stop(), thin.stop()]))

async function start(
  provider: StrictProvider,
  options: Partial<Options> = {},
  settings: Partial<AppOptions> = {},
): Promise<TestApp> {
  const routes = { '/userinfo': answerJson(({ oidc }) => oidc.userinfo()) }
  const app = await startApp({ host: 'express5', provider, options, routes, errorHandler: 'json', ...settings })
  apps.push(app)
  return app
}

/** The claims of a login, or the code of what went wrong. */
async function claimsOf(app: TestApp): Promise<Record<string, unknown>> {
  const page = await app.browser().open('/profile')
  return page.status === 200 ? page.json() : { ...page.json(), status: page.status }
}

const answerWith =
  (status: number, body: object, headers: Record<string, string> = {}): JsonChange =>
  (_json, answer) => {
    answer.status = status
    Object.assign(answer.headers, headers)
    return body
  }

describe("userinfo: 'when-needed'", () => {
  it('asks where the ID Token is thin', async () => {
    const claims = await claimsOf(await start(thin, { scope: 'openid profile email groups' }))
    assert.deepEqual(
      [claims['name'], claims['email'], claims['groups']],
      ['Alice Example', 'alice@example.test', ['admin', 'staff']],
    )
    assert.deepEqual([thin.calls['/userinfo'], thin.complaints], [1, []])
  })

  it('does not ask where the ID Token is fat', async () => {
    const claims = await claimsOf(await start(fat, { scope: 'openid profile email address phone groups' }))
    assert.equal(claims['email'], 'alice@example.test')
    assert.deepEqual([fat.calls['/userinfo'], fat.complaints], [0, []])
  })

  it('asks where one granted scope of several has brought nothing', async () => {
    fat.change.idTokenClaims = ({ email: _, email_verified: __, ...claims }) => claims
    const claims = await claimsOf(await start(fat, { scope: 'openid profile email' }))
    assert.deepEqual([claims['email'], fat.calls['/userinfo']], ['alice@example.test', 1])
  })

  it('does not ask where the scope that brought nothing was not granted', async () => {
    fat.change.idTokenClaims = ({ email: _, email_verified: __, ...claims }) => claims
    fat.change.tokenResponse = (json) => ({ ...json, scope: 'openid profile' })
    const claims = await claimsOf(await start(fat, { scope: 'openid profile email' }))
    assert.deepEqual([claims['email'], fat.calls['/userinfo']], [undefined, 0])
  })

  it('takes the scope that was asked for where the token response names none', async () => {
    thin.change.tokenResponse = ({ scope: _, ...json }) => json
    await claimsOf(await start(thin, { scope: 'openid email' }))
    assert.equal(thin.calls['/userinfo'], 1)
  })

  it('takes an empty scope for what it is', async () => {
    thin.change.tokenResponse = (json) => ({ ...json, scope: '' })
    const app = await start(thin, { scope: 'openid email' })
    await claimsOf(app)
    assert.equal(thin.calls['/userinfo'], 0)
    const browser = app.browser()
    await browser.open('/profile')
    assert.equal((await browser.open('/reports')).status, 403)
  })

  for (const scope of ['openid', 'openid offline_access constructor __proto__ toString reports:read']) {
    it(`does not ask for ${scope}`, async () => {
      await claimsOf(await start(thin, { scope }))
      assert.equal(thin.calls['/userinfo'], 0)
    })
  }

  it('does not ask a provider that has no UserInfo', async () => {
    thin.change.discovery = ({ userinfo_endpoint: _, ...metadata }) => metadata
    const claims = await claimsOf(await start(thin))
    assert.deepEqual([claims['sub'], claims['email']], ['user-subject', undefined])
  })
})

describe('userinfo: true', () => {
  it('always asks', async () => {
    const claims = await claimsOf(await start(fat, { userinfo: true, scope: 'openid' }))
    assert.deepEqual([claims['sub'], fat.calls['/userinfo'], fat.complaints], ['user-subject', 1, []])
  })

  it('fails at a provider that has no UserInfo', async () => {
    fat.change.discovery = ({ userinfo_endpoint: _, ...metadata }) => metadata
    const app = await start(fat, { userinfo: true })
    assert.deepEqual(await claimsOf(app), { error: 'ERR_OIDC_USERINFO', status: 502 })
    assert.match(app.errors[0]?.message ?? '', /set userinfo to false/)
  })
})

describe('userinfo: false', () => {
  it('never asks', async () => {
    const claims = await claimsOf(await start(thin, { userinfo: false }))
    assert.deepEqual([claims['email'], thin.calls['/userinfo']], [undefined, 0])
  })
})

describe('the claims of UserInfo', () => {
  it('fill what the ID Token leaves open, and never contradict it', async () => {
    fat.change.userinfo = (json) => ({ ...json, name: 'Mallory', nickname: 'Ali', department: { id: 7 } })
    const app = await start(fat, { userinfo: true, scope: 'openid profile email' })
    const claims = await claimsOf(app)
    assert.deepEqual([claims['name'], claims['department']], ['Alice Example', { id: 7 }])
  })

  const securing = ['iss', 'aud', 'azp', 'exp', 'iat', 'nbf', 'jti', 'nonce', 'auth_time', 'acr', 'amr', 'sid']
  for (const name of [...securing, 'at_hash', 'c_hash', 's_hash']) {
    it(`never bring ${name}`, async () => {
      thin.change.idTokenClaims = ({ sid: _, ...claims }) => claims
      thin.change.userinfo = (json) => ({ ...json, [name]: 'of UserInfo' })
      const claims = await claimsOf(await start(thin))
      assert.equal(claims['email'], 'alice@example.test')
      assert.notEqual(claims[name], 'of UserInfo')
    })
  }

  it('may have strange names', async () => {
    thin.change.userinfo = () =>
      '{ "sub": "user-subject", "__proto__": { "admin": true }, "constructor": "x", "https://a.test/b": 1 }'
    const app = await start(thin)
    const browser = app.browser()
    const claims = (await browser.open('/profile')).json()
    assert.deepEqual([claims['constructor'], claims['https://a.test/b']], ['x', 1])
    assert.equal(claims['admin'], undefined)
    assert.equal(Reflect.get({}, 'admin'), undefined)
    assert.equal((await browser.open('/profile')).status, 200)
  })

  it('are those of oidc-provider too', async () => {
    const provider = await startProvider()
    const app = await startApp({ host: 'express5', provider })
    try {
      const claims = (await app.browser().open('/profile')).json()
      assert.deepEqual([claims['email'], provider.count('/me')], ['alice@example.test', 1])
    } finally {
      await Promise.all([app.stop(), provider.stop()])
    }
  })
})

describe('a login whose UserInfo fails', () => {
  const insufficient = { error: 'insufficient_scope' }
  const challenge = { 'WWW-Authenticate': 'Bearer realm="x", error="insufficient_scope", scope="profile"' }
  const harmless: readonly (readonly [name: string, change: JsonChange])[] = [
    ['in a challenge', answerWith(403, {}, challenge)],
    ['in the body', answerWith(403, insufficient)],
    ['in both', answerWith(403, insufficient, challenge)],
  ]
  for (const [name, change] of harmless) {
    it(`goes on where the token is good for no further claims, told ${name}`, async () => {
      thin.change.userinfo = change
      const claims = await claimsOf(await start(thin))
      assert.deepEqual([claims['sub'], claims['email']], ['user-subject', undefined])
    })
  }

  const faults: readonly (readonly [name: string, change: JsonChange, code: string, status: number])[] = [
    ['is about another person', (json) => ({ ...json, sub: 'mallory' }), 'ERR_OIDC_USERINFO_SUBJECT', 502],
    ['names nobody', ({ sub: _, ...json }) => json, 'ERR_OIDC_USERINFO_SUBJECT', 502],
    ['names a number', (json) => ({ ...json, sub: 7 }), 'ERR_OIDC_USERINFO_SUBJECT', 502],
    ['is a list', () => '[{"sub":"user-subject"}]', 'ERR_OIDC_USERINFO', 502],
    ['is null', () => 'null', 'ERR_OIDC_USERINFO', 502],
    ['is no JSON', () => '<p>', 'ERR_OIDC_USERINFO', 502],
    [
      'is a JWT, whose signature nobody would check',
      (_json, answer) => {
        answer.headers['Content-Type'] = 'application/jwt'
        return 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1c2VyLXN1YmplY3QifQ.'
      },
      'ERR_OIDC_USERINFO',
      502,
    ],
    [
      'refuses the token',
      answerWith(401, {}, { 'WWW-Authenticate': 'Bearer error="invalid_token"' }),
      'ERR_OIDC_USERINFO',
      502,
    ],
    ['refuses for reasons of its own', answerWith(403, {}), 'ERR_OIDC_USERINFO', 502],
    ['breaks', answerWith(500, {}), 'ERR_OIDC_PROVIDER_STATUS', 502],
    ['has too much to do', answerWith(429, {}, { 'Retry-After': '7' }), 'ERR_OIDC_PROVIDER_BUSY', 503],
  ]
  for (const [name, change, code, status] of faults) {
    it(`ends with ${code} where UserInfo ${name}`, async () => {
      thin.change.userinfo = change
      const app = await start(thin)
      assert.deepEqual(await claimsOf(app), { error: code, status })
      assert.ok(app.errors[0] instanceof ProviderError)
      assert.equal(await app.sessions(), 0)
    })
  }
})

describe('req.oidc.userinfo()', () => {
  it('asks anew', async () => {
    const app = await start(thin)
    const browser = app.browser()
    await browser.open('/profile')
    thin.change.userinfo = (json) => ({ ...json, nickname: 'Al' })
    assert.equal((await browser.open('/userinfo')).json()['nickname'], 'Al')
    assert.equal((await browser.open('/profile')).json()['nickname'], 'Ali')
    assert.deepEqual([thin.calls['/userinfo'], thin.complaints], [2, []])
  })

  it('refuses what is about another person', async () => {
    const app = await start(thin)
    const browser = app.browser()
    await browser.open('/profile')
    thin.change.userinfo = (json) => ({ ...json, sub: 'mallory' })
    assert.deepEqual((await browser.open('/userinfo')).json(), { error: 'ERR_OIDC_USERINFO_SUBJECT' })
  })

  it('has but the sub where the token is good for no further claims', async () => {
    const app = await start(thin)
    const browser = app.browser()
    await browser.open('/profile')
    thin.change.userinfo = answerWith(403, { error: 'insufficient_scope' })
    assert.deepEqual((await browser.open('/userinfo')).json(), { sub: 'user-subject' })
  })

  it('is for those who are logged in', async () => {
    const app = await start(thin)
    const page = await app.browser().open('/userinfo')
    assert.deepEqual([page.status, page.json()], [401, { error: 'ERR_OIDC_TOKEN_UNAVAILABLE' }])
    assert.equal(thin.calls['/userinfo'], 0)
  })

  it('is for those who are still logged in when the tokens have come from the store', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const store = new session.MemoryStore()
    const app = await start(thin, { loginLifetime: 60 }, { session: { store } })
    const browser = app.browser()
    await browser.open('/profile')
    const get = store.get.bind(store)
    store.get = (id, done) =>
      get(id, (error, data) => {
        if (id.startsWith('oidc-tokens:')) mock.timers.tick(61_000)
        done(error, data)
      })
    assert.equal((await browser.open('/userinfo')).status, 401)
    assert.equal(thin.calls['/userinfo'], 1)
  })

  it('needs an access token that has not ended', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const app = await start(thin)
    const browser = app.browser()
    await browser.open('/profile')
    mock.timers.tick(3_601_000)
    assert.equal((await browser.open('/userinfo')).status, 401)
    assert.equal(thin.calls['/userinfo'], 1)
  })
})
