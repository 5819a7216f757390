import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Store } from 'express-session'
import { createProviderLogouts } from '../../lib/session/end-login.ts'
import type { SessionRequest } from '../../lib/session/express-session.ts'
import { createSessionIndex, keysOfLogin, keysOfTarget, matchesTarget } from '../../lib/session/session-index.ts'
import { createStoreWatch } from '../../lib/session/store-watch.ts'
import { type OidcSession, readOidcSession } from '../../lib/session/stored-session.ts'
import { createTokenRecords } from '../../lib/session/token-record.ts'
import { memoryState } from '../../lib/state/memory-state.ts'
import type { SharedState, StoreLike } from '../../lib/state/shared-state.ts'
import type { Login } from '../../lib/types.ts'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { answerBy, answerJson } from '../support/app/app-routes.ts'
import { isIn, logoutUri, observeLogouts, subjectOf } from '../support/app/logout-observer.ts'
import { createGate, createSharedStores } from '../support/app/nodes.ts'
import { isSharedRecord, isTokens } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import type { Browser } from '../support/browser/browser.ts'

const ISSUER = 'https://op.test'
const PLACE = {
  origin: 'https://app.test',
  basePath: '',
  sessionKey: 'oidc',
  clientIds: new Map([['default', 'client']]),
  loginLifetime: 600,
  transactionLifetime: 600,
  secrets: ['a secret of at least 32 characters'],
}

function loginOf(sub: string, sid?: string, issuer: string = ISSUER): Login {
  const now = Math.floor(Date.now() / 1000)
  const claims = { iss: issuer, sub, ...(sid === undefined ? {} : { sid }) }
  return { claims, scope: 'openid', loggedInAt: now, expiresAt: now + 600 }
}

/** The session services of one node, and its store. */
function createNode(store: Store, state: SharedState) {
  const like = store as unknown as StoreLike
  const index = createSessionIndex(PLACE, () => state)
  const tokenRecords = createTokenRecords(PLACE)
  const storeWatch = createStoreWatch(PLACE, index, tokenRecords)
  const providerLogouts = createProviderLogouts(PLACE, { index, storeWatch, tokenRecords })
  storeWatch.watch({ sessionStore: like })
  const run = (act: (done: (error?: unknown, data?: unknown) => void) => void): Promise<unknown> =>
    new Promise((resolve, reject) => act((error, data) => (error ? reject(error) : resolve(data))))
  return {
    store: like,
    index,
    tokenRecords,
    storeWatch,
    providerLogouts,
    get: (id: string) => run((done) => like.get(id, done)),
    set: (id: string, data: object) => run((done) => like.set(id, data, done)),
    logIn: async (id: string, login: Login): Promise<OidcSession> => {
      const tokensId = await tokenRecords.save(like, { idToken: 'token' }, login)
      const held = { login, tokensId }
      await run((done) => like.set(id, { cookie: {}, oidc: held }, done))
      return held
    },
    end: async (target: { sub?: string; sid?: string; issuer?: string }) => {
      const full = { provider: 'default', issuer: ISSUER, ...target }
      await providerLogouts.recordLogout(like, full)
      return (await providerLogouts.endSessions(like, full, 'backchannel')).map(({ claims }) => claims.sub)
    },
  }
}

function createNodes(count: number, state: SharedState = memoryState()) {
  return createSharedStores(count).map((store) => createNode(store, state)) as [
    ReturnType<typeof createNode>,
    ReturnType<typeof createNode>,
  ]
}

