import assert from 'node:assert/strict'
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { type BearerOptions, bearer, requireAuth } from '../../lib/bearer.ts'
import { type OidcContext, OidcError } from '../../lib/index.ts'
import { type ApiApp, observeDenials, startApi } from '../support/app/api-app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { HOSTS } from '../support/app/hosts.ts'
import { share, stopAfterEach } from '../support/app/stage.ts'
import { startTokenIssuer } from '../support/servers/token-issuer.ts'

const theIssuer = share(() => startTokenIssuer())
const theOther = share(() => startTokenIssuer({ path: '/other' }))
const stopLater = stopAfterEach()
const seen = observeDenials()

afterEach(() => {
  mock.timers.reset()
  theIssuer().reset()
  theOther().reset()
})

async function start(
  options: Partial<BearerOptions> = {},
  settings: Parameters<typeof startApi>[2] = {},
): Promise<ApiApp> {
  return stopLater(await startApi(theIssuer(), options, settings))
}

describe('bearer() when the application responds before the token is judged', () => {
  it('N-1: passes the error to next, and ends no process', async () => {
    const { issuer } = theIssuer()
    const api = bearer({ issuer, audience: 'https://api.example.com', dangerouslyAllowInsecureRequests: true })
    const req = Object.assign(new IncomingMessage(new Socket()), { method: 'GET', url: '/' })
    req.headers.authorization = 'Bearer no.good.token'
    const res = new ServerResponse(req)
    const passed = new Promise((resolve) => api(req, res, resolve))
    // As a timeout in the application does.
    res.writeHead(503).end()
    assert.equal(Object(await passed).code, 'ERR_HTTP_HEADERS_SENT')
  })
})

for (const host of HOSTS) {
  describe(`bearer() in ${host}`, () => {
    let app: ApiApp
    beforeEach(async () => {
      app = await start({}, { host, mountPath: '/api' })
    })

    it('lets a request with a token through', async () => {
      const answer = await app.call(theIssuer().token())
      assert.equal(answer.status, 200)
      assert.deepEqual(answer.json(), { by: 'access_token', sub: 'alice', scope: 'orders:read profile' })
    })

    it('denies a request without a token: 401 with a challenge that has no error', async () => {
      const answer = await app.call()
      assert.deepEqual([answer.status, answer.challenge], [401, 'Bearer realm="api"'])
      assert.deepEqual(answer.json(), {
        error: 'access_token_required',
        error_description: 'Send an access token in the header Authorization.',
      })
      assert.equal(answer.headers['cache-control'], 'no-store')
      assert.deepEqual([app.reached, seen.denied], [[], ['ERR_OIDC_ACCESS_TOKEN_REQUIRED']])
    })

    it('denies a request with a wrong token: 401 invalid_token', async () => {
      const answer = await app.call(theIssuer().token({ exp: 1 }))
      const description = 'The access token is not valid.'
      const challenge = `Bearer realm="api", error="invalid_token", error_description="${description}"`
      assert.deepEqual([answer.status, answer.challenge], [401, challenge])
      assert.deepEqual(answer.json(), { error: 'invalid_token', error_description: description })
      assert.deepEqual([app.reached, seen.denied], [[], ['ERR_OIDC_ACCESS_TOKEN_EXPIRED']])
    })

    it('answers a CORS preflight with 204, which reaches no handler', async () => {
      const headers = { 'access-control-request-method': 'POST', origin: 'https://other.test' }
      const answer = await app.call(undefined, { method: 'OPTIONS', headers })
      assert.deepEqual([answer.status, answer.challenge, app.reached], [204, undefined, []])
    })
  })
}

