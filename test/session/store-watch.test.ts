import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import session from 'express-session'
import { createProviderLogouts } from '../../lib/session/end-login.ts'
import type { SessionRequest } from '../../lib/session/express-session.ts'
import { createSessionIndex } from '../../lib/session/session-index.ts'
import { createStoreWatch, type StoreWatch } from '../../lib/session/store-watch.ts'
import { createTokenRecords } from '../../lib/session/token-record.ts'
import { memoryState } from '../../lib/state/memory-state.ts'
import type { SharedState, StoreLike } from '../../lib/state/shared-state.ts'
import type { Login } from '../../lib/types.ts'
import { answerBy } from '../support/app/app-routes.ts'
import { createGate } from '../support/app/nodes.ts'
import { moduleUrl } from '../support/app/project.ts'
import { createStage } from '../support/app/stage.ts'

type CreateStoreWatch = typeof createStoreWatch

const ISSUER = 'https://op.test'
const SECRETS = ['a secret of at least 32 characters']

function configFor(sessionKey: string) {
  return {
    ...{ origin: 'https://app.test', basePath: '', sessionKey, clientIds: new Map([['default', sessionKey]]) },
    ...{ loginLifetime: 600, transactionLifetime: 600 },
  }
}

function loginOf(sub: string, group = 'staff'): Login {
  const now = Math.floor(Date.now() / 1000)
  return { claims: { iss: ISSUER, sub, groups: [group] } as never, scope: '', loggedInAt: now, expiresAt: now + 600 }
}

/** The session services of one `oidc()` call. */
function createCall(store: StoreLike, sessionKey: string, create: CreateStoreWatch = createStoreWatch) {
  const [config, state]: [ReturnType<typeof configFor>, SharedState] = [configFor(sessionKey), memoryState()]
  const index = createSessionIndex(config, () => state)
  const tokenRecords = createTokenRecords({ secrets: SECRETS })
  const storeWatch = create(config, index, tokenRecords)
  const logouts = createProviderLogouts(config, { index, storeWatch, tokenRecords })
  storeWatch.watch({ sessionStore: store })
  return {
    ...{ index, storeWatch, tokenRecords },
    saveTokens: (tokensId: string, login: Login) => tokenRecords.replace(store, tokensId, { idToken: 'token' }, login),
    endAtProvider: async (sub: string) => {
      const target = { provider: 'default', issuer: ISSUER, sub }
      return (await logouts.endSessions(store, target, 'backchannel')).map(({ claims }) => claims.sub)
    },
  }
}

function createStore(): StoreLike {
  return new session.MemoryStore() as unknown as StoreLike
}

function write(store: StoreLike, id: string, data: object): Promise<void> {
  return new Promise((resolve, reject) => {
    store.set(id, { cookie: {}, ...data }, (error) => (error ? reject(error) : resolve()))
  })
}

function read(store: StoreLike, id: string): Promise<unknown> {
  return new Promise((resolve, reject) => store.get(id, (error, data) => (error ? reject(error) : resolve(data))))
}

function requestOf(sessionID: string, store: object, data: object = {}): SessionRequest {
  return { sessionID, sessionStore: store, session: data } as unknown as SessionRequest
}

/** A module of its own, as when two packages of an application depend on two copies of this one. */
async function importCopy(): Promise<CreateStoreWatch> {
  const url = new URL(moduleUrl('lib/session/store-watch.ts'))
  url.search = 'copy'
  const copy: { createStoreWatch: CreateStoreWatch } = await import(url.href)
  assert.notEqual(copy.createStoreWatch, createStoreWatch)
  return copy.createStoreWatch
}

