import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Pool } from 'pg'

/** A PostgreSQL of its own, empty, that nothing else reaches. */
export interface TestPostgres {
  /** The path of its unix socket, which lies in a folder of its own. */
  readonly socketPath: string
  stop(): Promise<void>
}

/** The name that PostgreSQL gives to its unix socket; clients are told its folder. */
export const SOCKET_NAME = '.s.PGSQL.5432'

/** Where Debian keeps the programs of each version, out of the path. */
const DEBIAN = '/usr/lib/postgresql'
const NAME = 'oidc'

const programs = programsFolder()

/** Why the tests that need PostgreSQL are skipped, or `false`: for node:test's `skip`. */
export const skipWithoutPostgres: string | false =
  programs === undefined ? 'skipped: PostgreSQL is not installed' : false

/** Connections to the server whose socket is in this folder. */
export function connectToPostgres(folder: string): Pool {
  const pool = new Pool({ host: folder, user: NAME, database: 'postgres', max: 4 })
  pool.on('error', () => undefined)
  return pool
}

/** Starts a server on a unix socket in a folder of its own; undefined where it is not installed. */
export async function startPostgres(): Promise<TestPostgres | undefined> {
  if (programs === undefined) return undefined
  const folder = await mkdtemp(join(tmpdir(), 'oidc-pg-'))
  const owner = ordinaryUser()
  if (owner !== undefined) chownSync(folder, owner.uid, owner.gid)
  const data = join(folder, 'data')
  let server: ChildProcess | undefined
  const stop = async (): Promise<void> => {
    if (server !== undefined) await end(server)
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const settings = ['--auth=trust', `--username=${NAME}`, '--no-sync', '--no-locale', '--encoding=UTF8']
    execFileSync(join(programs, 'initdb'), [`--pgdata=${data}`, ...settings], { ...owner, cwd: folder, stdio: 'pipe' })
    const options = ['-D', data, '-k', folder, '-c', 'listen_addresses=', '-c', 'fsync=off']
    server = spawn(join(programs, 'postgres'), options, { ...owner, cwd: folder, stdio: 'ignore' })
    await answers(folder)
  } catch (error) {
    await stop()
    throw error
  }
  return { socketPath: join(folder, SOCKET_NAME), stop }
}

function programsFolder(): string | undefined {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((one, other) => Number(other) - Number(one)) : []
  const folders = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    ...versions.map((version) => join(DEBIAN, version, 'bin')),
  ]
  return folders.find((folder) => ['initdb', 'postgres'].every((program) => existsSync(join(folder, program))))
}

/** PostgreSQL refuses to run as root: then it runs as the user that its package made. */
function ordinaryUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const [uid, gid] = ['-u', '-g'].map((flag) => Number(spawnSync('id', [flag, 'postgres']).stdout))
  if (!uid || !gid) throw new Error('PostgreSQL cannot be started by root without a user postgres.')
  return { uid, gid }
}

async function answers(folder: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const pool = connectToPostgres(folder)
    try {
      await pool.query('SELECT 1')
      return
    } catch (error) {
      if (attempt === 200) throw error
      await wait(50)
    } finally {
      await pool.end()
    }
  }
}

async function end(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  // What it has is thrown away anyway: it need not finish anything.
  server.kill('SIGQUIT')
  await once(server, 'exit')
}
