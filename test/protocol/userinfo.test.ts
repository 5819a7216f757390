import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, it, mock } from 'node:test'
import session from 'express-session'
import { type Events, ProviderError } from '../../lib/index.ts'
import type { TestApp } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { isTokens } from '../support/app/records.ts'
import { type AppSettings, createStage } from '../support/app/stage.ts'
import { startProvider } from '../support/servers/provider.ts'
import { answered, type JsonChange } from '../support/strict-provider/context.ts'

const usual: AppSettings = { routes: { '/userinfo': answerJson(({ oidc }) => oidc.userinfo()) }, errorHandler: 'json' }
const fat = createStage({ provider: { idToken: 'fat' }, app: usual })
const thin = createStage({ provider: { idToken: 'thin' }, app: usual })

/** The claims of a login, or the code of what went wrong. */
async function claimsOf(app: TestApp): Promise<Record<string, unknown>> {
  const page = await app.browser().open('/profile')
  return page.status === 200 ? page.json() : { ...page.json(), status: page.status }
}

/** What the work returns, and the codes of the events of errors that were published during it. */
async function observeErrors<Result>(
  work: () => Promise<Result>,
): Promise<{ result: Result; errors: readonly string[] }> {
  const errors: string[] = []
  const listener = (message: unknown): void => void errors.push((message as Events['express-oidc:error']).code)
  subscribe('express-oidc:error', listener)
  try {
    return { result: await work(), errors }
  } finally {
    unsubscribe('express-oidc:error', listener)
  }
}

describe("userinfo: 'when-needed'", () => {
  it('requests UserInfo if the ID Token lacks claims', async () => {
    const claims = await claimsOf(await thin.start({ scope: 'openid profile email groups' }))
    assert.deepEqual(
      [claims['name'], claims['email'], claims['groups']],
      ['Alice Example', 'alice@example.test', ['admin', 'staff']],
    )
    assert.deepEqual([thin.provider.calls['/userinfo'], thin.provider.complaints], [1, []])
  })

  it('does not request UserInfo if the ID Token has the claims', async () => {
    const claims = await claimsOf(await fat.start({ scope: 'openid profile email address phone groups' }))
    assert.equal(claims['email'], 'alice@example.test')
    assert.deepEqual([fat.provider.calls['/userinfo'], fat.provider.complaints], [0, []])
  })

  it('requests UserInfo if the claims of one granted scope are missing', async () => {
    fat.provider.change.idTokenClaims = ({ email: _, email_verified: __, ...claims }) => claims
    const claims = await claimsOf(await fat.start({ scope: 'openid profile email' }))
    assert.deepEqual([claims['email'], fat.provider.calls['/userinfo']], ['alice@example.test', 1])
  })

  it('does not request UserInfo if the scope of the missing claims was not granted', async () => {
    fat.provider.change.idTokenClaims = ({ email: _, email_verified: __, ...claims }) => claims
    fat.provider.change.tokenResponse = (json) => ({ ...json, scope: 'openid profile' })
    const claims = await claimsOf(await fat.start({ scope: 'openid profile email' }))
    assert.deepEqual([claims['email'], fat.provider.calls['/userinfo']], [undefined, 0])
  })

  it('assumes the requested scope if the token response names none', async () => {
    thin.provider.change.tokenResponse = ({ scope: _, ...json }) => json
    await claimsOf(await thin.start({ scope: 'openid email' }))
    assert.equal(thin.provider.calls['/userinfo'], 1)
  })

  it('treats an empty scope as no scope', async () => {
    thin.provider.change.tokenResponse = (json) => ({ ...json, scope: '' })
    const app = await thin.start({ scope: 'openid email' })
    await claimsOf(app)
    assert.equal(thin.provider.calls['/userinfo'], 0)
    const browser = app.browser()
    await browser.open('/profile')
    assert.equal((await browser.open('/reports')).status, 403)
  })

  for (const scope of ['openid', 'openid offline_access constructor __proto__ toString reports:read']) {
    it(`does not request UserInfo for ${scope}`, async () => {
      await claimsOf(await thin.start({ scope }))
      assert.equal(thin.provider.calls['/userinfo'], 0)
    })
  }

  it('does not request UserInfo at a provider that has none', async () => {
    thin.provider.change.discovery = ({ userinfo_endpoint: _, ...metadata }) => metadata
    const claims = await claimsOf(await thin.start())
    assert.deepEqual([claims['sub'], claims['email']], ['user-subject', undefined])
  })
})