describe('the target of a logout', () => {
  const target = { provider: 'default', issuer: ISSUER }

  it('is one session if it has a sid, whatever sub it has', () => {
    const [own, other] = [loginOf('ada', 's1'), loginOf('ada', 's2')]
    for (const sub of ['ada', 'another', undefined]) {
      assert.deepEqual(
        [own, other].map((login) => matchesTarget(login, { ...target, sid: 's1', sub })),
        [true, false],
      )
    }
  })

  it('is every session of the user if it has only a sub', () => {
    const logins = [loginOf('ada', 's1'), loginOf('ada'), loginOf('bob', 's1')]
    assert.deepEqual(
      logins.map((login) => matchesTarget(login, { ...target, sub: 'ada' })),
      [true, true, false],
    )
  })

  it('includes a login without a sid if it names its user', () => {
    assert.equal(matchesTarget(loginOf('ada'), { ...target, sid: 's1', sub: 'ada' }), true)
    assert.equal(matchesTarget(loginOf('ada'), { ...target, sid: 's1' }), false)
  })

  it('includes no login of another issuer or provider', () => {
    const sid = { sid: 's1', sub: 'ada' }
    assert.equal(matchesTarget(loginOf('ada', 's1', 'https://other.test'), { ...target, ...sid }), false)
    assert.equal(matchesTarget({ ...loginOf('ada', 's1'), provider: 'b' }, { ...target, ...sid }), false)
    assert.equal(matchesTarget(loginOf('ada', 's1'), { ...target, provider: 'b', ...sid }), false)
  })

  it('has keys in common with the logins that it names, and with no others', () => {
    const keys = keysOfLogin(PLACE, loginOf('ada', 's1'))
    const found = (more: object): boolean =>
      keysOfTarget(PLACE, { ...target, ...more }).some((key) => keys.includes(key))
    assert.deepEqual([found({ sid: 's1' }), found({ sub: 'ada' }), found({ sid: 's1', sub: 'x' })], [true, true, true])
    assert.deepEqual(
      [found({ sid: 'ada' }), found({ sub: 's1' }), found({}), found({ sid: 's2', sub: 'ada' })],
      Array(4).fill(false),
    )
    for (const key of keys) assert.match(key, /^[\w-]{43}$/)
  })

  it('has other keys in each application that shares the state', () => {
    const [key] = keysOfLogin(PLACE, loginOf('ada', 's1'))
    const registered = { ...PLACE, clientIds: new Map([['default', '']]) }
    const others = [
      { ...PLACE, clientIds: new Map([['default', 'another']]) },
      { ...PLACE, sessionKey: 'other' },
      registered,
      { ...registered, origin: 'https://b.test' },
    ].map((place) => keysOfLogin(place, loginOf('ada', 's1'))[0])
    assert.equal(new Set([key, ...others]).size, 5)
    assert.equal(keysOfLogin({ ...PLACE, origin: 'https://b.test' }, loginOf('ada', 's1'))[0], key)
  })
})

