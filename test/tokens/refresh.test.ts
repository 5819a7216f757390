import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { describe, it, mock } from 'node:test'
import type { ErrorCode } from '../../lib/errors.ts'
import type { TokenRecord } from '../../lib/index.ts'
import { refreshTokens } from '../../lib/protocol/refresh-grant.ts'
import { readUserInfo } from '../../lib/protocol/userinfo.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { isSharedRecord } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { type Listening, listen } from '../support/servers/http-server.ts'
import { answered, type JsonObject } from '../support/strict-provider/changes.ts'
import type { StrictProvider } from '../support/strict-provider/provider.ts'

const SCOPE = 'openid profile email offline_access'

/** Routes that use the tokens of the login. */
const routes: Routes = {
  '/token-for': answerJson(async ({ oidc, url }) => {
    const query = new URLSearchParams(url?.split('?')[1])
    const [scope, resource] = [query.get('scope') ?? undefined, query.get('resource') ?? undefined]
    return { token: await oidc.accessToken({ scope, resource }) }
  }),
  '/userinfo': answerJson(({ oidc }) => oidc.userinfo()),
}

const stage = createStage({ app: { errorHandler: 'json', routes } })

/** Logs a user in whose access token is about to expire. Refreshed tokens live for an hour. */
async function logInWithExpiringToken(options: Partial<AnyOptions> = {}): Promise<{ app: TestApp; browser: Browser }> {
  stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
  const started = await stage.startLoggedIn({ scope: SCOPE, ...options })
  stage.provider.change.tokenResponse = undefined
  return started
}

async function tokensOf(browser: Browser): Promise<TokenRecord> {
  // The route sends what req.oidc.tokens() returned.
  return (await browser.fetch('/tokens')).json() as unknown as TokenRecord
}

function refreshRequests({ requests }: StrictProvider): readonly URLSearchParams[] {
  return requests.map(({ form }) => form).filter((form) => form.get('grant_type') === 'refresh_token')
}

/** The keys of all records in the store. */
async function recordsIn(app: TestApp): Promise<readonly string[]> {
  return Object.keys(await app.records()).filter((id) => !isSharedRecord(id))
}

async function isLoggedIn(browser: Browser): Promise<boolean> {
  return (await browser.fetch('/profile')).status === 200
}