describe('userinfo: true', () => {
  it('always requests UserInfo', async () => {
    const claims = await claimsOf(await fat.start({ userinfo: true, scope: 'openid' }))
    assert.deepEqual([claims['sub'], fat.provider.calls['/userinfo'], fat.provider.complaints], ['user-subject', 1, []])
  })

  it('fails at a provider that has no UserInfo', async () => {
    fat.provider.change.discovery = ({ userinfo_endpoint: _, ...metadata }) => metadata
    const app = await fat.start({ userinfo: true })
    assert.deepEqual(await claimsOf(app), { error: 'ERR_OIDC_USERINFO', status: 502 })
    assert.match(app.errors[0]?.message ?? '', /set userinfo to false/)
  })
})

describe('userinfo: false', () => {
  it('never requests UserInfo', async () => {
    const claims = await claimsOf(await thin.start({ userinfo: false }))
    assert.deepEqual([claims['email'], thin.provider.calls['/userinfo']], [undefined, 0])
  })
})

describe('the claims of UserInfo', () => {
  it('are added to those of the ID Token, and never replace them', async () => {
    fat.provider.change.userinfo = (json) => ({ ...json, name: 'Mallory', nickname: 'Ali', department: { id: 7 } })
    const app = await fat.start({ userinfo: true, scope: 'openid profile email' })
    const claims = await claimsOf(app)
    assert.deepEqual([claims['name'], claims['department']], ['Alice Example', { id: 7 }])
  })

  const securing = ['iss', 'aud', 'azp', 'exp', 'iat', 'nbf', 'jti', 'nonce', 'auth_time', 'acr', 'amr', 'sid']
  for (const name of [...securing, 'at_hash', 'c_hash', 's_hash', 'session_expiry']) {
    it(`never add ${name}`, async () => {
      thin.provider.change.idTokenClaims = ({ sid: _, ...claims }) => claims
      thin.provider.change.userinfo = (json) => ({ ...json, [name]: 'of UserInfo' })
      const claims = await claimsOf(await thin.start())
      assert.equal(claims['email'], 'alice@example.test')
      assert.notEqual(claims[name], 'of UserInfo')
    })
  }

  it('may have unusual names', async () => {
    thin.provider.change.userinfo = () =>
      '{ "sub": "user-subject", "__proto__": { "admin": true }, "constructor": "x", "https://a.test/b": 1 }'
    const app = await thin.start()
    const browser = app.browser()
    const claims = (await browser.open('/profile')).json()
    assert.deepEqual([claims['constructor'], claims['https://a.test/b']], ['x', 1])
    assert.equal(claims['admin'], undefined)
    assert.equal(Reflect.get({}, 'admin'), undefined)
    assert.equal((await browser.open('/profile')).status, 200)
  })

  it('are those of oidc-provider too', async () => {
    const provider = thin.stopLater(await startProvider())
    const claims = await claimsOf(await thin.start({}, { provider }))
    assert.deepEqual([claims['email'], provider.count('/me')], ['alice@example.test', 1])
  })
})

