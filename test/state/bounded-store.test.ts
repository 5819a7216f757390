import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, it, mock, type TestContext } from 'node:test'
import session, { type SessionData } from 'express-session'
import { boundedStore, ConfigError, OidcError } from '../../lib/index.ts'

const DATA = { cookie: { originalMaxAge: null } } as SessionData
const OPERATIONS = ['get', 'set', 'destroy', 'touch', 'all', 'length', 'clear'] as const

type Done = (error?: unknown, result?: unknown) => void

/** Like the stores of packages: it has a private field, and responds to nothing until `answer` is called. */
class SilentStore extends session.Store {
  readonly #calls: string[] = []
  readonly waiting: Done[] = []

  get calls(): readonly string[] {
    return this.#calls
  }
  #wait(name: string, done: Done | undefined): void {
    this.#calls.push(name)
    if (done !== undefined) this.waiting.push(done)
  }
  get(_id: string, done: (error: unknown, data?: SessionData | null) => void): void {
    this.#wait('get', done as Done)
  }
  set(_id: string, _data: SessionData, done?: Done): void {
    this.#wait('set', done)
  }
  destroy(_id: string, done?: Done): void {
    this.#wait('destroy', done)
  }
  override touch(_id: string, _data: SessionData, done?: Done): void {
    this.#wait('touch', done)
  }
  override all(done: (error: unknown, all?: SessionData[] | null) => void): void {
    this.#wait('all', done as Done)
  }
  override length(done: (error: unknown, length?: number) => void): void {
    this.#wait('length', done as Done)
  }
  override clear(done?: Done): void {
    this.#wait('clear', done)
  }
  /** A method that only this store has. */
  ownMethod(): number {
    return this.#calls.length
  }
}

function stopTime(t: TestContext): void {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.after(() => mock.timers.reset())
}

function publishedErrors(t: TestContext): readonly unknown[] {
  const errors: unknown[] = []
  const listener = (message: unknown): void => void errors.push(Object(message).error)
  subscribe('express-oidc:error', listener)
  t.after(() => unsubscribe('express-oidc:error', listener))
  return errors
}

function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function call(store: object, name: string, done: Done): void {
  const args = { get: ['id'], set: ['id', DATA], destroy: ['id'], touch: ['id', DATA] }[name] ?? []
  Reflect.get(store, name).call(store, ...args, done)
}

