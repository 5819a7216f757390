import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto'
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

// Faults that other middlewares and relying parties had when tokens were refreshed and people were logged out, by their
// names. Those of logins are in faults.test.ts.

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
  // What the app answers is what the library gave it.
  return (await browser.fetch('/tokens')).json() as unknown as TokenRecord
}

async function logIn(app: TestApp, browser: Browser = app.browser()): Promise<Browser> {
  const page = await browser.open(`${app.baseUrl}/login?returnTo=/profile`)
  assert.equal(page.status, 200, page.body)
  return browser
}

interface Person {
  readonly name: string
  readonly browser: Browser
}

/** People who are logged in at one app, with tokens that are about to end. */
async function startPeople(...names: readonly string[]): Promise<{ app: TestApp; people: readonly Person[] }> {
  stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
  const app = await stage.start({ scope: REFRESH_SCOPE })
  const people: Person[] = []
  for (const name of names) {
    stage.provider.account = { sub: name, claims: { name } }
    people.push({ name, browser: await logIn(app) })
  }
  return { app, people }
}

/** Somebody who is logged in at one of two nodes with one memory behind them. */
async function startNodes(
  options: Partial<AnyOptions> = {},
): Promise<{ readonly one: TestApp; readonly two: TestApp; readonly browser: Browser }> {
  const [first, second] = createSharedStores(2)
  if (!first || !second) throw new Error('there are no stores')
  const all = { scope: REFRESH_SCOPE, sharedState: memoryState(), ...options }
  const { app: one, browser } = await startAged(stage, all, { session: { store: first } })
  return { one, two: await stage.start(all, { session: { store: second } }), browser }
}

