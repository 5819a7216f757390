import assert from 'node:assert/strict'
import { describe, it, mock, type TestContext } from 'node:test'
import session from 'express-session'
import type { StoreLike } from '../../lib/state/shared-state.ts'
import { createStoreState } from '../../lib/state/store-state.ts'

const UNREACHABLE = { code: 'ERR_OIDC_SHARED_STATE', status: 503 }

/** A slow store that keeps text, like those of databases. */
function createTextStore(): StoreLike & { readonly records: Map<string, string> } {
  const records = new Map<string, string>()
  return {
    records,
    get(id, done) {
      const text = records.get(id)
      setImmediate(() => (text === undefined ? done(null, null) : done(null, JSON.parse(text))))
    },
    set(id, data, done) {
      setImmediate(() => {
        records.set(id, JSON.stringify(data))
        done(null)
      })
    },
    destroy(id, done) {
      setImmediate(() => {
        records.delete(id)
        done(null)
      })
    },
  }
}

function stopTime(t: TestContext): void {
  mock.timers.enable({ apis: ['Date', 'setTimeout'], now: Date.now() })
  t.after(() => mock.timers.reset())
}

function allOf(store: session.Store): Promise<Record<string, session.SessionData>> {
  return new Promise((resolve, reject) => {
    if (store.all === undefined) throw new Error('The store has no all().')
    store.all((error, all) => (error ? reject(error) : resolve(Object(all))))
  })
}

