import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import request from 'supertest'
import { ConfigError } from '../../lib/index.ts'
import { type Misbehavior, type MisbehaviorOptions, startTestProvider, type TestTarget } from '../../lib/testing.ts'
import { share, stopAfterEach } from '../support/app/stage.ts'
import { createKitApp, kitOptions, stoppable } from '../support/test-kit/kit-app.ts'
import { assertRefused, documentAt, getTokens, jsonOf, post } from '../support/test-kit/kit-requests.ts'

const shared = share(async () => stoppable(await startTestProvider()))
const stopLater = stopAfterEach()

function createApp(more: object = {}): ReturnType<typeof createKitApp> {
  return createKitApp(kitOptions(shared(), more))
}

/** The code of the error that a login ends with. */
async function codeOfLogin(app: TestTarget): Promise<unknown> {
  return shared()
    .login(app)
    .then(
      () => 'logged in',
      ({ cause }) => cause?.code,
    )
}

/** What the library must find. */
const LOGINS: readonly [what: Misbehavior, options: MisbehaviorOptions, code: string][] = [
  ['expiredIdToken', {}, 'ERR_OIDC_ID_TOKEN_EXPIRED'],
  ['wrongAudience', {}, 'ERR_OIDC_ID_TOKEN_AUDIENCE'],
  ['wrongIssuer', {}, 'ERR_OIDC_ID_TOKEN_ISSUER'],
  ['wrongNonce', {}, 'ERR_OIDC_ID_TOKEN_NONCE'],
  ['badSignature', {}, 'ERR_OIDC_ID_TOKEN_SIGNATURE'],
  ['refuseLogin', {}, 'ERR_OIDC_AUTHORIZATION'],
  ['down', { endpoint: 'token' }, 'ERR_OIDC_PROVIDER_UNREACHABLE'],
  ['unavailable', { endpoint: 'token' }, 'ERR_OIDC_PROVIDER_BUSY'],
]

describe('provider.misbehave()', () => {
  for (const [what, options, code] of LOGINS) {
    it(`makes a login fail by ${what}: once, or until behave()`, async () => {
      const app = createApp()
      shared().misbehave(what, { ...options, times: 1 })
      assert.equal(await codeOfLogin(app), code)
      assert.equal(await codeOfLogin(app), 'logged in')
      shared().misbehave(what, options)
      for (let count = 0; count < 2; count++) assert.equal(await codeOfLogin(app), code)
      shared().behave()
      assert.equal(await codeOfLogin(app), 'logged in')
    })
  }

  it('refuses a refresh, and leaves the token as it was', async () => {
    const { refresh_token } = await getTokens(shared())
    const refresh = (): ReturnType<typeof post> =>
      post(shared(), '/token', { grant_type: 'refresh_token', refresh_token })
    shared().misbehave('refuseRefresh', { times: 1 })
    assertRefused(await refresh(), 'invalid_grant')
    assert.ok(jsonOf(await refresh())['refresh_token'])
  })

  it('responds late with slow, and at once after behave()', async () => {
    shared().misbehave('slow', { endpoint: 'jwks', seconds: 0 })
    assert.ok((await documentAt(shared(), '/jwks'))['keys'])
    shared().misbehave('slow', { endpoint: 'jwks', seconds: 3600 })
    let isLate = true
    const response = documentAt(shared(), '/jwks').finally(() => {
      isLate = false
    })
    // Another endpoint answers while this one is waiting.
    await documentAt(shared(), '/.well-known/openid-configuration')
    assert.ok(isLate)
    shared().behave('down')
    assert.ok(isLate)
    shared().behave('slow')
    assert.ok((await response)['keys'])
  })

  it('runs into the timeout of oidc()', async () => {
    shared().misbehave('slow', { endpoint: 'token', seconds: 3600 })
    const code = await codeOfLogin(createApp({ timeout: 0.05 })).finally(() => shared().behave())
    assert.equal(code, 'ERR_OIDC_PROVIDER_TIMEOUT')
  })

  it('hits every endpoint if none is named', async () => {
    shared().misbehave('down')
    await assert.rejects(documentAt(shared(), '/jwks'))
    await assert.rejects(documentAt(shared(), '/userinfo'))
    shared().behave('down')
    assert.ok((await documentAt(shared(), '/jwks'))['keys'])
  })

  const WRONG: readonly [what: string, options: object, message: RegExp][] = [
    ['lie', {}, /must be one of expiredIdToken.*not "lie"/],
    ['down', { times: 0 }, /times must be/],
    ['slow', { seconds: -1 }, /seconds must be/],
    ['down', { endpoint: 'logout' }, /endpoint must be one of discovery/],
    ['wrongNonce', { endpoint: 'token' }, /endpoint must be one of discovery/],
  ]
  for (const [what, options, message] of WRONG) {
    it(`refuses ${what} with ${JSON.stringify(options)}`, () => {
      assert.throws(
        () => shared().misbehave(what as Misbehavior, options),
        (error: unknown) => {
          assert.ok(error instanceof ConfigError)
          assert.match(error.message, message)
          return true
        },
      )
    })
  }
})