describe('faults of refreshes: whose token it is', () => {
  it('CVE-2024-51987: people who refresh in the same moment never get one another’s token', async () => {
    const { app, people } = await startPeople('ann', 'bea', 'cay', 'dot', 'eve', 'flo')
    const requests = Array.from({ length: 5 }, () => people).flat()
    const owners = await Promise.all(
      requests.map(async ({ name, browser }) => {
        const { token } = (await browser.fetch('/access-token')).json()
        return [name, stage.provider.accessTokens.get(String(token))?.grant.account.sub]
      }),
    )
    for (const [name, owner] of owners) assert.equal(owner, name)
    assert.equal(refreshForms(stage.provider).length, people.length)
    for (const { name, browser } of people) {
      const [profile, userinfo] = [(await browser.fetch('/profile')).json(), (await browser.fetch('/userinfo')).json()]
      assert.deepEqual([profile['sub'], profile['name'], userinfo['sub']], [name, name, name])
    }
    assert.deepEqual([codesOf(app), stage.provider.complaints], [[], []])
  })

  it('CVE-2025-26620, CVE-2021-32701: who asks for another scope or API in the same moment gets that one', async () => {
    const { people } = await startPeople('ann', 'bea')
    const wishes = [
      ...['', 'scope=openid', 'scope=openid+email', 'resource=https://a.example', 'resource=https://b.example'],
      // What could be spelt into one another.
      ...['scope=openid&resource=https://a.example', 'resource=https://a.example/%0aopenid'],
    ]
    const got = await Promise.all(
      people.flatMap(({ name, browser }) =>
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

  it('CVE-2022-31690: what a refresh says of scopes, or does not say, grants nobody more', async () => {
    for (const scope of ['', undefined, 'openid reports:read admin', '*']) {
      const { browser } = await startAged(stage)
      stage.provider.change.refreshResponse = (response) => ({ ...response, scope })
      const before = (await browser.fetch('/reports')).status
      assert.equal((await browser.fetch('/access-token')).status, 200)
      assert.deepEqual([before, (await browser.fetch('/reports')).status], [403, 403])
    }
  })

  it('CVE-2026-53516, GHSA-7rqj-j65f-68wh: a refreshed e-mail makes nobody somebody else', async () => {
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
    it(`${name}: requests at two nodes in the same moment spend the refresh token once, and nobody is thrown out`, async () => {
      const { one, two, browser } = await startNodes()
      // One of them has read the session before the others were there.
      if (isLongGone) await browser.fetch(`${two.baseUrl}/profile`)
      const places = Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? one : two))
      const pages = await Promise.all(places.map(({ baseUrl }) => browser.fetch(`${baseUrl}/access-token`)))
      assert.equal(new Set(pages.map((page) => page.json()['token'])).size, 1)
      assert.equal(refreshForms(stage.provider).length, 1)
      assert.deepEqual([stage.provider.complaints, codesOf(one), codesOf(two)], [[], [], []])
      assert.deepEqual([await isIn(browser, one), await isIn(browser, two)], [true, true])
    })
  }

  it('expressjs/session #309, #964: a request that writes the session meanwhile loses no rotated token, and no cart', async () => {
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

  it('expressjs/session #340, #361: a page that changes nothing sets no cookie, before a refresh and after it', async () => {
    const { browser } = await startAged(stage)
    for (const path of ['/profile', '/tokens', '/access-token', '/access-token', '/profile', '/userinfo']) {
      assert.equal((await browser.fetch(path)).headers['set-cookie'], undefined, path)
    }
  })

  it('a node that was asleep while it held the lock does not spend the token a second time', async () => {
    const state = memoryState()
    const lock: typeof state.lock = (key, seconds, work) =>
      state.lock(key, seconds, () =>
        work({
          assertHeld() {
            throw new Error('somebody else may hold it')
          },
        }),
      )
    const { browser } = await startAged(stage, { sharedState: { ...state, lock } })
    await browser.fetch('/access-token')
    assert.deepEqual([refreshForms(stage.provider).length, await isIn(browser)], [0, true])
  })
})

describe('faults of refreshes: how long things last', () => {
  it('EOC #11, #444, PR #9: a login outlives its ID Token, and its access token is refreshed when somebody asks', async () => {
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

  it('OKTA-MONO #570: an access token that has ended is handed to nobody, and a login does not go on for ever', async () => {
    stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 300 })
    const { app, browser } = await stage.startLoggedIn({ loginLifetime: 3600 })
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 301_000 })
    assert.equal((await browser.fetch('/access-token')).status, 401)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_TOKEN_UNAVAILABLE'])
    mock.timers.reset()
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 3_601_000 })
    assert.equal(await isIn(browser), false)
  })

  it('CVE-2025-46344: a login ends by itself in a session that has no end, and refreshes do not put that off', async () => {
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
    ['exp of text', () => changeRefreshed({ exp: '4102444800' }), 'ERR_OIDC_ID_TOKEN_EXPIRED'],
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

  it('of mod_auth_openidc, 2026-08-12: after 2038, and after 2106, all goes on', async () => {
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

describe('faults of refreshes: what came back is believed', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
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
      'CVE-2025-59420: a crit that nobody knows',
      ({ keys }) => resigned('RS256', keys.rsa.privateKey, { kid: keys.rsa.kid, crit: ['x'], x: 1 }),
    ],
    [
      'CVE-2017-7474, GHSA-45fh-g845-pj9w: a signature of somebody',
      ({ keys }) => resigned('RS256', privateKey, { kid: keys.rsa.kid }),
    ],
    ['CVE-2025-61920: a token of a megabyte', () => (jwt) => `${jwt}${'A'.repeat(900_000)}`],
    ['CVE-2026-29000: something in five parts', () => (jwt) => `${jwt}..`],
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
      assert.deepEqual([await tokensOf(browser), (await browser.fetch('/profile')).body], [before, profile])
    })
  }

  it('of mod_auth_openidc, 2026-08-12: a list is no UserInfo, by req.oidc.userinfo() either', async () => {
    const { app, browser } = await startAged(stage)
    for (const userinfo of [[], [{ sub: 'user-subject' }], null, 'user-subject', 1]) {
      app.errors.length = 0
      stage.provider.change.userinfo = () => userinfo
      const page = await browser.fetch('/userinfo')
      assert.deepEqual([page.status, codesOf(app)], [502, ['ERR_OIDC_USERINFO']])
    }
    assert.equal(await isIn(browser), true)
  })

  it('of mod_auth_openidc, 2026-05: a bearer token of which a DPoP nonce is demanded ends in an error, and no crash', async () => {
    const { app, browser } = await startAged(stage)
    stage.provider.change.raw['/userinfo'] = (_req, res) => {
      res.writeHead(401, { 'WWW-Authenticate': 'DPoP error="use_dpop_nonce"', 'DPoP-Nonce': 'x' }).end()
    }
    assert.equal((await browser.fetch('/userinfo')).status, 502)
    assert.deepEqual([codesOf(app), stage.provider.calls['/userinfo']], [['ERR_OIDC_USERINFO'], 1])
  })

  it('claims named like parts of objects are claims like others, after a refresh too', async () => {
    const { app, browser } = await startAged(stage)
    stage.provider.change.refreshedIdTokenClaims = (claims) =>
      JSON.parse(
        `{"__proto__":{"groups":["admin"]},"constructor":"x","toString":"y",${JSON.stringify(claims).slice(1)}`,
      )
    await browser.fetch('/access-token')
    assert.deepEqual([codesOf(app), await isIn(browser), (await browser.fetch('/admin')).status], [[], true, 403])
    assert.equal(Object(Object.prototype).groups, undefined)
  })

  it('KCC: unknown keys again and again end in a clear error each time, and not each time in a request for keys', async () => {
    const { app, browser } = await startAged(stage)
    const before = stage.provider.calls['/jwks']
    for (let count = 0; count < 12; count++) {
      stage.provider.change.refreshedIdTokenHeader = (header) => ({ ...header, kid: `unknown ${count}` })
      await browser.fetch('/access-token')
      // What was not believed was not kept, and the refresh token is spent.
      await logIn(app, browser)
    }
    assert.deepEqual([codesOf(app), app.otherErrors], [Array(12).fill('ERR_OIDC_ID_TOKEN_KEY'), []])
    assert.ok(stage.provider.calls['/jwks'] - before <= 6)
  })
})

describe('faults of refreshes: what leaks', () => {
  const CHANNELS = ['refresh', 'logout', 'denied', 'error', 'provider', 'login', 'login-start'].map(
    (name) => `express-oidc:${name}`,
  )

  it('of mod_auth_openidc, 2026-05-23 and 2026-07-28: nothing that is published or thrown holds a token', async () => {
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
      // What a provider says of its own refusal is kept apart from the message, for those who want it.
      told.push(...app.errors.map(({ message, stack, headers }) => inspect({ message, stack, headers })))
    } finally {
      for (const channel of CHANNELS) unsubscribe(channel, listener)
    }
    const text = told.map((one) => one.replace(/errorDescription: .*/g, '')).join('\n')
    assert.ok(told.length > 20 && secrets.size > 15)
    for (const secret of secrets) assert.ok(!text.includes(secret), secret.slice(0, 8))
  })

  it('CVE-2023-1584, CVE-2024-39315: refreshed tokens are in no cookie, no session, and in the store not in clear', async () => {
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

  it('CVE-2026-47775, CVE-2026-40372: a record of tokens with any byte changed is none, and one is like the other', async () => {
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

  it('EOC #143, #269, #282, OKTA #14, logto-io/js#779: no cookie grows with tokens and claims', async () => {
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

  it('of mod_auth_openidc, 2026-07-29: no assertion is sent twice where a new nonce is demanded', async () => {
    const { app, browser } = await startAged(bound)
    bound.provider.dpopNonces = { authorizationServer: 'another-nonce', resource: 'another-nonce' }
    assert.equal((await browser.fetch('/access-token')).status, 200)
    const ids = refreshForms(bound.provider).map((form) => decodeJwt(form.get('client_assertion') ?? '').jti)
    assert.deepEqual([ids.length, new Set(ids).size], [2, 2])
    bound.provider.dpopNonces = { authorizationServer: 'a-third-nonce', resource: 'a-third-nonce' }
    assert.equal((await browser.post('/logout')).status, 200)
    assert.deepEqual([bound.provider.calls['/revoke'], bound.provider.complaints, codesOf(app)], [1, [], []])
  })

  it('CVE-2026-40155: people who are asked for nonces in the same moment show their own tokens and keys', async () => {
    const asked: { readonly token: string; readonly key: JWK; readonly nonce: unknown }[] = []
    let [count, nonce] = [0, 'first']
    const server = createServer((req, res) => {
      const proof = String(req.headers['dpop'])
      const given = decodeJwt(proof)['nonce']
      asked.push({ token: tokenIn(req), key: decodeProtectedHeader(proof).jwk as JWK, nonce: given })
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
    const people: Browser[] = []
    for (const name of ['ann', 'bea', 'cay']) {
      bound.provider.account = { sub: name, claims: { name } }
      people.push(await logIn(app))
    }
    await Promise.all(Array.from({ length: 6 }, () => people.map((browser) => browser.fetch('/call'))).flat())
    assert.ok(asked.length >= 18)
    for (const { token, key } of asked) {
      assert.equal(bound.provider.accessTokens.get(token)?.jkt, await calculateJwkThumbprint(key))
    }
    assert.equal(new Set(asked.map(({ key }) => JSON.stringify(key))).size, people.length)
  })

  function tokenIn({ headers }: IncomingMessage): string {
    return String(headers.authorization).replace(/^DPoP /, '')
  }
})

describe('faults of logout tokens', () => {
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })

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
    ['nothing', () => ''],
    ['a word', () => 'user-subject'],
    ['a token without a signature', (provider) => `${encode({ alg: 'none' })}.${encode(goodClaims(provider))}.`],
    [
      'a token by a key of its own',
      (provider) => signJws('RS256', privateKey, { alg: 'RS256', kid: provider.keys.rsa.kid }, goodClaims(provider)),
    ],
    [
      'a token with its key in it',
      (provider) =>
        signJws('RS256', privateKey, { alg: 'RS256', jwk: publicKey.export({ format: 'jwk' }) }, goodClaims(provider)),
    ],
    [
      'a token by the public key as a secret',
      (provider) =>
        signJws(
          'HS256',
          String(createPublicKey(provider.keys.rsa.privateKey).export({ type: 'spki', format: 'pem' })),
          { alg: 'HS256', kid: provider.keys.rsa.kid },
          goodClaims(provider),
        ),
    ],
    ['a token of another client', (provider) => signed(provider, goodClaims(provider, { aud: 'another' }))],
    [
      'a token of another issuer',
      (provider) => signed(provider, goodClaims(provider, { iss: 'https://evil.example' })),
    ],
    ['a token of another event', (provider) => signed(provider, goodClaims(provider, { events: { x: {} } }))],
  ]
  for (const [name, forge] of forgeries) {
    it(`CVE-2019-10157, CVE-2017-7474: ${name} logs nobody out`, async () => {
      const { app, browser } = await stage.startLoggedIn()
      const { status } = await postToken(app, forge(stage.provider))
      assert.deepEqual([status, await isIn(browser), await app.sessions()], [400, true, 1])
    })
  }

  it('CVE-2019-10157: an ID Token of somebody logs nobody out', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const { token } = (await browser.fetch('/id-token')).json()
    assert.deepEqual([(await postToken(app, String(token))).status, await isIn(browser)], [400, true])
  })

  for (const name of ['iat', 'jti'] as const) {
    it(`of mod_auth_openidc, 2026-08-07: a logout token without ${name} is good for nothing`, async () => {
      const { app, browser } = await stage.startLoggedIn()
      const { [name]: _none, ...claims } = goodClaims(stage.provider)
      const { status } = await postToken(app, signed(stage.provider, claims))
      assert.deepEqual([status, await isIn(browser)], [400, true])
    })
  }

  it('EOC, mod_auth_openidc, 2026-08-07: a logout token is good once, at whatever node, for as long as it lives', async () => {
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

  it('EOC: a token for one session that names the person too ends that session alone', async () => {
    const { app, browser: laptop } = await stage.startLoggedIn()
    const phone = await logIn(app)
    await stage.provider.postLogoutToken(logoutUri(app), await subjectOf(phone))
    assert.deepEqual([await isIn(laptop), await isIn(phone)], [true, false])
  })

  it('EOC: a later login of the person brings no session back that a token for all of them has ended', async () => {
    const { app, browser: laptop } = await stage.startLoggedIn()
    const phone = await logIn(app)
    const thief = phone.clone()
    await stage.provider.postLogoutToken(logoutUri(app), { sub: 'user-subject' })
    // A login of the very millisecond of the logout counts as one from before.
    await new Promise((resolve) => setTimeout(resolve, 5))
    await logIn(app, laptop)
    assert.deepEqual([await isIn(laptop), await isIn(phone), await isIn(thief)], [true, false, false])
    assert.equal(await app.sessions(), 1)
  })

  it('of mod_auth_openidc, 2026-08-11: the logout of an older session leaves the newer one to be found by its person', async () => {
    const { app, browser: older } = await stage.startLoggedIn()
    const newer = await logIn(app)
    await older.post('/logout')
    assert.equal(await isIn(newer), true)
    await stage.provider.postLogoutToken(logoutUri(app), { sub: 'user-subject' })
    assert.deepEqual([await isIn(newer), await app.sessions()], [false, 0])
  })

  it('EOC #383, #646: a store that can do no more than get, set and destroy will do, by sid and by sub', async () => {
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

  it('EOC #383: a person whose ID Tokens name no session is found by the token that names one, too', async () => {
    stage.provider.change.idTokenClaims = ({ sid: _none, ...claims }) => claims
    const { app, browser } = await stage.startLoggedIn()
    await stage.provider.postLogoutToken(logoutUri(app), { sub: 'user-subject', sid: 'of the token alone' })
    assert.equal(await isIn(browser), false)
  })

  it('KCC: what one node is told ends sessions at all of them, those of nodes that start later included', async () => {
    const { one, two, browser } = await startNodes()
    await browser.fetch(`${two.baseUrl}/write`)
    await stage.provider.postLogoutToken(logoutUri(two), { sub: 'user-subject' })
    assert.deepEqual([await isIn(browser, one), await isIn(browser, two)], [false, false])
    const three = await stage.start({}, { session: { store: one.store } })
    assert.equal(await isIn(browser, three), false)
  })

  it('of mod_auth_openidc, 2026-08-12: tokens with unknown keys do not make us ask for keys each time', async () => {
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
    it(`of mod_auth_openidc, 2026-08-20: a body of ${JSON.stringify(body)} is refused, and no more`, async () => {
      const { app, browser } = await stage.startLoggedIn()
      const { status } = await postAsServer(logoutUri(app), body)
      assert.deepEqual([status, app.otherErrors, await isIn(browser)], [400, [], true])
    })
  }
})

describe('faults of logout tokens where there are several providers', () => {
  const stand = createSeveralProviders({ one: {}, two: {} })
  // All providers of the tests begin with the same keys.
  before(() => stand.provider('two').rotateKeys())

  it('CVE-2026-73419, CVE-2026-53516: what one provider says ends no login at another, whoever the person is', async () => {
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
    // In the name of the other, or of a session there.
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

describe('faults of what is kept in Redis', { skip: skipWithoutRedis }, () => {
  const redis = share(startMortalRedis)

  it('CVE-2021-32785: names with whatever in them are names, in the store and in the shared state', async () => {
    const { client } = redis()
    await client.flushAll()
    await client.set('other', 'x')
    const subs = ['%s%n%x', '* ? [a-z]', '{}', '\'"`; FLUSHALL', '\\r\\nFLUSHALL', 'x'.repeat(255), 'a b', '0', '$(id)']
    const settings = { session: { store: new RedisStore({ client, prefix: 'app:' }) } }
    const app = await stage.start({ sharedState: redisState({ client }) }, settings)
    const people = new Map<string, Browser>()
    for (const sub of subs) {
      stage.provider.account = { sub, claims: {} }
      stage.provider.change.idTokenClaims = (claims) => ({ ...claims, sid: `${sub} %s\r\n` })
      people.set(sub, await logIn(app))
    }
    for (const [index, sub] of subs.entries()) {
      const subject = index % 2 === 0 ? { sub } : { sid: `${sub} %s\r\n` }
      assert.equal((await stage.provider.postLogoutToken(logoutUri(app), subject)).status, 200)
      for (const [rank, other] of subs.entries()) {
        assert.equal(await isIn(people.get(other) ?? app.browser()), rank > index, `${other} after ${sub}`)
      }
    }
    assert.equal(await client.get('other'), 'x')
  })
})

/** Each way in which a login can end before its time. */
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
    'a login of somebody else',
    (app, browser) => {
      stage.provider.account = { sub: 'somebody-else', claims: {} }
      return logIn(app, browser)
    },
  ],
]

describe('faults of logouts: what is left', () => {
  for (const [name, end] of ENDS) {
    it(`EOC #440, CVE-2023-20862, CVE-2024-52553: a cookie that was copied is dead after ${name}`, async () => {
      const { app, browser } = await startAged(stage)
      const thief = browser.clone()
      assert.equal((await thief.fetch('/profile')).json()['sub'], 'user-subject')
      await end(app, browser)
      assert.deepEqual([await isIn(thief), (await thief.fetch('/tokens')).body], [false, 'null'])
      for (const path of ['/write', '/access-token', '/profile']) await thief.fetch(path)
      assert.equal(await isIn(thief), false)
    })

    it(`CVE-2022-25896, CVE-2021-41246: the session id after ${name} is another, and its data are gone`, async () => {
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

  it('of mod_auth_openidc, 2026-08-07: a login writes into no session id that the browser brings', async () => {
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

  it('CVE-2025-55162: a front-channel logout deletes a cookie with __Host- where the browser shows it', async () => {
    const prefixed = { name: '__Host-sid', proxy: true, cookie: { secure: true, path: '/' } }
    const { app, browser } = await stage.startLoggedIn({}, { tls: true, session: prefixed })
    const { sid } = await subjectOf(browser)
    assert.notEqual(cookieOf(browser, '__Host-sid'), '')
    await browser.open(`/frontchannel-logout?${new URLSearchParams({ iss: stage.provider.issuer, sid })}`)
    assert.deepEqual([cookieOf(browser, '__Host-sid'), browser.jar.refused, await app.sessions()], ['', [], 0])
  })

  it('of mod_auth_openidc, 2026-08-07: a front-channel logout, which proves nothing, revokes nothing', async () => {
    const { app, browser } = await startAged(stage)
    const { sid } = await subjectOf(browser)
    const query = String(new URLSearchParams({ iss: stage.provider.issuer, sid }))
    await browser.open(`/frontchannel-logout?${query}`)
    assert.deepEqual([await isIn(browser), stage.provider.calls['/revoke']], [false, 0])
    for (const token of stage.provider.refreshTokens.values()) assert.equal(token.isRevoked, false)
    assert.deepEqual(codesOf(app), [])
  })

  it('EOC #332, #393, #345, #227, #210: there is one session, which is the application’s own', async () => {
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
    it(`EOC #45, passport #306, #482, #703: who is sent on finds it done, at a store of ${milliseconds} ms`, async () => {
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

describe('faults of logouts: where the browser goes', () => {
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

  it('CVE-2019-14857, CVE-2019-20479, CVE-2021-32786, CVE-2022-23527: to no place that the request names', async () => {
    const app = await stage.start({ logoutByGet: true })
    for (const payload of RETURN_TO_PAYLOADS) {
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

  it('CVE-2020-5233, CVE-2020-11053, CVE-2020-4037, CVE-2022-2237, KCC: nor where the provider has no logout', async () => {
    stage.provider.change.discovery = ({ end_session_endpoint: _none, ...metadata }) => metadata
    const app = await stage.start()
    for (const payload of RETURN_TO_PAYLOADS) {
      const fields = Object.fromEntries(NAMES.map((name) => [name, payload]))
      const page = await app.browser().post(`/logout?${new URLSearchParams(fields)}`, fields, { follow: false })
      assert.equal(page.next?.url, `${app.baseUrl}/`)
    }
  })

  it('of mod_auth_openidc, 2026-05-23: what a claim brings along ends no header, neither by LF nor by a lone CR', async () => {
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

  it('EOC PR #461, #530: a logout can be seen and stopped by hooks, and tells the provider whom it is about', async () => {
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

describe('faults of logouts: at which address of the provider', () => {
  const okta = createStage({ provider: { layout: 'okta-custom' } })

  it('OKTA #12, #19, OKTA-MONO #162, #545: at those of its metadata, in another authorization server too', async () => {
    const { app, browser } = await startAged(okta)
    await browser.fetch('/access-token')
    await browser.post('/logout')
    const { calls, complaints, endpointUrls } = okta.provider
    assert.match(endpointUrls['/revoke'], /\/oauth2\/default\/v1\/revoke$/)
    assert.deepEqual([calls['/revoke'], calls['/logout'], calls['/token'], complaints, codesOf(app)], [1, 1, 2, [], []])
    assert.equal(firstRequest(okta.provider, '/logout')?.query.get('post_logout_redirect_uri'), app.baseUrl)
  })

  it('OKTA: at none that is not there', async () => {
    okta.provider.change.discovery = ({ revocation_endpoint: _revoke, end_session_endpoint: _end, ...metadata }) =>
      metadata
    const { app, browser } = await startAged(okta)
    const page = await browser.post('/logout')
    assert.deepEqual([page.url, codesOf(app), okta.provider.complaints], [`${app.baseUrl}/`, [], []])
    assert.deepEqual([okta.provider.calls['/revoke'], okta.provider.calls['/logout']], [0, 0])
  })
})

describe('faults of logouts: how they are asked for', () => {
  for (const host of HOSTS) {
    it(`LOGTO, kinde, A0X: a logout, or a login, is asked for by no other method in ${host}`, async () => {
      const { app, browser } = await stage.startLoggedIn({}, { host })
      for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
        assert.equal((await browser.fetch('/logout', { method })).status, 405, method)
      }
      for (const method of ['POST', 'HEAD', 'PUT', 'DELETE']) {
        assert.equal((await browser.fetch('/login', { method })).status, 405, method)
      }
      assert.deepEqual([await isIn(browser), await app.sessions()], [true, 1])
    })

    it(`LOGTO: a hook that fails late fails the request, and not the process, in ${host}`, async () => {
      const late = async (): Promise<never> => {
        await new Promise((resolve) => setTimeout(resolve, 5))
        throw new Error('the hook has failed')
      }
      for (const name of ['afterRefresh', 'beforeLogout', 'afterLogout'] as const) {
        const { app, browser } = await startAged(stage, { hooks: { [name]: late } }, { host })
        const page = name === 'afterRefresh' ? await browser.fetch('/access-token') : await browser.post('/logout')
        assert.deepEqual([page.status, app.otherErrors.length], [500, 1], name)
        // Whoever stops a logout before it keeps the login; afterwards it is over.
        assert.equal(await isIn(browser), name !== 'afterLogout')
      }
    })
  }

  it('EOC, KCC, LOGTO, kinde: with logoutByGet no other site, no image, no frame and no prefetch logs anybody out', async () => {
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
    ['nothing', undefined, 'ERR_OIDC_SESSION_MISSING'],
    ['null', null, 'ERR_OIDC_SESSION_MISSING'],
  ]
  for (const [name, own, code] of foreign) {
    it(`okta #58, passport #904, #907, cookie-session #166, #176: with ${name} for a session it is said so, everywhere`, async () => {
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
    it(`of mod_auth_openidc, 2026-05-22 and 2026-08-20: a front-channel logout with ?${query} harms nobody`, async () => {
      const { app, browser } = await stage.startLoggedIn()
      const { status } = await app.browser().open(`/frontchannel-logout?${query}`)
      assert.ok([200, 400].includes(status))
      assert.deepEqual([app.otherErrors, await isIn(browser), seen.logouts], [[], true, []])
    })
  }
})

describe('faults of session checks', () => {
  const managed = createStage({ provider: { sessionManagement: 'announced' } })

  it('of mod_auth_openidc, 2026-05-20: a session_state with markup in it is text in the page that checks', async () => {
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

  it('CVE-2019-1010247, mod_auth_openidc, 2026-05-20: that page takes no poll and no login_uri from the address', async () => {
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
  it('of mod_auth_openidc, 2026-08-10: the first answer to prompt=none is of nobody who has changed', async () => {
    const app = await stage.start({ silentLogin: true })
    const browser = app.browser()
    const page = await browser.open('/')
    assert.deepEqual([page.status, page.json()['authenticated'], codesOf(app)], [200, true, []])
  })

  it('EOC #212, #219, #315: a provider where nobody is logged in is asked once, and people see the page', async () => {
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