describe('req.oidc behind bearer()', () => {
  it('has the claims, scopes, client and token, and nothing to log in with', async () => {
    const found: OidcContext[] = []
    const routes = { '/look': answerJson(({ oidc }) => ({ pushed: found.push(oidc) })) }
    const app = await start({}, { routes })
    const token = theIssuer().token({
      scope: undefined,
      scp: ['a', 'b'],
      acr: 'phr',
      client_id: undefined,
      cid: 'cli-2',
    })
    assert.equal((await app.call(token, { path: '/look' })).status, 200)
    const [oidc] = found
    assert.ok(oidc?.authenticatedBy === 'access_token')
    assert.deepEqual([oidc.scope, oidc.clientId, oidc.token, oidc.tokenType], ['a b', 'cli-2', token, 'Bearer'])
    assert.deepEqual([oidc.isAuthenticated, oidc.provider, oidc.claims.sub], [true, theIssuer().issuer, 'alice'])
    assert.equal(oidc.expiresAt, oidc.claims.exp)
    assert.deepEqual([oidc.meets({ acr: 'phr' }), oidc.meets({ acr: 'other' })], [true, false])
    assert.deepEqual([oidc.meets({ scope: 'b' }), oidc.meets({ scope: 'c' })], [true, false])
    assert.throws(() => Object.assign(oidc.claims, { sub: 'eve' }), TypeError)
    assert.equal(JSON.stringify(oidc).includes(token), false)
    assert.deepEqual([oidc.silentLoginUrl(), oidc.sessionCheckUrl(60)], [undefined, undefined])
    const isRefused = (error: unknown): boolean => error instanceof OidcError && error.code === 'ERR_OIDC_NO_SESSION'
    assert.throws(() => oidc.loginUrl(), isRefused)
    for (const method of ['login', 'logout', 'tokens', 'idToken', 'accessToken', 'userinfo'] as const) {
      await assert.rejects(async () => oidc[method](), isRefused, method)
    }
    await assert.rejects(() => oidc.fetch('https://api.example.test'), isRefused)
  })

  it('takes a token beside a query without one', async () => {
    const app = await start({}, { routes: { '/look': answerJson(() => ({})) } })
    for (const query of ['?page=2&token=x', '?', '?access-token=x', '?q=access_token%3Dx']) {
      assert.equal((await app.call(theIssuer().token(), { path: `/look${query}` })).status, 200, query)
    }
  })

  it('has the first name of the client that is text', async () => {
    const found: unknown[] = []
    const routes = { '/look': answerJson(({ oidc }) => ({ pushed: found.push(Object(oidc).clientId) })) }
    const app = await start({}, { routes })
    for (const claims of [{ client_id: '' }, { client_id: 7 }, { client_id: undefined }, { client_id: null }]) {
      assert.equal((await app.call(theIssuer().token({ ...claims, azp: 'portal' }), { path: '/look' })).status, 200)
    }
    assert.deepEqual(new Set(found), new Set(['portal']))
  })

  it('meets no requirement without a token, and refuses one that cannot be right', async () => {
    const found: OidcContext[] = []
    const routes = { '/look': answerJson(({ oidc }) => ({ pushed: found.push(oidc) })) }
    const app = await start({ allowAnonymous: true }, { routes })
    await app.call(undefined, { path: '/look' })
    const [oidc] = found
    assert.equal(oidc?.meets({ acr: 'phr' }), false)
    assert.throws(() => oidc?.meets({ maxAge: -1 }), { code: 'ERR_OIDC_CONFIG' })
  })

  it('says with allowAnonymous that nobody is authenticated, and lets a preflight through', async () => {
    const app = await start({ allowAnonymous: true }, { routes: { '/own': [requireAuth(), answerJson(() => 1)] } })
    assert.deepEqual((await app.call()).json(), { by: null, sub: null, scope: null })
    const headers = { 'access-control-request-method': 'POST' }
    assert.equal((await app.call(undefined, { method: 'OPTIONS', headers })).status, 200)
    const guarded = await app.call(undefined, { path: '/own' })
    assert.deepEqual([guarded.status, guarded.challenge], [401, 'Bearer realm="api"'])
    assert.equal((await app.call(undefined, { path: '/own', method: 'OPTIONS', headers })).status, 204)
    assert.deepEqual(app.reached, ['/who', '/who'])
  })

  it('is never anonymous with a wrong token, also with allowAnonymous', async () => {
    const app = await start({ allowAnonymous: true })
    for (const token of ['x', theIssuer().token({ exp: 1 })]) assert.equal((await app.call(token)).status, 401)
    assert.equal((await app.call(undefined, { headers: { authorization: 'Bearer' } })).status, 400)
    assert.deepEqual(app.reached, [])
  })
})

