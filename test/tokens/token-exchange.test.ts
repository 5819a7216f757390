import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, before, describe, it, mock } from 'node:test'
import session from 'express-session'
import type { TokenExchange } from '../../lib/index.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { isTokens } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { type Listening, listen, sendJson } from '../support/servers/http-server.ts'
import type { JsonObject } from '../support/strict-provider/changes.ts'

const SCOPE = 'openid profile email offline_access'
const TYPE = 'urn:ietf:params:oauth:token-type'
const AUDIENCE = { audience: 'https://orders.example.com' }

/** What the routes exchange. */
let exchange: TokenExchange = AUDIENCE
let isForced = false

const routes: Routes = {
  '/exchange': answerJson(async ({ oidc }) => ({ token: await oidc.accessToken({ exchange, refresh: isForced }) })),
  '/with-scope': answerJson(async ({ oidc }) => ({ token: await oidc.accessToken({ exchange, scope: 'openid' }) })),
  '/call': answerJson(async ({ oidc }) => {
    const response = await oidc.fetch(`http://127.0.0.1:${servers.port}/api`, { exchange })
    return { status: response.status, ...((await response.json()) as object) }
  }),
}

const stage = createStage({ app: { errorHandler: 'json', routes } })

/** The token endpoints: of the provider for exchanges, and of another authorization server. */
interface Servers extends Listening {
  readonly exchanges: { readonly form: URLSearchParams; readonly authorization: string | undefined }[]
  readonly redemptions: { readonly form: URLSearchParams; readonly authorization: string | undefined }[]
  changeExchange: (good: JsonObject) => unknown
  changeRedemption: (good: JsonObject) => unknown
  status: number
  apiStatus: number
}
let servers: Servers

before(async () => {
  let count = 0
  const state = {
    exchanges: [] as Servers['exchanges'],
    redemptions: [] as Servers['redemptions'],
    changeExchange: (good: JsonObject): unknown => good,
    changeRedemption: (good: JsonObject): unknown => good,
    status: 200,
    apiStatus: 200,
  }
  const server = createServer(async (req, res) => {
    if (req.url === '/api') {
      const status = state.apiStatus
      state.apiStatus = 200
      return sendJson(res, status, { authorization: req.headers.authorization })
    }
    const form = new URLSearchParams(Buffer.concat(await req.toArray()).toString())
    const call = { form, authorization: req.headers.authorization }
    count += 1
    if (req.url === '/other/token') {
      state.redemptions.push(call)
      const good = { access_token: `other-${count}`, token_type: 'Bearer', expires_in: 600 }
      return sendJson(res, state.status, state.changeRedemption(good))
    }
    state.exchanges.push(call)
    const requested = form.get('requested_token_type')
    const isAssertion = requested === `${TYPE}:id-jag`
    const good = {
      access_token: `exchanged-${count}`,
      issued_token_type: requested,
      token_type: isAssertion ? 'N_A' : 'Bearer',
      expires_in: 600,
    }
    sendJson(res, state.status, state.changeExchange(good))
  })
  servers = Object.assign(state, await listen(server))
})
after(() => servers.stop())

/** Logs a user in. From then on, exchanges go to the token endpoint of this file, and everything else to the provider. */
async function logIn(
  options: Partial<AnyOptions> = {},
  settings: Parameters<typeof stage.startLoggedIn>[1] = {},
): Promise<{ app: TestApp; browser: Browser }> {
  exchange = AUDIENCE
  isForced = false
  Object.assign(servers, { changeExchange: same, changeRedemption: same, status: 200, apiStatus: 200 })
  servers.exchanges.length = 0
  servers.redemptions.length = 0
  const send = (url: string, init: RequestInit): Promise<Response> => {
    const isExchange = String(init.body).includes('grant-type%3Atoken-exchange')
    return fetch(isExchange ? `http://127.0.0.1:${servers.port}/token` : url, init)
  }
  return await stage.startLoggedIn({ scope: SCOPE, fetch: send, ...options }, settings)
}