for (const [name, other] of [
  ['two oidc() calls', async () => createStoreWatch],
  ['two copies of the library', importCopy],
] as const) {
  describe(`one store with ${name}`, () => {
    async function createBoth() {
      const store = createStore()
      const a = createCall(store, 'a')
      const { set } = store
      const b = createCall(store, 'b', await other())
      await a.saveTokens('tokens-a', loginOf('ada'))
      await b.saveTokens('tokens-b', loginOf('bob'))
      return { store, a, b, set }
    }
    const both = () => ({
      a: { login: loginOf('ada'), tokensId: 'tokens-a' },
      b: { login: loginOf('bob'), tokensId: 'tokens-b' },
    })

    it('has its set replaced once', async () => {
      const { store, set } = await createBoth()
      assert.notEqual(set, session.MemoryStore.prototype.set)
      assert.equal(store.set, set)
    })

    for (const sub of ['ada', 'bob']) {
      it(`ends the session at a logout of ${sub}, who is logged in beside the other`, async () => {
        const { store, a, b } = await createBoth()
        await write(store, 'id', both())
        assert.deepEqual(await (sub === 'ada' ? a : b).endAtProvider(sub), [sub])
        assert.equal(await read(store, 'id'), undefined)
        // A request that was in progress.
        await write(store, 'id', both())
        assert.equal(await read(store, 'id'), undefined)
      })
    }

    for (const key of ['a', 'b'] as const) {
      it(`destroys a session again if the login of ${key} has ended on another node`, async () => {
        const { store, ...calls } = await createBoth()
        await write(store, 'id', both())
        assert.notEqual(await read(store, 'id'), undefined)
        await calls[key].tokenRecords.remove(store, `tokens-${key}`)
        await write(store, 'id', both())
        assert.equal(await read(store, 'id'), undefined)
      })
    }

    it('writes each login as a refresh has left it', async () => {
      const { store, a, b } = await createBoth()
      a.storeWatch.loginChanges.add('tokens-a', both().a.login, loginOf('ada', 'none'))
      b.storeWatch.loginChanges.add('tokens-b', both().b.login, loginOf('bob', 'none'))
      await write(store, 'id', both())
      const stored = Object(await read(store, 'id'))
      assert.deepEqual([stored.a.claims.groups, stored.b.claims.groups], [['none'], ['none']])
    })

    it('does not write a session that either has ended, whatever is in it', async () => {
      const { store, a, b } = await createBoth()
      await a.storeWatch.markEnded(requestOf('one', store))
      await b.storeWatch.markEnded(requestOf('two', store))
      for (const id of ['one', 'two']) {
        await write(store, id, { cart: 'book' })
        assert.equal(await read(store, id), undefined)
      }
      await write(store, 'three', { cart: 'book' })
      assert.deepEqual(await read(store, 'three'), { cookie: {}, cart: 'book' })
    })

    it('passes on the error of the store', async () => {
      const store: StoreLike = { ...createStore(), set: (_id, _data, done) => done(new Error('full')) }
      createCall(store, 'a')
      createCall(store, 'b', await other())
      await assert.rejects(write(store, 'id', both()), new Error('full'))
    })
  })
}

describe('a watched store', () => {
  it('is watched once by one oidc() call, and lists no further member', () => {
    const store = createStore()
    const members = Object.keys(store)
    const { storeWatch } = createCall(store, 'a')
    const { set } = store
    createCall(createStore(), 'a').storeWatch.watch({ sessionStore: store })
    storeWatch.watch({ sessionStore: createStore() })
    storeWatch.watch({ sessionStore: store })
    assert.equal(store.set, set)
    assert.deepEqual(Object.keys(store), [...members, 'set'])
  })

  it('does not lend its watch to a store that inherits from it', async () => {
    const base = createStore()
    createCall(base, 'a')
    const heir: StoreLike = Object.create(base)
    const { storeWatch } = createCall(heir, 'b')
    assert.notEqual(heir.set, base.set)
    await storeWatch.markEnded(requestOf('id', heir))
    await write(heir, 'id', { cart: 'book' })
    assert.equal(await read(heir, 'id'), undefined)
    await write(base, 'id', { cart: 'book' })
    assert.notEqual(await read(base, 'id'), undefined)
  })

  it('is still watched after another library has wrapped its set', async () => {
    const store = createStore()
    const a = createCall(store, 'a')
    const inner = store.set
    const written: string[] = []
    store.set = function logged(id, data, done) {
      written.push(id)
      inner.call(this, id, data, done)
    }
    const b = createCall(store, 'b')
    await a.storeWatch.markEnded(requestOf('one', store))
    await b.storeWatch.markEnded(requestOf('two', store))
    for (const id of ['one', 'two', 'three']) await write(store, id, { cart: 'book' })
    assert.deepEqual(written, ['one', 'two', 'three'])
    assert.deepEqual([await read(store, 'one'), await read(store, 'two')], [undefined, undefined])
    assert.notEqual(await read(store, 'three'), undefined)
  })
})

