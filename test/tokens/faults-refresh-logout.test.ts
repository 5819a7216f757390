import assert from 'node:assert/strict'
import { createPublicKey, randomUUID } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createServer, type IncomingMessage } from 'node:http'
import { before, describe, it, mock } from 'node:test'
import { inspect } from 'node:util'
import { RedisStore } from 'connect-redis'
import type { SessionData } from 'express-session'
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader, type JWK } from 'jose'
import type { ErrorCode, Handler, TokenRecord } from '../../lib/index.ts'
import { redisState } from '../../lib/redis.ts'
import { memoryState } from '../../lib/state/memory-state.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { HOSTS } from '../support/app/hosts.ts'
import { isIn, logoutUri, observeLogouts, postAsServer, subjectOf } from '../support/app/logout-observer.ts'
import { createSharedStores } from '../support/app/nodes.ts'
import { isTokens } from '../support/app/records.ts'
import { createRsaKeyPair } from '../support/app/rsa-keys.ts'
import { createSeveralProviders } from '../support/app/several-providers.ts'
import { signJws } from '../support/app/signing-keys.ts'
import { createStage, share } from '../support/app/stage.ts'
import { isAtProvider } from '../support/app/url-predicates.ts'
import type { Browser } from '../support/browser/browser.ts'
import { cookieOf, SESSION_COOKIE } from '../support/browser/login-cookies.ts'
import {
  FaultyStore,
  postToken,
  REFRESH_SCOPE,
  startAged,
  startMortalRedis,
} from '../support/hostile/fault-injection.ts'
import { EVIL_HTML } from '../support/hostile/hostile.ts'
import { RETURN_TO_PAYLOADS } from '../support/hostile/return-to-payloads.ts'
import { listen } from '../support/servers/http-server.ts'
import { skipWithoutRedis } from '../support/servers/redis.ts'
import { answered, type JsonObject } from '../support/strict-provider/context.ts'
import { LOGOUT_EVENT } from '../support/strict-provider/logout-token.ts'
import { firstRequest, type StrictProvider } from '../support/strict-provider/provider.ts'

// Faults of other libraries in refreshes and logouts, by their names. Those in logins are in whole/known-faults.test.ts.

const routes: Routes = {
  '/token-for': answerJson(async ({ oidc, url }) => {
    const query = new URLSearchParams(url?.split('?')[1])
    const [scope, resource] = [query.get('scope') ?? undefined, query.get('resource') ?? undefined]
    return { token: await oidc.accessToken({ scope, resource }) }
  }),
  '/userinfo': answerJson(({ oidc }) => oidc.userinfo()),
}

const stage = createStage({ app: { errorHandler: 'json', routes } })
const seen = observeLogouts()

function refreshForms({ requests }: StrictProvider): readonly URLSearchParams[] {
  return requests.map(({ form }) => form).filter((form) => form.get('grant_type') === 'refresh_token')
}

async function tokensOf(browser: Browser): Promise<TokenRecord> {
  // The route sends what req.oidc.tokens() returned.
  return (await browser.fetch('/tokens')).json() as unknown as TokenRecord
}

async function logIn(app: TestApp, browser: Browser = app.browser()): Promise<Browser> {
  const page = await browser.open(`${app.baseUrl}/login?returnTo=/profile`)
  assert.equal(page.status, 200, page.body)
  return browser
}

interface User {
  readonly name: string
  readonly browser: Browser
}

/** Logs users in at one app, with access tokens that have expired. */
async function logInUsers(...names: readonly string[]): Promise<{ app: TestApp; users: readonly User[] }> {
  stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
  const app = await stage.start({ scope: REFRESH_SCOPE })
  const users: User[] = []
  for (const name of names) {
    stage.provider.account = { sub: name, claims: { name } }
    users.push({ name, browser: await logIn(app) })
  }
  return { app, users }
}

/** Logs a user in at one of two nodes that share their stores. */
async function startNodes(
  options: Partial<AnyOptions> = {},
): Promise<{ readonly one: TestApp; readonly two: TestApp; readonly browser: Browser }> {
  const [first, second] = createSharedStores(2)
  if (!first || !second) throw new Error('there are no stores')
  const all = { scope: REFRESH_SCOPE, sharedState: memoryState(), ...options }
  const { app: one, browser } = await startAged(stage, all, { session: { store: first } })
  return { one, two: await stage.start(all, { session: { store: second } }), browser }
}

describe('faults of refreshes: tokens of another user', () => {
  it('CVE-2024-51987: users who refresh at the same time never get the token of another user', async () => {
    const { app, users } = await logInUsers('ann', 'bea', 'cay', 'dot', 'eve', 'flo')
    const requests = Array.from({ length: 5 }, () => users).flat()
    const owners = await Promise.all(
      requests.map(async ({ name, browser }) => {
        const { token } = (await browser.fetch('/access-token')).json()
        return [name, stage.provider.accessTokens.get(String(token))?.grant.account.sub]
      }),
    )
    for (const [name, owner] of owners) assert.equal(owner, name)
    assert.equal(refreshForms(stage.provider).length, users.length)
    for (const { name, browser } of users) {
      const [profile, userinfo] = [(await browser.fetch('/profile')).json(), (await browser.fetch('/userinfo')).json()]
      assert.deepEqual([profile['sub'], profile['name'], userinfo['sub']], [name, name, name])
    }
    assert.deepEqual([codesOf(app), stage.provider.complaints], [[], []])
  })

  it('CVE-2025-26620, CVE-2021-32701: concurrent requests for different scopes and APIs get different tokens', async () => {
    const { users } = await logInUsers('ann', 'bea')
    const wishes = [
      ...['', 'scope=openid', 'scope=openid+email', 'resource=https://a.example', 'resource=https://b.example'],
      // Queries that could be confused in a joined key.
      ...['scope=openid&resource=https://a.example', 'resource=https://a.example/%0aopenid'],
    ]
    const got = await Promise.all(
      users.flatMap(({ name, browser }) =>
        wishes.map(async (wish) => {
          const page = await browser.fetch(`/token-for?${wish}`)
          return { name, wish, record: stage.provider.accessTokens.get(String(page.json()['token'])) }
        }),
      ),
    )
    assert.equal(new Set(got.map(({ record }) => record)).size, 2 * wishes.length)
    for (const { name, wish, record } of got) {
      assert.equal(record?.grant.account.sub, name)
      assert.equal(record?.scope, new URLSearchParams(wish).get('scope') ?? REFRESH_SCOPE, wish)
    }
    const spent = refreshForms(stage.provider).map((form) => form.get('refresh_token'))
    assert.deepEqual([new Set(spent).size, stage.provider.complaints], [2 * wishes.length, []])
  })

  it('CVE-2022-31690: the scope of a refresh response, or a missing one, grants nothing more', async () => {
    for (const scope of ['', undefined, 'openid reports:read admin', '*']) {
      const { browser } = await startAged(stage)
      stage.provider.change.refreshResponse = (response) => ({ ...response, scope })
      const before = (await browser.fetch('/reports')).status
      assert.equal((await browser.fetch('/access-token')).status, 200)
      assert.deepEqual([before, (await browser.fetch('/reports')).status], [403, 403])
    }
  })

  it('CVE-2026-53516, GHSA-7rqj-j65f-68wh: a refreshed e-mail does not change the user', async () => {
    const { browser } = await startAged(stage)
    const { sub } = (await browser.fetch('/profile')).json()
    for (const email of ['admin@example.test', 'admin@еxample.test', 'a@b@example.test']) {
      stage.provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, email, email_verified: true })
      stage.provider.change.refreshResponse = (response) => ({ ...response, expires_in: 0 })
      await browser.fetch('/access-token')
      const profile = (await browser.fetch('/profile')).json()
      assert.deepEqual([profile['sub'], profile['email']], [sub, email])
    }
  })
})