describe('provider.rotateKeys()', () => {
  it('signs with a new key, and publishes the old one once more', async () => {
    const provider = stopLater(stoppable(await startTestProvider()))
    const published = async (): Promise<readonly unknown[]> => {
      const { keys } = await documentAt(provider, '/jwks')
      return [keys].flat().map((key) => Reflect.get(Object(key), 'kid'))
    }
    const kidOf = (token: string): unknown =>
      JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid
    const [first] = await published()
    provider.rotateKeys()
    const second = kidOf(await provider.accessToken())
    assert.notEqual(second, first)
    assert.deepEqual(await published(), [second, first])
    provider.rotateKeys({ removeOld: true })
    const third = kidOf(await provider.accessToken())
    assert.deepEqual(await published(), [third])
  })

  it('is survived by an app that is logged in to', async () => {
    const app = createApp()
    await shared().login(app)
    shared().rotateKeys({ removeOld: true })
    assert.equal(await codeOfLogin(app), 'logged in')
  })
})

describe('provider.sendBackChannelLogout()', () => {
  async function statusOf(app: Parameters<typeof request>[0], cookie: string): Promise<number> {
    return (await request(app).get('/profile').set('Cookie', cookie)).status
  }

  it('ends one session by its sid, or all of a user by sub', async () => {
    const app = createApp()
    const [one, two, other] = [
      await shared().login(app),
      await shared().login(app),
      await shared().login(app, { sub: 'joan' }),
    ]
    await shared().sendBackChannelLogout(app, { sid: one.sid })
    assert.deepEqual([await statusOf(app, one.cookie), await statusOf(app, two.cookie)], [401, 200])
    await shared().sendBackChannelLogout(app, { sub: 'alice' })
    assert.deepEqual([await statusOf(app, two.cookie), await statusOf(app, other.cookie)], [401, 200])
  })

  it('finds a route with another path', async () => {
    const app = createApp({ routes: { backchannelLogout: '/logged-out' } })
    const { cookie, sub } = await shared().login(app)
    await shared().sendBackChannelLogout(app, { sub, path: '/logged-out' })
    assert.equal(await statusOf(app, cookie), 401)
  })

  it('rejects if the app does not take the token, and says why', async () => {
    const refused = { code: 'ERR_OIDC_TESTING' }
    await assert.rejects(shared().sendBackChannelLogout(createApp(), { sub: 'alice', path: '/nowhere' }), {
      ...refused,
      message: /answered 404 to the logout token at "\/nowhere"/,
    })
    await assert.rejects(shared().sendBackChannelLogout(createApp(), { sub: 'alice', clientId: 'other' }), {
      ...refused,
      message: /answered 400 .*clientId/,
    })
    await assert.rejects(shared().sendBackChannelLogout(createApp(), {}), { ...refused, message: /needs sub or sid/ })
  })
})