describe('accessToken()', () => {
  it('returns the token of the login if it does not expire within a minute', async () => {
    const { browser } = await stage.startLoggedIn({ scope: SCOPE })
    const { accessToken } = await tokensOf(browser)
    assert.equal((await browser.fetch('/access-token')).json()['token'], accessToken)
    assert.equal(refreshRequests(stage.provider).length, 0)
  })

  it('refreshes a token that expires within a minute, and stores the new tokens', async () => {
    const { app, browser } = await logInWithExpiringToken()
    const before = await tokensOf(browser)
    const { token } = (await browser.fetch('/access-token')).json()
    const after = await tokensOf(browser)
    assert.deepEqual(
      [token !== before.accessToken, token, after.refreshToken !== before.refreshToken],
      [true, after.accessToken, true],
    )
    assert.ok((after.expiresAt ?? 0) > Date.now() / 1000 + 3000)
    assert.equal((await browser.fetch('/access-token')).json()['token'], token)
    assert.deepEqual([refreshRequests(stage.provider).length, stage.provider.complaints, codesOf(app)], [1, [], []])
  })

  it('sends no scope and no resource unless requested, because some providers refuse them', async () => {
    const { browser } = await logInWithExpiringToken()
    await browser.fetch('/access-token')
    const [form] = refreshRequests(stage.provider)
    assert.deepEqual([...(form?.keys() ?? [])], ['grant_type', 'refresh_token'])
  })

  it('updates the claims that guards check, except how the user authenticated (CVE-2021-41230)', async () => {
    stage.provider.change.idTokenClaims = (claims) => ({
      ...claims,
      groups: ['admin'],
      acr: 'weak',
      department: 'sales',
    })
    const { browser } = await logInWithExpiringToken()
    assert.equal((await browser.fetch('/admin')).status, 200)
    stage.provider.change.refreshedIdTokenClaims = ({ groups: _, ...claims }) => ({
      ...claims,
      acr: 'strong',
      name: 'New Name',
    })
    await browser.fetch('/access-token')
    const { groups, acr, name, email, department } = (await browser.fetch('/profile')).json()
    assert.deepEqual([groups, acr, name, department], [undefined, 'weak', 'New Name', undefined])
    assert.equal(typeof email, 'string')
    assert.equal((await browser.fetch('/admin')).status, 403)
  })

  for (const count of [2, 50, 200]) {
    it(`sends one token request for ${count} concurrent requests`, async () => {
      const { app, browser } = await logInWithExpiringToken()
      const pages = await Promise.all(Array.from({ length: count }, () => browser.fetch('/access-token')))
      const tokens = new Set(pages.map((page) => page.json()['token']))
      assert.deepEqual([tokens.size, refreshRequests(stage.provider).length, codesOf(app)], [1, 1, []])
    })
  }

  it('uses the new refresh token for the next refresh', async () => {
    const { browser } = await logInWithExpiringToken()
    await browser.fetch('/access-token')
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 3590_000 })
    await browser.fetch('/access-token')
    const [first, second] = refreshRequests(stage.provider).map((form) => form.get('refresh_token'))
    assert.notEqual(first, second)
    assert.deepEqual(stage.provider.complaints, [])
  })

  it('returns a token without an expiry until an API rejects it', async () => {
    stage.provider.change.tokenResponse = ({ expires_in: _, ...response }) => response
    const { browser } = await stage.startLoggedIn({ scope: SCOPE })
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 36_000_000 })
    await browser.fetch('/access-token')
    assert.equal(refreshRequests(stage.provider).length, 0)
  })

  it('returns a short-lived token until it expires if there is no refresh token, then throws', async () => {
    stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 30 })
    const { app, browser } = await stage.startLoggedIn()
    assert.equal((await browser.fetch('/access-token')).status, 200)
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 31_000 })
    assert.equal((await browser.fetch('/access-token')).status, 401)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_TOKEN_UNAVAILABLE'])
  })

  it('does not refresh a short-lived token on every call', async () => {
    stage.provider.change.refreshResponse = (response) => ({ ...response, expires_in: 20 })
    const { browser } = await logInWithExpiringToken()
    for (let count = 0; count < 3; count++) await browser.fetch('/access-token')
    assert.equal(refreshRequests(stage.provider).length, 1)
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 11_000 })
    await browser.fetch('/access-token')
    assert.equal(refreshRequests(stage.provider).length, 2)
  })

  it('throws if no user is logged in', async () => {
    const app = await stage.start()
    for (const path of ['/access-token', '/id-token']) await app.browser().fetch(path)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_TOKEN_UNAVAILABLE', 'ERR_OIDC_TOKEN_UNAVAILABLE'])
  })
})