describe('faults of refreshes: several at the same time', () => {
  for (const [name, isLongGone] of [
    ['EOC #408', true],
    ['lfx-self-serve#1938', false],
  ] as const) {
    it(`${name}: concurrent requests at two nodes use the refresh token once, and the user stays logged in`, async () => {
      const { one, two, browser } = await startNodes()
      // One request has read the session before the others start.
      if (isLongGone) await browser.fetch(`${two.baseUrl}/profile`)
      const places = Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? one : two))
      const pages = await Promise.all(places.map(({ baseUrl }) => browser.fetch(`${baseUrl}/access-token`)))
      assert.equal(new Set(pages.map((page) => page.json()['token'])).size, 1)
      assert.equal(refreshForms(stage.provider).length, 1)
      assert.deepEqual([stage.provider.complaints, codesOf(one), codesOf(two)], [[], [], []])
      assert.deepEqual([await isIn(browser, one), await isIn(browser, two)], [true, true])
    })
  }

  it('expressjs/session #309, #964: a concurrent request that writes the session loses neither the new token nor its data', async () => {
    const { browser } = await startAged(stage)
    stage.provider.change.refreshResponse = (response) => ({ ...response, expires_in: 0 })
    for (let count = 0; count < 5; count++) {
      const pages = await Promise.all(
        ['/access-token', '/write', '/profile', '/access-token', '/write'].map((path) => browser.fetch(path)),
      )
      assert.deepEqual(new Set(pages.map(({ status }) => status)), new Set([200]))
    }
    assert.equal((await browser.fetch('/session')).json()['cart'], 'book')
    assert.deepEqual(stage.provider.complaints, [])
  })

  it('expressjs/session #340, #361: a page that changes nothing sets no cookie, before and after a refresh', async () => {
    const { browser } = await startAged(stage)
    for (const path of ['/profile', '/tokens', '/access-token', '/access-token', '/profile', '/userinfo']) {
      assert.equal((await browser.fetch(path)).headers['set-cookie'], undefined, path)
    }
  })

  it('a node that was suspended while it held the lock does not use the refresh token a second time', async () => {
    const state = memoryState()
    const lock: typeof state.lock = (key, seconds, work) =>
      state.lock(key, seconds, () =>
        work({
          assertHeld() {
            throw new Error('another node may hold the lock')
          },
        }),
      )
    const { browser } = await startAged(stage, { sharedState: { ...state, lock } })
    await browser.fetch('/access-token')
    assert.deepEqual([refreshForms(stage.provider).length, await isIn(browser)], [0, true])
  })
})

describe('faults of refreshes: lifetimes', () => {
  it('EOC #11, #444, PR #9: a login lasts longer than its ID Token, and its access token is refreshed on demand', async () => {
    stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 300 })
    const { browser } = await stage.startLoggedIn({ scope: REFRESH_SCOPE })
    const { accessToken } = await tokensOf(browser)
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 3_000_000 })
    assert.equal(await isIn(browser), true)
    assert.equal(refreshForms(stage.provider).length, 0)
    const { token } = (await browser.fetch('/access-token')).json()
    assert.notEqual(token, accessToken)
    assert.equal(refreshForms(stage.provider).length, 1)
  })

  it('OKTA-MONO #570: an expired access token is not returned, and a login expires', async () => {
    stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 300 })
    const { app, browser } = await stage.startLoggedIn({ loginLifetime: 3600 })
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 301_000 })
    assert.equal((await browser.fetch('/access-token')).status, 401)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_TOKEN_UNAVAILABLE'])
    mock.timers.reset()
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 3_601_000 })
    assert.equal(await isIn(browser), false)
  })

  it('CVE-2025-46344: a login expires in a session without an expiry, and refreshes do not extend it', async () => {
    const { browser } = await startAged(stage, { loginLifetime: 600 }, { session: { cookie: {} } })
    const start = Date.now()
    stage.provider.change.refreshResponse = (response) => ({ ...response, expires_in: 0 })
    for (const seconds of [200, 400, 599]) {
      mock.timers.reset()
      mock.timers.enable({ apis: ['Date'], now: start + seconds * 1000 })
      assert.equal((await browser.fetch('/access-token')).status, 200)
    }
    mock.timers.reset()
    mock.timers.enable({ apis: ['Date'], now: start + 601_000 })
    assert.deepEqual([await isIn(browser), (await browser.fetch('/access-token')).status], [false, 401])
  })

  const endless: readonly (readonly [name: string, change: () => void, code: ErrorCode])[] = [
    ['exp of 1e300', () => changeRefreshed({ exp: 1e300 }), 'ERR_OIDC_ID_TOKEN_EXPIRED'],
    ['exp as a string', () => changeRefreshed({ exp: '4102444800' }), 'ERR_OIDC_ID_TOKEN_EXPIRED'],
    ['iat of 1e300', () => changeRefreshed({ iat: 1e300 }), 'ERR_OIDC_ID_TOKEN_ISSUED_AT'],
    ['iat of -1e300', () => changeRefreshed({ iat: -1e300 }), 'ERR_OIDC_ID_TOKEN_ISSUED_AT'],
    ['nbf of 1e300', () => changeRefreshed({ nbf: 1e300 }), 'ERR_OIDC_ID_TOKEN_NOT_BEFORE'],
    ['expires_in of 1e300', () => changeResponse({ expires_in: 1e300 }), 'ERR_OIDC_TOKEN_RESPONSE'],
    ['expires_in below 0', () => changeResponse({ expires_in: -1 }), 'ERR_OIDC_TOKEN_RESPONSE'],
  ]
  function changeRefreshed(more: JsonObject): void {
    stage.provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, ...more })
  }
  function changeResponse(more: JsonObject): void {
    stage.provider.change.refreshResponse = (response) => ({ ...response, ...more })
  }
  for (const [name, change, code] of endless) {
    it(`of mod_auth_openidc, 2026-08-12: a refresh with ${name} is refused`, async () => {
      const { app, browser } = await startAged(stage, { loginExpiry: 'id_token' })
      change()
      await browser.fetch('/access-token')
      assert.deepEqual([codesOf(app), await isIn(browser)], [[code], true])
    })
  }

  it('of mod_auth_openidc, 2026-08-12: everything works after 2038 and after 2106', async () => {
    for (const year of [2039, 2107]) {
      mock.timers.enable({ apis: ['Date'], now: Date.UTC(year, 1, 1) })
      const { app, browser } = await startAged(stage, { loginExpiry: 'id_token' })
      assert.equal((await browser.fetch('/access-token')).status, 200)
      const answer = await stage.provider.postLogoutToken(logoutUri(app), await subjectOf(browser))
      assert.deepEqual([answer.status, await isIn(browser), codesOf(app)], [200, false, []])
      mock.timers.reset()
    }
  })
})