describe('the session index', () => {
  it('has each session with a login from its first write until it ends', async () => {
    const [node] = createNodes(1)
    const held = await node.logIn('id', loginOf('ada', 's1'))
    const keys = keysOfLogin(PLACE, held.login)
    const entry = { sessionId: 'id', tokensId: held.tokensId }
    for (const key of keys) assert.deepEqual(await node.index.find(node.store, [key]), [entry])
    const session = { oidc: held } as unknown as SessionRequest['session']
    await node.storeWatch.unindex({ sessionID: 'id', sessionStore: node.store, session })
    assert.deepEqual(await node.index.find(node.store, keys), [])
  })

  it('keeps a login as long as a login can last, even if this one expires earlier', async (context) => {
    context.mock.timers.enable({ apis: ['Date'] })
    const [node] = createNodes(1)
    await node.logIn('a', { ...loginOf('ada', 's1'), expiresAt: Date.now() / 1000 + 10 })
    context.mock.timers.tick(599_000)
    assert.equal((await node.index.find(node.store, keysOfLogin(PLACE, loginOf('ada', 's1')))).length, 1)
    context.mock.timers.tick(2_000_000)
    assert.equal((await node.index.find(node.store, keysOfLogin(PLACE, loginOf('ada', 's1')))).length, 0)
  })

  it('works with any character in a session id', async () => {
    const [node] = createNodes(1)
    await node.logIn('an id: with spaces ', loginOf('ada', 's1'))
    assert.deepEqual(await node.end({ sid: 's1' }), ['ada'])
    assert.equal(await node.get('an id: with spaces '), undefined)
  })

  it('ends the sessions of other nodes, with their tokens', async () => {
    const [one, two] = createNodes(2)
    const { tokensId } = await one.logIn('a', loginOf('ada', 's1'))
    await two.logIn('b', loginOf('ada', 's2'))
    await two.logIn('c', loginOf('bob', 's3'))
    assert.deepEqual(await two.end({ sub: 'ada' }), ['ada', 'ada'])
    assert.deepEqual([await one.get('a'), await one.get('b')], [undefined, undefined])
    assert.equal(await one.get(`oidc-tokens-${tokensId}`), undefined)
    assert.ok(await one.get('c'))
  })

  it('does not end a session that now belongs to another user', async () => {
    const [node] = createNodes(1)
    const held = await node.logIn('a', loginOf('ada', 's1'))
    // Another user in the same session, without a new id.
    const login = loginOf('bob', 's2')
    const tokensId = await node.tokenRecords.save(node.store, { idToken: 'token' }, login)
    await node.set('a', { cookie: {}, oidc: { login, tokensId } })
    assert.deepEqual(await node.end({ sub: 'ada' }), [])
    assert.ok(await node.get('a'))
    assert.deepEqual(await node.index.find(node.store, keysOfLogin(PLACE, held.login).slice(0, 1)), [])
  })

  it('does not destroy a session from which the application has removed the login', async () => {
    const [node] = createNodes(1)
    const { tokensId } = await node.logIn('a', loginOf('ada', 's1'))
    await node.set('a', { cookie: {}, cart: 'book' })
    assert.deepEqual(await node.end({ sub: 'ada' }), [])
    await node.set('a', { cookie: {}, cart: 'books' })
    assert.deepEqual(await node.get('a'), { cookie: {}, cart: 'books' })
    assert.equal(await node.get(`oidc-tokens-${tokensId}`), undefined)
  })

  it('keeps the entry of a session that could not be ended, ends the others, and can be retried', async () => {
    const [node] = createNodes(1)
    await node.logIn('a', loginOf('ada', 's1'))
    await node.logIn('b', loginOf('ada', 's2'))
    const { destroy } = node.store
    node.store.destroy = (id, done) => (id === 'a' ? done(new Error('down')) : destroy.call(node.store, id, done))
    await assert.rejects(node.end({ sub: 'ada' }), { code: 'ERR_OIDC_SESSION_STORE' })
    assert.deepEqual([typeof (await node.get('a')), await node.get('b')], ['object', undefined])
    node.store.destroy = destroy
    assert.deepEqual(await node.end({ sub: 'ada' }), ['ada'])
    assert.equal(await node.get('a'), undefined)
  })

  it('ends a session that cannot be read', async () => {
    const [node] = createNodes(1)
    await node.logIn('a', loginOf('ada', 's1'))
    const { get } = node.store
    node.store.get = (id, done) => (id === 'a' ? done(new Error('no JSON')) : get.call(node.store, id, done))
    assert.deepEqual(await node.end({ sub: 'ada' }), [])
    node.store.get = get
    assert.equal(await node.get('a'), undefined)
  })

  it('neither keeps nor finds a login that is written after it has ended, under whatever id', async () => {
    const [one, two] = createNodes(2)
    const held = await one.logIn('a', loginOf('ada', 's1'))
    await two.end({ sid: 's1' })
    for (const id of ['a', 'another']) {
      await one.set(id, { cookie: {}, oidc: { ...held } })
      assert.equal(await one.get(id), undefined)
    }
    assert.deepEqual(await one.index.find(one.store, keysOfLogin(PLACE, held.login)), [])
  })

  it('N-9: destroys a login again that a request writes long after its logout on another node', async (context) => {
    context.mock.timers.enable({ apis: ['Date'] })
    const [one, two] = createNodes(2)
    const held = await one.logIn('a', { ...loginOf('ada', 's1'), expiresAt: Date.now() / 1000 + 3600 })
    await two.end({ sid: 's1' })
    context.mock.timers.tick(605_000)
    for (const id of ['a', 'another']) {
      await one.set(id, { cookie: {}, oidc: { ...held } })
      assert.equal(await one.get(id), undefined)
    }
    assert.deepEqual(await one.index.find(one.store, keysOfLogin(PLACE, held.login)), [])
  })

  it('N-9: deletes the token record before it destroys the session', async () => {
    const [node] = createNodes(1)
    const { tokensId } = await node.logIn('a', loginOf('ada', 's1'))
    const destroyed: string[] = []
    const { destroy } = node.store
    node.store.destroy = (id, done) => {
      destroyed.push(id)
      destroy.call(node.store, id, done)
    }
    await node.end({ sub: 'ada' })
    const deletedAt = destroyed.findIndex((id) => id.includes(tokensId))
    assert.ok(deletedAt >= 0 && deletedAt < destroyed.indexOf('a'), destroyed.join(' '))
  })

  it('N-9: keeps what the application stored beside a login that has expired', async () => {
    const [node] = createNodes(1)
    const held = { login: { ...loginOf('ada', 's1'), expiresAt: Date.now() / 1000 - 1 }, tokensId: 'expired' }
    await node.set('a', { cookie: {}, oidc: held, cart: 'book' })
    assert.equal(Object(await node.get('a')).cart, 'book')
  })

  for (const failing of ['the token record', 'the session'] as const) {
    it(`N-6: ends the rest if ${failing} cannot be deleted, and ends all when the provider tries again`, async () => {
      const [node] = createNodes(1)
      const { tokensId } = await node.logIn('a', loginOf('ada', 's1'))
      const { destroy } = node.store
      node.store.destroy = (id, done) => {
        if ((id === 'a') === (failing === 'the session')) done(new Error('the store is down'))
        else destroy.call(node.store, id, done)
      }
      await assert.rejects(node.end({ sub: 'ada' }), { code: 'ERR_OIDC_SESSION_STORE' })
      const left = [(await node.get('a')) !== undefined, await node.tokenRecords.has(node.store, tokensId)]
      assert.deepEqual(left, failing === 'the session' ? [true, false] : [false, true])
      node.store.destroy = destroy
      await node.end({ sub: 'ada' })
      assert.deepEqual([await node.get('a'), await node.tokenRecords.has(node.store, tokensId)], [undefined, false])
    })
  }

  it('works with a store that reports a missing record as an error', async () => {
    const [node] = createNodes(1)
    const { get } = node.store
    const missing = Object.assign(new Error('no such file'), { code: 'ENOENT' })
    node.store.get = (id, done) =>
      get.call(node.store, id, (error, data) => (data === undefined ? done(missing) : done(error, data)))
    assert.equal(await node.providerLogouts.wasLoggedOutSince(node.store, loginOf('ada', 's1'), 1), false)
    await node.logIn('a', loginOf('ada', 's1'))
    assert.deepEqual(await node.end({ sub: 'ada' }), ['ada'])
    assert.equal(await node.providerLogouts.wasLoggedOutSince(node.store, loginOf('ada', 's1'), 1), true)
  })

  it('records a logout for logins of that user or session that were started before it', async () => {
    const [node] = createNodes(1)
    const before = Date.now() / 1000
    await node.end({ sub: 'ada' })
    await node.end({ sid: 's9' })
    const reached = (login: Login, startedAt: number) =>
      node.providerLogouts.wasLoggedOutSince(node.store, login, startedAt)
    assert.equal(await reached(loginOf('ada', 's1'), before), true)
    assert.equal(await reached(loginOf('ada'), before), true)
    assert.equal(await reached(loginOf('bob', 's9'), before), true)
    assert.equal(await reached(loginOf('bob', 's1'), before), false)
    assert.equal(await reached(loginOf('ada', 's1', 'https://other.test'), before), false)
    assert.equal(await reached(loginOf('ada', 's1'), Date.now() / 1000 + 0.001), false)
  })

  it('has no session after a logout at the same moment as the login, in any order of the steps', async () => {
    const steps = ['add', 'set', 'has'] as const
    for (const step of steps) {
      const [one, two] = createNodes(2)
      const startedAt = Date.now() / 1000
      const original = { add: one.index.add, set: one.store.set, has: one.tokenRecords.has }
      const logout = async (): Promise<void> => void (await two.end({ sub: 'ada' }))
      if (step === 'add')
        Object.assign(one.index, {
          add: async (...args: Parameters<typeof original.add>) => {
            await logout()
            await original.add(...args)
          },
        })
      if (step === 'has')
        Object.assign(one.tokenRecords, {
          has: async (...args: Parameters<typeof original.has>) => {
            await logout()
            return await original.has(...args)
          },
        })
      if (step === 'set')
        Object.assign(one.index, {
          add: async (...args: Parameters<typeof original.add>) => {
            await original.add(...args)
            await logout()
          },
        })
      const { login } = await one.logIn('a', loginOf('ada', 's1'))
      // As the callback does.
      const isReached = await one.providerLogouts.wasLoggedOutSince(one.store, login, startedAt)
      assert.ok(isReached, step)
      if (step !== 'add') assert.equal(await one.get('a'), undefined, step)
    }
  })
})

