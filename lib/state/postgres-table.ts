/** What this library needs of a `Pool` of the package `pg`, or of one that works like it. */
export interface PostgresPool {
  connect(): Promise<PostgresConnection>
}

/** A connection that the pool lends. */
export interface PostgresConnection {
  query(text: string, values?: string[]): Promise<{ readonly rows: readonly unknown[] }>
  /** Returns the connection to the pool. With `true` the pool closes it instead of lending it again. */
  release(destroy?: boolean): void
  on(event: 'error', listener: (error: Error) => void): unknown
  removeListener(event: 'error', listener: (error: Error) => void): unknown
}

/** SQLSTATE of a serialization failure and of a deadlock: nothing was changed, and a retry can succeed. */
const RETRYABLE_STATES: readonly unknown[] = ['40001', '40P01']
const MAX_ATTEMPTS = 5

/**
 * Runs one statement on a connection of its own and returns its rows. When the signal aborts, a statement that still waits
 * for a connection does not run. A connection that has not responded is closed, or the pool would run out of connections.
 */
export async function runStatement(
  pool: PostgresPool,
  signal: AbortSignal,
  text: string,
  values?: string[],
): Promise<readonly unknown[]> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await runOnce(pool, signal, text, values)
    } catch (error) {
      if (attempt === MAX_ATTEMPTS || signal.aborted || !RETRYABLE_STATES.includes(Object(error).code)) throw error
    }
  }
}

async function runOnce(...[pool, signal, text, values]: Parameters<typeof runStatement>): Promise<readonly unknown[]> {
  const connection = await pool.connect()
  const release = createRelease(connection)
  const close = (): void => {
    try {
      release(true)
    } catch {
      // An exception in a listener of a signal would end the process. The caller has its error already.
    }
  }
  signal.addEventListener('abort', close)
  try {
    signal.throwIfAborted()
    const { rows } = await connection.query(text, values)
    release(false)
    return rows
  } catch (error) {
    // Close a connection after an error. One that was lent too late has had none and can be used again.
    release(!signal.aborted)
    throw error
  } finally {
    signal.removeEventListener('abort', close)
  }
}

/**
 * Returns the connection to the pool at the first call only. Until then its `error` events are ignored, because the
 * statement fails with the same error, and an event without a listener would end the process.
 */
function createRelease(connection: PostgresConnection): (destroy: boolean) => void {
  const ignore = (): void => {}
  let isLent = true
  connection.on('error', ignore)
  return function release(destroy) {
    if (!isLent) return
    isLent = false
    connection.release(destroy)
    connection.removeListener('error', ignore)
  }
}

/** The statements of one table. `name` is the name of an entry, the first parameter of most. */
export interface Statements {
  /** Several statements in one text, without parameters. */
  readonly create: string
  /** `$1` name, `$2` key of the member, `$3` member, `$4` milliseconds. */
  readonly add: string
  /** `$1` name, `$2` key of the member. */
  readonly remove: string
  /** `$1` name. Returns `value` and `lives`. */
  readonly members: string
  /** `$1` name. Returns `value` and `lives` of the rows that it deletes. */
  readonly take: string
  /** `$1` name, `$2` value, `$3` milliseconds. Returns a row to the first caller only. */
  readonly once: string
  /** `$1` name. Returns a row if the mark has not expired. */
  readonly seen: string
  /** `$1` name, `$2` owner, `$3` milliseconds. Returns a row if the owner has the lock now. */
  readonly acquire: string
  /** `$1` name, `$2` owner. */
  readonly release: string
  /** `$1` maximum number of rows. Returns a row for each that it deletes. */
  readonly clean: string
}

/**
 * The statements for a table whose name was checked before. Each is correct on its own in READ COMMITTED, the default of
 * PostgreSQL: if another transaction has changed a row meanwhile, the condition is evaluated again with the new row.
 */
export function statementsFor(name: string): Statements {
  const table = name.split('.').map(quoted).join('.')
  const index = quoted(`${name.split('.').at(-1)}_ends_at`)
  const expiry = (parameter: string): string => `now() + ${parameter}::float8 * interval '1 millisecond'`
  const claim = `INSERT INTO ${table} AS entry (name, member, value, ends_at) VALUES ($1, '', $2, ${expiry('$3')})
    ON CONFLICT (name, member) DO UPDATE SET value = EXCLUDED.value, ends_at = EXCLUDED.ends_at
    WHERE entry.ends_at <= now()`
  return {
    // CREATE IF NOT EXISTS can fail when two nodes run it at the same time. The lock lets them take turns.
    create: `SELECT pg_advisory_xact_lock(hashtext('express-oidc'), hashtext('${name}'));
CREATE TABLE IF NOT EXISTS ${table} (
  name text COLLATE "C" NOT NULL,
  member text COLLATE "C" NOT NULL,
  value text NOT NULL,
  ends_at timestamptz NOT NULL,
  PRIMARY KEY (name, member)
);
CREATE INDEX IF NOT EXISTS ${index} ON ${table} (ends_at);`,
    add: `INSERT INTO ${table} AS entry (name, member, value, ends_at) VALUES ($1, $2, $3, ${expiry('$4')})
    ON CONFLICT (name, member) DO UPDATE SET ends_at = greatest(entry.ends_at, EXCLUDED.ends_at)`,
    remove: `DELETE FROM ${table} WHERE name = $1 AND member = $2`,
    members: `SELECT value, ends_at > now() AS lives FROM ${table} WHERE name = $1`,
    take: `DELETE FROM ${table} WHERE name = $1 RETURNING value, ends_at > now() AS lives`,
    once: `${claim} RETURNING name`,
    seen: `SELECT name FROM ${table} WHERE name = $1 AND ends_at > now()`,
    acquire: `${claim} OR entry.value = EXCLUDED.value RETURNING name`,
    release: `DELETE FROM ${table} WHERE name = $1 AND value = $2`,
    // SKIP LOCKED leaves rows that another node is deleting to that node.
    clean: `WITH ended AS (
      SELECT name, member FROM ${table} WHERE ends_at <= now() ORDER BY ends_at LIMIT $1::int FOR UPDATE SKIP LOCKED
    ) DELETE FROM ${table} AS entry USING ended
    WHERE entry.name = ended.name AND entry.member = ended.member RETURNING 1 AS removed`,
  }
}

function quoted(name: string): string {
  return `"${name}"`
}
