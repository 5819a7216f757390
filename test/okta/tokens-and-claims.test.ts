import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import { AuthorizationError, requireAmr, requireClaim, requireGroup } from '../../lib/index.ts'
import { requestTokens, type TokenResponse } from '../../lib/protocol/token-endpoint.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import type { Browser } from '../support/browser/browser.ts'
import { sendTooManyRequests } from '../support/okta-provider/answers.ts'
import { ALICE, ORGANISATION_ID } from '../support/okta-provider/directory.ts'
import { createOktaStage } from '../support/okta-provider/stage.ts'

const stage = createOktaStage()

interface LoggedIn {
  readonly app: TestApp
  readonly browser: Browser
  readonly claims: Record<string, unknown>
}

async function logIn(serverId: string, options: Partial<AnyOptions> = {}, routes: Routes = {}): Promise<LoggedIn> {
  const app = await stage.start(serverId, options, { routes })
  const browser = app.browser()
  const page = await browser.open('/profile')
  assert.equal(page.status, 200, String(app.errors))
  return { app, browser, claims: page.json() }
}

/** A part of a JWT: 0 is the header, 1 are the claims. */
function partOf(jwt: unknown, index: 0 | 1): Record<string, unknown> {
  return JSON.parse(Buffer.from(String(jwt).split('.')[index] ?? '', 'base64url').toString())
}

async function tokensOf({ browser }: LoggedIn): Promise<Record<string, unknown>> {
  return (await browser.fetch('/tokens')).json()
}

const ok = answerJson(() => ({ ok: true }))

async function statusesOf({ browser }: LoggedIn, ...paths: readonly string[]): Promise<readonly number[]> {
  return Promise.all(paths.map(async (path) => (await browser.fetch(path)).status))
}

