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