describe('N-60: a login whose token record could not be deleted', () => {
  /** A store that counts its writes of the session, and waits at the gate before each. */
  async function createSlowCall() {
    const [store, gate, written] = [createStore(), createGate(), [] as string[]]
    const { set } = store
    store.set = (id, data, done) => {
      if (id !== 'id') return set.call(store, id, data, done)
      written.push(id)
      void gate.pass().then(() => set.call(store, id, data, done))
    }
    const call = createCall(store, 'a')
    const login = loginOf('ada')
    await call.saveTokens('tokens', login)
    return { store, gate, written, ...call, data: { a: { login, tokensId: 'tokens' } } }
  }

  it('is not written after its session has ended', async () => {
    const { store, storeWatch, gate, written, data } = await createSlowCall()
    await storeWatch.markEnded(requestOf('id', store))
    gate.open()
    await write(store, 'id', data)
    assert.deepEqual([written, await read(store, 'id')], [[], undefined])
  })

  it('is destroyed again if its session ends during the write', async () => {
    const { store, storeWatch, gate, written, data } = await createSlowCall()
    const writing = write(store, 'id', data)
    await gate.hasArrived
    await storeWatch.markEnded(requestOf('id', store))
    gate.open()
    await writing
    assert.deepEqual([written, await read(store, 'id')], [['id'], undefined])
  })

  it('is written as long as nobody ends its session', async () => {
    const { store, gate, data } = await createSlowCall()
    gate.open()
    await write(store, 'id', data)
    assert.notEqual(await read(store, 'id'), undefined)
  })
})

describe('two applications with one store and one session', () => {
  const stage = createStage()

  for (const [name, at] of [
    ['the first', 0],
    ['the second', 1],
  ] as const) {
    it(`do not bring it back after a logout at ${name}, by requests that were in progress at both`, async () => {
      const store = new session.MemoryStore()
      const gates = [createGate(), createGate()] as const
      const slow = (gate: (typeof gates)[number]) =>
        answerBy(async (req, res) => {
          await gate.pass()
          req.session['seen'] = 'late'
          res.end()
        })
      const [one, two] = await Promise.all([
        stage.start({ sessionKey: 'one' }, { session: { store }, routes: { '/slow': slow(gates[0]) } }),
        stage.start({ sessionKey: 'two' }, { session: { store }, routes: { '/slow': slow(gates[1]) } }),
      ])
      const browser = one.browser()
      for (const app of [one, two]) assert.equal((await browser.open(`${app.baseUrl}/profile`)).status, 200)
      assert.equal((await browser.fetch(`${one.baseUrl}/profile`)).status, 200)
      const thief = browser.clone()
      const late = [one, two].map((app) => browser.fetch(`${app.baseUrl}/slow`))
      await Promise.all(gates.map((gate) => gate.hasArrived))
      const app = at === 0 ? one : two
      await browser.post(`${app.baseUrl}/logout`, {}, { from: app.origin })
      for (const gate of gates) gate.open()
      await Promise.all(late)
      assert.equal(await app.sessions(), 0)
      for (const { baseUrl } of [one, two]) assert.equal((await thief.fetch(`${baseUrl}/profile`)).status, 401)
    })
  }
})

describe('the memory of ended sessions', () => {
  const create = (): StoreWatch =>
    createStoreWatch(
      configFor('oidc'),
      createSessionIndex(configFor('oidc'), () => memoryState()),
      createTokenRecords({ secrets: SECRETS }),
    )

  it('forgets the oldest of more than 10,000, and all after ten minutes', async (context) => {
    context.mock.timers.enable({ apis: ['Date'] })
    const store = createStore()
    const watch = create()
    for (let count = 0; count <= 10_000; count++) await watch.markEnded(requestOf(`s${count}`, store))
    assert.deepEqual([watch.isEnded(requestOf('s0', store)), watch.isEnded(requestOf('s1', store))], [false, true])
    context.mock.timers.tick(600_001)
    await watch.markEnded(requestOf('new', store))
    assert.deepEqual([watch.isEnded(requestOf('s10000', store)), watch.isEnded(requestOf('new', store))], [false, true])
  })

  it('calls back for a session that is not written', async () => {
    const store = createStore()
    await create().markEnded(requestOf('one', store))
    await write(store, 'one', {})
    await write(store, 'other', {})
    assert.deepEqual([await read(store, 'one'), await read(store, 'other')], [undefined, { cookie: {} }])
  })
})