describe('a refresh response', () => {
  it('without a refresh token keeps the old one (RFC 6749 6)', async () => {
    const { browser } = await logInWithExpiringToken()
    const before = await tokensOf(browser)
    stage.provider.change.refreshResponse = ({ refresh_token: _, ...response }) => response
    await browser.fetch('/access-token')
    const after = await tokensOf(browser)
    assert.deepEqual([after.refreshToken, after.accessToken !== before.accessToken], [before.refreshToken, true])
  })

  it('without an ID Token keeps the old one as the hint (OIDC Core 12.2)', async () => {
    const { browser } = await logInWithExpiringToken()
    const before = await tokensOf(browser)
    stage.provider.change.refreshResponse = ({ id_token: _, ...response }) => response
    await browser.fetch('/access-token')
    assert.equal((await tokensOf(browser)).idToken, before.idToken)
  })

  it('with an ID Token without a nonce is accepted, and the nonce of the login is kept for the next one', async () => {
    const { app, browser } = await logInWithExpiringToken()
    stage.provider.change.refreshedIdTokenClaims = ({ nonce: _, ...claims }) => claims
    stage.provider.change.refreshResponse = (response) => ({ ...response, expires_in: 0 })
    await browser.fetch('/access-token')
    stage.provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, nonce: 'another' })
    await browser.fetch('/access-token')
    assert.deepEqual(codesOf(app), ['ERR_OIDC_ID_TOKEN_NONCE'])
  })

  const hostile: readonly (readonly [string, (claims: JsonObject) => JsonObject, ErrorCode])[] = [
    ['of another user', (claims) => ({ ...claims, sub: 'another-user' }), 'ERR_OIDC_ID_TOKEN_SUBJECT'],
    ['of another issuer', (claims) => ({ ...claims, iss: `${claims['iss']}1` }), 'ERR_OIDC_ID_TOKEN_ISSUER'],
    ['for another client', (claims) => ({ ...claims, aud: 'another' }), 'ERR_OIDC_ID_TOKEN_AUDIENCE'],
    ['with another nonce', (claims) => ({ ...claims, nonce: 'another' }), 'ERR_OIDC_ID_TOKEN_NONCE'],
    ['that has expired', (claims) => ({ ...claims, exp: 1 }), 'ERR_OIDC_ID_TOKEN_EXPIRED'],
    ['without iat', ({ iat: _, ...claims }) => claims, 'ERR_OIDC_ID_TOKEN_ISSUED_AT'],
    ['bound to another access token', (claims) => ({ ...claims, at_hash: 'x' }), 'ERR_OIDC_ID_TOKEN_ACCESS_TOKEN_HASH'],
  ]
  for (const [name, change, code] of hostile) {
    it(`with an ID Token ${name} is refused, and nothing of it is stored but its refresh token`, async () => {
      const { app, browser } = await logInWithExpiringToken()
      const before = await tokensOf(browser)
      stage.provider.change.refreshedIdTokenClaims = change
      await browser.fetch('/access-token')
      const { refreshToken } = await tokensOf(browser)
      const expected = { ...before, refreshToken, needsIdToken: true }
      assert.deepEqual([codesOf(app), await tokensOf(browser), await isLoggedIn(browser)], [[code], expected, true])
    })
  }

  it('with an invalid signature is refused', async () => {
    const { app, browser } = await logInWithExpiringToken()
    stage.provider.change.refreshedIdToken = (jwt) => `${jwt.slice(0, -8)}AAAAAAAA`
    await browser.fetch('/access-token')
    assert.deepEqual(codesOf(app), ['ERR_OIDC_ID_TOKEN_SIGNATURE'])
  })
})

describe('a refresh that fails', () => {
  it('with invalid_grant ends the login, its session and its tokens', async () => {
    const { app, browser } = await logInWithExpiringToken()
    stage.provider.change.refreshResponse = answered(400, { error: 'invalid_grant' })
    assert.equal((await browser.fetch('/access-token')).status, 401)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_REFRESH_REFUSED'])
    assert.deepEqual([await isLoggedIn(browser), await recordsIn(app)], [false, []])
  })

  it('with invalid_grant ends the login once for all concurrent requests', async () => {
    const { app, browser } = await logInWithExpiringToken()
    stage.provider.change.refreshResponse = answered(400, { error: 'invalid_grant' })
    await Promise.all(Array.from({ length: 20 }, () => browser.fetch('/access-token')))
    assert.equal(refreshRequests(stage.provider).length, 1)
    assert.deepEqual([await isLoggedIn(browser), await recordsIn(app)], [false, []])
  })

  const temporary: readonly (readonly [string, (req: IncomingMessage, res: ServerResponse) => void, ErrorCode])[] = [
    ['since the provider is down', (_req, res) => void res.destroy(), 'ERR_OIDC_PROVIDER_UNREACHABLE'],
    ['with 503', (_req, res) => void res.writeHead(503, { 'Retry-After': '7' }).end(), 'ERR_OIDC_PROVIDER_BUSY'],
    ['with 429', (_req, res) => void res.writeHead(429, { 'Retry-After': '7' }).end(), 'ERR_OIDC_PROVIDER_BUSY'],
    ['with 500', (_req, res) => void res.writeHead(500).end(), 'ERR_OIDC_PROVIDER_STATUS'],
    ['with 400 and no body (glewlwyd)', (_req, res) => void res.writeHead(400).end(), 'ERR_OIDC_TOKEN_REQUEST'],
    [
      'with invalid_client',
      (_req, res) => void res.writeHead(401, { 'Content-Type': 'application/json' }).end('{"error":"invalid_client"}'),
      'ERR_OIDC_TOKEN_REQUEST',
    ],
    [
      'with HTML',
      (_req, res) => void res.writeHead(200, { 'Content-Type': 'text/html' }).end('<p>'),
      'ERR_OIDC_TOKEN_RESPONSE',
    ],
  ]
  for (const [name, raw, code] of temporary) {
    it(`${name} keeps the login, and the next request retries`, async () => {
      const { app, browser } = await logInWithExpiringToken()
      stage.provider.change.raw['/token'] = raw
      await browser.fetch('/access-token')
      assert.deepEqual([codesOf(app), await isLoggedIn(browser)], [[code], true])
      Reflect.deleteProperty(stage.provider.change.raw, '/token')
      assert.equal((await browser.fetch('/access-token')).status, 200)
    })
  }

  it('reports how long to wait', async () => {
    const { app, browser } = await logInWithExpiringToken()
    stage.provider.change.raw['/token'] = (_req, res) => void res.writeHead(429, { 'Retry-After': '7' }).end()
    await browser.fetch('/access-token')
    assert.equal(app.errors[0]?.headers['Retry-After'], '7')
  })
})