for (const [name, settings] of [
  ['in the session store', (): { sharedState?: SharedState } => ({})],
  ['in a shared state', () => ({ sharedState: memoryState() })],
] as const) {
  describe(`two nodes with their index ${name}`, () => {
    const stage = createStage({ app: { errorHandler: 'json' } })
    const seen = observeLogouts()

    async function startNodes(routes: Parameters<typeof stage.start>[1] = {}): Promise<readonly [TestApp, TestApp]> {
      const options = settings()
      const [first, second] = createSharedStores(2)
      if (!first || !second) throw new Error('there are no stores')
      return [
        await stage.start(options, { ...routes, session: { ...routes.session, store: first } }),
        await stage.start(options, { ...routes, session: { ...routes.session, store: second } }),
      ]
    }

    async function logIn(app: TestApp, browser: Browser = app.browser()): Promise<Browser> {
      const page = await browser.open(`${app.baseUrl}/profile`)
      assert.equal(page.status, 200, page.body)
      return browser
    }

    it('end a session that was started at the other node', async () => {
      const [one, two] = await startNodes()
      const browser = await logIn(one)
      const answer = await stage.provider.postLogoutToken(logoutUri(two), await subjectOf(browser, one))
      assert.equal(answer.status, 200)
      assert.deepEqual([await isIn(browser, one), await isIn(browser, two)], [false, false])
      assert.deepEqual(Object.keys(await one.records()), [])
    })

    for (const [how, session] of [
      ['writes its session', {}],
      ['saves its session at each request', { resave: true }],
    ] as const) {
      it(`do not write a session back by a request that ${how} after the logout at the other node`, async () => {
        const gate = createGate()
        const slow = answerBy(async (req, res) => {
          await gate.pass()
          if (!('resave' in session)) req.session['seen'] = 'late'
          res.end('done')
        })
        const [one, two] = await startNodes({ routes: { '/slow': slow }, session })
        const browser = await logIn(one)
        const subject = await subjectOf(browser, one)
        const answer = browser.fetch(`${one.baseUrl}/slow`)
        await gate.hasArrived
        assert.equal((await stage.provider.postLogoutToken(logoutUri(two), subject)).status, 200)
        gate.open()
        assert.equal((await answer).body, 'done')
        assert.deepEqual([await one.sessions(), await isIn(browser, one), await isIn(browser, two)], [0, false, false])
      })
    }

    it('N-9: do not bring a login back by a request that ends 605 seconds after its logout at the other node', async (context) => {
      const gate = createGate()
      const slow = answerBy(async (req, res) => {
        await gate.pass()
        req.session['seen'] = 'late'
        res.end('done')
      })
      const [one, two] = await startNodes({ routes: { '/slow': slow } })
      const browser = await logIn(one)
      const subject = await subjectOf(browser, one)
      const answer = browser.fetch(`${one.baseUrl}/slow`)
      await gate.hasArrived
      assert.equal((await stage.provider.postLogoutToken(logoutUri(two), subject)).status, 200)
      context.mock.timers.enable({ apis: ['Date'], now: Date.now() + 605_000 })
      gate.open()
      assert.equal((await answer).body, 'done')
      assert.deepEqual([await one.sessions(), await isIn(browser, one), await isIn(browser, two)], [0, false, false])
    })

    it('do not write a session back after a logout of the user at the other node', async () => {
      const gate = createGate()
      const slow = answerBy(async (req, res) => {
        await gate.pass()
        req.session['seen'] = 'late'
        res.end('done')
      })
      const [one, two] = await startNodes({ routes: { '/slow': slow } })
      const browser = await logIn(one)
      const thief = browser.clone()
      const answer = browser.fetch(`${one.baseUrl}/slow`)
      await gate.hasArrived
      await browser.post(`${two.baseUrl}/logout`, {}, { from: two.origin })
      gate.open()
      await answer
      assert.deepEqual([await one.sessions(), await isIn(thief, one)], [0, false])
    })

    it('do not write a login back under a new session id', async () => {
      const gate = createGate()
      const renew = answerBy(async (req, res) => {
        await gate.pass()
        const { oidc, regenerate } = req.session
        if (typeof regenerate !== 'function') throw new Error('no session')
        await new Promise((resolve) => regenerate.call(req.session, resolve))
        req.session['oidc'] = oidc
        res.end('done')
      })
      const [one, two] = await startNodes({ routes: { '/renew': renew } })
      const browser = await logIn(one)
      const subject = await subjectOf(browser, one)
      const answer = browser.fetch(`${one.baseUrl}/renew`)
      await gate.hasArrived
      await stage.provider.postLogoutToken(logoutUri(two), subject)
      gate.open()
      await answer
      assert.deepEqual([await one.sessions(), await isIn(browser, one)], [0, false])
    })

    it('leave no session of a login that completes at one node during a logout at the other', async () => {
      const [one, two] = await startNodes()
      const gate = createGate()
      stage.provider.change.idToken = async (jwt) => {
        await gate.pass()
        return jwt
      }
      const browser = one.browser()
      const page = browser.open(`${one.baseUrl}/profile`)
      await gate.hasArrived
      assert.equal((await stage.provider.postLogoutToken(logoutUri(two), { sub: 'user-subject' })).status, 200)
      gate.open()
      assert.equal((await page).status, 400)
      assert.deepEqual([codesOf(one), await one.sessions()], [['ERR_OIDC_LOGIN_ENDED'], 0])
      assert.equal((await browser.open(`${one.baseUrl}/profile`)).status, 200)
    })

    it('leave no session of a login that was started before a logout of its user', async () => {
      const [one, two] = await startNodes()
      const browser = one.browser()
      const { next } = await browser.open(`${one.baseUrl}/profile`, { stopBefore: isCallback })
      await stage.provider.postLogoutToken(logoutUri(two), { sub: 'user-subject' })
      assert.equal((await browser.go(next)).status, 400)
      assert.deepEqual(
        [codesOf(one), await one.sessions(), await isIn(browser, one)],
        [['ERR_OIDC_LOGIN_ENDED'], 0, false],
      )
      assert.deepEqual(
        Object.keys(await one.records()).filter((id) => isTokens(id)),
        [],
      )
    })

    it('keep a login that was started after the logout', async () => {
      const [one, two] = await startNodes()
      const before = await logIn(one)
      await stage.provider.postLogoutToken(logoutUri(two), { sub: 'user-subject' })
      const after = await logIn(one)
      assert.deepEqual([await isIn(before, one), await isIn(after, one), await isIn(after, two)], [false, true, true])
    })

    it('find a session whose id the application has changed', async () => {
      const renew = answerBy(async (req, res) => {
        const { oidc, regenerate } = req.session
        if (typeof regenerate !== 'function') throw new Error('no session')
        await new Promise((resolve) => regenerate.call(req.session, resolve))
        req.session['oidc'] = oidc
        res.end('done')
      })
      const [one, two] = await startNodes({ routes: { '/renew': renew } })
      const browser = await logIn(one)
      const subject = await subjectOf(browser, one)
      await browser.fetch(`${one.baseUrl}/renew`)
      assert.deepEqual([await isIn(browser, one), await isIn(browser, two)], [true, true])
      await stage.provider.postLogoutToken(logoutUri(two), subject)
      assert.deepEqual([await isIn(browser, one), await one.sessions(), seen.logouts.length], [false, 0, 1])
    })

    it('find a session of an older version after it is written again', async () => {
      const [one, two] = await startNodes()
      const browser = await logIn(one)
      const subject = await subjectOf(browser, one)
      const [id, record] = Object.entries(await one.records()).find(([key]) => !key.startsWith('oidc-')) ?? []
      const { indexId: _, ...held } = Object(readOidcSession(record, { sessionKey: 'oidc' }))
      const sessions: Record<string, string> = Reflect.get(one.store, 'sessions')
      for (const key of Object.keys(sessions)) if (isSharedRecord(key)) Reflect.deleteProperty(sessions, key)
      sessions[id ?? ''] = JSON.stringify({ ...record, oidc: { ...held, tokensId: 'of-another-time' } })
      const [[tokens, content] = ['', '']] = Object.entries(sessions).filter(([key]) => isTokens(key))
      sessions['oidc-tokens-of-another-time'] = content
      Reflect.deleteProperty(sessions, tokens)
      await browser.fetch(`${one.baseUrl}/write`)
      await stage.provider.postLogoutToken(logoutUri(two), subject)
      assert.deepEqual([await isIn(browser, one), await one.sessions()], [false, 0])
    })
  })
}