describe('a login whose UserInfo fails', () => {
  const insufficient = { error: 'insufficient_scope' }
  const challenge = { 'WWW-Authenticate': 'Bearer realm="x", error="insufficient_scope", scope="profile"' }
  const harmless: readonly (readonly [name: string, change: JsonChange])[] = [
    ['in a challenge', answered(403, {}, challenge)],
    ['in the body', answered(403, insufficient)],
    ['in both', answered(403, insufficient, challenge)],
  ]
  for (const [name, change] of harmless) {
    it(`continues if the token gives no further claims, as said ${name}`, async () => {
      thin.provider.change.userinfo = change
      const claims = await claimsOf(await thin.start())
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
      answered(401, {}, { 'WWW-Authenticate': 'Bearer error="invalid_token"' }),
      'ERR_OIDC_USERINFO',
      502,
    ],
    ['refuses for reasons of its own', answered(403, {}), 'ERR_OIDC_USERINFO', 502],
    ['breaks', answered(500, {}), 'ERR_OIDC_PROVIDER_STATUS', 502],
    ['has too much to do', answered(429, {}, { 'Retry-After': '7' }), 'ERR_OIDC_PROVIDER_BUSY', 503],
  ]
  for (const [name, change, code, status] of faults) {
    it(`fails with ${code} if UserInfo ${name} and is always requested`, async () => {
      thin.provider.change.userinfo = change
      const app = await thin.start({ userinfo: true })
      assert.deepEqual(await claimsOf(app), { error: code, status })
      assert.ok(app.errors[0] instanceof ProviderError)
      assert.equal(await app.sessions(), 0)
    })

    if (code === 'ERR_OIDC_USERINFO_SUBJECT') {
      it(`N-30: fails if UserInfo ${name}, even if it only fills in`, async () => {
        thin.provider.change.userinfo = change
        assert.deepEqual(await claimsOf(await thin.start()), { error: code, status })
      })
    } else {
      it(`N-30: continues if UserInfo ${name} and only fills in, and an event says why`, async () => {
        thin.provider.change.userinfo = change
        const app = await thin.start()
        const { result: claims, errors } = await observeErrors(() => claimsOf(app))
        assert.deepEqual([claims['sub'], claims['email'], errors], ['user-subject', undefined, [code]])
        assert.deepEqual(app.errors, [])
      })
    }
  }

  it('N-30: continues if UserInfo is announced, but nothing is there', async () => {
    thin.provider.change.userinfo = answered(404, '<h1>Not found</h1>', { 'Content-Type': 'text/html' })
    const app = await thin.start()
    const { result: claims, errors } = await observeErrors(() => claimsOf(app))
    assert.deepEqual([claims['sub'], errors], ['user-subject', ['ERR_OIDC_USERINFO']])
  })

  it('N-30: continues if the connection to UserInfo closes', async () => {
    thin.provider.change.raw['/userinfo'] = (req) => void req.socket.destroy()
    const app = await thin.start()
    const { result: claims, errors } = await observeErrors(() => claimsOf(app))
    assert.deepEqual([claims['sub'], errors], ['user-subject', ['ERR_OIDC_PROVIDER_UNREACHABLE']])
  })
})

describe('a UserInfo endpoint that refuses the access token', () => {
  const scope = 'openid profile email offline_access'
  const refusal = answered(401, {}, { 'WWW-Authenticate': 'Bearer error="invalid_token"' })

  /** Refuses the first requests. */
  function refuse(times: number): void {
    let calls = 0
    thin.provider.change.userinfo = (json, answer) => (calls++ < times ? refusal(json, answer) : json)
  }

  it('CL-5: gets one new token at login, and the login keeps all that came with it', async () => {
    refuse(1)
    const issued: unknown[] = []
    thin.provider.change.refreshResponse = (json) => {
      issued.push(json['access_token'], json['refresh_token'], json['id_token'])
      return json
    }
    const { app, browser } = await thin.startLoggedIn({ scope })
    assert.equal((await browser.open('/profile')).json()['email'], 'alice@example.test')
    const { accessToken, refreshToken, idToken } = (await browser.open('/tokens')).json()
    assert.deepEqual([accessToken, refreshToken, idToken], issued)
    assert.deepEqual([thin.provider.calls['/userinfo'], thin.provider.calls['/token']], [2, 2])
    assert.deepEqual([app.errors, thin.provider.complaints], [[], []])
  })

  it('CL-5: is asked no third time, and the login continues with the new tokens', async () => {
    refuse(9)
    const app = await thin.start({ scope })
    const browser = app.browser()
    const { result: page, errors } = await observeErrors(() => browser.open('/profile'))
    assert.deepEqual(
      [page.json()['sub'], page.json()['email'], errors],
      ['user-subject', undefined, ['ERR_OIDC_USERINFO']],
    )
    assert.deepEqual([thin.provider.calls['/userinfo'], thin.provider.calls['/token']], [2, 2])
    thin.provider.change.userinfo = undefined
    assert.equal((await browser.open('/userinfo')).json()['email'], 'alice@example.test')
    assert.deepEqual(thin.provider.complaints, [])
  })

  it('CL-5: is asked once without a refresh token', async () => {
    refuse(9)
    await claimsOf(await thin.start())
    assert.deepEqual([thin.provider.calls['/userinfo'], thin.provider.calls['/token']], [1, 1])
  })

  it('CL-5: is asked once if it says that the token has no further claims', async () => {
    thin.provider.change.userinfo = answered(403, { error: 'insufficient_scope' })
    await claimsOf(await thin.start({ scope }))
    assert.deepEqual([thin.provider.calls['/userinfo'], thin.provider.calls['/token']], [1, 1])
  })

  for (const status of [400, 403, 404]) {
    it(`CL-5: is asked once if it answers with ${status}, which no new token changes`, async () => {
      thin.provider.change.userinfo = answered(status, {}, { 'WWW-Authenticate': 'Bearer error="invalid_token"' })
      await claimsOf(await thin.start({ scope }))
      assert.deepEqual([thin.provider.calls['/userinfo'], thin.provider.calls['/token']], [1, 1])
    })
  }

  it('CL-5: the scope of the login becomes that of the new token', async () => {
    refuse(1)
    thin.provider.change.refreshResponse = (json) => ({ ...json, scope: 'openid email admin:all' })
    const seen: unknown[] = []
    const routes = { '/scope': answerJson(({ oidc }) => ({ scope: oidc.scope })) }
    const { browser } = await thin.startLoggedIn({ scope }, { routes })
    seen.push((await browser.open('/scope')).json()['scope'])
    assert.deepEqual(seen, ['openid email'])
  })

  const refusals: readonly (readonly [name: string, change: JsonChange])[] = [
    ['is refused', answered(400, { error: 'invalid_grant' })],
    ['demands the user', answered(400, { error: 'interaction_required' })],
    ['is no token response', () => ({})],
    ['breaks', answered(500, {})],
  ]
  for (const [name, change] of refusals) {
    it(`CL-5: counts with its refusal if the refresh ${name}`, async () => {
      refuse(9)
      thin.provider.change.refreshResponse = change
      const app = await thin.start({ scope })
      const { result: claims, errors } = await observeErrors(() => claimsOf(app))
      assert.deepEqual([claims['sub'], errors], ['user-subject', ['ERR_OIDC_USERINFO']])
      assert.deepEqual(await claimsOf(await thin.start({ scope, userinfo: true })), {
        error: 'ERR_OIDC_USERINFO',
        status: 502,
      })
    })
  }

  const forgeries: readonly (readonly [name: string, claims: Record<string, unknown>, code: string])[] = [
    ['is for another user', { sub: 'mallory' }, 'ERR_OIDC_ID_TOKEN_SUBJECT'],
    ['is of another issuer', { iss: 'https://evil.example' }, 'ERR_OIDC_ID_TOKEN_ISSUER'],
    ['is for another client', { aud: 'other' }, 'ERR_OIDC_ID_TOKEN_AUDIENCE'],
    ['is of another login', { nonce: 'n-of-another-login' }, 'ERR_OIDC_ID_TOKEN_NONCE'],
    ['has expired', { exp: 1_000_000_000 }, 'ERR_OIDC_ID_TOKEN_EXPIRED'],
  ]
  for (const [name, claims, code] of forgeries) {
    it(`CL-5: ends the login with ${code} if the refreshed ID Token ${name}`, async () => {
      refuse(1)
      thin.provider.change.refreshedIdTokenClaims = (good) => ({ ...good, ...claims })
      const app = await thin.start({ scope })
      assert.equal((await claimsOf(app))['error'], code)
      assert.equal(await app.sessions(), 0)
    })
  }

  it('CL-5: gets one new token for req.oidc.userinfo(), too', async () => {
    const { browser } = await thin.startLoggedIn({ scope })
    const before = (await browser.open('/tokens')).json()
    refuse(1)
    assert.equal((await browser.open('/userinfo')).json()['email'], 'alice@example.test')
    const after = (await browser.open('/tokens')).json()
    assert.notEqual(after['accessToken'], before['accessToken'])
    refuse(9)
    assert.deepEqual((await browser.open('/userinfo')).json(), { error: 'ERR_OIDC_USERINFO' })
    assert.deepEqual([thin.provider.calls['/userinfo'], thin.provider.calls['/token']], [5, 3])
  })

  it('CL-5: gets no new token for req.oidc.userinfo() without a refresh token', async () => {
    const { browser } = await thin.startLoggedIn()
    refuse(9)
    assert.deepEqual((await browser.open('/userinfo')).json(), { error: 'ERR_OIDC_USERINFO' })
    assert.equal(thin.provider.calls['/token'], 1)
  })
})

describe('a signed UserInfo that only fills in', () => {
  const signed = createStage({
    provider: { idToken: 'thin', userinfoSignedResponseAlg: 'RS256' },
    app: { errorHandler: 'json' },
  })

  it('N-30: fails the login if its signature is wrong', async () => {
    signed.provider.change.userinfoJwt = (jwt) => jwt.replace(/\.....([^.]*)$/, '.AAAA$1')
    assert.equal((await claimsOf(await signed.start()))['error'], 'ERR_OIDC_USERINFO_JWT_SIGNATURE')
  })
})

describe('req.oidc.userinfo()', () => {
  it('sends a new request', async () => {
    const app = await thin.start()
    const browser = app.browser()
    await browser.open('/profile')
    thin.provider.change.userinfo = (json) => ({ ...json, nickname: 'Al' })
    assert.equal((await browser.open('/userinfo')).json()['nickname'], 'Al')
    assert.equal((await browser.open('/profile')).json()['nickname'], 'Ali')
    assert.deepEqual([thin.provider.calls['/userinfo'], thin.provider.complaints], [2, []])
  })

  it('refuses a response about another user', async () => {
    const app = await thin.start()
    const browser = app.browser()
    await browser.open('/profile')
    thin.provider.change.userinfo = (json) => ({ ...json, sub: 'mallory' })
    assert.deepEqual((await browser.open('/userinfo')).json(), { error: 'ERR_OIDC_USERINFO_SUBJECT' })
  })

  it('has only the sub if the token gives no further claims', async () => {
    const app = await thin.start()
    const browser = app.browser()
    await browser.open('/profile')
    thin.provider.change.userinfo = answered(403, { error: 'insufficient_scope' })
    assert.deepEqual((await browser.open('/userinfo')).json(), { sub: 'user-subject' })
  })

  it('requires a login', async () => {
    const app = await thin.start()
    const page = await app.browser().open('/userinfo')
    assert.deepEqual([page.status, page.json()], [401, { error: 'ERR_OIDC_TOKEN_UNAVAILABLE' }])
    assert.equal(thin.provider.calls['/userinfo'], 0)
  })

  it('requires that the login has not expired while the tokens were read', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const store = new session.MemoryStore()
    const app = await thin.start({ loginLifetime: 60 }, { session: { store } })
    const browser = app.browser()
    await browser.open('/profile')
    const get = store.get.bind(store)
    store.get = (id, done) =>
      get(id, (error, data) => {
        if (isTokens(id)) mock.timers.tick(61_000)
        done(error, data)
      })
    assert.equal((await browser.open('/userinfo')).status, 401)
    assert.equal(thin.provider.calls['/userinfo'], 1)
  })

  it('needs an access token that has not expired', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const app = await thin.start()
    const browser = app.browser()
    await browser.open('/profile')
    mock.timers.tick(3_601_000)
    assert.equal((await browser.open('/userinfo')).status, 401)
    assert.equal(thin.provider.calls['/userinfo'], 1)
  })
})