function same(good: JsonObject): JsonObject {
  return good
}

async function exchanged(browser: Browser): Promise<unknown> {
  return (await browser.fetch('/exchange')).json()['token']
}

const OTHER = { issuer: 'https://other.example.com', clientId: 'wiki-client', clientSecret: 'wiki secret' }

function acrossApps(): TokenExchange {
  const tokenEndpoint = `http://127.0.0.1:${servers.port}/other/token`
  return { authorizationServer: { ...OTHER, tokenEndpoint }, scope: 'wiki:read', resource: 'https://wiki.example.com' }
}

describe('accessToken({ exchange })', () => {
  it('exchanges the access token of the login, as the client (RFC 8693 2.1)', async () => {
    const { app, browser } = await logIn()
    const { token: subject } = (await browser.fetch('/access-token')).json()
    exchange = { audience: ['https://a.example', 'b'], resource: 'https://r.example', scope: 'orders:read' }
    assert.match(String(await exchanged(browser)), /^exchanged-/)
    const [call] = servers.exchanges
    assert.deepEqual(
      [...(call?.form.entries() ?? [])],
      [
        ['grant_type', 'urn:ietf:params:oauth:grant-type:token-exchange'],
        ['requested_token_type', `${TYPE}:access_token`],
        ['subject_token', subject],
        ['subject_token_type', `${TYPE}:access_token`],
        ['audience', 'https://a.example'],
        ['audience', 'b'],
        ['resource', 'https://r.example'],
        ['scope', 'orders:read'],
      ],
    )
    assert.match(String(call?.authorization), /^Basic /)
    assert.deepEqual(codesOf(app), [])
  })

  it('sends the ID Token, the refresh token, and the token of an actor (delegation)', async () => {
    const { browser } = await logIn()
    const tokens = (await browser.fetch('/tokens')).json()
    exchange = { ...AUDIENCE, subjectToken: 'id_token' }
    await exchanged(browser)
    exchange = { ...AUDIENCE, subjectToken: 'refresh_token' }
    await exchanged(browser)
    exchange = { ...AUDIENCE, actorToken: 'actor', actorTokenType: `${TYPE}:jwt` }
    await exchanged(browser)
    assert.deepEqual(
      servers.exchanges.map(({ form }) => [form.get('subject_token'), form.get('subject_token_type')]),
      [
        [tokens['idToken'], `${TYPE}:id_token`],
        [tokens['refreshToken'], `${TYPE}:refresh_token`],
        [tokens['accessToken'], `${TYPE}:access_token`],
      ],
    )
    const form = servers.exchanges[2]?.form
    assert.deepEqual([form?.get('actor_token'), form?.get('actor_token_type')], ['actor', `${TYPE}:jwt`])
  })

  it('keeps the token until it expires, each exchange its own, and leaves the token of the login', async () => {
    const { browser } = await logIn()
    const { token: own } = (await browser.fetch('/access-token')).json()
    const first = await exchanged(browser)
    assert.equal(await exchanged(browser), first)
    exchange = { audience: 'another' }
    assert.notEqual(await exchanged(browser), first)
    exchange = { ...AUDIENCE, actorToken: 'ada' }
    const asAda = await exchanged(browser)
    exchange = { ...AUDIENCE, actorToken: 'bob' }
    assert.notEqual(await exchanged(browser), asAda)
    exchange = AUDIENCE
    assert.deepEqual([await exchanged(browser), servers.exchanges.length], [first, 4])
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 545_000 })
    assert.notEqual(await exchanged(browser), first)
    assert.deepEqual([(await browser.fetch('/access-token')).json()['token'], servers.exchanges.length], [own, 5])
  })

  it('exchanges again with refresh: true, and sends one request for 20 concurrent requests', async () => {
    const { browser } = await logIn()
    await exchanged(browser)
    isForced = true
    await exchanged(browser)
    assert.equal(servers.exchanges.length, 2)
    isForced = false
    exchange = { audience: 'another' }
    const tokens = await Promise.all(Array.from({ length: 20 }, () => exchanged(browser)))
    assert.deepEqual([new Set(tokens).size, servers.exchanges.length], [1, 3])
  })

  it('refreshes an access token or ID Token that has expired before it exchanges it', async () => {
    const { app, browser } = await logIn()
    const before = (await browser.fetch('/tokens')).json()
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 7200_000 })
    await exchanged(browser)
    exchange = { ...AUDIENCE, subjectToken: 'id_token' }
    await exchanged(browser)
    const after = (await browser.fetch('/tokens')).json()
    const sent = servers.exchanges.map(({ form }) => form.get('subject_token'))
    assert.deepEqual([codesOf(app), sent], [[], [after['accessToken'], after['idToken']]])
    assert.notEqual(sent[1], before['idToken'])
  })

  it('rejects if the ID Token has expired, and the refresh brings no new one', async () => {
    const { app, browser } = await logIn()
    stage.provider.change.refreshResponse = (good) => ({ ...Object(good), id_token: undefined })
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 7200_000 })
    exchange = { ...AUDIENCE, subjectToken: 'id_token' }
    assert.equal((await browser.fetch('/exchange')).status, 401)
    assert.deepEqual([codesOf(app), servers.exchanges], [['ERR_OIDC_TOKEN_UNAVAILABLE'], []])
  })

  it('rejects if the login has ended meanwhile, and asks the provider nothing', async () => {
    const store = new session.MemoryStore()
    const { app, browser } = await logIn({}, { session: { store } })
    const { sessions } = store as unknown as { sessions: Record<string, string> }
    for (const id of Object.keys(sessions).filter(isTokens)) Reflect.deleteProperty(sessions, id)
    assert.equal((await browser.fetch('/exchange')).status, 401)
    assert.deepEqual([codesOf(app), servers.exchanges], [['ERR_OIDC_TOKEN_UNAVAILABLE'], []])
  })

  it('does not keep a refresh token of the response', async () => {
    const { browser } = await logIn()
    const { refreshToken } = (await browser.fetch('/tokens')).json()
    servers.changeExchange = (good) => ({ ...good, refresh_token: 'of another kind' })
    await exchanged(browser)
    assert.equal((await browser.fetch('/tokens')).json()['refreshToken'], refreshToken)
  })

  it('calls an API with it, and exchanges once more if the API responds with 401', async () => {
    const { browser } = await logIn()
    servers.apiStatus = 401
    const { status, authorization } = (await browser.fetch('/call')).json()
    assert.deepEqual([status, servers.exchanges.length], [200, 2])
    assert.match(String(authorization), /^Bearer exchanged-/)
  })

  it('leaves the login as it is if the provider refuses', async () => {
    const { app, browser } = await logIn()
    servers.status = 400
    servers.changeExchange = () => ({ error: 'invalid_grant' })
    assert.equal((await browser.fetch('/exchange')).status, 400)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_TOKEN_REQUEST'])
    assert.equal((await browser.fetch('/profile')).status, 200)
  })

  it('rejects if no user is logged in, or the login has no such token', async () => {
    const { app, browser } = await logIn({ scope: 'openid' })
    exchange = { ...AUDIENCE, subjectToken: 'refresh_token' }
    assert.equal((await browser.fetch('/exchange')).status, 401)
    assert.equal((await app.browser().fetch('/exchange')).status, 401)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_TOKEN_UNAVAILABLE', 'ERR_OIDC_TOKEN_UNAVAILABLE'])
  })
})

