import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { basename, dirname } from 'node:path'
import { after, before, describe, it, mock } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { inspect } from 'node:util'
import type { Pool } from 'pg'
import { createCluster } from 'redis'
import { ConfigError } from '../../lib/errors.ts'
import { type PostgresConnection, type PostgresPool, postgresState } from '../../lib/postgres.ts'
import { type NodeRedisClient, redisState } from '../../lib/redis.ts'
import type { SharedState } from '../../lib/state/shared-state.ts'
import {
  connectToPostgres,
  skipWithoutPostgres,
  startPostgres,
  type TestPostgres,
} from '../support/servers/postgres.ts'
import { skipWithoutRedis, startRedis, type TestRedis } from '../support/servers/redis.ts'
import { connectToRedis, type Ground, KINDS, likeIoRedis, openState } from '../support/servers/shared-states.ts'
import { laySocketLine, type SocketLine } from '../support/servers/socket-line.ts'

const UNREACHABLE = { code: 'ERR_OIDC_SHARED_STATE', status: 503, expose: false }

/** A call of each method of a state. */
const OPERATIONS: Readonly<Record<keyof SharedState, (state: SharedState) => Promise<unknown>>> = {
  add: (state) => state.add('key', 'member', 60),
  remove: (state) => state.remove('key', 'member'),
  members: (state) => state.members('key'),
  take: (state) => state.take('key'),
  once: (state) => state.once('key', 60),
  seen: (state) => state.seen('key'),
  lock: (state) => state.lock('key', 60, () => assert.fail('it works without the lock')),
}

const NEVER = (): Promise<never> => new Promise(() => {})
const FAIL = (): Promise<never> => Promise.reject(new Error('no, with details'))

const FAKES: Readonly<Record<string, (answer: () => Promise<never>) => SharedState>> = {
  'a client of node-redis': (answer) => redisState({ client: { eval: answer } }),
  'a client of ioredis': (answer) => redisState({ client: { call: answer } }),
  'a pool of pg': (answer) => postgresState({ pool: poolOf(answer) }),
  'a pool of pg that lends no connection': (answer) => postgresState({ pool: { connect: answer } }),
}

type Lent = (string | boolean | undefined)[]

/** A pool with these responses, which records each connection that it lends and how it is returned. */
function poolOf(query: PostgresConnection['query'], lent: Lent = []): PostgresPool {
  return {
    async connect() {
      lent.push('lent')
      return Object.assign(new EventEmitter(), { query, release: (destroy?: boolean) => void lent.push(destroy) })
    },
  }
}

for (const foreign of ['of another program', '{"json":1}', '7', 'null', undefined, { an: 'object' }]) {
  describe(`a member of another program, ${JSON.stringify(foreign)},`, () => {
    const states = {
      'node-redis': redisState({ client: { eval: async () => ['"good"', foreign] } }),
      ioredis: redisState({ client: { call: async () => ['"good"', foreign] } }),
      pg: postgresState({ pool: poolOf(async () => ({ rows: [{ value: foreign, lives: true }] })) }),
    }
    for (const [name, state] of Object.entries(states)) {
      it(`is an error of the shared state over ${name}, which does not show it`, async () => {
        for (const read of [state.members, state.take]) {
          await assert.rejects(read('key'), (error) => {
            assert.equal(Object(error).code, 'ERR_OIDC_SHARED_STATE')
            assert.doesNotMatch(inspect(error), /of another|json/)
            return true
          })
        }
      })
    }
  })
}

for (const [name, stateOver] of Object.entries(FAKES)) {
  describe(`shared state over ${name}`, () => {
    for (const [verb, operation] of Object.entries(OPERATIONS)) {
      it(`rejects ${verb} after five seconds without a response`, async (t) => {
        mock.timers.enable({ apis: ['setTimeout'] })
        t.after(() => mock.timers.reset())
        let isOver = false
        const rejected = assert.rejects(
          operation(stateOver(NEVER)).finally(() => (isOver = true)),
          UNREACHABLE,
        )
        await settle()
        mock.timers.tick(4999)
        await settle()
        assert.equal(isOver, false)
        mock.timers.tick(1)
        await rejected
      })

      it(`rejects ${verb} at once if it fails, with the reason only in the cause`, async () => {
        await assert.rejects(operation(stateOver(FAIL)), (error) => {
          assert.ok(error instanceof Error)
          assert.equal(Object(error).code, 'ERR_OIDC_SHARED_STATE')
          assert.doesNotMatch(error.message, /details|key|member/)
          assert.deepEqual(error.cause, new Error('no, with details'))
          return true
        })
      })
    }
  })
}

function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