describe('a login that ends while its tokens are refreshed', () => {
  it('stays ended, and nothing of it is stored', async () => {
    const { app, browser } = await logInWithExpiringToken()
    const other = browser.clone()
    stage.provider.change.refreshedIdToken = async (jwt) => {
      await other.post('/logout', {}, { follow: false })
      return jwt
    }
    assert.equal((await browser.fetch('/access-token')).status, 401)
    assert.deepEqual([codesOf(app), await recordsIn(app)], [['ERR_OIDC_TOKEN_UNAVAILABLE'], []])
  })
})

describe('tokens for several APIs', () => {
  const orders = 'https://orders.example.com'

  it('are requested by resource, each once, and stored beside the token of the login (RFC 8707 2.2)', async () => {
    const { browser } = await stage.startLoggedIn({ scope: SCOPE })
    const { accessToken } = await tokensOf(browser)
    const first = (await browser.fetch(`/token-for?resource=${orders}`)).json()['token']
    const again = (await browser.fetch(`/token-for?resource=${orders}`)).json()['token']
    const narrow = (await browser.fetch('/token-for?scope=openid')).json()['token']
    assert.equal(new Set([accessToken, first, narrow]).size, 3)
    assert.equal(first, again)
    assert.deepEqual(
      refreshRequests(stage.provider).map((form) => [form.get('resource'), form.get('scope')]),
      [
        [orders, null],
        [null, 'openid'],
      ],
    )
    assert.equal((await browser.fetch('/access-token')).json()['token'], accessToken)
  })

  it('use the refresh token one after the other', async () => {
    const { app, browser } = await stage.startLoggedIn({ scope: SCOPE })
    const places = ['a', 'b', 'c', 'd'].map((name) => `/token-for?resource=https://${name}.example.com`)
    const pages = await Promise.all(places.map((place) => browser.fetch(place)))
    assert.deepEqual(
      pages.map(({ status }) => status),
      [200, 200, 200, 200],
    )
    assert.deepEqual([stage.provider.complaints, codesOf(app)], [[], []])
    const spent = refreshRequests(stage.provider).map((form) => form.get('refresh_token'))
    assert.equal(new Set(spent).size, 4)
  })
})

describe('the hook afterRefresh', () => {
  it('receives the new tokens', async () => {
    const seen: unknown[] = []
    const afterRefresh = ({
      tokens,
      claims,
      provider,
    }: {
      tokens: TokenRecord
      claims: { sub: string }
      provider: string
    }) => {
      seen.push([provider, claims.sub, tokens.accessToken])
    }
    const { browser } = await logInWithExpiringToken({ hooks: { afterRefresh } })
    const { token } = (await browser.fetch('/access-token')).json()
    assert.deepEqual(seen, [['default', 'user-subject', token]])
  })
})

describe('the protocol without a token', () => {
  const unavailable = { code: 'ERR_OIDC_TOKEN_UNAVAILABLE' }
  const provider = { metadata: { userinfo_endpoint: 'https://op.example.com/userinfo' } } as never

  it('sends no refresh request', async () => {
    await assert.rejects(refreshTokens(provider, {} as never, { idToken: 'x' }), unavailable)
  })

  it('sends no UserInfo request', async () => {
    await assert.rejects(readUserInfo(provider, {}, 'user-subject'), unavailable)
  })
})

