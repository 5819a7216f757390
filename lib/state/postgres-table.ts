/** As much as is needed of a `Pool` of the package `pg`, or of what is made after it. */
export interface PostgresPool {
  connect(): Promise<PostgresConnection>
}

/** One of its connections, lent. */
export interface PostgresConnection {
  query(text: string, values?: string[]): Promise<{ readonly rows: readonly unknown[] }>
  /** Gives it back; with `true` it is closed, and not lent again. */
  release(destroy?: boolean): void
  on(event: 'error', listener: (error: Error) => void): unknown
  removeListener(event: 'error', listener: (error: Error) => void): unknown
}

/** Serialization failure and deadlock: whoever hears of these has changed nothing, and is to try again. */
const TRY_AGAIN: readonly unknown[] = ['40001', '40P01']
const ATTEMPTS = 5

/**
 * Runs one statement on a connection of its own, and gives its rows. One that is lent too late does not run any more, and a
 * connection that does not answer in time is closed: else the pool would soon have no others.
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
      if (attempt === ATTEMPTS || signal.aborted || !TRY_AGAIN.includes(Object(error).code)) throw error
    }
  }
}

async function runOnce(...[pool, signal, text, values]: Parameters<typeof runStatement>): Promise<readonly unknown[]> {
  const connection = await pool.connect()
  const giveBack = createReturn(connection)
  const close = (): void => giveBack(true)
  signal.addEventListener('abort', close)
  try {
    signal.throwIfAborted()
    const { rows } = await connection.query(text, values)
    giveBack(false)
    return rows
  } catch (error) {
    // A connection is not trusted after a fault. One that was lent too late has none.
    giveBack(!signal.aborted)
    throw error
  } finally {
    signal.removeEventListener('abort', close)
  }
}

/** Gives a connection back, once. Until then a fault of it is nobody's but that of the statement, which hears of it too. */
function createReturn(connection: PostgresConnection): (destroy: boolean) => void {
  const ignore = (): void => {}
  let isLent = true
  connection.on('error', ignore)
  return function giveBack(destroy) {
    if (!isLent) return
    isLent = false
    connection.release(destroy)
    connection.removeListener('error', ignore)
  }
}

/** The statements of one table. */
export interface Statements {
  /** Several at once, without values. */
  readonly create: string
  /** `$1` entry, `$2` name of the member, `$3` member, `$4` milliseconds. */
  readonly add: string
  /** `$1` entry, `$2` name of the member. */
  readonly remove: string
  /** `$1` entry; gives `value` and `lives`. */
  readonly members: string
  /** The same, of what it removes. */
  readonly take: string
  /** `$1` entry, `$2` value, `$3` milliseconds; gives a row to the first. */
  readonly once: string
  /** `$1` entry; gives a row where it lives. */
  readonly seen: string
  /** `$1` entry, `$2` owner, `$3` milliseconds; gives a row to the owner. */
  readonly acquire: string
  /** `$1` entry, `$2` owner. */
  readonly release: string
  /** `$1` how many at most; gives a row for each. */
  readonly clean: string
}

/**
 * Writes the statements out for a table whose name was checked. Each is right by itself in READ COMMITTED, the level that
 * PostgreSQL begins with: a row that another transaction changed meanwhile is judged again as it has become.
 */
export function statementsFor(name: string): Statements {
  const table = name.split('.').map(quoted).join('.')
  const index = quoted(`${name.split('.').at(-1)}_ends_at`)
  const end = (parameter: string): string => `now() + ${parameter}::float8 * interval '1 millisecond'`
  const claim = `INSERT INTO ${table} AS entry (name, member, value, ends_at) VALUES ($1, '', $2, ${end('$3')})
    ON CONFLICT (name, member) DO UPDATE SET value = EXCLUDED.value, ends_at = EXCLUDED.ends_at
    WHERE entry.ends_at <= now()`
  return {
    // CREATE IF NOT EXISTS fails where two do it at once, so they take turns.
    create: `SELECT pg_advisory_xact_lock(hashtext('express-oidc'), hashtext('${name}'));
CREATE TABLE IF NOT EXISTS ${table} (
  name text COLLATE "C" NOT NULL,
  member text COLLATE "C" NOT NULL,
  value text NOT NULL,
  ends_at timestamptz NOT NULL,
  PRIMARY KEY (name, member)
);
CREATE INDEX IF NOT EXISTS ${index} ON ${table} (ends_at);`,
    add: `INSERT INTO ${table} AS entry (name, member, value, ends_at) VALUES ($1, $2, $3, ${end('$4')})
    ON CONFLICT (name, member) DO UPDATE SET ends_at = greatest(entry.ends_at, EXCLUDED.ends_at)`,
    remove: `DELETE FROM ${table} WHERE name = $1 AND member = $2`,
    members: `SELECT value, ends_at > now() AS lives FROM ${table} WHERE name = $1`,
    take: `DELETE FROM ${table} WHERE name = $1 RETURNING value, ends_at > now() AS lives`,
    once: `${claim} RETURNING name`,
    seen: `SELECT name FROM ${table} WHERE name = $1 AND ends_at > now()`,
    acquire: `${claim} OR entry.value = EXCLUDED.value RETURNING name`,
    release: `DELETE FROM ${table} WHERE name = $1 AND value = $2`,
    // What others are busy with is left to them.
    clean: `WITH ended AS (
      SELECT name, member FROM ${table} WHERE ends_at <= now() ORDER BY ends_at LIMIT $1::int FOR UPDATE SKIP LOCKED
    ) DELETE FROM ${table} AS entry USING ended
    WHERE entry.name = ended.name AND entry.member = ended.member RETURNING 1 AS removed`,
  }
}

function quoted(name: string): string {
  return `"${name}"`
}