for (const kind of KINDS.filter(({ name }) => name === 'redis' || name === 'postgres')) {
  describe(`shared state in ${kind.name}`, { skip: kind.skip, timeout: 180_000 }, () => {
    let ground: Ground
    before(async () => {
      ground = await kind.start()
      await ground.node()
    })
    after(() => ground.stop())

    it('rejects while the server is away, and works again without a restart when it is back', async () => {
      await overLine(kind.name, ground.socketPath, async (state, line) => {
        await line.cut()
        await Promise.all(Object.values(OPERATIONS).map((operation) => assert.rejects(operation(state), UNREACHABLE)))
        await line.mend()
        await comesBack(state)
        assert.deepEqual(await state.take('key'), ['before'])
        assert.equal(await state.once('key', 60), true)
        assert.equal(await state.lock('key', 5, async () => 'mine'), 'mine')
      })
    })

    it('rejects after five seconds if the server stops responding', async (t) => {
      await overLine(kind.name, ground.socketPath, async (state, line) => {
        line.mute()
        mock.timers.enable({ apis: ['setTimeout'] })
        t.after(() => mock.timers.reset())
        const rejected = assert.rejects(state.seen('key'), UNREACHABLE)
        mock.timers.tick(5000)
        await rejected
        mock.timers.reset()
        await line.mend()
        await comesBack(state)
        assert.deepEqual(await state.take('key'), ['before'])
      })
    })
  })
}

/** A state whose server is behind a socket that can break, with `before` in the set `key`. */
async function overLine(
  name: string,
  socketPath: string,
  work: (state: SharedState, line: SocketLine) => Promise<void>,
): Promise<void> {
  const line = await laySocketLine(socketPath, basename(socketPath))
  try {
    const { state, close } = await openState(name, line.path)
    try {
      await state.add('key', 'before', 60)
      await work(state, line)
    } finally {
      await close()
    }
  } finally {
    await line.stop()
  }
}

async function comesBack(state: SharedState): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await state.seen('key')
      return
    } catch (error) {
      if (attempt === 100) throw error
      await wait(20)
    }
  }
}

describe('redisState()', { skip: skipWithoutRedis, timeout: 180_000 }, () => {
  let redis: TestRedis | undefined
  let client: Awaited<ReturnType<typeof connectToRedis>>
  let state: SharedState
  before(async () => {
    redis = await startRedis()
    client = await connectToRedis(redis?.socketPath ?? '')
    state = redisState({ client, prefix: 'app:' })
  })
  after(async () => {
    client.destroy()
    await redis?.stop()
  })

  it('lets every key expire after its longest lifetime, and names no user in it', async () => {
    await state.add('sub alice', 'session-1', 3600)
    await state.add('sub alice', 'session-2', 60)
    await state.once('jti', 600)
    await state.lock('sub alice', 30, async () => {
      const keys = (await client.keys('*')).sort()
      assert.match(keys.join(), /^app:lock:\{[\w-]{43}\},app:once:\{[\w-]{43}\},app:set:\{[\w-]{43}\}$/)
      const lives = await Promise.all(keys.map((key) => client.pTTL(key)))
      for (const [index, seconds] of [30, 600, 3600].entries()) {
        const life = Number(lives[index])
        assert.ok(life > (seconds - 20) * 1000 && life <= seconds * 1000, `${keys[index]} ends in ${life} ms`)
      }
    })
  })

  it('removes expired members when another is added', async () => {
    await state.add('every day', 'yesterday', 0.01)
    await wait(20)
    await state.add('every day', 'today', 60)
    const sets = await Promise.all((await client.keys('app:set:*')).map((key) => client.zRange(key, 0, -1)))
    assert.doesNotMatch(sets.flat().join(), /yesterday/)
  })

  it('leaves no key after take, remove, and the release of a lock', async () => {
    await client.flushAll()
    await state.add('taken', 'one', 60)
    await state.take('taken')
    await state.add('removed', 'one', 60)
    await state.remove('removed', 'one')
    await state.lock('key', 60, async () => {})
    assert.deepEqual(await client.keys('*'), [])
  })

  it('is separate for each prefix', async () => {
    await state.once('mine', 60)
    assert.equal(await redisState({ client, prefix: 'other:' }).seen('mine'), false)
    assert.equal(await redisState({ client, prefix: 'app:' }).seen('mine'), true)
  })

  it('rejects if another program has written to its key, and does not overwrite that', async () => {
    await state.add('spoilt', 'one', 60)
    const [key = ''] = await client.keys('app:set:*')
    await client.set(key, 'of another program')
    await assert.rejects(state.add('spoilt', 'two', 60), UNREACHABLE)
    await assert.rejects(state.take('spoilt'), UNREACHABLE)
    assert.equal(await client.get(key), 'of another program')
    await client.flushAll()
  })

  it('acquires its own lock again, because clients repeat commands after the connection broke', async () => {
    const asked: string[][] = []
    const twice = redisState({
      client: {
        async call(command, ...args) {
          asked.push(args)
          await client.sendCommand([command, ...args])
          return client.sendCommand([command, ...args])
        },
      },
    })
    assert.equal(await twice.lock('key', 0.3, async () => 'mine'), 'mine')
    assert.equal(asked.length, 2)
  })

  it('waits for a client that is connecting, but not for one that is gone', async () => {
    const connecting = { isReady: false, eval: async () => 1 }
    const pending = redisState({ client: connecting }).seen('key')
    await wait(20)
    connecting.isReady = true
    assert.equal(await pending, true)
    const lazy = { status: 'wait', call: async () => 1 }
    assert.equal(await redisState({ client: lazy }).seen('key'), true)
    let calls = 0
    const gone = { status: 'end', call: async () => (calls += 1) }
    mock.timers.enable({ apis: ['setTimeout'] })
    try {
      const rejected = assert.rejects(redisState({ client: gone }).once('key', 60), UNREACHABLE)
      for (let step = 0; step < 45; step++) {
        await settle()
        mock.timers.tick(50)
      }
      await rejected
      assert.equal(calls, 0)
    } finally {
      mock.timers.reset()
    }
  })

  it('accepts each kind of client', () => {
    const fitting: readonly NodeRedisClient[] = [client, createCluster({ rootNodes: [{}] }), client.withTypeMapping({})]
    for (const one of fitting) redisState({ client: one })
    redisState({ client: likeIoRedis(client) })
  })

  for (const prefix of ['{app}', 'app{', '}']) {
    it(`refuses the prefix ${prefix}`, () => {
      assert.throws(() => redisState({ client, prefix }), ConfigError)
    })
  }
})

