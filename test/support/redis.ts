import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { createClient } from 'redis'

/** A Redis of its own, empty, that nothing else reaches. */
export interface TestRedis {
  /** The path of its unix socket: `createClient({ socket: { path, tls: false } })`. */
  readonly socketPath: string
  stop(): Promise<void>
}

/** Why the tests that need Redis are skipped, or `false`: for node:test's `skip`. */
export const skipWithoutRedis: string | false =
  spawnSync('redis-server', ['--version']).status === 0 ? false : 'skipped: redis-server is not installed'

/** Starts redis-server on a unix socket in a folder of its own; undefined where it is not installed. */
export async function startRedis(): Promise<TestRedis | undefined> {
  if (skipWithoutRedis) return undefined
  const folder = await mkdtemp(join(tmpdir(), 'oidc-redis-'))
  const socketPath = join(folder, 'redis.sock')
  const settings = ['--port', '0', '--unixsocket', socketPath, '--save', '', '--daemonize', 'no', '--dir', folder]
  const server = spawn('redis-server', settings, { stdio: 'ignore' })
  const stop = async (): Promise<void> => {
    await end(server)
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await answers(socketPath)
  } catch (error) {
    await stop()
    throw error
  }
  return { socketPath, stop }
}

async function answers(path: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const client = createClient({ socket: { path, tls: false, reconnectStrategy: false } })
    client.on('error', () => {})
    try {
      await client.connect()
      client.destroy()
      return
    } catch (error) {
      if (attempt === 100) throw error
      await wait(50)
    }
  }
}

function end(server: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (server.exitCode !== null) return resolve()
    server.once('exit', () => resolve())
    server.kill()
  })
}