describe('faults of refreshes: responses that are not verified', () => {
  const { privateKey, publicKey } = createRsaKeyPair()
  const resigned =
    (alg: string, key: Parameters<typeof signJws>[1], header: object) =>
    (jwt: string): string =>
      signJws(alg, key, { alg, ...header }, JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()))
  const pemOf = ({ keys }: StrictProvider): string => {
    return String(createPublicKey(keys.rsa.privateKey).export({ type: 'spki', format: 'pem' }))
  }
  const unsigned = (jwt: string): string => {
    return `${Buffer.from('{"alg":"none"}').toString('base64url')}.${jwt.split('.')[1]}.`
  }
  type Forge = (provider: StrictProvider) => (jwt: string) => string
  const forgeries: readonly (readonly [name: string, forge: Forge])[] = [
    ['CVE-2021-44878: alg none', () => unsigned],
    ['CVE-2024-37568: the public key as a secret', (provider) => resigned('HS256', pemOf(provider), {})],
    [
      'CVE-2026-27962: a key in its own header',
      () => resigned('RS256', privateKey, { jwk: publicKey.export({ format: 'jwk' }) }),
    ],
    [
      'CVE-2025-59420: an unknown crit',
      ({ keys }) => resigned('RS256', keys.rsa.privateKey, { kid: keys.rsa.kid, crit: ['x'], x: 1 }),
    ],
    [
      'CVE-2017-7474, GHSA-45fh-g845-pj9w: a signature by another key',
      ({ keys }) => resigned('RS256', privateKey, { kid: keys.rsa.kid }),
    ],
    ['CVE-2025-61920: a token of a megabyte', () => (jwt) => `${jwt}${'A'.repeat(900_000)}`],
    ['CVE-2026-29000: a token of five parts', () => (jwt) => `${jwt}..`],
  ]
  for (const [name, forge] of forgeries) {
    it(`of mod_auth_openidc, 2026-07-31, as ${name}: a refreshed ID Token is verified`, async () => {
      const { app, browser } = await startAged(stage)
      const before = await tokensOf(browser)
      const profile = (await browser.fetch('/profile')).body
      stage.provider.change.refreshedIdToken = forge(stage.provider)
      const page = await browser.fetch('/access-token')
      assert.equal(page.status, 502)
      assert.match(String(codesOf(app)), /^ERR_OIDC_ID_TOKEN_\w+$/)
      // The old refresh token is spent, so its successor is kept. It needs an ID Token that passes.
      const { refreshToken } = await tokensOf(browser)
      const expected = { ...before, refreshToken, needsIdToken: true }
      assert.deepEqual([await tokensOf(browser), (await browser.fetch('/profile')).body], [expected, profile])
    })
  }

  it('of mod_auth_openidc, 2026-08-12: req.oidc.userinfo() refuses a list', async () => {
    const { app, browser } = await startAged(stage)
    for (const userinfo of [[], [{ sub: 'user-subject' }], null, 'user-subject', 1]) {
      app.errors.length = 0
      stage.provider.change.userinfo = () => userinfo
      const page = await browser.fetch('/userinfo')
      assert.deepEqual([page.status, codesOf(app)], [502, ['ERR_OIDC_USERINFO']])
    }
    assert.equal(await isIn(browser), true)
  })

  it('of mod_auth_openidc, 2026-05: a demand for a DPoP nonce with a bearer token is an error, and no crash', async () => {
    const { app, browser } = await startAged(stage)
    stage.provider.change.raw['/userinfo'] = (_req, res) => {
      res.writeHead(401, { 'WWW-Authenticate': 'DPoP error="use_dpop_nonce"', 'DPoP-Nonce': 'x' }).end()
    }
    assert.equal((await browser.fetch('/userinfo')).status, 502)
    assert.deepEqual([codesOf(app), stage.provider.calls['/userinfo']], [['ERR_OIDC_USERINFO'], 1])
  })

  it('claims named like members of objects are kept as claims, after a refresh too', async () => {
    const { app, browser } = await startAged(stage)
    stage.provider.change.refreshedIdTokenClaims = (claims) =>
      JSON.parse(
        `{"__proto__":{"groups":["admin"]},"constructor":"x","toString":"y",${JSON.stringify(claims).slice(1)}`,
      )
    await browser.fetch('/access-token')
    assert.deepEqual([codesOf(app), await isIn(browser), (await browser.fetch('/admin')).status], [[], true, 403])
    assert.equal(Object(Object.prototype).groups, undefined)
  })

  it('KCC: each token with an unknown key gives a clear error, but not each causes a request for keys', async () => {
    const { app, browser } = await startAged(stage)
    const before = stage.provider.calls['/jwks']
    for (let count = 0; count < 12; count++) {
      stage.provider.change.refreshedIdTokenHeader = (header) => ({ ...header, kid: `unknown ${count}` })
      await browser.fetch('/access-token')
      // The refused response was not stored, and the refresh token has been used.
      await logIn(app, browser)
    }
    assert.deepEqual([codesOf(app), app.otherErrors], [Array(12).fill('ERR_OIDC_ID_TOKEN_KEY'), []])
    assert.ok(stage.provider.calls['/jwks'] - before <= 6)
  })
})