describe('accessToken({ exchange: { authorizationServer } }) (ID-JAG)', () => {
  it('gets an identity assertion for the other server, then its access token (RFC 7523 2.1)', async () => {
    const { app, browser } = await logIn()
    const { idToken } = (await browser.fetch('/tokens')).json()
    exchange = acrossApps()
    const token = await exchanged(browser)
    assert.match(String(token), /^other-/)
    const [first, second] = [servers.exchanges[0]?.form, servers.redemptions[0]]
    assert.deepEqual(
      ['requested_token_type', 'subject_token', 'subject_token_type', 'audience', 'resource', 'scope'].map((name) =>
        first?.get(name),
      ),
      [`${TYPE}:id-jag`, idToken, `${TYPE}:id_token`, OTHER.issuer, 'https://wiki.example.com', 'wiki:read'],
    )
    assert.deepEqual(
      [second?.form.get('grant_type'), second?.form.get('assertion')?.startsWith('exchanged-')],
      ['urn:ietf:params:oauth:grant-type:jwt-bearer', true],
    )
    const basic = Buffer.from(`${OTHER.clientId}:wiki+secret`).toString('base64')
    assert.equal(second?.authorization, `Basic ${basic}`)
    assert.deepEqual([await exchanged(browser), servers.redemptions.length, codesOf(app)], [token, 1, []])
  })

  it('redeems the assertion as a public client without a secret, or by the method that is given', async () => {
    const { browser } = await logIn()
    const { authorizationServer, ...rest } = acrossApps()
    const { clientSecret: _, ...server } = authorizationServer ?? assert.fail()
    exchange = { ...rest, authorizationServer: server }
    await exchanged(browser)
    const posted = { ...server, clientSecret: 'wiki secret', tokenEndpointAuthMethod: 'client_secret_post' } as const
    exchange = { authorizationServer: { ...posted, clientId: 'another client' } }
    await exchanged(browser)
    assert.deepEqual(
      servers.redemptions.map(({ form, authorization }) => [
        ...[form.get('client_id'), form.get('client_secret'), authorization],
      ]),
      [
        ['wiki-client', null, undefined],
        ['another client', 'wiki secret', undefined],
      ],
    )
    assert.equal(servers.exchanges[1]?.form.has('resource'), false)
  })

  it('takes the refresh token instead of the ID Token', async () => {
    const { browser } = await logIn()
    exchange = { ...acrossApps(), subjectToken: 'refresh_token' }
    await exchanged(browser)
    assert.equal(servers.exchanges[0]?.form.get('subject_token_type'), `${TYPE}:refresh_token`)
  })

  it('sends the other server nothing if the provider refuses, and reports its own refusal', async () => {
    const { app, browser } = await logIn()
    exchange = acrossApps()
    servers.changeExchange = () => ({ error: 'access_denied' })
    await browser.fetch('/exchange')
    assert.equal(servers.redemptions.length, 0)
    servers.changeExchange = same
    servers.changeRedemption = () => ({ error: 'invalid_client' })
    await browser.fetch('/exchange')
    assert.deepEqual(codesOf(app), ['ERR_OIDC_TOKEN_REQUEST', 'ERR_OIDC_TOKEN_REQUEST'])
  })
})

