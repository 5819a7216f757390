import { ConfigError } from './errors.ts'
import { createPolledLock } from './state/locks.ts'
import { asciiJson, entryName, stateOperation, toMilliseconds } from './state/operation.ts'
import { type PostgresPool, runStatement, type Statements, statementsFor } from './state/postgres-table.ts'
import type { SharedState } from './state/shared-state.ts'

export type { PostgresConnection, PostgresPool } from './state/postgres-table.ts'
export type { Lease, SharedState } from './state/shared-state.ts'

/** What `postgresState` works with. */
export interface PostgresStateOptions {
  /** The connections. Who made the pool closes it, and listens to its `error` event. */
  pool: PostgresPool
  /**
   * The table, with its schema before a point where it has one. It is quoted, so upper and lower case matter.
   * @default 'oidc_state'
   */
  table?: string
}

/** Shared state on PostgreSQL, with its table. */
export interface PostgresState extends SharedState {
  /** Makes the table and its index where they are not there; many nodes may do so at once. A migration can run `sql` instead. */
  createTable(): Promise<void>
  /** What makes the table: several statements, without values. */
  readonly sql: string
}

/** How often, in milliseconds, a node looks for entries that have ended, and how many it removes at a time. */
const CLEANING = { every: 60_000, batch: 1000 }

/**
 * Shared state in a table of PostgreSQL 12 or later, for any number of nodes. Every operation is one statement in a
 * transaction of its own, with values as parameters and without anything that stays with a connection, so it works through
 * a connection pooler too. Entries that have ended are removed along the way, in small batches. Throws a `ConfigError` for
 * a table that is no plain name.
 *
 * @example
 * ```ts
 * import { postgresState } from 'express-oidc/postgres'
 * import { Pool } from 'pg'
 *
 * const pool = new Pool({ connectionString: 'postgresql://localhost/app' })
 * pool.on('error', console.error)
 * const sharedState = postgresState({ pool })
 * await sharedState.createTable()
 * ```
 */
export function postgresState({ pool, table = 'oidc_state' }: PostgresStateOptions): PostgresState {
  if (typeof table !== 'string' || !/^([a-z_]\w{0,49}\.)?[a-z_]\w{0,49}$/i.test(table)) {
    throw new ConfigError(['table must be one name of at most 50 letters, digits and _, or two with a point between.'])
  }
  const statements = statementsFor(table)
  const query = (text: string, ...values: string[]): Promise<readonly unknown[]> =>
    stateOperation((signal) => runStatement(pool, signal, text, values))
  const hasRow = async (...parameters: Parameters<typeof query>): Promise<boolean> =>
    (await query(...parameters)).length > 0
  const clean = createCleaner(() => query(statements.clean, String(CLEANING.batch)))

  return {
    ...createSets(statements, query, clean),
    async once(key, seconds) {
      const isFirst = await hasRow(statements.once, `once:${entryName(key)}`, '1', String(toMilliseconds(seconds)))
      await clean()
      return isFirst
    },
    seen: (key) => hasRow(statements.seen, `once:${entryName(key)}`),
    lock: createPolledLock({
      acquire: (key, owner, life) => hasRow(statements.acquire, `lock:${entryName(key)}`, owner, String(life)),
      release: async (key, owner) => {
        await query(statements.release, `lock:${entryName(key)}`, owner)
      },
    }),
    sql: statements.create,
    createTable: () => stateOperation(async (signal) => void (await runStatement(pool, signal, statements.create))),
  }
}

type Query = (text: string, ...values: string[]) => Promise<readonly unknown[]>

function createSets(
  statements: Statements,
  query: Query,
  clean: () => Promise<void>,
): Pick<SharedState, 'add' | 'remove' | 'members' | 'take'> {
  const nameOf = (key: string): string => `set:${entryName(key)}`
  return {
    async add(key, member, seconds) {
      const life = String(toMilliseconds(seconds))
      await query(statements.add, nameOf(key), entryName(member), asciiJson(member), life)
      await clean()
    },
    async remove(key, member) {
      await query(statements.remove, nameOf(key), entryName(member))
    },
    members: async (key) => livingValues(await query(statements.members, nameOf(key))),
    take: async (key) => livingValues(await query(statements.take, nameOf(key))),
  }
}

function livingValues(rows: readonly unknown[]): readonly string[] {
  return rows.flatMap((row) => {
    const { value, lives } = Object(row)
    return lives === true ? [JSON.parse(String(value))] : []
  })
}

/** Removes what has ended: now and then one batch, and the next one with the next call where there is more. */
function createCleaner(removeBatch: () => Promise<readonly unknown[]>): () => Promise<void> {
  let nextAt = 0
  return async function clean() {
    if (Date.now() < nextAt) return
    nextAt = Date.now() + CLEANING.every
    // A fault of the server shows in what the caller wanted.
    const removed = await removeBatch().catch(() => [])
    if (removed.length === CLEANING.batch) nextAt = 0
  }
}
