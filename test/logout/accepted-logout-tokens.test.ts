import assert from 'node:assert/strict'
import { createPublicKey, randomUUID } from 'node:crypto'
import { before, describe, it, mock } from 'node:test'
import { memoryState } from '../../lib/state/memory-state.ts'
import type { AnyOptions, TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { isIn, logoutUri, postAsServer, subjectOf } from '../support/app/logout-observer.ts'
import { createSharedStores } from '../support/app/nodes.ts'
import { createRsaKeyPair } from '../support/app/rsa-keys.ts'
import { createSeveralProviders } from '../support/app/several-providers.ts'
import { signJws } from '../support/app/signing-keys.ts'
import { createStage } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { FaultyStore, postToken, REFRESH_SCOPE, startAged } from '../support/hostile/fault-injection.ts'
import { EVIL_HTML } from '../support/hostile/hostile.ts'
import type { JsonObject } from '../support/strict-provider/context.ts'
import { LOGOUT_EVENT } from '../support/strict-provider/logout-token.ts'
import type { StrictProvider } from '../support/strict-provider/provider.ts'

// Which sessions a logout token ends, how often, and on which node.

const routes: Routes = {
  '/token-for': answerJson(async ({ oidc, url }) => {
    const query = new URLSearchParams(url?.split('?')[1])
    const [scope, resource] = [query.get('scope') ?? undefined, query.get('resource') ?? undefined]
    return { token: await oidc.accessToken({ scope, resource }) }
  }),
  '/userinfo': answerJson(({ oidc }) => oidc.userinfo()),
}

const stage = createStage({ app: { errorHandler: 'json', routes } })

function refreshForms({ requests }: StrictProvider): readonly URLSearchParams[] {
  return requests.map(({ form }) => form).filter((form) => form.get('grant_type') === 'refresh_token')
}

async function logIn(app: TestApp, browser: Browser = app.browser()): Promise<Browser> {
  const page = await browser.open(`${app.baseUrl}/login?returnTo=/profile`)
  assert.equal(page.status, 200, page.body)
  return browser
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

describe('a logout token', () => {
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

describe('a logout token with several providers', () => {
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
