import { ConfigError, shown } from './errors.ts'
import { createPolledLock } from './state/locks.ts'
import { asciiJson, entryName, parseAsciiJson, stateOperation, toMilliseconds } from './state/operation.ts'
import { type PostgresPool, runStatement, type Statements, statementsFor } from './state/postgres-table.ts'
import type { SharedState } from './state/shared-state.ts'

export type { PostgresConnection, PostgresPool } from './state/postgres-table.ts'
export type { Lease, SharedState } from './state/shared-state.ts'

/** The options of {@link postgresState}. */
export interface PostgresStateOptions {
  /** A pool of connections. You create it, handle its `error` events and close it. */
  pool: PostgresPool
  /**
   * The name of the table, optionally with its schema: `'shop.oidc_state'`. It is quoted, so upper and lower case matter.
   * @default 'oidc_state'
   */
  table?: string
}

/** Shared state on PostgreSQL, and the means to create its table. */
export interface PostgresState extends SharedState {
  /**
   * Creates the table and its index if they do not exist. Several nodes may call it at the same time. It needs the right to
   * create in the schema; if a migration does that instead, let it run `sql`.
   */
  createTable(): Promise<void>
  /** The statements that create the table and its index, without parameters. */
  readonly sql: string
}

/**
 * Shared state in a table of PostgreSQL 12 or later, for any number of nodes. You need it when the application runs on more
 * than one node and you have PostgreSQL, but not Redis. Each operation is one statement in a transaction of its own, with
 * values as parameters. Nothing is kept in a connection, so a connection pooler such as PgBouncer works too. Expired entries
 * are deleted in small batches.
 *
 * Its methods reject with `ERR_OIDC_SHARED_STATE` if the server cannot be reached or does not respond within five seconds.
 *
 * @throws {ConfigError} if `table` is not a plain name, or two with a dot between them
 * @example
 * ```ts
 * import { postgresState } from 'express-oidc/postgres'
 * import { Pool } from 'pg'
 *
 * const pool = new Pool({ connectionString: 'postgresql://localhost/app' })
 * pool.on('error', console.error)
 * const sharedState = postgresState({ pool })
 * await sharedState.createTable()
 * app.use(oidc({ issuer, clientId, clientSecret, baseUrl, sharedState }))
 * ```
 */
export function postgresState({ pool, table = 'oidc_state' }: PostgresStateOptions): PostgresState {
  if (typeof table !== 'string' || !/^([a-z_]\w{0,49}\.)?[a-z_]\w{0,49}$/i.test(table)) {
    throw new ConfigError([
      `table must be a name of at most 50 letters, digits and _, or schema.name, not ${shown(table)}.`,
    ])
  }
  const statements = statementsFor(table)
  const query = (text: string, ...values: string[]): Promise<readonly unknown[]> =>
    stateOperation(({ signal }) => runStatement(pool, signal, text, values))
  const readMembers = (text: string, name: string): Promise<readonly string[]> =>
    stateOperation(async ({ signal }) => aliveValues(await runStatement(pool, signal, text, [name])))
  const hasRow = async (...parameters: Parameters<typeof query>): Promise<boolean> =>
    (await query(...parameters)).length > 0
  const clean = createCleaner(() => query(statements.clean, String(MAX_CLEANED_ROWS)))

  return {
    ...createSets(statements, query, readMembers, clean),
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
    createTable: () => stateOperation(async ({ signal }) => void (await runStatement(pool, signal, statements.create))),
  }
}

type Query = (text: string, ...values: string[]) => Promise<readonly unknown[]>

function createSets(
  statements: Statements,
  query: Query,
  readMembers: (text: string, name: string) => Promise<readonly string[]>,
  clean: () => Promise<void>,
): Pick<SharedState, 'add' | 'remove' | 'members' | 'take'> {
  const setName = (key: string): string => `set:${entryName(key)}`
  return {
    async add(key, member, seconds) {
      const life = String(toMilliseconds(seconds))
      await query(statements.add, setName(key), entryName(member), asciiJson(member), life)
      await clean()
    },
    async remove(key, member) {
      await query(statements.remove, setName(key), entryName(member))
    },
    members: (key) => readMembers(statements.members, setName(key)),
    take: (key) => readMembers(statements.take, setName(key)),
  }
}

function aliveValues(rows: readonly unknown[]): readonly string[] {
  return rows.flatMap((row) => {
    const { value, lives } = Object(row)
    return lives === true ? [parseAsciiJson(value)] : []
  })
}

const CLEANING_INTERVAL = 60_000
const MAX_CLEANED_ROWS = 1000

/** Deletes one batch of expired entries a minute, and more often while there are more. */
function createCleaner(deleteBatch: () => Promise<readonly unknown[]>): () => Promise<void> {
  let nextAt = 0
  return async function clean() {
    if (Date.now() < nextAt) return
    nextAt = Date.now() + CLEANING_INTERVAL
    // The caller's own operation has succeeded already. If the server has a problem, the next one reports it.
    const deleted = await deleteBatch().catch(() => [])
    if (deleted.length === MAX_CLEANED_ROWS) nextAt = 0
  }
}
