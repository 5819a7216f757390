import assert from 'node:assert/strict'
import { after, before, describe, it, mock } from 'node:test'
import { MemoryStore } from 'express-session'
import { oidc, type SessionTarget } from '../../lib/index.ts'
import { memoryState } from '../../lib/state/memory-state.ts'
import type { SharedState } from '../../lib/state/shared-state.ts'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { answerBy, answerJson, type Routes } from '../support/app/app-routes.ts'
import { isIn, observeLogouts, subjectOf } from '../support/app/logout-observer.ts'
import { createSharedStores } from '../support/app/nodes.ts'
import { isTokens } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { FaultyStore } from '../support/hostile/fault-injection.ts'
import { type Ground, KINDS } from '../support/servers/shared-states.ts'

const routes: Routes = {
  '/id': answerJson((req) => ({ id: Reflect.get(req, 'sessionID') })),
  '/log-out': answerBy(({ oidc }) => oidc.logout()),
}

const stage = createStage({ app: { errorHandler: 'json', routes } })
const seen = observeLogouts()

/** Another browser of the same user. */
async function logInAgain(app: TestApp): Promise<Browser> {
  const browser = app.browser()
  assert.equal((await browser.open(`${app.baseUrl}/profile`)).status, 200)
  return browser
}

async function idOf(browser: Browser): Promise<string> {
  return String((await browser.fetch('/id')).json()['id'])
}

describe('auth.sessions.list()', () => {
  it('lists the logins of a user, the newest first, and marks the current one', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const { app, browser } = await stage.startLoggedIn()
    mock.timers.tick(5000)
    const second = await logInAgain(app)
    const { sub } = await subjectOf(browser)
    const found = await app.auth.sessions.list({ sub, current: await idOf(browser) })
    assert.deepEqual(
      found.map((one) => [one.sub, one.provider, one.issuer, one.isCurrent]),
      [
        [sub, 'default', stage.provider.issuer, false],
        [sub, 'default', stage.provider.issuer, true],
      ],
    )
    assert.deepEqual([Number(found[0]?.loggedInAt) - Number(found[1]?.loggedInAt), await isIn(second)], [5, true])
  })

  it('takes the issuer of the user too, and a session id of nobody ends nothing', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const { sub } = await subjectOf(browser)
    const { issuer } = stage.provider
    assert.equal((await app.auth.sessions.list({ sub, issuer })).length, 1)
    assert.equal(await app.auth.sessions.end({ sub, sessionId: 'of nobody' }), 0)
    assert.equal(await isIn(browser), true)
  })

  it('lists the logins of one session at the provider', async () => {
    const { app, browser } = await stage.startLoggedIn()
    await logInAgain(app)
    const { sid } = await subjectOf(browser)
    assert.deepEqual(
      (await app.auth.sessions.list({ sid })).map((one) => one.sid),
      [sid],
    )
  })

  it('shows no token, no session id, no cookie, and no claims but those that name the login', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const { sub } = await subjectOf(browser)
    const text = JSON.stringify(await app.auth.sessions.list({ sub }))
    const tokens = (await browser.fetch('/tokens')).json()
    const secrets = [await idOf(browser), ...Object.values(tokens).filter((value) => typeof value === 'string')]
    for (const secret of secrets) assert.ok(secret === 'Bearer' || !text.includes(String(secret)))
    assert.deepEqual(Object.keys(JSON.parse(text)[0]).sort(), [
      ...['expiresAt', 'isCurrent', 'issuer', 'loggedInAt', 'provider', 'sessionId', 'sid', 'sub'],
    ])
  })

  it('leaves out a login that has expired, has ended, or has lost its tokens', async () => {
    const { app, browser } = await stage.startLoggedIn({ idleTimeout: 600 })
    const second = await logInAgain(app)
    const { sub } = await subjectOf(browser)
    await second.fetch('/log-out')
    assert.equal((await app.auth.sessions.list({ sub })).length, 1)
    for (const id of Object.keys(await app.records()).filter(isTokens)) app.store.destroy(id)
    assert.equal((await app.auth.sessions.list({ sub })).length, 0)
    await logInAgain(app)
    assert.equal((await app.auth.sessions.list({ sub })).length, 1)
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 601_000 })
    assert.equal((await app.auth.sessions.list({ sub })).length, 0)
  })

  it('rejects if a session cannot be read, and does not hide it', async () => {
    const store = new FaultyStore()
    const { app, browser } = await stage.startLoggedIn({}, { session: { store } })
    const { sub } = await subjectOf(browser)
    const id = await idOf(browser)
    store.act = (name, run, fail) => (name === `get ${id}` ? fail(new Error('out of order')) : run())
    await assert.rejects(app.auth.sessions.list({ sub }), { code: 'ERR_OIDC_SESSION_STORE' })
  })

  it('rejects in a process that has handled no request, unless it is given the store', async () => {
    const [store, other] = createSharedStores(2)
    const { app, browser } = await stage.startLoggedIn({}, { session: { store } })
    const { sub } = await subjectOf(browser)
    const { issuer, clientId, clientSecret } = stage.provider
    const secret = 'a secret for those whose own is short'
    const job = oidc({
      issuer,
      clientId,
      clientSecret,
      secret,
      baseUrl: app.baseUrl,
      dangerouslyAllowInsecureRequests: true,
    })
    await assert.rejects(job.sessions.list({ sub }), { code: 'ERR_OIDC_SESSION_MISSING' })
    assert.ok(other)
    assert.equal((await job.sessions.list({ sub, store: other })).length, 1)
    assert.equal(await job.sessions.end({ sub, store: other }), 1)
    assert.equal(await isIn(browser), false)
  })
})

