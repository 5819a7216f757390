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
  /** Ends the server at once, as a machine does that dies. */
  kill(): Promise<void>
  /** Starts one in its place, on the same socket. It has what the old one had where that was to be kept. */
  start(): Promise<void>
  stop(): Promise<void>
}

/** Why the tests that need Redis are skipped, or `false`: for node:test's `skip`. */
export const skipWithoutRedis: string | false =
  spawnSync('redis-server', ['--version']).status === 0 ? false : 'skipped: redis-server is not installed'

/**
 * Starts redis-server on a unix socket in a folder of its own; undefined where it is not installed.
 *
 * @param data Whether it is there again after a `kill()`; gone unless told.
 */
export async function startRedis(data: 'kept' | 'gone' = 'gone'): Promise<TestRedis | undefined> {
  if (skipWithoutRedis) return undefined
  const folder = await mkdtemp(join(tmpdir(), 'oidc-redis-'))
  const socketPath = join(folder, 'redis.sock')
  const settings = ['--port', '0', '--unixsocket', socketPath, '--save', '', '--daemonize', 'no', '--dir', folder]
  const kept = data === 'kept' ? ['--appendonly', 'yes', '--appendfsync', 'always'] : []
  let server: ChildProcess | undefined
  const start = async (): Promise<void> => {
    server = spawn('redis-server', [...settings, ...kept], { stdio: 'ignore' })
    await answers(socketPath)
  }
  const kill = async (): Promise<void> => {
    if (server !== undefined) await end(server, 'SIGKILL')
  }
  const stop = async (): Promise<void> => {
    if (server !== undefined) await end(server, 'SIGTERM')
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await start()
  } catch (error) {
    await stop()
    throw error
  }
  return { socketPath, start, kill, stop }
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

function end(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  return new Promise((resolve) => {
    if (server.exitCode !== null || server.signalCode !== null) return resolve()
    server.once('exit', () => resolve())
    server.kill(signal)
  })
}