describe('faults of refreshes: leaked tokens', () => {
  const CHANNELS = ['refresh', 'logout', 'denied', 'error', 'provider', 'login', 'login-start'].map(
    (name) => `express-oidc:${name}`,
  )

  it('of mod_auth_openidc, 2026-05-23 and 2026-07-28: no event and no error contains a token', async () => {
    const told: string[] = []
    const listener = (message: unknown): void => void told.push(inspect(message, { depth: 10 }))
    const secrets = new Set([stage.provider.clientSecret])
    const keep = (jwt: string): string => {
      secrets.add(jwt)
      return jwt
    }
    for (const channel of CHANNELS) subscribe(channel, listener)
    try {
      stage.provider.change.idToken = keep
      const { app, browser } = await startAged(stage)
      stage.provider.change.refreshedIdToken = keep
      await browser.fetch('/access-token')
      const refusals: readonly (readonly [number, unknown])[] = [
        [400, { error: 'invalid_request', error_description: [...secrets].join(' ') }],
        [500, [...secrets].join(' ')],
        [200, { access_token: [...secrets].at(-1), token_type: [...secrets].join(' ') }],
        [400, { error: 'invalid_grant', error_description: 'x' }],
      ]
      const second = await logIn(app)
      for (const [status, body] of refusals) {
        stage.provider.change.refreshResponse = answered(status, body)
        await second.fetch('/access-token')
      }
      const third = await logIn(app)
      const logoutToken = keep(await stage.provider.issueLogoutToken(await subjectOf(third)))
      for (const token of [`${logoutToken}x`, logoutToken, logoutToken]) await postToken(app, token)
      stage.provider.change.revocationResponse = answered(400, { error: 'invalid_client' })
      await browser.post('/logout')
      for (const { form } of stage.provider.requests) {
        for (const name of ['refresh_token', 'token', 'code', 'code_verifier']) {
          for (const value of form.getAll(name)) secrets.add(value)
        }
      }
      for (const token of [...stage.provider.accessTokens.keys(), ...stage.provider.refreshTokens.keys()]) {
        secrets.add(token)
      }
      // The provider's error response is in error.refusal, not in the message.
      told.push(...app.errors.map(({ message, stack, headers }) => inspect({ message, stack, headers })))
    } finally {
      for (const channel of CHANNELS) unsubscribe(channel, listener)
    }
    const text = told.map((one) => one.replace(/errorDescription: .*/g, '')).join('\n')
    assert.ok(told.length > 20 && secrets.size > 15)
    for (const secret of secrets) assert.ok(!text.includes(secret), secret.slice(0, 8))
  })

  it('CVE-2023-1584, CVE-2024-39315: refreshed tokens are in no cookie and no session, and encrypted in the store', async () => {
    const shown: string[] = []
    const show: Handler = (req, _res, next) => {
      const { oidc } = req as typeof req & { readonly oidc: object }
      shown.push(inspect(oidc, { depth: 9, showHidden: true }), JSON.stringify(oidc), JSON.stringify(req.session))
      next()
    }
    const { app, browser } = await startAged(
      stage,
      {},
      { routes: { ...routes, '/shown': [show, answerJson(() => 1)] } },
    )
    await browser.fetch('/access-token')
    const { idToken, accessToken, refreshToken } = await tokensOf(browser)
    await browser.fetch('/shown')
    const cookies = JSON.stringify(browser.cookies())
    const records = JSON.stringify(await app.records())
    for (const token of [idToken, accessToken, refreshToken]) {
      assert.ok(token !== undefined && token.length > 20)
      for (const text of [cookies, records, ...shown]) assert.ok(!text.includes(token))
      for (const text of [cookies, records]) assert.ok(!decodeURIComponent(text).includes(token))
    }
  })

  it('CVE-2026-47775, CVE-2026-40372: a token record with any changed byte is refused, each with the same error', async () => {
    const { app, browser } = await startAged(stage)
    const found = Object.entries(await app.records()).find(([id]) => isTokens(id))
    assert.ok(found)
    const [id, record] = found
    const sealed = Buffer.from(String(Reflect.get(record, 'tokens')), 'base64url')
    const answers = new Set<string>()
    for (let index = 0; index < sealed.length; index += 7) {
      const changed = Buffer.from(sealed)
      changed[index] = (changed[index] ?? 0) ^ 1
      const data = { ...record, tokens: changed.toString('base64url') } as SessionData
      await new Promise((resolve) => app.store.set(id, data, resolve))
      const pages = [await browser.fetch('/tokens'), await browser.fetch('/access-token')]
      answers.add(pages.map(({ status, body }) => `${status} ${body}`).join())
    }
    assert.deepEqual([...answers], ['200 null,401 {"error":"ERR_OIDC_TOKEN_UNAVAILABLE"}'])
    assert.equal(refreshForms(stage.provider).length, 0)
  })

  it('EOC #143, #269, #282, OKTA #14, logto-io/js#779: no cookie grows with the tokens or claims', async () => {
    const groups = Array.from({ length: 500 }, (_, index) => `a group of some length, number ${index}`)
    stage.provider.change.idTokenClaims = (claims) => ({ ...claims, groups })
    stage.provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, groups })
    const { browser } = await startAged(stage)
    await browser.fetch('/access-token')
    assert.equal((await browser.fetch('/admin')).status, 403)
    const size = browser.cookies('127.0.0.1').reduce((sum, { name, value }) => sum + name.length + value.length, 0)
    assert.ok(size < 250, String(size))
  })
})

describe('faults of refreshes with a proof of possession', () => {
  const bound = createStage({
    provider: { dpop: 'nonce', tokenEndpointAuthMethod: 'private_key_jwt' },
    app: { errorHandler: 'json' },
  })

  it('of mod_auth_openidc, 2026-07-29: no assertion is sent twice when a new nonce is demanded', async () => {
    const { app, browser } = await startAged(bound)
    bound.provider.dpopNonces = { authorizationServer: 'another-nonce', resource: 'another-nonce' }
    assert.equal((await browser.fetch('/access-token')).status, 200)
    const ids = refreshForms(bound.provider).map((form) => decodeJwt(form.get('client_assertion') ?? '').jti)
    assert.deepEqual([ids.length, new Set(ids).size], [2, 2])
    bound.provider.dpopNonces = { authorizationServer: 'a-third-nonce', resource: 'a-third-nonce' }
    assert.equal((await browser.post('/logout')).status, 200)
    assert.deepEqual([bound.provider.calls['/revoke'], bound.provider.complaints, codesOf(app)], [1, [], []])
  })

  it('CVE-2026-40155: users who get nonces at the same time send their own tokens and proofs', async () => {
    const requests: { readonly token: string; readonly key: JWK; readonly nonce: unknown }[] = []
    let [count, nonce] = [0, 'first']
    const server = createServer((req, res) => {
      const proof = String(req.headers['dpop'])
      const given = decodeJwt(proof)['nonce']
      requests.push({ token: tokenIn(req), key: decodeProtectedHeader(proof).jwk as JWK, nonce: given })
      count += 1
      if (count % 4 === 0) nonce = randomUUID()
      res.setHeader('DPoP-Nonce', nonce)
      res.writeHead(given === nonce ? 200 : 401, { 'WWW-Authenticate': 'DPoP error="use_dpop_nonce"' }).end()
    })
    const api = bound.stopLater(await listen(server))
    const call = answerJson(async ({ oidc }) => ({
      status: (await oidc.fetch(`http://127.0.0.1:${api.port}/`)).status,
    }))
    const app = await bound.start({}, { routes: { '/call': call } })
    const browsers: Browser[] = []
    for (const name of ['ann', 'bea', 'cay']) {
      bound.provider.account = { sub: name, claims: { name } }
      browsers.push(await logIn(app))
    }
    await Promise.all(Array.from({ length: 6 }, () => browsers.map((browser) => browser.fetch('/call'))).flat())
    assert.ok(requests.length >= 18)
    for (const { token, key } of requests) {
      assert.equal(bound.provider.accessTokens.get(token)?.jkt, await calculateJwkThumbprint(key))
    }
    assert.equal(new Set(requests.map(({ key }) => JSON.stringify(key))).size, browsers.length)
  })

  function tokenIn({ headers }: IncomingMessage): string {
    return String(headers.authorization).replace(/^DPoP /, '')
  }
})