describe('the credentials of a request', () => {
  const token = 'a.b.c'
  const REFUSED: readonly [string, readonly string[], string?][] = [
    ['two Authorization headers', [`Authorization: Bearer ${token}`, `Authorization: Bearer ${token}`]],
    [
      'two Authorization headers, of which one is of another scheme',
      ['Authorization: Basic eA==', `Authorization: Bearer ${token}`],
    ],
    [
      'two Authorization headers in different letters',
      [`authorization: Bearer ${token}`, `AUTHORIZATION: Bearer ${token}`],
    ],
    ['two tokens in one header', [`Authorization: Bearer ${token} ${token}`]],
    ['the same scheme twice in one header', [`Authorization: Bearer ${token}, Bearer ${token}`]],
    ['a scheme behind another text', [`Authorization: Bearer x Bearer ${token}`]],
    ['two schemes in one header', [`Authorization: Bearer ${token}, Basic eA==`]],
    ['no token', ['Authorization: Bearer']],
    ['no token, and the scheme in small letters', ['authorization: bearer']],
    ['no token but a space', ['Authorization: Bearer ']],
    ['a token in quotes', [`Authorization: Bearer "${token}"`]],
    ['a token with a comma', ['Authorization: Bearer a,b']],
    ['a token with a character beyond ASCII', ['Authorization: Bearer a\u00e9b']],
    ['a tab in front of the token', [`Authorization: Bearer\t${token}`]],
    ['padding within the token', ['Authorization: Bearer a=b']],
    ['DPoP without a token', ['Authorization: DPoP']],
    ['a token in the query', [], '/who?access_token=x'],
    ['a token in the query beside the header', [`Authorization: Bearer ${token}`], '/who?access_token=x'],
    ['an empty token in the query', [], '/who?access_token='],
    ['a token in the query, percent-encoded', [], '/who?access%5Ftoken=x'],
    ['a token in the query as a list', [], '/who?access_token[]=x'],
    ['a token in the query by number', [], '/who?a=1&access_token%5B0%5D=x'],
  ]

  for (const [name, lines, path = '/who'] of REFUSED) {
    it(`are refused with 400 if there is ${name}`, async () => {
      const app = await start({ allowAnonymous: true })
      const answer = await app.callRaw(lines, { path })
      assert.deepEqual([answer.status, seen.denied, app.reached], [400, ['ERR_OIDC_ACCESS_TOKEN_REQUEST'], []])
      const description = 'Send one access token, once, in the header Authorization.'
      const challenge = `Bearer realm="api", error="invalid_request", error_description="${description}"`
      assert.equal(answer.challenge, challenge)
      assert.equal(answer.json()['error'], 'invalid_request')
    })
  }

  const forms = ['application/x-www-form-urlencoded; charset=utf-8', 'multipart/form-data; boundary=x']
  for (const type of [...forms, 'Application/X-WWW-Form-Urlencoded']) {
    it(`are refused with 400 if a form has a token: ${type}`, async () => {
      const parsed = Object.assign(Object.create(null), { access_token: 'x' })
      const app = await start(
        {},
        { before: [(req, _res, next) => void next(void Object.assign(req, { body: parsed }))] },
      )
      const headers = { 'content-type': type }
      assert.equal((await app.call(theIssuer().token(), { method: 'POST', headers, body: 'x' })).status, 400)
      assert.deepEqual(app.reached, [])
    })
  }

  it('may be beside a form without a token, a body that is no object, and none', async () => {
    for (const body of [{ page: '2', token: 'x' }, {}, 'access_token=x', null, undefined]) {
      const app = await start({}, { before: [(req, _res, next) => void next(void Object.assign(req, { body }))] })
      const headers = { 'content-type': 'application/x-www-form-urlencoded' }
      const { status } = await app.call(theIssuer().token(), { method: 'POST', headers, body: 'x' })
      assert.equal(status, 200, JSON.stringify(body))
    }
  })

  it('may be beside a member access_token of a JSON body, which is not looked at', async () => {
    const app = await start(
      {},
      { before: [(req, _res, next) => void next(void Object.assign(req, { body: { access_token: 'x' } }))] },
    )
    const types = [
      ...['application/json', 'application/x-www-form-urlencoded2', 'multipart/form-data2'],
      ...['text/plain; of=application/x-www-form-urlencoded', 'text/plain; of=multipart/form-data'],
    ]
    for (const type of types) {
      const headers = { 'content-type': type }
      assert.equal((await app.call(theIssuer().token(), { method: 'POST', headers, body: '{}' })).status, 200, type)
    }
  })

  it('are found whatever the letters of the scheme and the number of spaces', async () => {
    const app = await start()
    for (const scheme of ['bearer ', 'BEARER ', 'Bearer   ']) {
      const headers = { authorization: scheme + theIssuer().token() }
      assert.equal((await app.call(undefined, { headers })).status, 200, scheme)
    }
  })

  it('of another scheme are none', async () => {
    const app = await start()
    const good = theIssuer().token()
    const others = ['Basic eDp5', 'Basic Bearer', 'Token-Bearer', `Bearer${good}`, `DPoP${good}`, `Bearers ${good}`]
    for (const authorization of others) {
      const answer = await app.call(undefined, { headers: { authorization } })
      assert.deepEqual([answer.status, answer.challenge], [401, 'Bearer realm="api"'], authorization)
    }
    assert.deepEqual([new Set(seen.denied), app.reached], [new Set(['ERR_OIDC_ACCESS_TOKEN_REQUIRED']), []])
  })

  it('of up to 32 KiB are looked at', async () => {
    const app = await start()
    for (const [length, code] of [
      [32_768, 'MALFORMED'],
      [32_769, 'TOO_LARGE'],
    ] as const) {
      seen.denied.length = 0
      const headers = { authorization: `Bearer ${'x'.repeat(length)}` }
      const answer = await judgeDirectly(headers, app)
      assert.deepEqual([answer, seen.denied], [401, [`ERR_OIDC_ACCESS_TOKEN_${code}`]])
    }
  })
})

