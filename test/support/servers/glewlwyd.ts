import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { createGlewlwydAdmin, type GlewlwydClient } from './glewlwyd-admin.ts'
import { configureGlewlwyd } from './glewlwyd-setup.ts'
import { listen } from './http-server.ts'

/** A glewlwyd of its own: a provider from another hand than ours and the one in `provider.ts`. */
export interface Glewlwyd {
  readonly origin: string
  /** Sends `iss` with its answers (RFC 9207), which `form_post` doubly encodes. */
  readonly issuer: string
  /** The same users and clients; sends no `iss`. */
  readonly plainIssuer: string
  /** Registers a client, by glewlwyd's own names. */
  addClient(client: GlewlwydClient): Promise<void>
  stop(): Promise<void>
}

// Not from /usr/share/doc, which small images of Debian leave out.
const SCHEMA = '/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3'
const MODULES = '/usr/lib/glewlwyd'

/** Why the tests that need glewlwyd are skipped, or `false`: for node:test's `skip`. */
export const skipWithoutGlewlwyd: string | false =
  spawnSync('glewlwyd', ['--version']).error === undefined ? false : 'skipped: glewlwyd is not installed'

/** Starts glewlwyd with a database of its own, with the users of `GLEWLWYD_USERS`. */
export async function startGlewlwyd(): Promise<Glewlwyd> {
  const folder = await mkdtemp(join(tmpdir(), 'oidc-glewlwyd-'))
  const origin = `http://localhost:${await findFreePort()}`
  let server: ChildProcess | undefined
  const stop = async (): Promise<void> => {
    if (server) await end(server)
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await createDatabase(join(folder, 'database'))
    server = spawnServer(settingsOf(folder, origin))
    await answers(origin, server)
    const admin = await createGlewlwydAdmin(origin)
    const issuers = await configureGlewlwyd(admin, origin)
    return { origin, ...issuers, addClient: admin.addClient, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** What else may take the port in between is not known; then the start fails, and says so. */
async function findFreePort(): Promise<number> {
  const listening = await listen(createServer())
  await listening.stop()
  return listening.port
}

async function createDatabase(path: string): Promise<void> {
  const { status, stderr } = spawnSync('sqlite3', [path], { input: await readFile(SCHEMA) })
  if (status !== 0) throw new Error(`sqlite3 could not make the database: ${stderr}`)
}

/** Ends with this process too, where a test run ends before its hooks. */
function spawnServer(env: NodeJS.ProcessEnv): ChildProcess {
  const server = spawn('glewlwyd', ['--env-variables'], { stdio: 'ignore', env })
  const kill = (): void => void server.kill()
  process.once('exit', kill)
  server.once('exit', () => process.off('exit', kill))
  return server
}

function settingsOf(folder: string, origin: string): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    GLWD_PORT: new URL(origin).port,
    GLWD_BIND_ADDRESS: '127.0.0.1',
    GLWD_API_PREFIX: 'api',
    // With the slash at its end that Debian's own configuration has: endpoints in the metadata get two.
    GLWD_EXTERNAL_URL: `${origin}/`,
    GLWD_LOGIN_URL: 'login.html',
    GLWD_COOKIE_SECURE: '0',
    GLWD_LOG_MODE: 'file',
    GLWD_LOG_FILE: join(folder, 'log'),
    GLWD_LOG_LEVEL: 'WARNING',
    GLWD_DATABASE_TYPE: 'sqlite3',
    GLWD_DATABASE_SQLITE3_PATH: join(folder, 'database'),
    GLWD_USER_MODULE_PATH: join(MODULES, 'user'),
    GLWD_CLIENT_MODULE_PATH: join(MODULES, 'client'),
    GLWD_AUTH_SCHEME_MODULE_PATH: join(MODULES, 'scheme'),
    GLWD_PLUGIN_MODULE_PATH: join(MODULES, 'plugin'),
  }
}

async function answers(origin: string, server: ChildProcess): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const answer = await fetch(`${origin}/config`, { signal: AbortSignal.timeout(1000) }).catch(() => undefined)
    if (answer?.ok) return
    if (server.exitCode !== null) throw new Error(`glewlwyd has ended with ${server.exitCode}`)
    if (attempt === 200) throw new Error('glewlwyd does not answer')
    await wait(50)
  }
}

function end(server: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (server.exitCode !== null || server.signalCode !== null) return resolve()
    server.once('exit', () => resolve())
    server.kill()
  })
}
