import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import connectPgSimple from 'connect-pg-simple'
import { RedisStore } from 'connect-redis'
import connectSequelize from 'connect-session-sequelize'
import session, { type SessionData, type Store } from 'express-session'
import createMemoryStore from 'memorystore'
import { Sequelize } from 'sequelize'
import createFileStore from 'session-file-store'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { isIn, logoutUri, subjectOf } from '../support/app/logout-observer.ts'
import { isTokens } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'
import { startAged } from '../support/hostile/fault-injection.ts'
import { connectToPostgres, skipWithoutPostgres, startPostgres } from '../support/servers/postgres.ts'
import { skipWithoutRedis, startRedis } from '../support/servers/redis.ts'
import { connectToRedis } from '../support/servers/shared-states.ts'

/** A store of a package that people use, over its real server. */
interface OpenStore {
  readonly store: Store
  close(): Promise<void>
}

interface StoreKind {
  readonly name: string
  readonly skip: string | false
  open(): Promise<OpenStore>
}

const KINDS: readonly StoreKind[] = [
  { name: 'connect-session-sequelize', skip: skipWithoutPostgres, open: openSequelize },
  { name: 'connect-pg-simple', skip: skipWithoutPostgres, open: openPgSimple },
  { name: 'connect-redis', skip: skipWithoutRedis, open: openRedis },
  { name: 'session-file-store', skip: false, open: openFiles },
  { name: 'memorystore', skip: false, open: openMemory },
  { name: 'a store like connect-mongo', skip: false, open: async () => ({ store: new DocumentStore(), close }) },
]

async function close(): Promise<void> {}

/** Its column `sid` has 36 characters, which PostgreSQL enforces. */
async function openSequelize(): Promise<OpenStore> {
  const postgres = await startPostgres()
  const host = dirname(postgres?.socketPath ?? '')
  const db = new Sequelize('postgres', 'oidc', '', { host, dialect: 'postgres', logging: false })
  const store = new (connectSequelize(session.Store))({ db, checkExpirationInterval: -1 })
  await store.sync()
  return {
    store,
    async close() {
      await db.close()
      await postgres?.stop()
    },
  }
}

async function openPgSimple(): Promise<OpenStore> {
  const postgres = await startPostgres()
  const pool = connectToPostgres(dirname(postgres?.socketPath ?? ''))
  const store = new (connectPgSimple(session))({ pool, createTableIfMissing: true, pruneSessionInterval: false })
  return {
    store,
    async close() {
      await pool.end()
      await postgres?.stop()
    },
  }
}

async function openRedis(): Promise<OpenStore> {
  const redis = await startRedis()
  const client = await connectToRedis(redis?.socketPath ?? '')
  return {
    store: new RedisStore({ client, prefix: 'app:' }),
    async close() {
      client.destroy()
      await redis?.stop()
    },
  }
}

/** It reports a record that is absent as ENOENT. */
async function openFiles(): Promise<OpenStore> {
  const path = await mkdtemp(join(tmpdir(), 'oidc-sessions-'))
  const FileStore = createFileStore(session)
  const store = new FileStore({ path, retries: 0, reapInterval: -1, logFn: () => undefined })
  return { store, close: () => rm(path, { recursive: true, force: true }) }
}

async function openMemory(): Promise<OpenStore> {
  const MemoryStore = createMemoryStore(session)
  return { store: new MemoryStore({ checkPeriod: 0 }), close }
}

/**
 * Behaves like connect-mongo: keeps a session as text in a document with its expiry, responds later, says `null` for one that is
 * absent, and fails to touch it.
 */
class DocumentStore extends session.Store {
  readonly #documents = new Map<string, { readonly session: string; readonly expires: Date }>()

  get(id: string, done: (error: unknown, data?: SessionData | null) => void): void {
    const document = this.#documents.get(id)
    const isLive = document !== undefined && document.expires.getTime() > Date.now()
    setImmediate(done, null, isLive ? JSON.parse(document.session) : null)
  }

  set(id: string, data: SessionData, done: (error?: unknown) => void = () => undefined): void {
    const expires = new Date(data.cookie.expires ?? Date.now() + 14 * 86_400_000)
    this.#documents.set(id, { session: JSON.stringify(data), expires })
    setImmediate(done, null)
  }

  destroy(id: string, done: (error?: unknown) => void = () => undefined): void {
    this.#documents.delete(id)
    setImmediate(done, null)
  }

  override touch(id: string, data: SessionData, done: (error?: unknown) => void = () => undefined): void {
    if (!this.#documents.has(id)) return void setImmediate(done, new Error('Unable to find the session to touch'))
    this.set(id, data, done)
  }
}

for (const { name, skip, open } of KINDS) {
  describe(`with ${name}`, { skip, timeout: 180_000 }, () => {
    const stage = createStage({ app: { errorHandler: 'json' } })
    let opened: OpenStore | undefined
    let written = new Set<string>()

    before(async () => {
      opened = await open()
      const { store } = opened
      const { set } = store
      store.set = (id, ...others) => {
        written.add(id)
        set.call(store, id, ...others)
      }
    })
    after(() => opened?.close())

    function settings(): { session: { store?: Store } } {
      written = new Set()
      return { session: opened === undefined ? {} : { store: opened.store } }
    }

    async function destroyTokens({ store }: TestApp): Promise<void> {
      const ids = [...written].filter(isTokens)
      assert.equal(ids.length, 1)
      await Promise.all(ids.map((id) => new Promise((resolve) => store.destroy(id, resolve))))
    }

    it('N-32: logs in, refreshes and logs out, under keys that look like session ids', async () => {
      const { app, browser } = await startAged(stage, {}, settings())
      assert.equal(await isIn(browser), true)
      const { token } = (await browser.open('/access-token')).json()
      assert.ok(String(token).length > 20)
      assert.equal(stage.provider.calls['/token'], 2)
      assert.equal((await browser.post('/logout')).status, 200)
      assert.deepEqual([await isIn(browser), app.errors, app.otherErrors], [false, [], []])
      for (const id of written) assert.match(id, /^[A-Za-z0-9_-]{1,32}$/)
    })

    it('N-32: ends the login by a logout at the provider', async () => {
      const { app, browser } = await stage.startLoggedIn({}, settings())
      const subject = await subjectOf(browser)
      assert.equal((await stage.provider.postLogoutToken(logoutUri(app), subject)).status, 200)
      assert.equal(await isIn(browser), false)
      for (const id of written) assert.match(id, /^[A-Za-z0-9_-]{1,32}$/)
    })

    it('N-39: says that there is no token if the token record is absent, and logs in again', async () => {
      const { app, browser } = await startAged(stage, {}, settings())
      await destroyTokens(app)
      assert.equal((await browser.fetch('/tokens')).body, 'null')
      assert.equal((await browser.fetch('/access-token')).status, 401)
      assert.deepEqual(codesOf(app), ['ERR_OIDC_TOKEN_UNAVAILABLE'])
      assert.equal((await browser.open('/login?returnTo=/profile')).status, 200)
      assert.deepEqual(app.otherErrors, [])
    })
  })
}
