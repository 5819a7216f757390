import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { afterEach, describe, it, mock } from 'node:test'
import { createTokenMemory, type SignedToken } from '../../lib/bearer/token-memory.ts'
import {
  type BearerOptions,
  type Handler,
  requireAuthorizationDetails,
  requireGroup,
  requireScope,
} from '../../lib/bearer.ts'
import { type ApiApp, observeDenials, startApi } from '../support/app/api-app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { createSigningKeys } from '../support/app/signing-keys.ts'
import { share, stopAfterEach } from '../support/app/stage.ts'
import { sendJson } from '../support/servers/http-server.ts'
import { signToken, startTokenIssuer, type TokenIssuer } from '../support/servers/token-issuer.ts'

const theIssuer = share(() => startTokenIssuer())
const stopLater = stopAfterEach()
const seen = observeDenials()
const others = createSigningKeys()

afterEach(() => {
  mock.timers.reset()
  theIssuer().reset()
})

async function start(options: Partial<BearerOptions> = {}): Promise<ApiApp> {
  return stopLater(await startApi(theIssuer(), options))
}

/** What makes the issuer useless, and the code of the published error. */
const OUTAGES: readonly [string, (issuer: TokenIssuer) => void, string][] = [
  ['answers 500', ({ state }) => void Object.assign(state, { status: 500 }), 'ERR_OIDC_PROVIDER_STATUS'],
  ['answers 404', ({ state }) => void Object.assign(state, { status: 404 }), 'ERR_OIDC_PROVIDER_STATUS'],
  ['answers 429', ({ state }) => void Object.assign(state, { status: 429 }), 'ERR_OIDC_PROVIDER_BUSY'],
  [
    'closes the connection',
    ({ state }) => void Object.assign(state.routes, { '/jwks': (req: { destroy(): void }) => req.destroy() }),
    'ERR_OIDC_PROVIDER_UNREACHABLE',
  ],
  [
    'has metadata of another issuer',
    ({ state }) => void Object.assign(state, { metadata: { issuer: 'https://other.test' } }),
    'ERR_OIDC_DISCOVERY_ISSUER',
  ],
  [
    'has a jwks_uri that is no URL',
    ({ state }) => void Object.assign(state, { metadata: { jwks_uri: 'x' } }),
    'ERR_OIDC_METADATA_INVALID',
  ],
  ['has keys that are no list', ({ state }) => void Object.assign(state, { jwks: {} }), 'ERR_OIDC_KEYS_INVALID'],
  [
    'has a key set of more than 1 MiB',
    ({ state }) =>
      void Object.assign(state.routes, {
        '/jwks': (_: unknown, res: never) => sendJson(res, 200, { keys: [], more: 'x'.repeat(2 ** 20) }),
      }),
    'ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE',
  ],
]

describe('while the issuer', () => {
  for (const [name, breakIssuer, code] of OUTAGES) {
    it(`${name}, a good token gets 503 with Retry-After, and nothing about the issuer`, async () => {
      breakIssuer(theIssuer())
      const app = await start({ allowAnonymous: true })
      const answer = await app.call(theIssuer().token())
      assert.deepEqual([answer.status, answer.headers['retry-after'], answer.challenge], [503, '5', undefined])
      assert.deepEqual(answer.json(), {
        error: 'temporarily_unavailable',
        error_description: 'The access token cannot be verified at the moment. Retry later.',
      })
      const { host } = new URL(theIssuer().issuer)
      assert.doesNotMatch(JSON.stringify(answer.headers) + answer.body, new RegExp(host))
      assert.deepEqual([seen.errors, seen.denied, app.reached, app.errors], [[code], [], [], []])
    })
  }

  it('says how long to wait, it is passed on, from one second up to five minutes', async () => {
    for (const [told, expected] of [
      ['0', '1'],
      ['17', '17'],
      ['86400', '300'],
    ] as const) {
      theIssuer().state.routes['/jwks'] = (_req, res) => {
        res.setHeader('Retry-After', told)
        sendJson(res, 503, {})
      }
      const app = await start()
      const answer = await app.call(theIssuer().token())
      assert.deepEqual([answer.status, answer.headers['retry-after']], [503, expected])
    }
  })

  it('is down, tokens are still verified with the keys that it published before', async () => {
    const app = await start()
    assert.equal((await app.call(theIssuer().token())).status, 200)
    theIssuer().state.status = 500
    assert.equal((await app.call(theIssuer().token({ jti: 'new' }))).status, 200)
    // And a forged one is refused: nobody can say that it might be right.
    assert.equal((await app.call(signToken(others.p256, theIssuer().claims()))).status, 401)
  })

  it('rotates its key, the new one is fetched at once, within a budget', async () => {
    const app = await start()
    const { state, requests } = theIssuer()
    assert.equal((await app.call(theIssuer().token())).status, 200)
    state.jwks = [others.p256.jwk]
    assert.equal((await app.call(signToken(others.p256, theIssuer().claims()))).status, 200)
    requests.length = 0
    for (let number = 0; number < 20; number += 1) {
      const token = theIssuer().token({}, { kid: `invented-${number}` })
      assert.equal((await app.call(token)).status, 401)
    }
    assert.ok(requests.length <= 6, `${requests.length} requests`)
  })
})

