import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { SessionRequest } from '../../lib/session/express-session.ts'
import { isStored } from '../../lib/session/login-session.ts'
import { createSeal } from '../../lib/session/seal.ts'
import { createTokenRecords } from '../../lib/session/token-record.ts'
import type { StoreLike } from '../../lib/state/shared-state.ts'
import { recordKey } from '../../lib/state/store-record.ts'
import { createStoreState } from '../../lib/state/store-state.ts'
import type { Login, TokenRecord } from '../../lib/types.ts'

const SECRETS = ['a secret of at least 32 characters']
const TOKENS: TokenRecord = { idToken: 'a.b.c', accessToken: 'access' }
const LOGIN: Login = {
  claims: { iss: 'https://op.test', sub: 'alice' },
  scope: 'openid',
  loggedInAt: 0,
  expiresAt: 4e9,
}

/** A store over a map, in which `absent` responds for a record that is not there. */
function storeThatSays(
  absent: (done: (error?: unknown, data?: unknown) => void) => void,
  records: Map<string, unknown> = new Map(),
): StoreLike {
  return {
    get: (id, done) => (records.has(id) ? done(null, records.get(id)) : absent(done)),
    set(id, data, done) {
      records.set(id, data)
      done()
    },
    destroy: (id, done) => (records.delete(id) ? done(null) : absent(done)),
  }
}

const WAYS: Readonly<Record<string, (done: (error?: unknown, data?: unknown) => void) => void>> = {
  nothing: (done) => done(),
  undefined: (done) => done(undefined, undefined),
  null: (done) => done(null, null),
  false: (done) => done(null, false),
  'an empty text': (done) => done(null, ''),
  'ENOENT of a file': (done) => done(Object.assign(new Error('no such file'), { code: 'ENOENT' })),
  'notFound of LevelDB': (done) => done(Object.assign(new Error('NotFound'), { notFound: true })),
  'the code of LevelDB': (done) => done(Object.assign(new Error('NotFound'), { code: 'LEVEL_NOT_FOUND' })),
  'the status 404': (done) => done(Object.assign(new Error('missing'), { status: 404 })),
  'the statusCode 404': (done) => done(Object.assign(new Error('missing'), { statusCode: 404 })),
}

describe('a record that is absent', () => {
  for (const [way, absent] of Object.entries(WAYS)) {
    it(`N-39: is absent for every reader, if the store says ${way}`, async () => {
      const store = storeThatSays(absent)
      const tokenRecords = createTokenRecords({ secrets: SECRETS })
      assert.equal(await tokenRecords.read(store, 'unknown'), undefined)
      assert.equal(await tokenRecords.has(store, 'unknown'), false)
      await tokenRecords.remove(store, 'unknown')
      const state = createStoreState(store)
      assert.deepEqual([await state.members('set'), await state.take('set')], [[], []])
      await state.remove('set', 'member')
      assert.deepEqual([await state.seen('mark'), await state.once('mark', 60)], [false, true])
      assert.equal(await isStored({ sessionStore: store, sessionID: 'unknown' } as SessionRequest), false)
    })
  }

  it('is not a record that could not be read', async () => {
    const store = storeThatSays((done) => done(new Error('connection lost')))
    const tokenRecords = createTokenRecords({ secrets: SECRETS })
    await assert.rejects(tokenRecords.read(store, 'id'), { code: 'ERR_OIDC_SESSION_STORE' })
    await assert.rejects(createStoreState(store).seen('mark'), { code: 'ERR_OIDC_SHARED_STATE' })
  })
})

/** Like the stores of packages whose methods are async: here each rejects, and the callback is never called. */
function storeThatRejects(error: unknown): StoreLike {
  const reject = async (): Promise<never> => {
    throw error
  }
  return { get: reject, set: reject, destroy: reject }
}