describe('auth.sessions.end()', () => {
  it('ends all logins of a user with their tokens, and nobody else', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const second = await logInAgain(app)
    const { sub } = await subjectOf(browser)
    stage.provider.change.idTokenClaims = (claims) => ({ ...claims, sub: 'somebody-else' })
    stage.provider.change.userinfo = (claims) => ({ ...claims, sub: 'somebody-else' })
    const foreign = await logInAgain(app)
    assert.equal(await app.auth.sessions.end({ sub }), 2)
    assert.deepEqual([await isIn(browser), await isIn(second), await isIn(foreign)], [false, false, true])
    assert.equal(Object.keys(await app.records()).filter(isTokens).length, 1)
    assert.deepEqual(
      seen.logouts.map(({ how, sub: who }) => [how, who]),
      [
        ['application', sub],
        ['application', sub],
      ],
    )
    assert.deepEqual(seen.errors, [])
  })

  it('keeps the session that except names, by its id or by its name in the list', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const { sub } = await subjectOf(browser)
    const second = await logInAgain(app)
    assert.equal(await app.auth.sessions.end({ sub, except: await idOf(browser) }), 1)
    assert.deepEqual([await isIn(browser), await isIn(second)], [true, false])
    const third = await logInAgain(app)
    const [named] = (await app.auth.sessions.list({ sub, current: await idOf(third) })).filter((one) => one.isCurrent)
    assert.equal(await app.auth.sessions.end({ sub, except: String(named?.sessionId) }), 1)
    assert.deepEqual([await isIn(browser), await isIn(third)], [false, true])
  })

  it('keeps it too if the shared state loses all sessions afterwards, and ends the others', async () => {
    const [first, next] = [memoryState(), memoryState()]
    const [store, other] = createSharedStores(2)
    const { app, browser } = await stage.startLoggedIn({ sharedState: first }, { session: { store } })
    const { sub } = await subjectOf(browser)
    const second = await logInAgain(app)
    const restarted = await stage.start({ sharedState: next, baseUrl: app.baseUrl }, { session: { store: other } })
    // The new state knows neither session, so only the record of the logout can end the second one.
    await restarted.auth.sessions.end({ sub, except: await idOf(browser), store: required(other) })
    assert.deepEqual([await isIn(browser, restarted), await isIn(second, restarted)], [true, false])
  })

  it('ends one session by its name in the list, and only if it is of the given user', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const second = await logInAgain(app)
    const { sub } = await subjectOf(browser)
    const sessions = await app.auth.sessions.list({ sub, current: await idOf(browser) })
    const name = String(sessions.find((one) => one.isCurrent)?.sessionId)
    assert.equal(await app.auth.sessions.end({ sub: 'mallory', sessionId: name }), 0)
    assert.deepEqual([await isIn(browser), await isIn(second)], [true, true])
    assert.equal(await app.auth.sessions.end({ sub, sessionId: name }), 1)
    assert.deepEqual([await isIn(browser), await isIn(second)], [false, true])
    assert.equal(await app.auth.sessions.end({ sub, sessionId: name }), 0)
  })

  it('ends one session by req.sessionID, and the logins of one session at the provider', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const second = await logInAgain(app)
    assert.equal(await app.auth.sessions.end({ sessionId: await idOf(browser) }), 1)
    const { sid } = await subjectOf(second)
    assert.equal(await app.auth.sessions.end({ sid: 'another' }), 0)
    assert.equal(await app.auth.sessions.end({ sid }), 1)
    assert.deepEqual([await isIn(browser), await isIn(second)], [false, false])
  })

  it('revokes the tokens at the provider, unless revokeTokens is false', async () => {
    for (const revokeTokens of [true, false]) {
      stage.provider.reset()
      const { app, browser } = await stage.startLoggedIn({ scope: 'openid offline_access', revokeTokens })
      const { sub } = await subjectOf(browser)
      await app.auth.sessions.end({ sub })
      const revoked = stage.provider.requests.filter(({ form }) => form.has('token_type_hint')).length
      assert.equal(revoked > 0, revokeTokens)
    }
  })

  it('ends the login even if its tokens cannot be read', async () => {
    const store = new FaultyStore()
    const { app, browser } = await stage.startLoggedIn({}, { session: { store } })
    const { sub } = await subjectOf(browser)
    store.act = (name, run, fail) => (/^get oidc-tokens/.test(name) ? fail(new Error('out of order')) : run())
    assert.equal(await app.auth.sessions.end({ sub }), 1)
    store.act = (_name, run) => run()
    assert.deepEqual([await isIn(browser), codesOf(app)], [false, []])
  })

  it('rejects if a session cannot be ended, and ends it at the next call', async () => {
    const store = new FaultyStore()
    const { app, browser } = await stage.startLoggedIn({}, { session: { store } })
    const { sub } = await subjectOf(browser)
    const id = await idOf(browser)
    store.act = (name, run, fail) => (name === `destroy ${id}` ? fail(new Error('out of order')) : run())
    await assert.rejects(app.auth.sessions.end({ sub }), { code: 'ERR_OIDC_SESSION_STORE' })
    store.act = (_name, run) => run()
    await app.auth.sessions.end({ sub })
    assert.equal(await isIn(browser), false)
  })

  it('rejects if the shared state cannot be reached', async () => {
    const state = memoryState()
    let isDown = false
    const members: SharedState['members'] = async (key) => {
      if (isDown) throw new Error('out of order')
      return state.members(key)
    }
    const { app, browser } = await stage.startLoggedIn({ sharedState: { ...state, members } })
    const { sub } = await subjectOf(browser)
    isDown = true
    await assert.rejects(app.auth.sessions.end({ sub }), { code: 'ERR_OIDC_SHARED_STATE' })
    await assert.rejects(app.auth.sessions.list({ sub }), { code: 'ERR_OIDC_SHARED_STATE' })
  })
})