describe('boundedStore()', () => {
  for (const name of OPERATIONS) {
    it(`N-40: fails ${name} with 503 when the time is over, once`, (t) => {
      stopTime(t)
      const silent = new SilentStore()
      const results: unknown[][] = []
      call(boundedStore(silent, { seconds: 2 }), name, (...args) => results.push(args))
      mock.timers.tick(1999)
      assert.deepEqual(results, [])
      mock.timers.tick(1)
      silent.waiting[0]?.(null, 'too late')
      mock.timers.tick(10_000)
      assert.equal(results.length, 1)
      const error: unknown = results[0]?.[0]
      assert.ok(error instanceof OidcError)
      assert.deepEqual([error.code, error.status], ['ERR_OIDC_SESSION_STORE', 503])
      assert.match(error.message, new RegExp(`${name}\\(\\) within 2 seconds`))
    })

    it(`N-40: passes on what ${name} responds in time, errors too`, (t) => {
      stopTime(t)
      const silent = new SilentStore()
      const store = boundedStore(silent)
      const results: unknown[][] = []
      const absent = Object.assign(new Error('absent'), { code: 'ENOENT' })
      for (const args of [[null, 'result'], [absent], []] as const) {
        call(store, name, (...passed) => results.push(passed))
        mock.timers.tick(4999)
        silent.waiting.shift()?.(...args)
      }
      mock.timers.tick(10_000)
      assert.deepEqual(results, [[null, 'result'], [absent], []])
    })
  }

  it('N-40: counts each operation for itself, however many others come', (t) => {
    stopTime(t)
    const store = boundedStore(new SilentStore(), { seconds: 3 })
    const failed: number[] = []
    for (let second = 0; second < 10; second++) {
      store.get(String(second), (error) => error && failed.push(second))
      mock.timers.tick(1000)
    }
    assert.deepEqual(failed, [0, 1, 2, 3, 4, 5, 6, 7])
  })

  it('N-40: lets callbacks be left out', () => {
    const silent = new SilentStore()
    const store = boundedStore(silent)
    store.set('id', DATA)
    store.destroy('id')
    store.clear?.()
    assert.deepEqual(silent.calls, ['set', 'destroy', 'clear'])
  })

  it('N-40: limits operations that return a promise', async (t) => {
    stopTime(t)
    const slow = {
      get: () => new Promise(() => {}),
      set: async () => 'written',
      destroy: () => Promise.reject(new Error('no')),
    }
    const store = boundedStore(slow, { seconds: 1 })
    assert.equal(await store.set(), 'written')
    await assert.rejects(store.destroy(), /^Error: no$/)
    const rejected = assert.rejects(store.get(), { code: 'ERR_OIDC_SESSION_STORE' })
    await new Promise((resolve) => setImmediate(resolve))
    mock.timers.tick(1000)
    await rejected
  })

  for (const name of OPERATIONS) {
    it(`N-1: calls back once with what ${name} rejects with, if the store does not call back itself`, async () => {
      const failure = new Error('connection lost')
      const reject = async (): Promise<never> => {
        throw failure
      }
      const store = boundedStore(Object.fromEntries(OPERATIONS.map((operation) => [operation, reject])))
      const results: unknown[][] = []
      call(store, name, (...args) => results.push(args))
      await settle()
      assert.deepEqual(results, [[failure]])
    })
  }

  it('N-1: owns a promise that rejects after the time is over', async (t) => {
    stopTime(t)
    let reject: (error: Error) => void = () => undefined
    const slow = (): Promise<never> =>
      new Promise((_, fail) => {
        reject = fail
      })
    const results: unknown[][] = []
    call(boundedStore({ get: slow, set: slow, destroy: slow }), 'get', (...args) => results.push(args))
    mock.timers.tick(5000)
    reject(new Error('too late'))
    await settle()
    assert.deepEqual(
      results.map(([error]) => Object(error).code),
      ['ERR_OIDC_SESSION_STORE'],
    )
  })

  it('N-1: publishes what a call without a callback rejects with, and the caller may await it too', async (t) => {
    const failure = new Error('connection lost')
    const reject = async (): Promise<never> => {
      throw failure
    }
    const store = boundedStore({ get: reject, set: reject, destroy: reject })
    const published = publishedErrors(t)
    // As express-session does for req.session.destroy() without a callback: nobody awaits the promise.
    Reflect.apply(store.destroy, store, ['id', undefined])
    await settle()
    assert.deepEqual(published, [failure])
    await assert.rejects(store.set(), failure)
  })

  it('N-1: publishes what a method rejects with after it has called back', async (t) => {
    const failure = new RangeError('in the callback')
    const store = boundedStore({
      async get(_id: string, done: Done) {
        done(null)
      },
      set() {},
      destroy() {},
    })
    const published = publishedErrors(t)
    // As in express-session, nobody awaits the promise. It rejects with what the callback throws.
    const returned = store.get('id', () => {
      throw failure
    })
    await settle()
    assert.deepEqual(published, [failure])
    await assert.rejects(returned, failure)
  })

  it('passes on what an operation throws, and calls back no more', (t) => {
    stopTime(t)
    const store = boundedStore({
      get() {
        throw new Error('at once')
      },
      set() {},
      destroy() {},
    })
    let calls = 0
    const get = (): unknown => Reflect.apply(store.get, store, ['id', () => calls++])
    assert.throws(get, /at once/)
    mock.timers.tick(10_000)
    assert.equal(calls, 0)
  })

  it('has every other method and property of the store, and passes events on', () => {
    const silent = new SilentStore()
    const store = boundedStore(silent)
    assert.ok(store instanceof SilentStore && store instanceof session.Store)
    assert.deepEqual([store.ownMethod(), store.calls, store.waiting], [0, [], silent.waiting])
    assert.equal(store.get, store.get)
    const heard: string[] = []
    store.on('disconnect', () => heard.push('disconnect'))
    silent.once('connect', () => heard.push('connect'))
    silent.emit('disconnect')
    store.emit('connect')
    store.emit('connect')
    assert.deepEqual(heard, ['disconnect', 'connect'])
  })

  it('has no optional method that the store has not', () => {
    const { get, set, destroy } = new session.MemoryStore()
    const store: object = boundedStore({ get, set, destroy })
    for (const name of ['touch', 'all', 'length', 'clear']) assert.equal(Reflect.get(store, name), undefined)
  })

  it('keeps what is set on it from the store', () => {
    const memory = new session.MemoryStore()
    const { set } = memory
    const store = boundedStore(memory)
    store.set = () => undefined
    Object.assign(store, { generate: () => undefined })
    assert.deepEqual([memory.set, Object.hasOwn(memory, 'generate')], [set, false])
  })

  it('limits what express-session does in regenerate() and load()', (t) => {
    stopTime(t)
    const store = boundedStore(new SilentStore(), { seconds: 1 })
    const errors: unknown[] = []
    Object.assign(store, { generate: () => undefined })
    store.regenerate({ sessionID: 'id' } as never, (error: unknown) => errors.push(error))
    store.load('id', (error: unknown) => errors.push(error))
    mock.timers.tick(1000)
    assert.deepEqual(
      errors.map((error) => Object(error).code),
      ['ERR_OIDC_SESSION_STORE', 'ERR_OIDC_SESSION_STORE'],
    )
  })

  for (const seconds of [0, -1, 61, Number.NaN, Number.POSITIVE_INFINITY, '5', null]) {
    it(`refuses ${JSON.stringify(seconds)} (${String(seconds)}) for seconds`, () => {
      assert.throws(() => boundedStore(new session.MemoryStore(), { seconds: seconds as number }), ConfigError)
    })
  }

  for (const store of [undefined, null, 'store', {}, { get() {}, set() {} }]) {
    it(`refuses ${JSON.stringify(store)} as a store`, () => {
      assert.throws(() => boundedStore(store as object), ConfigError)
    })
  }
})