describe('shared state in the session store', () => {
  it('looks like anonymous sessions in store.all(), and expires like them', async (t) => {
    stopTime(t)
    const store = new session.MemoryStore()
    const state = createStoreState(store)
    await state.add('sub alice', 'session-1', 60)
    await state.add('sub alice', 'session-2', 3600)
    await state.once('jti', 600)
    const all = await allOf(store)
    assert.equal(Object.keys(all).length, 2)
    for (const [id, record] of Object.entries(all)) {
      assert.match(id, /^oidc-[\w-]{27}$/)
      assert.deepEqual(Object.keys(record), ['cookie', 'oidcState'])
      assert.equal(record.cookie.path, '/')
      const seconds = record.cookie.originalMaxAge === 600_000 ? 600 : 3600
      assert.equal(new Date(record.cookie.expires ?? 0).getTime(), Date.now() + seconds * 1000)
      assert.equal(record.cookie.originalMaxAge, seconds * 1000)
    }
    mock.timers.tick(3_600_000)
    assert.deepEqual(Object.keys(await allOf(store)), [])
  })

  it('names no user in the names of its records', async () => {
    const store = createTextStore()
    await createStoreState(store).add('sub alice', 'session-1', 60)
    assert.doesNotMatch([...store.records.keys()].join(), /alice|session/)
  })

  it('leaves no record of a set that is taken or emptied', async () => {
    const store = createTextStore()
    const state = createStoreState(store)
    await state.add('taken', 'one', 60)
    await state.add('emptied', 'one', 60)
    await state.take('taken')
    await state.remove('emptied', 'one')
    await state.take('never there')
    await state.remove('never there', 'one')
    assert.equal(store.records.size, 0)
  })

  it('loses nothing within its process, even with a slow store', async () => {
    const state = createStoreState(createTextStore())
    await Promise.all(Array.from({ length: 50 }, (_, index) => state.add('set', `member ${index}`, 60)))
    await Promise.all(Array.from({ length: 25 }, (_, index) => state.remove('set', `member ${index}`)))
    assert.equal((await state.take('set')).length, 25)
    const answers = await Promise.all(Array.from({ length: 20 }, () => state.once('mark', 60)))
    assert.deepEqual(answers, [true, ...Array.from({ length: 19 }, () => false)])
  })

  it('removes expired members when it writes', async (t) => {
    stopTime(t)
    const store = createTextStore()
    const state = createStoreState(store)
    for (let day = 0; day < 50; day++) {
      await state.add('every day', `session ${day}`, 86_400)
      mock.timers.tick(86_400_000 - 1)
    }
    assert.ok([...store.records.values()].join().length < 500)
  })

  it('N-43: adds and removes at the same cost, however many members a set has', async () => {
    const store = createTextStore()
    const costs: number[] = []
    const count = (data: unknown): void => void costs.push(JSON.stringify(data ?? null).length)
    const state = createStoreState({
      get: (id, done) =>
        store.get(id, (error, data) => {
          count(data)
          done(error, data)
        }),
      set(id, data, done) {
        count(data)
        store.set(id, data, done)
      },
      destroy: (id, done) => store.destroy(id, done),
    })
    const costOf = async (name: string): Promise<number> => {
      costs.length = 0
      await state.add('user', `${name} ${'x'.repeat(40)}`, 60)
      await state.remove('user', `${name} ${'x'.repeat(40)}`)
      return costs.reduce((sum, length) => sum + length, 0)
    }
    for (let index = 0; index < 64; index++) await state.add('user', `session ${index}`, 60)
    const few: number[] = []
    for (let index = 0; index < 33; index++) few.push(await costOf(`a${index}`))
    for (let index = 0; index < 1000; index++) await state.add('user', `later session ${index}`, 60)
    const many: number[] = []
    for (let index = 0; index < 33; index++) many.push(await costOf(`b${index}`))
    assert.ok(Math.max(...many) < 1.5 * Math.max(...few), `${Math.max(...many)} bytes after ${Math.max(...few)}`)
    assert.equal((await state.members('user')).length, 1064)
  })

  it('N-43: forgets pages when they have expired', async (t) => {
    stopTime(t)
    const store = createTextStore()
    const state = createStoreState(store)
    for (let day = 0; day < 100; day++) {
      for (let index = 0; index < 8; index++) await state.add('every day', `session ${day} ${index}`, 86_400 * 5)
      mock.timers.tick(86_400_000)
    }
    const reads: string[] = []
    const get: StoreLike['get'] = (id, done) => {
      reads.push(id)
      store.get(id, done)
    }
    assert.equal((await createStoreState({ ...store, get }).members('every day')).length, 32)
    assert.ok(reads.length <= 6, `${reads.length} reads`)
  })

  it('N-43: takes a set of many records, and leaves none of them', async () => {
    const store = createTextStore()
    const state = createStoreState(store)
    const members = Array.from({ length: 100 }, (_, index) => `session ${index}`)
    for (const member of members) await state.add('user', member, 60)
    assert.ok(store.records.size > 2)
    await state.remove('user', 'session 0')
    assert.deepEqual([...(await state.take('user'))].sort(), members.slice(1).sort())
    assert.equal(store.records.size, 0)
  })

  it('N-43: reads at most four pages at the same time', async () => {
    const store = createTextStore()
    const state = createStoreState(store)
    for (let index = 0; index < 400; index++) await state.add('user', `session ${index}`, 60)
    let [running, most] = [0, 0]
    const get: StoreLike['get'] = (id, done) => {
      running += 1
      most = Math.max(most, running)
      store.get(id, (error, data) => {
        running -= 1
        done(error, data)
      })
    }
    assert.equal((await createStoreState({ ...store, get }).members('user')).length, 400)
    assert.equal(most, 4)
  })

  for (const pages of [7, [], {}, { first: -1e15, last: 1e15, until: 1e15 }, { first: 1, last: 1e300, until: 1e15 }]) {
    it(`ignores pages that are ${JSON.stringify(pages)}, or reads a bounded number`, async () => {
      let reads = 0
      const state = createStoreState({
        ...createTextStore(),
        get(_id, done) {
          reads += 1
          done(null, reads === 1 ? { oidcState: [['one', 1e15]], pages } : undefined)
        },
      })
      assert.deepEqual(await state.members('set'), ['one'])
      assert.ok(reads <= 10_002)
    })
  }

  it('checks the expiry of a record itself, if the store does not', async (t) => {
    stopTime(t)
    const state = createStoreState(createTextStore())
    await state.once('mark', 60)
    await state.add('set', 'member', 60)
    mock.timers.tick(60_000)
    assert.equal(await state.seen('mark'), false)
    assert.deepEqual(await state.take('set'), [])
    assert.equal(await state.once('mark', 60), true)
  })

  it('accepts ENOENT for a missing record, as file stores report it', async () => {
    const store = createTextStore()
    const get: StoreLike['get'] = (id, done) =>
      store.get(id, (error, data) =>
        data === null ? done(Object.assign(new Error('no such file'), { code: 'ENOENT' })) : done(error, data),
      )
    const state = createStoreState({ ...store, get })
    assert.equal(await state.once('mark', 60), true)
    assert.equal(await state.once('mark', 60), false)
    assert.deepEqual(await state.take('set'), [])
  })

  for (const foreign of [null, 'text', 7, [], {}, { oidcState: 'text' }, { oidcState: [null, 'text', ['one']] }]) {
    it(`ignores a record that is ${JSON.stringify(foreign)}`, async () => {
      const store = createTextStore()
      const state = createStoreState({ ...store, get: (_id, done) => done(null, foreign) })
      assert.deepEqual(await state.take('set'), [])
      assert.equal(await state.seen('mark'), false)
    })
  }

  for (const operation of ['get', 'set', 'destroy'] as const) {
    const broken: Readonly<Record<string, (...args: readonly unknown[]) => void>> = {
      'reports an error': (...args) => {
        const done = args.at(-1)
        if (typeof done === 'function') done(new Error('out of order'))
      },
      throws: () => {
        throw new Error('out of order')
      },
    }
    for (const [how, method] of Object.entries(broken)) {
      it(`rejects if ${operation} of the store ${how}, with its error as the cause, and works again with the store`, async () => {
        const store = createTextStore()
        const sick: StoreLike = { ...store }
        const state = createStoreState(sick)
        await state.add('set', 'one', 60)
        sick[operation] = method
        const failing = operation === 'destroy' ? state.take('set') : state.add('set', 'two', 60)
        await assert.rejects(failing, { ...UNREACHABLE, cause: new Error('out of order') })
        Object.assign(sick, store)
        await state.add('set', 'three', 60)
        assert.deepEqual([...(await state.take('set'))].sort(), ['one', 'three'])
      })
    }

    it(`rejects after five seconds if ${operation} of the store never calls back`, async (t) => {
      const store = createTextStore()
      const state = createStoreState({ ...store, [operation]: () => {} })
      if (operation === 'destroy') await state.add('set', 'one', 60)
      stopTime(t)
      const pending = operation === 'destroy' ? state.take('set') : state.add('set', 'two', 60)
      const rejected = assert.rejects(pending, UNREACHABLE)
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
      mock.timers.tick(5000)
      await rejected
    })
  }
})