describe('a store whose method rejects instead of calling back', () => {
  const cause = new Error('connection lost')
  const store = storeThatRejects(cause)

  it('N-1: fails each operation of a token record at once, and the promise has an owner', async () => {
    const tokenRecords = createTokenRecords({ secrets: SECRETS })
    const operations = [
      tokenRecords.save(store, TOKENS, LOGIN),
      tokenRecords.read(store, 'id'),
      tokenRecords.has(store, 'id'),
      tokenRecords.remove(store, 'id'),
      isStored({ sessionStore: store, sessionID: 'id' } as SessionRequest),
    ]
    for (const operation of operations) await assert.rejects(operation, { code: 'ERR_OIDC_SESSION_STORE', cause })
  })

  it('N-1: fails each operation of the shared state at once, and the promise has an owner', async () => {
    const state = createStoreState(store)
    const operations = [state.add('key', 'member', 60), state.take('key'), state.once('key', 60), state.seen('key')]
    for (const operation of operations) await assert.rejects(operation, { code: 'ERR_OIDC_SHARED_STATE', cause })
  })

  it('N-1: is absent where its error means that', async () => {
    const absent = storeThatRejects(Object.assign(new Error('no such file'), { code: 'ENOENT' }))
    const tokenRecords = createTokenRecords({ secrets: SECRETS })
    assert.equal(await tokenRecords.read(absent, 'id'), undefined)
    await tokenRecords.remove(absent, 'id')
  })

  it('N-1: has done its work if it rejects only after it has called back', async () => {
    const late = storeThatSays((done) => done())
    for (const [name, method] of Object.entries(late)) {
      const fail = async (...args: unknown[]): Promise<never> => {
        Reflect.apply(method, late, args)
        throw cause
      }
      Object.assign(late, { [name]: fail })
    }
    const tokenRecords = createTokenRecords({ secrets: SECRETS })
    const id = await tokenRecords.save(late, TOKENS, LOGIN)
    assert.deepEqual(await tokenRecords.read(late, id), TOKENS)
    await tokenRecords.remove(late, id)
    assert.equal(await tokenRecords.has(late, id), false)
    await new Promise((resolve) => setImmediate(resolve))
  })
})

describe('the keys of our records', () => {
  const kinds = ['set', 'page', 'once', 'logout', 'request'] as const

  it('N-32: look like session ids, and differ by kind and name', () => {
    const names = ['', 'x'.repeat(1000), 'sub:alice', '\ud800', '\u0000']
    const keys = kinds.flatMap((kind) => names.map((name) => recordKey(kind, name)))
    for (const key of keys) assert.match(key, /^oidc-[\w-]{27}$/)
    assert.equal(new Set(keys).size, keys.length)
  })

  it('N-32: are those of 0.2.0 too, for what is stored already', async () => {
    const records = new Map<string, unknown>()
    const store = storeThatSays((done) => done(null, null), records)
    const id = 'sixteen-letters-'
    const seal = createSeal(SECRETS, 'tokens')
    const old = `oidc-tokens:${id}`
    records.set(old, { cookie: {}, tokens: seal.seal(JSON.stringify(TOKENS), old) })
    const tokenRecords = createTokenRecords({ secrets: SECRETS })
    assert.deepEqual(await tokenRecords.read(store, id), TOKENS)
    await tokenRecords.replace(store, id, { ...TOKENS, accessToken: 'new' }, LOGIN)
    assert.equal((await tokenRecords.read(store, id))?.accessToken, 'new')
    await tokenRecords.remove(store, id)
    assert.deepEqual([records.size, await tokenRecords.read(store, id)], [0, undefined])
  })

  it('N-32: find a set of 0.2.0', async () => {
    const records = new Map<string, unknown>()
    const state = createStoreState(storeThatSays((done) => done(null, null), records))
    const later = Date.now() + 60_000
    const old = 'oidc-state:set:MZDSYdGGrurTqN7sICc3x3da9cjUVanlupWMSLX9P1k'
    const oidcState = [
      ['one', later],
      ['two', later],
      ['ended', Date.now() - 1],
    ]
    records.set(old, { cookie: {}, oidcState })
    await state.add('user', 'three', 60)
    assert.deepEqual([...(await state.members('user'))].sort(), ['one', 'three', 'two'])
    await state.remove('user', 'one')
    assert.deepEqual([...(await state.take('user'))].sort(), ['three', 'two'])
    assert.equal(records.size, 0)
  })
})