describe('what auth.sessions refuses, and ends nothing', () => {
  const REFUSED: readonly (readonly [name: string, target: object])[] = [
    ['no target', {}],
    ['undefined', { sub: undefined }],
    ['an empty sub', { sub: '' }],
    ['an empty sid', { sid: '' }],
    ['an empty sessionId', { sessionId: '' }],
    ['a sub that is no text', { sub: { $ne: '' } }],
    ['a list of subs', { sub: ['ada'] }],
    ['except alone', { except: 'a' }],
    ['an undefined except', { sub: 'account-1', except: undefined }],
    ['a misspelt except', { sub: 'account-1', exept: 'a' }],
    ['an unknown provider', { sub: 'account-1', provider: 'other' }],
    ['an issuer that is not configured', { sub: 'account-1', issuer: 'https://evil.example' }],
  ]
  for (const [name, target] of REFUSED) {
    it(name, async () => {
      const { app, browser } = await stage.startLoggedIn()
      await assert.rejects(app.auth.sessions.end(target as SessionTarget), { code: 'ERR_OIDC_CONFIG' })
      await assert.rejects(app.auth.sessions.list(target as SessionTarget), { code: 'ERR_OIDC_CONFIG' })
      assert.equal(await isIn(browser), true)
    })
  }

  it('a sub without its provider, if there are several', async () => {
    const { issuer, clientId, clientSecret } = stage.provider
    const one = { issuer, clientId, clientSecret }
    const app = await stage.start({ providers: { one, two: { ...one, clientId: 'other' } } })
    await app.browser().fetch('/')
    await assert.rejects(app.auth.sessions.end({ sub: 'ada' }), { code: 'ERR_OIDC_CONFIG' })
    assert.equal(await app.auth.sessions.end({ sub: 'ada', provider: 'two' }), 0)
  })
})

for (const { name, skip, start } of KINDS) {
  describe(`auth.sessions on two nodes with ${name}`, { skip }, () => {
    let ground: Ground
    before(async () => {
      ground = await start()
    })
    after(() => ground.stop())

    it('lists and ends the logins of the other node', async () => {
      const stores = createSharedStores(2)
      const states: SharedState[] = [await ground.node(), await ground.node()]
      const nodes: TestApp[] = []
      for (const [index, sharedState] of states.entries()) {
        const baseUrl = nodes[0]?.baseUrl
        const options = { sharedState, ...(baseUrl === undefined ? {} : { baseUrl }) }
        nodes.push(await stage.start(options, { session: { store: required(stores[index]) } }))
      }
      const [one, other] = [required(nodes[0]), required(nodes[1])]
      const [browser, second] = [await logInAgain(one), await logInAgain(one)]
      const { sub } = await subjectOf(browser)
      await other.browser().fetch('/')
      assert.equal((await other.auth.sessions.list({ sub })).length, 2)
      assert.equal(await other.auth.sessions.end({ sub, except: await idOf(browser) }), 1)
      assert.deepEqual([await isIn(browser, one), await isIn(second, one)], [true, false])
      assert.equal((await one.auth.sessions.list({ sub })).length, 1)
    })
  })
}

it('accepts the type of a store of express-session', () => {
  const store: NonNullable<SessionTarget['store']> = new MemoryStore()
  assert.ok(store)
})

function required<Value>(value: Value | undefined): Value {
  assert.ok(value)
  return value
}