describe('a connection of the pool', () => {
  it('is returned after a response, and closed after an error', async () => {
    const lent: Lent = []
    await postgresState({ pool: poolOf(async () => ({ rows: [] }), lent) }).seen('key')
    await assert.rejects(postgresState({ pool: poolOf(FAIL, lent) }).seen('key'), UNREACHABLE)
    assert.deepEqual(lent, ['lent', false, 'lent', true])
  })

  it('is closed if it does not respond, so that the pool can replace it', async (t) => {
    mock.timers.enable({ apis: ['setTimeout'] })
    t.after(() => mock.timers.reset())
    const lent: Lent = []
    const rejected = assert.rejects(postgresState({ pool: poolOf(NEVER, lent) }).seen('key'), UNREACHABLE)
    await settle()
    mock.timers.tick(5000)
    await rejected
    assert.deepEqual(lent, ['lent', true])
  })

  it('is returned unused if it is lent too late', async (t) => {
    mock.timers.enable({ apis: ['setTimeout'] })
    t.after(() => mock.timers.reset())
    const lent: Lent = []
    let lend = (): void => {}
    const { connect } = poolOf(() => assert.fail('it runs too late'), lent)
    const slow: PostgresPool = {
      connect: () =>
        new Promise((resolve) => {
          lend = () => resolve(connect())
        }),
    }
    const rejected = assert.rejects(postgresState({ pool: slow }).once('key', 60), UNREACHABLE)
    await settle()
    mock.timers.tick(5000)
    await rejected
    lend()
    await settle()
    assert.deepEqual(lent, ['lent', false])
  })

  it('N-1: does not end the process if the pool throws when it gets the connection back', async (t) => {
    mock.timers.enable({ apis: ['setTimeout'] })
    t.after(() => mock.timers.reset())
    const returned: unknown[] = []
    const release = (destroy?: boolean): void => {
      returned.push(destroy)
      throw new Error('released before')
    }
    const pool: PostgresPool = { connect: async () => Object.assign(new EventEmitter(), { query: NEVER, release }) }
    const rejected = assert.rejects(postgresState({ pool }).seen('key'), UNREACHABLE)
    await settle()
    mock.timers.tick(5000)
    await rejected
    await settle()
    assert.deepEqual(returned, [true])
  })

  it('does not end the process if it breaks while it is lent', async () => {
    const connection = new EventEmitter()
    const query = async (): Promise<never> => {
      connection.emit('error', new Error('broken'))
      throw new Error('broken')
    }
    const pool: PostgresPool = { connect: async () => Object.assign(connection, { query, release: () => {} }) }
    await assert.rejects(postgresState({ pool }).seen('key'), UNREACHABLE)
    assert.equal(connection.listenerCount('error'), 0)
  })
})