describe('faults of logout tokens', () => {
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const { privateKey, publicKey } = createRsaKeyPair()

  function goodClaims({ issuer, clientId }: StrictProvider, more: object = {}): JsonObject {
    const now = Math.floor(Date.now() / 1000)
    const claims = { iss: issuer, aud: clientId, iat: now, exp: now + 120, jti: randomUUID(), sub: 'user-subject' }
    return { ...claims, events: { [LOGOUT_EVENT]: {} }, ...more }
  }

  function signed(provider: StrictProvider, claims: JsonObject): string {
    const { kid, privateKey: key } = provider.keys.rsa
    return signJws('RS256', key, { alg: 'RS256', kid, typ: 'logout+jwt' }, claims)
  }

  const forgeries: readonly (readonly [name: string, forge: (provider: StrictProvider) => string])[] = [
    ['an empty string', () => ''],
    ['a word', () => 'user-subject'],
    ['a token without a signature', (provider) => `${encode({ alg: 'none' })}.${encode(goodClaims(provider))}.`],
    [
      'a token signed by another key',
      (provider) => signJws('RS256', privateKey, { alg: 'RS256', kid: provider.keys.rsa.kid }, goodClaims(provider)),
    ],
    [
      'a token with the key in its header',
      (provider) =>
        signJws('RS256', privateKey, { alg: 'RS256', jwk: publicKey.export({ format: 'jwk' }) }, goodClaims(provider)),
    ],
    [
      'a token with the public key as the secret',
      (provider) =>
        signJws(
          'HS256',
          String(createPublicKey(provider.keys.rsa.privateKey).export({ type: 'spki', format: 'pem' })),
          { alg: 'HS256', kid: provider.keys.rsa.kid },
          goodClaims(provider),
        ),
    ],
    ['a token for another client', (provider) => signed(provider, goodClaims(provider, { aud: 'another' }))],
    [
      'a token of another issuer',
      (provider) => signed(provider, goodClaims(provider, { iss: 'https://evil.example' })),
    ],
    ['a token with another event', (provider) => signed(provider, goodClaims(provider, { events: { x: {} } }))],
  ]
  for (const [name, forge] of forgeries) {
    it(`CVE-2019-10157, CVE-2017-7474: ${name} logs no user out`, async () => {
      const { app, browser } = await stage.startLoggedIn()
      const { status } = await postToken(app, forge(stage.provider))
      assert.deepEqual([status, await isIn(browser), await app.sessions()], [400, true, 1])
    })
  }

  it('CVE-2019-10157: an ID Token logs no user out', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const { token } = (await browser.fetch('/id-token')).json()
    assert.deepEqual([(await postToken(app, String(token))).status, await isIn(browser)], [400, true])
  })

  for (const name of ['iat', 'jti'] as const) {
    it(`of mod_auth_openidc, 2026-08-07: a logout token without ${name} is refused`, async () => {
      const { app, browser } = await stage.startLoggedIn()
      const { [name]: _none, ...claims } = goodClaims(stage.provider)
      const { status } = await postToken(app, signed(stage.provider, claims))
      assert.deepEqual([status, await isIn(browser)], [400, true])
    })
  }

  it('EOC, mod_auth_openidc, 2026-08-07: a logout token is accepted once, on all nodes, until it expires', async () => {
    const { one, two, browser } = await startNodes()
    const token = signed(stage.provider, goodClaims(stage.provider, { exp: Math.floor(Date.now() / 1000) + 590 }))
    assert.equal((await postToken(one, token)).status, 200)
    for (const seconds of [1, 300, 589, 640]) {
      mock.timers.reset()
      mock.timers.enable({ apis: ['Date'], now: Date.now() + seconds * 1000 })
      await logIn(one, browser)
      for (const app of [one, two]) assert.equal((await postToken(app, token)).status, 400)
      assert.equal(await isIn(browser, one), true)
    }
  })

  it('EOC: a logout token with sid and sub ends that session only', async () => {
    const { app, browser: laptop } = await stage.startLoggedIn()
    const phone = await logIn(app)
    await stage.provider.postLogoutToken(logoutUri(app), await subjectOf(phone))
    assert.deepEqual([await isIn(laptop), await isIn(phone)], [true, false])
  })

  it('EOC: a later login of the user restores no session that a token for all sessions has ended', async () => {
    const { app, browser: laptop } = await stage.startLoggedIn()
    const phone = await logIn(app)
    const thief = phone.clone()
    await stage.provider.postLogoutToken(logoutUri(app), { sub: 'user-subject' })
    // A login in the same millisecond as the logout counts as earlier.
    await new Promise((resolve) => setTimeout(resolve, 5))
    await logIn(app, laptop)
    assert.deepEqual([await isIn(laptop), await isIn(phone), await isIn(thief)], [true, false, false])
    assert.equal(await app.sessions(), 1)
  })

  it('of mod_auth_openidc, 2026-08-11: after the logout of an older session, the newer one is still found by its user', async () => {
    const { app, browser: older } = await stage.startLoggedIn()
    const newer = await logIn(app)
    await older.post('/logout')
    assert.equal(await isIn(newer), true)
    await stage.provider.postLogoutToken(logoutUri(app), { sub: 'user-subject' })
    assert.deepEqual([await isIn(newer), await app.sessions()], [false, 0])
  })

  it('EOC #383, #646: a store with get, set and destroy suffices, for sid and for sub', async () => {
    const store = new FaultyStore()
    Object.assign(store, { touch: undefined })
    const app = await stage.start({}, { session: { store } })
    for (const only of ['sid', 'sub'] as const) {
      const browser = await logIn(app)
      const { [only]: name } = await subjectOf(browser)
      assert.equal((await stage.provider.postLogoutToken(logoutUri(app), { [only]: name })).status, 200)
      assert.deepEqual([await isIn(browser), await app.sessions()], [false, 0])
    }
  })

  it('EOC #383: a user whose ID Tokens have no sid is found by a logout token with sid and sub', async () => {
    stage.provider.change.idTokenClaims = ({ sid: _none, ...claims }) => claims
    const { app, browser } = await stage.startLoggedIn()
    await stage.provider.postLogoutToken(logoutUri(app), { sub: 'user-subject', sid: 'of the token alone' })
    assert.equal(await isIn(browser), false)
  })

  it('KCC: a logout token at one node ends the sessions of all nodes, even of nodes that start later', async () => {
    const { one, two, browser } = await startNodes()
    await browser.fetch(`${two.baseUrl}/write`)
    await stage.provider.postLogoutToken(logoutUri(two), { sub: 'user-subject' })
    assert.deepEqual([await isIn(browser, one), await isIn(browser, two)], [false, false])
    const three = await stage.start({}, { session: { store: one.store } })
    assert.equal(await isIn(browser, three), false)
  })

  it('of mod_auth_openidc, 2026-08-12: not every logout token with an unknown key causes a request for keys', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const before = stage.provider.calls['/jwks']
    for (let count = 0; count < 40; count++) {
      const header = { alg: 'RS256', kid: `unknown ${count}`, typ: 'logout+jwt' }
      const token = signJws('RS256', privateKey, header, goodClaims(stage.provider))
      assert.equal((await postToken(app, token)).status, 400)
    }
    assert.ok(stage.provider.calls['/jwks'] - before <= 6)
    assert.equal(await isIn(browser), true)
  })

  for (const body of ['', '&', '=', '&&&', 'logout_token', 'logout_token=', '%', 'logout_token=%', '\0', EVIL_HTML]) {
    it(`of mod_auth_openidc, 2026-08-20: a body of ${JSON.stringify(body)} is refused without a crash`, async () => {
      const { app, browser } = await stage.startLoggedIn()
      const { status } = await postAsServer(logoutUri(app), body)
      assert.deepEqual([status, app.otherErrors, await isIn(browser)], [400, [], true])
    })
  }
})