type Row = readonly [name: string, change: (good: JsonObject) => unknown]

const HOSTILE: readonly Row[] = [
  ['no issued_token_type', ({ issued_token_type: _, ...good }) => good],
  ['another issued_token_type', (good) => ({ ...good, issued_token_type: `${TYPE}:refresh_token` })],
  ['an ID Token', (good) => ({ ...good, issued_token_type: `${TYPE}:id_token` })],
  ['an issued_token_type in capitals', (good) => ({ ...good, issued_token_type: `${TYPE}:ACCESS_TOKEN` })],
  ['an issued_token_type that is a list', (good) => ({ ...good, issued_token_type: [good['issued_token_type']] })],
  ['no token_type', ({ token_type: _, ...good }) => good],
  ['an unknown token_type', (good) => ({ ...good, token_type: 'mac' })],
  ['a token that was not requested to be bound', (good) => ({ ...good, token_type: 'DPoP' })],
  ['no access_token', ({ access_token: _, ...good }) => good],
  ['an empty access_token', (good) => ({ ...good, access_token: '' })],
  ['an access_token with a line break', (good) => ({ ...good, access_token: 'a\r\nx: y' })],
  ['an access_token that is a number', (good) => ({ ...good, access_token: 7 })],
  ['a negative expires_in', (good) => ({ ...good, expires_in: -1 })],
  ['an expires_in that is text', (good) => ({ ...good, expires_in: 'soon' })],
  ['an expires_in that is too large', (good) => ({ ...good, expires_in: 1e300 })],
  ['a scope that is a number', (good) => ({ ...good, scope: 5 })],
  ['a list', (good) => [good]],
  ['text', () => 'exchanged'],
]