describe('the shared state', () => {
  const stage = createStage({ app: { errorHandler: 'json' } })
  const seen = observeLogouts()

  /** A state that records its calls, and fails on demand. */
  function createProbe() {
    const calls: string[] = []
    const probe = { calls, isDown: false }
    const memory = memoryState()
    const asked =
      <Args extends readonly unknown[], T>(name: string, run: (...args: Args) => Promise<T>) =>
      async (...args: Args): Promise<T> => {
        calls.push(name)
        if (probe.isDown) throw new Error('the state is down')
        return await run(...args)
      }
    const { lock, ...verbs } = memory
    const entries = Object.entries(verbs).map(([name, verb]) => [name, asked(name, verb as () => Promise<unknown>)])
    const sharedState = { ...Object.fromEntries(entries), lock } as SharedState
    return Object.assign(probe, { sharedState })
  }

  it('is not called by a request that writes nothing, and the store is not called more often', async () => {
    const { calls, sharedState } = createProbe()
    const [store] = createSharedStores(1)
    if (!store) throw new Error('there is no store')
    const { browser } = await stage.startLoggedIn({ sharedState }, { session: { store } })
    const asked: string[] = []
    for (const verb of ['get', 'set', 'touch', 'destroy'] as const) {
      const run: unknown = Reflect.get(store, verb)
      Reflect.set(store, verb, (...args: unknown[]) => {
        asked.push(verb)
        if (typeof run === 'function') Reflect.apply(run, store, args)
      })
    }
    calls.length = 0
    assert.equal((await browser.fetch('/profile')).status, 200)
    assert.deepEqual([asked, calls], [['get', 'touch'], []])
    // One read of the token record: is the login over?
    asked.length = 0
    await browser.fetch('/write')
    assert.deepEqual([asked, calls], [['get', 'set', 'get'], []])
  })

  it('is not called for visitors who are not logged in', async () => {
    const { calls, sharedState } = createProbe()
    const app = await stage.start({ sharedState })
    const browser = app.browser()
    await browser.fetch('/write')
    await browser.fetch('/session')
    assert.deepEqual(calls, [])
  })

  it('fails a login while it is down, because a logout at the provider would not find its session', async () => {
    const probe = createProbe()
    const app = await stage.start({ sharedState: probe.sharedState })
    probe.isDown = true
    const page = await app.browser().open('/profile')
    assert.equal(page.status, 503)
    assert.deepEqual([codesOf(app), await app.records()], [['ERR_OIDC_SHARED_STATE'], {}])
  })

  it('does not prevent a logout while it is down, and the error is published', async () => {
    const probe = createProbe()
    const { app, browser } = await stage.startLoggedIn({ sharedState: probe.sharedState })
    probe.isDown = true
    seen.errors.length = 0
    const page = await browser.post('/logout')
    assert.deepEqual([page.status, await app.sessions(), codesOf(app)], [200, 0, []])
    assert.deepEqual(seen.errors, ['ERR_OIDC_SHARED_STATE', 'ERR_OIDC_SHARED_STATE'])
  })

  it('is checked when oidc() is called', async () => {
    const sharedState = { add: () => undefined } as unknown as SharedState
    await assert.rejects(stage.start({ sharedState }), /sharedState must be redisState\(\)/)
  })

  it('can be an instance of a class', async () => {
    class Own {
      readonly #memory = memoryState()
      add = this.#memory.add
      remove = this.#memory.remove
      members = this.#memory.members
      take = this.#memory.take
      once = this.#memory.once
      seen = this.#memory.seen
      lock = this.#memory.lock
    }
    const { browser } = await stage.startLoggedIn({ sharedState: new Own() })
    assert.equal(await isIn(browser), true)
  })
})