describe('faults of logout tokens with several providers', () => {
  const stand = createSeveralProviders({ one: {}, two: {} })
  // All providers of the tests start with the same keys.
  before(() => stand.provider('two').rotateKeys())

  it('CVE-2026-73419, CVE-2026-53516: a logout token of one provider ends no login at another', async () => {
    const app = await stand.start({ scope: REFRESH_SCOPE })
    const [at, other] = [app.browser(), app.browser()]
    await at.open('/login?provider=one&returnTo=/profile')
    await other.open('/login?provider=two&returnTo=/profile')
    assert.deepEqual([await isIn(at), await isIn(other)], [true, true])
    const [token, { sid }] = [
      await stand.provider('one').issueLogoutToken({ sub: 'user-subject' }),
      await subjectOf(other),
    ]
    assert.equal((await postToken(app, token)).status, 200)
    assert.deepEqual([await isIn(at), await isIn(other)], [false, true])
    // With the issuer of the other, or with a sid of the other.
    const { issuer } = stand.provider('two')
    for (const more of [{ iss: issuer }, { sid }, { iss: issuer, sid }]) {
      stand.provider('one').change.logoutTokenClaims = (claims) => ({ ...claims, ...more })
      await stand.provider('one').postLogoutToken(logoutUri(app), { sub: 'user-subject' })
      assert.equal(await isIn(other), true)
    }
  })

  it('CVE-2026-73419: a refresh goes to the provider of the login', async () => {
    for (const name of ['one', 'two'] as const) {
      stand.provider(name).change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
    }
    const app = await stand.start({ scope: REFRESH_SCOPE })
    const browser = app.browser()
    await browser.open('/login?provider=two&returnTo=/profile')
    assert.equal((await browser.fetch('/access-token')).status, 200)
    assert.deepEqual([refreshForms(stand.provider('one')).length, refreshForms(stand.provider('two')).length], [0, 1])
    await browser.post('/logout')
    assert.deepEqual([stand.provider('one').calls['/revoke'], stand.provider('two').calls['/revoke']], [0, 1])
  })
})

describe('faults of records in Redis', { skip: skipWithoutRedis }, () => {
  const redis = share(startMortalRedis)

  it('CVE-2021-32785: names with special characters are kept as they are, in the store and in the shared state', async () => {
    const { client } = redis()
    await client.flushAll()
    await client.set('other', 'x')
    const subs = ['%s%n%x', '* ? [a-z]', '{}', '\'"`; FLUSHALL', '\\r\\nFLUSHALL', 'x'.repeat(255), 'a b', '0', '$(id)']
    const settings = { session: { store: new RedisStore({ client, prefix: 'app:' }) } }
    const app = await stage.start({ sharedState: redisState({ client }) }, settings)
    const browsers = new Map<string, Browser>()
    for (const sub of subs) {
      stage.provider.account = { sub, claims: {} }
      stage.provider.change.idTokenClaims = (claims) => ({ ...claims, sid: `${sub} %s\r\n` })
      browsers.set(sub, await logIn(app))
    }
    for (const [index, sub] of subs.entries()) {
      const subject = index % 2 === 0 ? { sub } : { sid: `${sub} %s\r\n` }
      assert.equal((await stage.provider.postLogoutToken(logoutUri(app), subject)).status, 200)
      for (const [rank, other] of subs.entries()) {
        assert.equal(await isIn(browsers.get(other) ?? app.browser()), rank > index, `${other} after ${sub}`)
      }
    }
    assert.equal(await client.get('other'), 'x')
  })
})

/** Each way in which a login can end before it expires. */
const ENDS: readonly (readonly [name: string, end: (app: TestApp, browser: Browser) => Promise<unknown>])[] = [
  ['a logout', (_app, browser) => browser.post('/logout')],
  [
    'a logout token of the provider',
    async (app, browser) => stage.provider.postLogoutToken(logoutUri(app), await subjectOf(browser)),
  ],
  [
    'a front-channel logout',
    async (app, browser) => {
      const { sid } = await subjectOf(browser)
      const query = String(new URLSearchParams({ iss: stage.provider.issuer, sid }))
      return app.browser().open(`/frontchannel-logout?${query}`)
    },
  ],
  [
    'a refresh that the provider refuses',
    (_app, browser) => {
      stage.provider.change.refreshResponse = answered(400, { error: 'invalid_grant' })
      return browser.fetch('/access-token')
    },
  ],
  [
    'a login of another user',
    (app, browser) => {
      stage.provider.account = { sub: 'another-user', claims: {} }
      return logIn(app, browser)
    },
  ],
]