describe('a response to an exchange that is refused', () => {
  for (const [name, change] of [...HOSTILE, ['N_A for an access token', naType] as Row]) {
    it(name, async () => {
      const { app, browser } = await logIn()
      servers.changeExchange = change
      await browser.fetch('/exchange')
      assert.deepEqual(codesOf(app), ['ERR_OIDC_TOKEN_RESPONSE'])
      servers.changeExchange = same
      assert.match(String(await exchanged(browser)), /^exchanged-/)
    })
  }

  const bearer = (good: JsonObject): JsonObject => ({ ...good, token_type: 'Bearer' })
  for (const [name, change] of [...HOSTILE, ['Bearer for an assertion', bearer] as Row]) {
    it(`with ID-JAG: ${name}`, async () => {
      const { app, browser } = await logIn()
      exchange = acrossApps()
      servers.changeExchange = change
      await browser.fetch('/exchange')
      assert.deepEqual([codesOf(app), servers.redemptions.length], [['ERR_OIDC_TOKEN_RESPONSE'], 0])
    })
  }

  const redeemed = HOSTILE.filter(([name]) => !/issued_token_type|ID Token/.test(name))
  for (const [name, change] of [...redeemed, ['N_A', naType] as Row]) {
    it(`of the other server: ${name}`, async () => {
      const { app, browser } = await logIn()
      exchange = acrossApps()
      servers.changeRedemption = change
      await browser.fetch('/exchange')
      assert.deepEqual(codesOf(app), ['ERR_OIDC_TOKEN_RESPONSE'])
    })
  }

  function naType(good: JsonObject): JsonObject {
    return { ...good, token_type: 'N_A' }
  }
})

describe('an exchange that is refused before a request', () => {
  const server = { ...OTHER, tokenEndpoint: 'https://other.example.com/token' }
  const REFUSED: readonly (readonly [name: string, given: object])[] = [
    ['an unknown member', { audiences: 'a' }],
    ['an empty audience', { audience: '' }],
    ['an audience in a list that is no text', { audience: ['a', 7] }],
    ['a resource that is no text', { resource: {} }],
    ['an empty scope', { scope: '' }],
    ['an unknown subjectToken', { subjectToken: 'password' }],
    ['a subjectToken of the prototype', { subjectToken: 'toString' }],
    ['an empty actorToken', { actorToken: '' }],
    ['an audience beside an authorizationServer', { audience: 'a', authorizationServer: server }],
    ['a server without issuer', { authorizationServer: { ...server, issuer: undefined } }],
    ['a server without tokenEndpoint', { authorizationServer: { ...server, tokenEndpoint: '' } }],
    ['a server without clientId', { authorizationServer: { ...server, clientId: undefined } }],
    ['an empty secret', { authorizationServer: { ...server, clientSecret: '' } }],
    ['an unknown method', { authorizationServer: { ...server, tokenEndpointAuthMethod: 'tls_client_auth' } }],
  ]
  for (const [name, given] of REFUSED) {
    it(name, async () => {
      const { app, browser } = await logIn()
      exchange = given
      await browser.fetch('/exchange')
      assert.deepEqual([codesOf(app), servers.exchanges.length], [['ERR_OIDC_CONFIG'], 0])
    })
  }

  it('a scope beside the exchange', async () => {
    const { app, browser } = await logIn()
    await browser.fetch('/with-scope')
    assert.deepEqual([codesOf(app), servers.exchanges.length], [['ERR_OIDC_CONFIG'], 0])
  })
})