describe('the claims of a login', () => {
  it('Q-32: keep the types that Okta gives them: numbers and booleans', async () => {
    const { claims } = await logIn('org', { userinfo: true })
    const types = Object.fromEntries(Object.entries(claims).map(([name, value]) => [name, typeof value]))
    const expected = { ver: 'number', auth_time: 'number', iat: 'number', exp: 'number', updated_at: 'number' }
    assert.deepEqual({ ...types, ...expected, email_verified: 'boolean' }, types)
    assert.deepEqual([claims['ver'], claims['email_verified']], [1, true])
  })

  it('Q-36: are few in the ID Token of the code flow, with the rest at UserInfo, asked for where wanted', async () => {
    const thin = await logIn('org', { scope: 'openid profile email' })
    assert.equal(stage.okta.requestsTo('userinfo').length, 0)
    assert.deepEqual([thin.claims['preferred_username'], thin.claims['zoneinfo']], ['alice@example.test', undefined])
    const full = await logIn('org', { scope: 'openid profile email', userinfo: true })
    assert.deepEqual([full.claims['zoneinfo'], full.claims['locale']], ['America/Los_Angeles', 'en_US'])
    const phone = await logIn('org', { scope: 'openid phone' })
    assert.equal(phone.claims['phone_number'], '+43 1 2345678')
    assert.equal(stage.okta.requestsTo('userinfo').length, 2)
  })

  for (const responseType of ['id_token', 'code id_token']) {
    it(`Q-36: are all in an ID Token that comes without an access token: ${responseType}`, async () => {
      const { claims } = await logIn('org', { responseType, userinfo: false })
      assert.deepEqual([claims['zoneinfo'], claims['email_verified']], ['America/Los_Angeles', true])
    })
  }

  it('Q-36: are thin again where an access token comes along by the front channel', async () => {
    const { claims } = await logIn('org', { responseType: 'id_token token', userinfo: false })
    assert.deepEqual([claims['name'], claims['zoneinfo']], ['Alice Example', undefined])
  })

  it('Q-37: hold all groups in the code flow with a filter, however many', async () => {
    const groups = Array.from({ length: 150 }, (_, index) => `Group ${index}`)
    Object.assign(stage.okta, { person: { ...ALICE, groups } })
    const routes = { '/last': [requireGroup('Group 149'), ok] }
    const login = await logIn('org', { scope: 'openid profile groups' }, routes)
    assert.deepEqual(login.claims['groups'], groups)
    assert.deepEqual(await statusesOf(login, '/last'), [200])
  })

  for (const [what, options, claim] of [
    ['the implicit flow', { responseType: 'id_token' }, 'filter'],
    ['an expression', {}, 'expression'],
  ] as const) {
    it(`Q-37: fail as a whole with more than 100 groups by ${what}, and the application hears why`, async () => {
      Object.assign(stage.okta, { person: { ...ALICE, groups: Array(101).fill('group') } })
      Object.assign(stage.okta.client, { groups_claim: claim })
      const app = await stage.start('org', { scope: 'openid groups', ...options })
      assert.equal((await app.browser().open('/profile')).status, 400)
      const [error] = app.errors
      assert.ok(error instanceof AuthorizationError)
      assert.match(String(error.refusal.errorDescription), /groups claim matched too many groups/)
    })
  }

  it('Q-38: have the groups of a custom server in a claim of its own, without the scope', async () => {
    stage.okta.server('default').claims = [{ name: 'app_groups', value: ['US: Sales'], alwaysInIdToken: true }]
    const routes = {
      '/sales': [requireGroup('US: Sales', { claim: 'app_groups' }), ok],
      '/others': [requireGroup('US: Sales'), ok],
    }
    const login = await logIn('default', {}, routes)
    assert.deepEqual(login.claims['groups'], undefined)
    assert.deepEqual(await statusesOf(login, '/sales', '/others'), [200, 403])
  })

  it('Q-39: are those of the ID Token where UserInfo refuses openid alone with 403', async () => {
    const routes = { '/userinfo': answerJson(({ oidc }) => oidc.userinfo()) }
    const login = await logIn('org', { scope: 'openid', userinfo: true }, routes)
    assert.deepEqual([login.claims['sub'], login.app.errors], [ALICE.id, []])
    assert.deepEqual((await login.browser.fetch('/userinfo')).json(), { sub: ALICE.id })
    assert.equal(stage.okta.requestsTo('userinfo').length, 2)
  })

  it('Q-39: are none where UserInfo refuses the token itself with 401', async () => {
    stage.okta.change.raw.userinfo = (_req, res) =>
      res.writeHead(401, { 'WWW-Authenticate': 'Bearer error="invalid_token"' }).end()
    const app = await stage.start('org', { userinfo: true })
    const browser = app.browser()
    assert.equal((await browser.open('/profile')).status, 502)
    assert.deepEqual([codesOf(app), (await browser.fetch('/profile')).status], [['ERR_OIDC_USERINFO'], 401])
  })

  it('Q-40: have an address without formatted, and a phone number that nobody says to be verified', async () => {
    const routes = { '/austria': [requireClaim(['address', 'country'], 'AT'), ok] }
    const login = await logIn('org', { scope: 'openid address phone' }, routes)
    assert.deepEqual(login.claims['address'], ALICE.claims['address']?.['address'])
    assert.equal(Object.hasOwn(login.claims, 'phone_number_verified'), false)
    assert.deepEqual(await statusesOf(login, '/austria'), [200])
  })

  it('Q-41: may be of any JSON type and have a URL for a name, and are left out where they have no value', async () => {
    const role = 'https://app.example.test/role'
    const given = { level: 7, active: false, [role]: 'editor', sites: ['Wien', 'Graz'], nested: { a: { b: [1] } } }
    stage.okta.server('default').claims = [
      ...Object.entries(given).map(([name, value]) => ({ name, value, alwaysInIdToken: true })),
      { name: 'nothing', value: null, alwaysInIdToken: true },
    ]
    const routes = {
      '/level': [requireClaim('level', 7), ok],
      '/active': [requireClaim('active', true), ok],
      '/inactive': [requireClaim('active', false), ok],
      '/editor': [requireClaim(role, 'editor'), ok],
      '/graz': [requireClaim('sites', 'Graz'), ok],
      '/nested': [requireClaim(['nested', 'a', 'b'], 1), ok],
      '/nothing': [requireClaim('nothing', ''), ok],
    }
    const login = await logIn('default', {}, routes)
    assert.deepEqual({ ...login.claims, ...given }, login.claims)
    assert.equal(Object.hasOwn(login.claims, 'nothing'), false)
    assert.deepEqual(
      await statusesOf(login, '/level', '/active', '/inactive', '/editor', '/graz', '/nested', '/nothing'),
      [200, 403, 200, 200, 200, 200, 403],
    )
  })

  it('Q-42: have methods that are not in RFC 8176, and the organisation for an identity provider', async () => {
    Object.assign(stage.okta, { amr: ['pwd', 'okta_verify', 'symantec', 'mfa'] })
    const routes = { '/verified': [requireAmr('okta_verify'), ok], '/duo': [requireAmr('duo'), ok] }
    const login = await logIn('org', {}, routes)
    assert.deepEqual([login.claims['amr'], login.claims['idp']], [stage.okta.amr, ORGANISATION_ID])
    assert.deepEqual(await statusesOf(login, '/verified', '/duo'), [200, 403])
  })
})