describe('faults of logouts: remains of a login', () => {
  for (const [name, end] of ENDS) {
    it(`EOC #440, CVE-2023-20862, CVE-2024-52553: a copied cookie is worthless after ${name}`, async () => {
      const { app, browser } = await startAged(stage)
      const thief = browser.clone()
      assert.equal((await thief.fetch('/profile')).json()['sub'], 'user-subject')
      await end(app, browser)
      assert.deepEqual([await isIn(thief), (await thief.fetch('/tokens')).body], [false, 'null'])
      for (const path of ['/write', '/access-token', '/profile']) await thief.fetch(path)
      assert.equal(await isIn(thief), false)
    })

    it(`CVE-2022-25896, CVE-2021-41246: ${name} changes the session id and deletes the data`, async () => {
      const { app, browser } = await startAged(stage)
      await browser.fetch('/write')
      const before = cookieOf(browser)
      await end(app, browser)
      await browser.fetch('/write')
      assert.notEqual(cookieOf(browser), before)
      stage.provider.change.refreshResponse = undefined
      stage.provider.account = { sub: 'a third', claims: {} }
      await logIn(app, browser)
      const profile = (await browser.fetch('/profile')).json()
      assert.equal(profile['sub'], 'a third')
    })
  }

  it('of mod_auth_openidc, 2026-08-07: a login does not use a session id that the browser chose', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const planted = ['s%3Aplanted.x', cookieOf(browser).replace(/^s%3A[^.]+/, 's%3Aplanted'), 'planted']
    for (const value of planted) {
      const visitor = app.browser()
      visitor.jar.store(new URL(app.origin), [`${SESSION_COOKIE}=${value}; Path=/`])
      await logIn(app, visitor)
      assert.ok(!cookieOf(visitor).includes('planted'))
    }
    assert.ok(Object.keys(await app.records()).every((id) => !id.includes('planted')))
  })

  it('CVE-2025-55162: a front-channel logout deletes a cookie with the prefix __Host-', async () => {
    const prefixed = { name: '__Host-sid', proxy: true, cookie: { secure: true, path: '/' } }
    const { app, browser } = await stage.startLoggedIn({}, { tls: true, session: prefixed })
    const { sid } = await subjectOf(browser)
    assert.notEqual(cookieOf(browser, '__Host-sid'), '')
    await browser.open(`/frontchannel-logout?${new URLSearchParams({ iss: stage.provider.issuer, sid })}`)
    assert.deepEqual([cookieOf(browser, '__Host-sid'), browser.jar.refused, await app.sessions()], ['', [], 0])
  })

  it('of mod_auth_openidc, 2026-08-07: a front-channel logout, which is not authenticated, revokes no token', async () => {
    const { app, browser } = await startAged(stage)
    const { sid } = await subjectOf(browser)
    const query = String(new URLSearchParams({ iss: stage.provider.issuer, sid }))
    await browser.open(`/frontchannel-logout?${query}`)
    assert.deepEqual([await isIn(browser), stage.provider.calls['/revoke']], [false, 0])
    for (const token of stage.provider.refreshTokens.values()) assert.equal(token.isRevoked, false)
    assert.deepEqual(codesOf(app), [])
  })

  it('EOC #332, #393, #345, #227, #210: there is one session, the one of the app', async () => {
    const { app, browser } = await startAged(stage)
    await browser.fetch('/write')
    await browser.fetch('/access-token')
    assert.equal((await browser.fetch('/session')).json()['cart'], 'book')
    const names = browser.cookies('127.0.0.1').map(({ name }) => name)
    assert.deepEqual(
      names.filter((name) => !name.startsWith('oidc-landed')),
      [SESSION_COOKIE],
    )
    await browser.post('/logout')
    assert.equal((await browser.fetch('/session')).json()['cart'], undefined)
    assert.equal(await app.sessions(), 0)
  })

  for (const milliseconds of [0, 30]) {
    it(`EOC #45, passport #306, #482, #703: the session is saved before the redirect, with a store that takes ${milliseconds} ms`, async () => {
      const store = new FaultyStore()
      const app = await stage.start({}, { session: { store } })
      for (let count = 0; count < 5; count++) {
        const browser = app.browser()
        store.act = (_name, run) => void setTimeout(run, milliseconds)
        const login = await browser.open('/login?returnTo=/profile', {
          stopBefore: ({ pathname }) => pathname === '/profile',
        })
        store.heal()
        assert.equal((await browser.go(login.next)).status, 200)
        store.act = (_name, run) => void setTimeout(run, milliseconds)
        const logout = await browser.post('/logout', {}, { stopBefore: isAtProvider })
        store.heal()
        assert.ok(logout.next)
        assert.equal(await isIn(browser), false)
      }
    })
  }
})

describe('faults of logouts: the redirect', () => {
  const NAMES = [
    'returnTo',
    'return_to',
    'redirect_url',
    'redirect_uri',
    'redirectTo',
    'post_logout_redirect_uri',
    'url',
  ]
  NAMES.push('logout', 'target_link_uri', 'next', 'state', 'rd')

  it('CVE-2019-14857, CVE-2019-20479, CVE-2021-32786, CVE-2022-23527: ignores every URL in the request', async () => {
    const app = await stage.start({ logoutByGet: true })
    // A URL may have 16 kB.
    for (const payload of RETURN_TO_PAYLOADS.filter(({ length }) => length < 1000)) {
      const fields = Object.fromEntries(NAMES.map((name) => [name, payload]))
      for (const method of ['GET', 'POST'] as const) {
        const browser = await logIn(app)
        const address = `/logout?${new URLSearchParams(fields)}`
        const page =
          method === 'GET'
            ? await browser.open(address, { stopBefore: isAtProvider })
            : await browser.post(address, fields, { stopBefore: isAtProvider })
        const target = new URL(page.next?.url ?? '')
        assert.equal(target.origin + target.pathname, stage.provider.endpointUrls['/logout'])
        assert.equal(target.searchParams.get('post_logout_redirect_uri'), app.baseUrl)
        assert.ok(!target.href.includes('evil'), payload)
      }
    }
  })

  it('CVE-2020-5233, CVE-2020-11053, CVE-2020-4037, CVE-2022-2237, KCC: ignores it too if the provider has no logout', async () => {
    stage.provider.change.discovery = ({ end_session_endpoint: _none, ...metadata }) => metadata
    const app = await stage.start()
    // A URL may have 16 kB.
    for (const payload of RETURN_TO_PAYLOADS.filter(({ length }) => length < 1000)) {
      const fields = Object.fromEntries(NAMES.map((name) => [name, payload]))
      const page = await app.browser().post(`/logout?${new URLSearchParams(fields)}`, fields, { follow: false })
      assert.equal(page.next?.url, `${app.baseUrl}/`)
    }
  })

  it('of mod_auth_openidc, 2026-05-23: a claim cannot inject a header, neither by LF nor by CR alone', async () => {
    const hints = ['a\rX: y', 'a\nX: y', 'a\r\nX: y', 'a\0b', 'a&client_id=x', 'ü#?', '\u2028']
    for (const email of hints) {
      stage.provider.change.idTokenClaims = (claims) => ({ ...claims, email })
      const endSessionParams = (claims?: JsonObject) => ({ logout_hint: String(claims?.['email']) })
      const { app, browser } = await stage.startLoggedIn({ endSessionParams })
      const page = await browser.post('/logout', {}, { follow: false })
      assert.doesNotMatch(String(page.headers.location), /[\r\n\0]/)
      assert.equal(page.headers['x'], undefined)
      const params = new URL(page.next?.url ?? app.baseUrl).searchParams
      assert.deepEqual(params.getAll('client_id').length <= 1, true)
      assert.equal(await isIn(browser), false)
    }
  })

  it('EOC PR #461, #530: hooks see a logout, and can stop it, and the provider gets its logout_hint', async () => {
    const told: unknown[] = []
    const hooks = {
      beforeLogout: ({ claims }: { claims: { sub: string } | undefined }) => void told.push(['before', claims?.sub]),
      afterLogout: ({ claims }: { claims: { sub: string } | undefined }) => void told.push(['after', claims?.sub]),
    }
    const endSessionParams = (claims?: { email?: string }) => ({ logout_hint: String(claims?.email) })
    const { browser } = await stage.startLoggedIn({ hooks, endSessionParams })
    const page = await browser.post('/logout', {}, { stopBefore: isAtProvider })
    assert.equal(new URL(page.next?.url ?? '').searchParams.get('logout_hint'), 'alice@example.test')
    assert.deepEqual(told, [
      ['before', 'user-subject'],
      ['after', 'user-subject'],
    ])
  })
})

