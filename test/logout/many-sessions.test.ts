import assert from 'node:assert/strict'
import { dirname } from 'node:path'
import { after, before, describe, it, mock } from 'node:test'
import connectPgSimple from 'connect-pg-simple'
import session, { type Store } from 'express-session'
import { Pool } from 'pg'
import { createProviderLogouts, type ProviderLogouts } from '../../lib/session/end-login.ts'
import { createSessionIndex, type SessionIndex } from '../../lib/session/session-index.ts'
import { createStoreWatch } from '../../lib/session/store-watch.ts'
import { readOidcSession } from '../../lib/session/stored-session.ts'
import { createTokenRecords } from '../../lib/session/token-record.ts'
import { memoryState } from '../../lib/state/memory-state.ts'
import type { StoreLike } from '../../lib/state/shared-state.ts'
import { createStoreState } from '../../lib/state/store-state.ts'
import type { Login } from '../../lib/types.ts'
import type { TestApp } from '../support/app/app.ts'
import { logoutUri, subjectOf } from '../support/app/logout-observer.ts'
import { isSharedRecord } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'
import { skipWithoutPostgres, startPostgres, type TestPostgres } from '../support/servers/postgres.ts'

const CONFIG = {
  origin: 'https://app.test',
  basePath: '',
  sessionKey: 'oidc',
  clientIds: new Map([['default', 'client']]),
  loginLifetime: 600,
  transactionLifetime: 600,
  secrets: ['a secret of at least 32 characters'],
}
const TARGET = { provider: 'default', issuer: 'https://op.test' }

function loginOf(sub: string): Login {
  const now = Math.floor(Date.now() / 1000)
  return { claims: { iss: TARGET.issuer, sub }, scope: 'openid', loggedInAt: now, expiresAt: now + 600 }
}

/** A store that counts its operations in progress and can fail. */
class CountedStore extends session.MemoryStore {
  running = 0
  most = 0
  operations = 0
  fails: (id: string) => boolean = () => false

  override get(id: string, done: Parameters<Store['get']>[1]): void {
    this.#count(id, (counted) => super.get(id, counted), done)
  }
  override set(id: string, data: session.SessionData, done: (error?: unknown) => void = () => undefined): void {
    this.#count(id, (counted) => super.set(id, data, counted), done)
  }
  override destroy(id: string, done: (error?: unknown) => void = () => undefined): void {
    this.#count(id, (counted) => super.destroy(id, counted), done)
  }

  #count<Args extends readonly unknown[]>(
    id: string,
    run: (done: (...args: Args) => void) => void,
    done: (...args: Args) => void,
  ): void {
    this.running += 1
    this.operations += 1
    this.most = Math.max(this.most, this.running)
    setImmediate(() => {
      this.running -= 1
      if (this.fails(id)) done(...([new Error('out of order')] as unknown as Args))
      else run(done)
    })
  }
}

interface Node {
  readonly store: CountedStore
  readonly index: SessionIndex
  readonly logouts: ProviderLogouts
  logIn(user: string, count: number): Promise<void>
}

/** The session services of one node over a store, which counts from when the users are logged in. */
function createNode(stateOf: (store: StoreLike) => ReturnType<typeof memoryState>): Node {
  const store = new CountedStore()
  const like = store as unknown as StoreLike
  const state = stateOf(like)
  const index = createSessionIndex(CONFIG, () => state)
  const tokenRecords = createTokenRecords(CONFIG)
  const storeWatch = createStoreWatch(CONFIG, index, tokenRecords)
  const logouts = createProviderLogouts(CONFIG, { index, storeWatch, tokenRecords })
  return {
    store,
    index,
    logouts,
    async logIn(user, count) {
      const login = loginOf(user)
      for (let number = 0; number < count; number++) {
        const tokensId = await tokenRecords.save(like, { idToken: 'token' }, login)
        const data = { cookie: {}, oidc: { login, tokensId } } as unknown as session.SessionData
        await new Promise((resolve) => store.set(`${user}-${number}`, data, resolve))
        await index.add(like, `${user}-${number}`, { login, tokensId })
      }
      Object.assign(store, { most: 0, operations: 0 })
    },
  }
}