describe('a session of several tabs', () => {
  const stage = createStage()
  const seen = observeLogouts()

  it('ends if the provider names any of its logins', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const { next } = await browser.open('/login?returnTo=/profile', { stopBefore: isCallback })
    await browser.open('/login?returnTo=/profile')
    await browser.go(next)
    const subject = await subjectOf(browser)
    await stage.provider.postLogoutToken(logoutUri(app), { sid: subject.sid })
    assert.deepEqual([await isIn(browser), await app.sessions(), seen.logouts.length], [false, 0, 1])
  })

  it('is ended once by a logout of its user', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const { next } = await browser.open('/login?returnTo=/profile', { stopBefore: isCallback })
    await browser.open('/login?returnTo=/profile')
    await browser.go(next)
    await stage.provider.postLogoutToken(logoutUri(app), { sub: 'user-subject' })
    assert.deepEqual([await isIn(browser), seen.logouts.length], [false, 1])
  })
})

describe('a route of the application', () => {
  const stage = createStage()

  it('can save a session with a login without a callback', async () => {
    const touch = answerJson(async (req) => {
      const { sessionStore, sessionID, session } = req as unknown as SessionRequest
      Reflect.apply(sessionStore.set, sessionStore, [sessionID, { ...session, cookie: session.cookie, more: 1 }])
      return {}
    })
    const { browser } = await stage.startLoggedIn({}, { routes: { '/touch': touch } })
    assert.equal((await browser.fetch('/touch')).status, 200)
    assert.equal(await isIn(browser), true)
  })
})