describe('faults of logouts: the endpoints of the provider', () => {
  const okta = createStage({ provider: { layout: 'okta-custom' } })

  it('OKTA #12, #19, OKTA-MONO #162, #545: are those of the metadata, with a custom authorization server too', async () => {
    const { app, browser } = await startAged(okta)
    await browser.fetch('/access-token')
    await browser.post('/logout')
    const { calls, complaints, endpointUrls } = okta.provider
    assert.match(endpointUrls['/revoke'], /\/oauth2\/default\/v1\/revoke$/)
    assert.deepEqual([calls['/revoke'], calls['/logout'], calls['/token'], complaints, codesOf(app)], [1, 1, 2, [], []])
    assert.equal(firstRequest(okta.provider, '/logout')?.query.get('post_logout_redirect_uri'), app.baseUrl)
  })

  it('OKTA: are not called if they do not exist', async () => {
    okta.provider.change.discovery = ({ revocation_endpoint: _revoke, end_session_endpoint: _end, ...metadata }) =>
      metadata
    const { app, browser } = await startAged(okta)
    const page = await browser.post('/logout')
    assert.deepEqual([page.url, codesOf(app), okta.provider.complaints], [`${app.baseUrl}/`, [], []])
    assert.deepEqual([okta.provider.calls['/revoke'], okta.provider.calls['/logout']], [0, 0])
  })
})

describe('faults of logouts: the request', () => {
  for (const host of HOSTS) {
    it(`LOGTO, kinde, A0X: neither logout nor login accepts another method in ${host}`, async () => {
      const { app, browser } = await stage.startLoggedIn({}, { host })
      for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
        assert.equal((await browser.fetch('/logout', { method })).status, 405, method)
      }
      for (const method of ['POST', 'HEAD', 'PUT', 'DELETE']) {
        assert.equal((await browser.fetch('/login', { method })).status, 405, method)
      }
      assert.deepEqual([await isIn(browser), await app.sessions()], [true, 1])
    })

    it(`LOGTO: a hook that rejects fails the request, and not the process, in ${host}`, async () => {
      const late = async (): Promise<never> => {
        await new Promise((resolve) => setTimeout(resolve, 5))
        throw new Error('the hook has failed')
      }
      for (const name of ['afterRefresh', 'beforeLogout', 'afterLogout'] as const) {
        const { app, browser } = await startAged(stage, { hooks: { [name]: late } }, { host })
        const page = name === 'afterRefresh' ? await browser.fetch('/access-token') : await browser.post('/logout')
        assert.deepEqual([page.status, app.otherErrors.length], [500, 1], name)
        // beforeLogout keeps the login. After the other hooks it has ended.
        assert.equal(await isIn(browser), name !== 'afterLogout')
      }
    })
  }

  it('EOC, KCC, LOGTO, kinde: with logoutByGet, no other site, image, frame or prefetch logs a user out', async () => {
    const { browser } = await stage.startLoggedIn({ logoutByGet: true })
    const attempts: readonly Readonly<Record<string, string>>[] = [
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' },
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' },
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
      { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
      { 'sec-fetch-site': 'same-origin', 'sec-purpose': 'prefetch' },
      { 'sec-fetch-site': 'none', 'sec-purpose': 'prefetch;prerender' },
    ]
    for (const headers of attempts) {
      assert.equal((await browser.fetch('/logout', { headers })).status, 403)
      assert.equal(await isIn(browser), true)
    }
  })

  const foreign: readonly (readonly [name: string, session: unknown, code: ErrorCode])[] = [
    ['cookie-session', { isNew: false, oidc: { login: {} } }, 'ERR_OIDC_SESSION_UNSUPPORTED'],
    ['undefined', undefined, 'ERR_OIDC_SESSION_MISSING'],
    ['null', null, 'ERR_OIDC_SESSION_MISSING'],
  ]
  for (const [name, own, code] of foreign) {
    it(`okta #58, passport #904, #907, cookie-session #166, #176: with ${name} as the session, every call reports it`, async () => {
      const put: Handler = (req, _res, next) => {
        req.session = own
        next()
      }
      const app = await stage.start({}, { session: false, beforeOidc: [put] })
      const browser = app.browser()
      await browser.post('/logout')
      await browser.fetch('/frontchannel-logout')
      await postToken(app, 'x')
      await browser.fetch('/login')
      assert.deepEqual([codesOf(app), app.otherErrors], [Array(4).fill(code), []])
      assert.deepEqual((await browser.fetch('/')).json(), { authenticated: false, claims: null })
      assert.equal((await browser.fetch('/profile')).status, 401)
    })
  }

  const queries = [
    '',
    '&',
    '&&',
    '=',
    'iss',
    'iss=',
    'iss=&sid=',
    'sid=',
    'iss&sid',
    'sid=x',
    'iss=x&iss=y',
    '%',
    'iss=%00&sid=%00',
  ]
  for (const query of queries) {
    it(`of mod_auth_openidc, 2026-05-22 and 2026-08-20: a front-channel logout with ?${query} ends no login`, async () => {
      const { app, browser } = await stage.startLoggedIn()
      const { status } = await app.browser().open(`/frontchannel-logout?${query}`)
      assert.ok([200, 400].includes(status))
      assert.deepEqual([app.otherErrors, await isIn(browser), seen.logouts], [[], true, []])
    })
  }
})

describe('faults of session checks', () => {
  const managed = createStage({ provider: { sessionManagement: 'announced' } })

  it('of mod_auth_openidc, 2026-05-20: HTML in a session_state is escaped in the page that checks the session', async () => {
    const evil = `</script><script>alert(1)</script>'"\\\u2028`
    managed.provider.change.authorizationResponse = (params) => {
      params.set('session_state', evil)
      return params
    }
    const { browser } = await managed.startLoggedIn()
    const { status, body } = await browser.fetch('/session-check')
    assert.equal(status, 200)
    assert.ok(!body.includes('<script>alert') && !body.includes("alert(1)</script>'"))
    assert.ok(body.split('</script>').length <= 2)
  })

  it('CVE-2019-1010247, mod_auth_openidc, 2026-05-20: that page ignores poll and login_uri in its URL', async () => {
    const { browser } = await managed.startLoggedIn()
    const without = (text: string): string => text.replace(/nonce="[^"]+"/, '')
    const plain = without((await browser.fetch('/session-check')).body)
    for (const value of ['1);alert(1', EVIL_HTML, 'https://evil.example', 'javascript:alert(1)']) {
      const query = new URLSearchParams({ poll: value, login_uri: value, returnTo: value, session_state: value })
      assert.equal(without((await browser.fetch(`/session-check?${query}`)).body), plain)
    }
  })
})

describe('faults of silent logins', () => {
  it('of mod_auth_openidc, 2026-08-10: the first response to prompt=none does not count as a change of the user', async () => {
    const app = await stage.start({ silentLogin: true })
    const browser = app.browser()
    const page = await browser.open('/')
    assert.deepEqual([page.status, page.json()['authenticated'], codesOf(app)], [200, true, []])
  })

  it('EOC #212, #219, #315: a silent login without a session at the provider is tried once, and the page loads', async () => {
    stage.provider.loggedIn = false
    const app = await stage.start({ silentLogin: true })
    const browser = app.browser()
    for (let count = 0; count < 4; count++) {
      const page = await browser.open('/')
      assert.deepEqual([page.status, page.json()['authenticated']], [200, false])
    }
    assert.equal(stage.provider.calls['/authorize'], 1)
  })
})