describe('userinfo()', () => {
  it('refreshes the access token first', async () => {
    const { browser } = await logInWithExpiringToken({ userinfo: false })
    assert.equal((await browser.fetch('/userinfo')).json()['sub'], 'user-subject')
    assert.deepEqual([refreshRequests(stage.provider).length, stage.provider.complaints], [1, []])
  })
})

describe('fetch()', () => {
  /** An API that accepts certain tokens, and records the tokens that it got. */
  async function startApi(): Promise<Listening & { readonly requests: IncomingMessage[]; refuse: number }> {
    const requests: IncomingMessage[] = []
    const api = { requests, refuse: 0 }
    const server = createServer((req, res) => {
      requests.push(req)
      const isRefused = requests.length <= api.refuse
      req.resume()
      res
        .writeHead(isRefused ? 401 : 200, { 'Content-Type': 'application/json' })
        .end(JSON.stringify({ n: requests.length }))
    })
    return Object.assign(api, stage.stopLater(await listen(server)))
  }

  function callTo(url: () => string, init: RequestInit = {}): Routes {
    return { '/call': answerJson(async ({ oidc }) => ({ status: (await oidc.fetch(url(), init)).status })) }
  }

  it('adds the access token', async () => {
    const api = await startApi()
    const { browser } = await stage.startLoggedIn(
      { scope: SCOPE },
      { routes: callTo(() => `http://127.0.0.1:${api.port}/`) },
    )
    const { accessToken } = await tokensOf(browser)
    assert.deepEqual((await browser.fetch('/call')).json(), { status: 200 })
    assert.deepEqual(
      api.requests.map(({ headers }) => headers.authorization),
      [`Bearer ${accessToken}`],
    )
  })

  it('retries with a new token if the API responds with 401', async () => {
    const api = await startApi()
    api.refuse = 1
    const { browser } = await stage.startLoggedIn(
      { scope: SCOPE },
      { routes: callTo(() => `http://127.0.0.1:${api.port}/`, { method: 'POST', body: 'a=1' }) },
    )
    assert.deepEqual((await browser.fetch('/call')).json(), { status: 200 })
    const [first, second] = api.requests.map(({ headers }) => headers.authorization)
    assert.notEqual(first, second)
    assert.deepEqual(
      api.requests.map(({ method }) => method),
      ['POST', 'POST'],
    )
    assert.equal(refreshRequests(stage.provider).length, 1)
  })

  it('retries only once', async () => {
    const api = await startApi()
    api.refuse = 9
    const { browser } = await stage.startLoggedIn(
      { scope: SCOPE },
      { routes: callTo(() => `http://127.0.0.1:${api.port}/`) },
    )
    assert.deepEqual((await browser.fetch('/call')).json(), { status: 401 })
    assert.equal(api.requests.length, 2)
  })

  it('throws the error of a failed refresh', async () => {
    const api = await startApi()
    api.refuse = 9
    const { app, browser } = await stage.startLoggedIn(
      { scope: SCOPE },
      { routes: callTo(() => `http://127.0.0.1:${api.port}/`) },
    )
    stage.provider.change.raw['/token'] = (_req, res) => void res.writeHead(500).end()
    await browser.fetch('/call')
    assert.deepEqual([codesOf(app), await isLoggedIn(browser)], [['ERR_OIDC_PROVIDER_STATUS'], true])
  })

  it('returns the 401 of the API if there is no other token', async () => {
    const api = await startApi()
    api.refuse = 9
    const { browser } = await stage.startLoggedIn({}, { routes: callTo(() => `http://127.0.0.1:${api.port}/`) })
    assert.deepEqual((await browser.fetch('/call')).json(), { status: 401 })
    assert.equal(api.requests.length, 1)
  })

  for (const url of ['/relative', 'ftp://api.example.com/', 'data:text/plain,x', '']) {
    it(`sends no token to ${url || 'an empty URL'}`, async () => {
      const { app, browser } = await stage.startLoggedIn({}, { routes: callTo(() => url) })
      assert.equal((await browser.fetch('/call')).status, 500)
      assert.deepEqual(codesOf(app), ['ERR_OIDC_TOKEN_UNAVAILABLE'])
    })
  }
})