describe('the tokens', () => {
  it('Q-33: name their scopes in a list of their own; the granted ones are read from the answer', async () => {
    const login = await logIn('default', { scope: 'openid profile reports:read' })
    const { accessToken } = await tokensOf(login)
    const { scp, scope } = partOf(accessToken, 1)
    assert.deepEqual([scp, scope], [['openid', 'profile', 'reports:read'], undefined])
    assert.deepEqual((await login.browser.fetch('/reports')).json(), { scope: 'openid profile reports:read' })
  })

  it('Q-33: do not widen what the answer says to be granted', async () => {
    stage.okta.change.tokenAnswer = (json) => ({ ...json, scope: 'openid' })
    const login = await logIn('default', { scope: 'openid profile reports:read' })
    assert.deepEqual(partOf((await tokensOf(login))['accessToken'], 1)['scp'], ['openid', 'profile', 'reports:read'])
    assert.deepEqual(await statusesOf(login, '/reports'), [403])
  })

  it('Q-34: name one person by two strings: sub of the ID Token is another than sub of the access token', async () => {
    const login = await logIn('default', { userinfo: true })
    const { cid, uid, sub, client_id: clientId } = partOf((await tokensOf(login))['accessToken'], 1)
    assert.deepEqual([cid, uid, sub, clientId], [stage.okta.client.client_id, ALICE.id, ALICE.login, undefined])
    assert.equal(login.claims['sub'], ALICE.id)
  })

  it('Q-34: are not mixed up: an ID Token with the login name as its sub is about another person than UserInfo', async () => {
    stage.okta.change.idTokenClaims = (claims) => ({ ...claims, sub: ALICE.login })
    const app = await stage.start('default', { userinfo: true })
    assert.equal((await app.browser().open('/profile')).status, 502)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_USERINFO_SUBJECT'])
  })

  it('Q-35: have no typ', async () => {
    const { idToken, accessToken } = await tokensOf(await logIn('default'))
    for (const token of [idToken, accessToken]) assert.deepEqual(Object.keys(partOf(token, 0)).sort(), ['alg', 'kid'])
  })

  it('Q-35: are refused as ID Tokens where typ says that they are something else', async () => {
    stage.okta.change.idTokenHeader = (header) => ({ ...header, typ: 'at+jwt' })
    const app = await stage.start('default')
    assert.equal((await app.browser().open('/profile')).status, 502)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_ID_TOKEN_TYPE'])
  })

  const unreadable = 'eyJraWQiOiJ4IiwiYWxnIjoiUlMyNTYifQ.bm90IEpTT04gYXQgYWxs.c2lnbmF0dXJl'
  for (const [what, sent] of [
    ['signed with a key that nobody has', undefined],
    ['a JWT in its looks alone', unreadable],
    ['one word', 'opaque'],
  ] as const) {
    it(`Q-43: of the org server are handed on unread: ${what}`, async () => {
      if (sent !== undefined) stage.okta.change.accessToken = () => sent
      const login = await logIn('org', { userinfo: true })
      const { accessToken, expiresAt } = await tokensOf(login)
      assert.ok(sent === undefined || sent === accessToken)
      assert.ok(stage.okta.accessTokens.has(String(accessToken)))
      assert.ok(Math.abs(Number(expiresAt) - Date.now() / 1000 - 3600) < 5)
    })
  }

  describe('that are refreshed', () => {
    const SCOPE = 'openid profile offline_access'

    type Refresh = (token: string, params?: object) => Promise<TokenResponse>

    /** A refresh token, and the way to use it. */
    async function startRefreshing(): Promise<{ refreshToken: string; refresh: Refresh }> {
      const login = await logIn('default', { scope: SCOPE })
      const provider = await stage.findProvider('default', { clientSecret: stage.okta.client.client_secret })
      return {
        refreshToken: String((await tokensOf(login))['refreshToken']),
        refresh: (token, params) =>
          requestTokens(provider, { grant_type: 'refresh_token', refresh_token: token, ...params }),
      }
    }

    it('Q-45: come without an ID Token where openid is not asked for, and with it where nothing is said', async () => {
      const { refreshToken, refresh } = await startRefreshing()
      const narrow = await refresh(refreshToken, { scope: 'profile offline_access' })
      assert.deepEqual([narrow.id_token, narrow.scope], [undefined, 'profile offline_access'])
      const whole = await refresh(String(narrow.refresh_token))
      assert.deepEqual([typeof whole.id_token, whole.scope], ['string', SCOPE])
    })

    it('Q-45: come without a new refresh token where offline_access is not asked for', async () => {
      const { refreshToken, refresh } = await startRefreshing()
      const { refresh_token: next, access_token: accessToken } = await refresh(refreshToken, { scope: 'openid' })
      assert.deepEqual([next, typeof accessToken], [undefined, 'string'])
    })

    it('Q-45: leave the login its ID Token and its refresh token where the answer brings none', async () => {
      mock.timers.enable({ apis: ['Date'], now: Date.now() })
      const login = await logIn('default', { scope: SCOPE })
      const before = await tokensOf(login)
      stage.okta.change.tokenAnswer = ({ id_token: _, refresh_token: __, ...json }) => json
      mock.timers.tick(301_000)
      assert.deepEqual(await statusesOf(login, '/access-token'), [200])
      const after = await tokensOf(login)
      assert.deepEqual([after['idToken'], after['refreshToken']], [before['idToken'], before['refreshToken']])
      assert.notEqual(after['accessToken'], before['accessToken'])
    })

    it('Q-45: come with all that the login has: no scope is named, so that none is lost', async () => {
      mock.timers.enable({ apis: ['Date'], now: Date.now() })
      const login = await logIn('default', { scope: SCOPE })
      const before = await tokensOf(login)
      mock.timers.tick(301_000)
      assert.deepEqual(await statusesOf(login, '/access-token'), [200])
      assert.equal(stage.okta.requestsTo('token').at(-1)?.form.get('scope'), null)
      const after = await tokensOf(login)
      for (const name of ['idToken', 'refreshToken', 'accessToken']) assert.notEqual(after[name], before[name], name)
      assert.deepEqual(after['expiresAt'], Number(before['expiresAt']) + 301)
    })

    it('Q-46: are asked for once by all requests of a browser at the same time', async () => {
      mock.timers.enable({ apis: ['Date'], now: Date.now() })
      stage.okta.client.leeway = 0
      const login = await logIn('default', { scope: SCOPE })
      for (let round = 0; round < 3; round++) {
        mock.timers.tick(301_000)
        const statuses = await statusesOf(login, ...Array.from({ length: 8 }, () => '/access-token'))
        assert.deepEqual(new Set(statuses), new Set([200]))
      }
      const refreshes = stage.okta.requestsTo('token').filter(({ form }) => form.has('refresh_token'))
      assert.deepEqual([refreshes.length, new Set(refreshes.map(({ form }) => form.get('refresh_token'))).size], [3, 3])
      assert.deepEqual(await statusesOf(login, '/profile'), [200])
    })

    it('Q-46: end with the login where Okta has ended their family', async () => {
      mock.timers.enable({ apis: ['Date'], now: Date.now() })
      const login = await logIn('default', { scope: SCOPE })
      for (const family of stage.okta.families) family.isDead = true
      mock.timers.tick(301_000)
      assert.deepEqual(await statusesOf(login, '/access-token'), [401])
      assert.deepEqual([codesOf(login.app), await statusesOf(login, '/profile')], [['ERR_OIDC_REFRESH_REFUSED'], [401]])
    })

    it('Q-46: leave the login as it is where Okta is busy', async () => {
      mock.timers.enable({ apis: ['Date'], now: Date.now() })
      const login = await logIn('default', { scope: SCOPE })
      mock.timers.tick(301_000)
      stage.okta.change.raw.token = (_req, res) => sendTooManyRequests(res, { limit: 600, remaining: 0, reset: 0 })
      assert.deepEqual(await statusesOf(login, '/access-token', '/profile'), [503, 200])
      stage.okta.change.raw = {}
      assert.deepEqual(await statusesOf(login, '/access-token'), [200])
    })

    it('Q-46: come of the same old token for 30 seconds after its first use, as parallel requests need it', async () => {
      mock.timers.enable({ apis: ['Date'], now: Date.now() })
      const { refreshToken, refresh } = await startRefreshing()
      const first = await refresh(refreshToken)
      mock.timers.tick(29_000)
      const second = await refresh(refreshToken)
      assert.notEqual(first.access_token, second.access_token)
      assert.ok(
        stage.okta.accessTokens.has(String(first.access_token)) &&
          stage.okta.accessTokens.has(String(second.access_token)),
      )
    })

    it('Q-46: are dead with all of their family when it comes later', async () => {
      mock.timers.enable({ apis: ['Date'], now: Date.now() })
      const { refreshToken, refresh } = await startRefreshing()
      const { refresh_token: newest, access_token: accessToken } = await refresh(refreshToken)
      mock.timers.tick(32_000)
      const late = { code: 'ERR_OIDC_TOKEN_REQUEST', status: 400 }
      await assert.rejects(refresh(refreshToken), late)
      await assert.rejects(refresh(String(newest)), late)
      assert.ok(!stage.okta.accessTokens.has(String(accessToken)))
    })
  })

  it('Q-44: may end before the login, and do not take it with them', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const login = await logIn('default')
    assert.deepEqual(await statusesOf(login, '/profile', '/access-token'), [200, 200])
    mock.timers.tick(301_000)
    assert.deepEqual(await statusesOf(login, '/profile', '/access-token'), [200, 401])
    // The ID Token ends after an hour, always.
    mock.timers.tick(3_600_000)
    assert.deepEqual(await statusesOf(login, '/profile'), [200])
    mock.timers.tick(86_400_000)
    assert.deepEqual(await statusesOf(login, '/profile'), [401])
  })
})