/** What a handler without types may try to change. */
interface Changeable {
  readonly claims: { realm_access: { roles: string[] } }
  readonly authorizationDetails: object[]
}

describe('the memory of verified tokens', () => {
  it('spares the verification of a token that comes again', async () => {
    const app = await start()
    const { mock: verify } = mock.method(crypto, 'verify')
    syncBuiltinESMExports()
    try {
      for (const claims of [{}, {}, { jti: 'another' }])
        assert.equal((await app.call(theIssuer().token(claims))).status, 200)
      const token = theIssuer().token()
      const before = verify.callCount()
      for (let number = 0; number < 3; number += 1) assert.equal((await app.call(token)).status, 200)
      assert.equal(verify.callCount(), before + 1)
    } finally {
      verify.restore()
      syncBuiltinESMExports()
    }
  })

  it('forgets a token when its key leaves the key set', async () => {
    const app = await start()
    const token = theIssuer().token()
    assert.equal((await app.call(token)).status, 200)
    theIssuer().state.jwks = [others.p256.jwk]
    // Another token has the keys fetched again.
    assert.equal((await app.call(signToken(others.p256, theIssuer().claims()))).status, 200)
    assert.equal((await app.call(token)).status, 401)
    assert.deepEqual(seen.denied, ['ERR_OIDC_ACCESS_TOKEN_KEY'])
  })

  it('ends with exp, also for a token that was used a moment ago', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const app = await start({ clockTolerance: 0 })
    const token = theIssuer().token({ exp: Math.floor(Date.now() / 1000) + 10 })
    assert.equal((await app.call(token)).status, 200)
    mock.timers.tick(10_000)
    assert.equal((await app.call(token)).status, 401)
    assert.deepEqual(seen.denied, ['ERR_OIDC_ACCESS_TOKEN_EXPIRED'])
  })

  it('does not know the token of another bearer(), nor one that differs in its signature alone', async () => {
    const [one, other] = [await start(), await start({ audience: 'another' })]
    const token = theIssuer().token()
    assert.equal((await one.call(token)).status, 200)
    assert.equal((await other.call(token)).status, 401)
    const [head, claims, signature = ''] = token.split('.')
    const flipped = `${head}.${claims}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`
    assert.equal((await one.call(flipped)).status, 401)
    assert.deepEqual(seen.denied, ['ERR_OIDC_ACCESS_TOKEN_AUDIENCE', 'ERR_OIDC_ACCESS_TOKEN_SIGNATURE'])
  })

  it('lets no handler change what later requests with the token may do', async () => {
    const attempts: readonly ((oidc: Changeable) => unknown)[] = [
      ({ claims }) => Object.assign(claims, { sub: 'eve' }),
      ({ claims }) => claims.realm_access.roles.push('admin'),
      ({ authorizationDetails }) => authorizationDetails.push({ type: 'payment' }),
    ]
    const failures: unknown[] = []
    const change: Handler = (req, _res, next) => {
      for (const attempt of attempts) {
        try {
          attempt(Reflect.get(req, 'oidc'))
        } catch (error) {
          failures.push(Object(error).name)
        }
      }
      next()
    }
    const ok = answerJson(({ oidc }) => ({ sub: oidc.claims?.sub }))
    const routes: Routes = {
      '/change': [change, ok],
      '/admin': [requireGroup('admin', { claim: ['realm_access', 'roles'] }), ok],
      '/pay': [requireAuthorizationDetails({ type: 'payment' }), ok],
      '/scope': [requireScope('orders:write'), ok],
    }
    const app = stopLater(await startApi(theIssuer(), {}, { routes }))
    const token = theIssuer().token({ realm_access: { roles: ['staff'] } })
    for (const [path, status] of [
      ['/change', 200],
      ['/change', 200],
      ['/admin', 403],
      ['/pay', 403],
      ['/scope', 403],
    ] as const) {
      assert.equal((await app.call(token, { path })).status, status, path)
    }
    assert.deepEqual(failures, Array(2 * attempts.length).fill('TypeError'))
    assert.deepEqual((await app.call(token, { path: '/change' })).json(), { sub: 'alice' })
  })

  it('does not keep tokens that were refused', async () => {
    const app = await start()
    const token = theIssuer().token({ aud: 'other' })
    for (let number = 0; number < 2; number += 1) assert.equal((await app.call(token)).status, 401)
  })

  it('is turned off by tokenCacheSize: 0', async () => {
    const app = await start({ tokenCacheSize: 0 })
    for (let number = 0; number < 2; number += 1) assert.equal((await app.call(theIssuer().token())).status, 200)
  })

  it('holds no more bytes than it may: what was not used for the longest time goes first', () => {
    const entry = {} as SignedToken
    // Each entry of ten characters counts 650 bytes.
    const memory = createTokenMemory(1300)
    memory.add('a'.repeat(10), entry)
    memory.add('b'.repeat(10), entry)
    assert.equal(memory.find('a'.repeat(10)), entry)
    memory.add('c'.repeat(10), entry)
    assert.deepEqual(
      ['a', 'b', 'c'].map((one) => memory.find(one.repeat(10)) !== undefined),
      [true, false, true],
    )
    memory.add('c'.repeat(10), entry)
    assert.equal(memory.find('a'.repeat(10)), entry)
    memory.add('d'.repeat(200), entry)
    assert.equal(memory.find('d'.repeat(200)), undefined)
    assert.equal(memory.find('a'.repeat(10)), entry)
    memory.remove('a'.repeat(10))
    memory.remove('never added')
    memory.add('e'.repeat(10), entry)
    assert.deepEqual(
      ['a', 'c', 'e'].map((one) => memory.find(one.repeat(10)) !== undefined),
      [false, true, true],
    )
  })

  it('tells tokens apart that end alike, and holds the last of them', () => {
    const [first, second] = [{} as SignedToken, {} as SignedToken]
    // An entry of 100 characters counts 1100 bytes: two have room, if the bytes of the one that is replaced are given back.
    const memory = createTokenMemory(2200)
    const tail = 'x'.repeat(99)
    memory.add(`a${tail}`, first)
    assert.equal(memory.find(`b${tail}`), undefined)
    memory.remove(`b${tail}`)
    assert.equal(memory.find(`a${tail}`), first)
    memory.add(`b${tail}`, second)
    assert.deepEqual([memory.find(`a${tail}`), memory.find(`b${tail}`)], [undefined, second])
    memory.add('c'.repeat(100), first)
    assert.deepEqual([memory.find(`b${tail}`), memory.find('c'.repeat(100))], [second, first])
  })

  it('holds a token that takes all its bytes, and no room for tokens that were only looked up', () => {
    const entry = {} as SignedToken
    const memory = createTokenMemory(650)
    memory.add('a'.repeat(10), entry)
    assert.equal(memory.find('a'.repeat(10)), entry)
    assert.equal(memory.find('b'.repeat(10)), undefined)
    memory.add('b'.repeat(10), entry)
    assert.deepEqual([memory.find('a'.repeat(10)), memory.find('b'.repeat(10))], [undefined, entry])
  })
})