/** Calls the middleware without a server: Node's does not accept headers of this length by default. */
async function judgeDirectly(headers: Record<string, string>, { api }: ApiApp): Promise<number> {
  const rawHeaders = Object.entries(headers).flat()
  const req = { method: 'GET', url: '/', headers, rawHeaders }
  return new Promise((resolve, reject) => {
    const res = { statusCode: 0, setHeader: () => {}, end: () => resolve(res.statusCode) }
    api(req as never, res as never, () => reject(new Error('a handler was reached')))
  })
}

describe('a token', () => {
  it('is for the API if it names any audience of the option', async () => {
    const app = await start({ audience: ['https://first.test', theIssuer().audience, 'https://last.test'] })
    assert.equal((await app.call(theIssuer().token())).status, 200)
    assert.equal((await app.call(theIssuer().token({ aud: ['https://last.test', 'https://else.test'] }))).status, 200)
    assert.equal((await app.call(theIssuer().token({ aud: 'https://else.test' }))).status, 401)
  })
})

describe('several issuers', () => {
  it('in a list: each with its own keys and options, and no other', async () => {
    const [one, other] = [theIssuer(), theOther()]
    const issuers = [one.issuer, { issuer: other.issuer, audience: 'other-api' }]
    const app = await start({ issuers })
    assert.equal((await app.call(one.token())).status, 200)
    assert.equal((await app.call(other.token({ aud: 'other-api' }))).status, 200)
    assert.equal((await app.call(other.token())).status, 401)
    assert.equal((await app.call(one.token({ iss: other.issuer, aud: 'other-api' }))).status, 401)
    assert.equal((await app.call(one.token({ iss: 'https://evil.test' }))).status, 401)
    assert.deepEqual(seen.denied, [
      'ERR_OIDC_ACCESS_TOKEN_AUDIENCE',
      'ERR_OIDC_ACCESS_TOKEN_KEY',
      'ERR_OIDC_ACCESS_TOKEN_ISSUER',
    ])
  })

  it('by a function, which is asked once in five minutes for each issuer, and once in ten seconds after a refusal', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const asked: string[] = []
    const [one, other] = [theIssuer(), theOther()]
    const issuers = async (iss: string): Promise<string | undefined> => {
      asked.push(iss)
      return iss === one.issuer ? iss : undefined
    }
    const app = await start({ issuers })
    assert.equal((await app.call(one.token())).status, 200)
    assert.equal((await app.call(one.token({ jti: 'b' }))).status, 200)
    assert.equal((await app.call(other.token())).status, 401)
    assert.equal((await app.call(other.token())).status, 401)
    assert.deepEqual(asked, [one.issuer, other.issuer])
    mock.timers.tick(10_000)
    assert.equal((await app.call(other.token())).status, 401)
    assert.equal((await app.call(one.token())).status, 200)
    mock.timers.tick(290_000)
    const keysBefore = one.requests.filter((path) => path === '/jwks').length
    assert.equal((await app.call(one.token())).status, 200)
    assert.deepEqual(asked, [one.issuer, other.issuer, other.issuer, one.issuer])
    assert.equal(one.requests.filter((path) => path === '/jwks').length, keysBefore)
  })

  it('by a function that no longer trusts one: a token that was verified before is refused', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    let isTrusted = true
    const app = await start({ issuers: (iss) => (isTrusted ? iss : undefined) })
    const token = theIssuer().token({ exp: Date.now() / 1000 + 3600 })
    assert.equal((await app.call(token)).status, 200)
    isTrusted = false
    mock.timers.tick(300_000)
    assert.equal((await app.call(token)).status, 401)
    assert.deepEqual(seen.denied, ['ERR_OIDC_ACCESS_TOKEN_ISSUER'])
  })

  it('by a function: an issuer of more than 2048 characters is refused before it is asked', async () => {
    const asked: string[] = []
    const app = await start({
      issuers: (iss) => {
        asked.push(iss)
        return undefined
      },
    })
    for (const length of [2048, 2049]) {
      const iss = `https://${'a'.repeat(length - 8)}`
      assert.equal((await app.call(theIssuer().token({ iss }))).status, 401)
    }
    assert.deepEqual([asked.length, seen.denied], [1, Array(2).fill('ERR_OIDC_ACCESS_TOKEN_ISSUER')])
  })

  for (const iss of [undefined, null, 1, {}, ['https://op.example']]) {
    it(`by a function, which is not asked about a token whose iss is ${JSON.stringify(iss)}`, async () => {
      const asked: unknown[] = []
      const app = await start({ issuers: (given) => void asked.push(given) })
      const answer = await app.call(theIssuer().token({ iss }))
      assert.deepEqual(
        [answer.status, seen.denied, asked, app.reached],
        [401, ['ERR_OIDC_ACCESS_TOKEN_ISSUER'], [], []],
      )
    })
  }

  it('by a function: invented issuers cannot fill the memory, the oldest answer goes first', async () => {
    const asked: string[] = []
    const { verifyAccessToken } = bearer({
      audience: theIssuer().audience,
      issuers: (iss) => {
        asked.push(iss)
        return undefined
      },
    })
    const claims = theIssuer().claims()
    // The signature is never reached, so any will do.
    const tokenOf = (iss: string): string =>
      [
        { alg: 'RS256', typ: 'at+jwt', kid: 'x' },
        { ...claims, iss },
      ]
        .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
        .concat('AA')
        .join('.')
    const refused = (iss: string): Promise<void> =>
      assert.rejects(verifyAccessToken(tokenOf(iss)), { code: 'ERR_OIDC_ACCESS_TOKEN_ISSUER' })
    for (let number = 0; number <= 1000; number += 1) await refused(`https://${number}.example`)
    await refused('https://1000.example')
    assert.equal(asked.length, 1001)
    await refused('https://0.example')
    assert.equal(asked.length, 1002)
  })

  it('by a function that returns other options later: a token that was verified is verified again', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    let audience = theIssuer().audience
    const app = await start({ issuers: (issuer) => ({ issuer, audience }) })
    const token = theIssuer().token({ exp: Date.now() / 1000 + 3600 })
    assert.equal((await app.call(token)).status, 200)
    audience = 'another API'
    mock.timers.tick(300_000)
    assert.equal((await app.call(token)).status, 401)
    assert.deepEqual(seen.denied, ['ERR_OIDC_ACCESS_TOKEN_AUDIENCE'])
  })

  it('by a function that returns other keys later: a token of a key that is gone is refused', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    let { jwk } = theIssuer().keys.p256
    const issuers = (issuer: string) => ({ issuer, providerMetadata: { issuer, jwks: { keys: [jwk] } } })
    const app = await start({ issuers } as Partial<BearerOptions>)
    const token = theIssuer().token({ exp: Date.now() / 1000 + 3600 })
    assert.equal((await app.call(token)).status, 200)
    jwk = theOther().keys.p256.jwk
    mock.timers.tick(300_000)
    const answer = await app.call(token)
    assert.deepEqual([answer.status, seen.denied, app.reached], [401, ['ERR_OIDC_ACCESS_TOKEN_KEY'], ['/who']])
  })

  it('without a jwks_uri: a JWT is refused', async () => {
    const { issuer } = theIssuer()
    const app = await start({ providerMetadata: { issuer } })
    assert.equal((await app.call(theIssuer().token())).status, 401)
    assert.deepEqual([seen.denied, app.reached], [['ERR_OIDC_ACCESS_TOKEN_KEY'], []])
    assert.match(seen.reasons.join(), /the metadata of its issuer has no jwks_uri/)
  })

  it('by a function that returns another issuer than the token names: refused', async () => {
    const app = await start({ issuers: () => theOther().issuer })
    assert.equal((await app.call(theIssuer().token())).status, 401)
    assert.deepEqual(seen.denied, ['ERR_OIDC_ACCESS_TOKEN_ISSUER'])
  })

  it('by a function that throws: the error goes to next, and no handler is reached', async () => {
    // As http-errors makes them: what such an error says is for a response of the application, and no challenge.
    const exposed = Object.assign(new Error('no such row'), { status: 404, expose: true, code: 'NO_ROW', headers: {} })
    for (const failure of [new Error('the database is down'), exposed, undefined]) {
      const app = await start({ issuers: () => Promise.reject(failure) })
      const answer = await app.call(theIssuer().token())
      assert.deepEqual([answer.status, answer.challenge, app.reached], [500, undefined, []])
      assert.ok(app.errors[0] instanceof Error)
      if (failure !== undefined) assert.equal(app.errors[0], failure)
    }
    assert.deepEqual([seen.errors, seen.denied], [Array(3).fill('unknown'), []])
  })

  it('by a function that returns wrong options: ConfigError', async () => {
    const app = await start({ issuers: (iss) => ({ issuer: iss, audiences: 'x' }) as never })
    assert.equal((await app.call(theIssuer().token())).status, 500)
    assert.match(String(app.errors[0]), /issuers\(\)\.audiences is not an option; did you mean issuers\(\)\.audience\?/)
  })

  it('of many tenants: the issuer of each, and only those that are allowed', async () => {
    const { origin } = new URL(theIssuer().issuer)
    const issuer = `${origin}/{tenantid}/v2.0`
    theIssuer().state.metadata = { issuer }
    const app = await start({ issuer, tenants: ['t-1'] })
    const tokenOf = (tid: string, iss = tid): string => theIssuer().token({ iss: `${origin}/${iss}/v2.0`, tid })
    assert.equal((await app.call(tokenOf('t-1'))).status, 200)
    assert.equal((await app.call(tokenOf('t-2'))).status, 401)
    assert.match(seen.reasons.join(), /is of a tenant \(tid\) that the option tenants does not allow/)
    assert.equal((await app.call(tokenOf('t-1', 't-2'))).status, 401)
    theIssuer().state.jwks = [{ ...theIssuer().keys.p256.jwk, issuer: `${origin}/t-2/v2.0` } as never]
    const strict = await start({ issuer, tenants: ['t-1', 't-2'] })
    assert.equal((await strict.call(tokenOf('t-2'))).status, 200)
    assert.equal((await strict.call(tokenOf('t-1'))).status, 401)
    assert.deepEqual(new Set(seen.denied), new Set(['ERR_OIDC_ACCESS_TOKEN_ISSUER', 'ERR_OIDC_ACCESS_TOKEN_KEY']))
  })
})

describe('ready()', () => {
  it('loads metadata and keys, and rejects if it cannot', async () => {
    const app = await start()
    theIssuer().requests.length = 0
    await app.api.ready()
    assert.deepEqual(theIssuer().requests, ['/.well-known/openid-configuration', '/jwks'])
    theIssuer().state.status = 500
    const isProviderError = { code: 'ERR_OIDC_PROVIDER_STATUS' }
    await assert.rejects(
      bearer({ issuer: theIssuer().issuer, audience: 'x', dangerouslyAllowInsecureRequests: true }).ready(),
      isProviderError,
    )
  })
})