describe('a logout of a user with many sessions', () => {
  for (const [name, stateOf] of [
    ['memoryState()', () => memoryState()],
    ['the session store', createStoreState],
  ] as const) {
    it(`N-41: takes a few operations of the store at a time, with the index in ${name}`, async () => {
      const { store, logouts, logIn } = createNode(stateOf)
      await logIn('alice', 300)
      const ended = await logouts.endSessions(store as unknown as StoreLike, { ...TARGET, sub: 'alice' }, 'backchannel')
      assert.equal(ended.length, 300)
      assert.ok(store.most <= 10, `${store.most} operations at a time`)
    })
  }

  it('N-41: leaves no other logout waiting until it is done', async () => {
    const { store, logouts, logIn } = createNode(() => memoryState())
    await logIn('alice', 500)
    await logIn('bob', 1)
    const like = store as unknown as StoreLike
    let isAliceDone = false
    const alice = logouts.endSessions(like, { ...TARGET, sub: 'alice' }, 'backchannel').then(() => (isAliceDone = true))
    await logouts.endSessions(like, { ...TARGET, sub: 'bob' }, 'backchannel')
    assert.equal(isAliceDone, false)
    await alice
    assert.ok(store.most <= 12, `${store.most} operations at a time`)
  })

  it('N-41: ends all other sessions if some fail, and those when it is called again', async () => {
    const { store, logouts, logIn } = createNode(() => memoryState())
    await logIn('alice', 100)
    const end = () => logouts.endSessions(store as unknown as StoreLike, { ...TARGET, sub: 'alice' }, 'backchannel')
    store.fails = (id) => /^alice-1\d?$/.test(id)
    await assert.rejects(end(), { code: 'ERR_OIDC_SESSION_STORE' })
    store.fails = () => false
    assert.equal((await end()).length, 11)
    assert.equal((await end()).length, 0)
  })

  it('N-41: stops if the store has done nothing but fail for ten seconds', async (t) => {
    const { store, logouts, logIn } = createNode(() => memoryState())
    await logIn('alice', 1000)
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    t.after(() => mock.timers.reset())
    store.fails = () => {
      mock.timers.tick(1000)
      return true
    }
    const ended = logouts.endSessions(store as unknown as StoreLike, { ...TARGET, sub: 'alice' }, 'backchannel')
    await assert.rejects(ended, { code: 'ERR_OIDC_SESSION_STORE' })
    assert.ok(store.operations < 100, `${store.operations} operations`)
  })
})

describe('a logout of a user with 2,500 sessions in PostgreSQL', {
  skip: skipWithoutPostgres,
  timeout: 180_000,
}, () => {
  const stage = createStage({ app: { errorHandler: 'json' } })
  let postgres: TestPostgres | undefined
  let pool: Pool
  before(async () => {
    postgres = await startPostgres()
    pool = new Pool({ host: dirname(postgres?.socketPath ?? ''), user: 'oidc', database: 'postgres', max: 10 })
    pool.on('error', () => undefined)
  })
  after(async () => {
    await pool.end()
    await postgres?.stop()
  })

  const state = memoryState()

  async function copyLogin(app: TestApp, store: StoreLike, count: number): Promise<void> {
    const { rows } = await pool.query("SELECT sid, sess FROM session WHERE sid NOT LIKE 'oidc-%'")
    const [{ sid, sess } = { sid: '', sess: undefined }] = rows
    const oidcSession = readOidcSession(sess, CONFIG)
    assert.ok(oidcSession)
    await pool.query(
      `INSERT INTO session (sid, sess, expire)
      SELECT 'copy-' || n, jsonb_set(sess::jsonb, '{oidc,id}', to_jsonb('copied-' || n))::json, expire
      FROM session, generate_series(1, $2::int) AS n WHERE sid = $1`,
      [sid, count],
    )
    await pool.query(
      `INSERT INTO session (sid, sess, expire) SELECT 'oidc-tokens-copied-' || n, sess, expire
      FROM session, generate_series(1, $1::int) AS n WHERE sid LIKE 'oidc-tokens-%'`,
      [count],
    )
    const clientIds = new Map([['default', stage.provider.clientId]])
    const index = createSessionIndex({ ...CONFIG, origin: app.origin, clientIds }, () => state)
    for (let number = 1; number <= count; number++) {
      await index.add(store, `copy-${number}`, { ...oidcSession, tokensId: `copied-${number}` })
    }
  }

  it('N-41: does not keep 20 other users from logging in', async () => {
    const store = new (connectPgSimple(session))({ pool, createTableIfMissing: true, pruneSessionInterval: false })
    const { app, browser } = await stage.startLoggedIn({ sharedState: state }, { session: { store } })
    const subject = await subjectOf(browser)
    const before = Number((await pool.query('SELECT count(*) FROM session')).rows[0]?.count)
    // Copies of this login, in the index too: a login for each would take the test a minute.
    await copyLogin(app, store as unknown as StoreLike, 2500)
    const logout = stage.provider.postLogoutToken(logoutUri(app), { sub: subject.sub })
    stage.provider.account = { sub: 'stranger', claims: {} }
    const strangers = Array.from({ length: 20 }, () => app.browser().open('/profile'))
    const pages = await Promise.all(strangers)
    assert.deepEqual(new Set(pages.map(({ status }) => status)), new Set([200]))
    assert.equal((await logout).status, 200)
    assert.deepEqual([app.errors, app.otherErrors], [[], []])
    const { rows } = await pool.query('SELECT sid FROM session')
    const left = rows.map(({ sid }) => String(sid)).filter((sid) => !isSharedRecord(sid))
    assert.ok(before > 0)
    assert.equal(left.length, 40, 'a session and a token record of each stranger')
  })
})