describe('postgresState()', { skip: skipWithoutPostgres, timeout: 180_000 }, () => {
  let postgres: TestPostgres | undefined
  let pool: Pool
  before(async () => {
    postgres = await startPostgres()
    pool = connectToPostgres(dirname(postgres?.socketPath ?? ''))
    await postgresState({ pool }).createTable()
  })
  after(async () => {
    await pool.end()
    await postgres?.stop()
  })

  async function count(table = 'oidc_state'): Promise<number> {
    const { rows } = await pool.query(`SELECT count(*)::int AS count FROM ${table}`)
    return Number(rows[0]?.['count'])
  }

  it('creates its table once, even if many nodes create it at the same time', async () => {
    const states = Array.from({ length: 8 }, () => postgresState({ pool, table: 'made_at_once' }))
    await Promise.all(states.map((state) => state.createTable()))
    await states[0]?.createTable()
    assert.equal(await count('made_at_once'), 0)
  })

  it('has the statements for a migration', async () => {
    const state = postgresState({ pool, table: 'Migrated' })
    await pool.query(state.sql)
    assert.equal(await state.once('key', 60), true)
    assert.equal(await count('"Migrated"'), 1)
  })

  it('works in a schema, and with a reserved word as its name', async () => {
    await pool.query('CREATE SCHEMA shop')
    const state = postgresState({ pool, table: 'shop.user' })
    await state.createTable()
    await state.add('set', 'member', 60)
    assert.equal(await count('shop."user"'), 1)
    assert.deepEqual(await state.take('set'), ['member'])
  })

  it('rejects without its table', async () => {
    const state = postgresState({ pool, table: 'never_made' })
    await Promise.all(Object.values(OPERATIONS).map((operation) => assert.rejects(operation(state), UNREACHABLE)))
  })

  it('leaves no row after take, remove, and the release of a lock, and names no user in the names', async () => {
    await pool.query('TRUNCATE oidc_state')
    const state = postgresState({ pool })
    await state.add('sub alice', 'session-1', 60)
    const { rows } = await pool.query('SELECT name, member, value FROM oidc_state')
    assert.match(String(rows[0]?.['name']), /^set:[\w-]{43}$/)
    assert.equal(rows[0]?.['value'], '"session-1"')
    await state.take('sub alice')
    await state.add('removed', 'one', 60)
    await state.remove('removed', 'one')
    await state.lock('key', 60, async () => {})
    assert.equal(await count(), 0)
  })

  it('deletes expired rows in batches, and no others', async () => {
    await pool.query(`INSERT INTO oidc_state SELECT 'once:' || n, '', '1', now() - interval '1 second'
      FROM generate_series(1, 2500) AS n`)
    const state = postgresState({ pool })
    await state.once('kept', 60)
    assert.equal(await count(), 1501)
    await state.add('set', 'kept', 60)
    await state.add('set', 'kept too', 60)
    assert.equal(await count(), 3)
    await pool.query(`INSERT INTO oidc_state VALUES ('once:late', '', '1', now() - interval '1 second')`)
    await state.once('kept', 60)
    assert.equal(await count(), 4, 'it cleans once a minute')
  })

  it('works even if the cleaning fails', async () => {
    const asked: string[] = []
    const reluctant = poolOf((text, values) => {
      asked.push(text)
      return text.startsWith('WITH ended') ? FAIL() : pool.query(text, values)
    })
    const state = postgresState({ pool: reluctant })
    assert.equal(await state.once('unclean', 60), true)
    assert.equal(asked.length, 2)
  })

  it('retries a statement that PostgreSQL has rolled back, at most five times', async () => {
    for (const code of ['40001', '40P01']) {
      let failures = 3
      const contended = poolOf(async (text, values) => {
        if (failures-- > 0) throw Object.assign(new Error('rolled back'), { code })
        return pool.query(text, values)
      })
      assert.equal(await postgresState({ pool: contended }).seen('key'), false)
    }
    let calls = 0
    const hopeless = poolOf(async () => {
      calls += 1
      throw Object.assign(new Error('rolled back'), { code: '40001' })
    })
    await assert.rejects(postgresState({ pool: hopeless }).seen('key'), UNREACHABLE)
    assert.equal(calls, 5)
  })

  for (const table of [
    '',
    'a b',
    'a"b',
    'a;b',
    "a'b",
    '1a',
    'a.b.c',
    'a.',
    '.a',
    'a\n',
    'x'.repeat(51),
    'tabl\u00e9',
  ]) {
    it(`refuses the table ${JSON.stringify(table)}`, () => {
      assert.throws(() => postgresState({ pool, table }), ConfigError)
    })
  }
})
