import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { RedisStore } from 'connect-redis'
import session from 'express-session'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { postgresState } from '../../../lib/postgres.ts'
import { type IoRedisClient, redisState } from '../../../lib/redis.ts'
import { memoryState } from '../../../lib/state/memory-state.ts'
import type { SharedState } from '../../../lib/state/shared-state.ts'
import { createStoreState } from '../../../lib/state/store-state.ts'
import { modulePath, NODE_ARGS } from '../app/project.ts'
import { connectToPostgres, SOCKET_NAME, skipWithoutPostgres, startPostgres } from './postgres.ts'
import { skipWithoutRedis, startRedis } from './redis.ts'

type RedisClient = ReturnType<typeof createClient>

/** A server, or what stands for one, and nodes that share what it keeps. */
export interface Ground {
  /** Another node. */
  node(): Promise<SharedState>
  /** The unix socket of the server, where there is one. */
  readonly socketPath: string
  stop(): Promise<void>
}

/** An implementation of shared state. */
export interface Kind {
  readonly name: string
  readonly skip: string | false
  start(): Promise<Ground>
}

export const KINDS: readonly Kind[] = [
  { name: 'memory', skip: false, start: async () => grounded(memoryState()) },
  { name: 'a session store', skip: false, start: async () => grounded(createStoreState(new session.MemoryStore())) },
  { name: 'a session store on Redis', skip: skipWithoutRedis, start: startStoreOnRedis },
  { name: 'redis', skip: skipWithoutRedis, start: () => startOnRedis((client) => redisState({ client })) },
  {
    name: 'redis by ioredis',
    skip: skipWithoutRedis,
    start: startOnIoRedis,
  },
  { name: 'postgres', skip: skipWithoutPostgres, start: startOnPostgres },
]

/** A state with its own connections. */
export interface OpenState {
  readonly state: SharedState
  close(): Promise<void>
}

/** The state by name, over the socket of a server that has been started. */
export async function openState(name: string, socketPath: string): Promise<OpenState> {
  if (name === 'postgres') {
    const pool = connectToPostgres(dirname(socketPath))
    return { state: postgresState({ pool }), close: () => pool.end() }
  }
  const client = await connectToRedis(socketPath)
  return { state: redisState({ client }), close: async () => client.destroy() }
}

/** A client of node-redis that comes back within moments when the server does. */
export async function connectToRedis(path: string): Promise<RedisClient> {
  const client = createClient({ socket: { path, tls: false, reconnectStrategy: 20 } })
  client.on('error', () => undefined)
  return (await client.connect()) as RedisClient
}

/** The names that ioredis has for what is used of it, with the same Redis behind. */
export function likeIoRedis(client: RedisClient): IoRedisClient {
  return {
    get status() {
      return client.isReady ? 'ready' : 'reconnecting'
    },
    call: (command, ...args) => client.sendCommand([command, ...args]),
  }
}

function grounded(state: SharedState): Ground {
  return { node: async () => state, socketPath: '', stop: async () => {} }
}

async function startOnRedis(stateOf: (client: RedisClient) => SharedState): Promise<Ground> {
  const redis = await startRedis()
  const socketPath = redis?.socketPath ?? ''
  const clients: RedisClient[] = []
  return {
    socketPath,
    async node() {
      const client = await connectToRedis(socketPath)
      clients.push(client)
      return stateOf(client)
    },
    async stop() {
      for (const client of clients) client.destroy()
      await redis?.stop()
    },
  }
}

/** The other client of Redis that there is. */
async function startOnIoRedis(): Promise<Ground> {
  const redis = await startRedis()
  const socketPath = redis?.socketPath ?? ''
  const clients: Redis[] = []
  return {
    socketPath,
    async node() {
      const client = new Redis(socketPath)
      client.on('error', () => undefined)
      clients.push(client)
      return redisState({ client })
    },
    async stop() {
      for (const client of clients) client.disconnect()
      await redis?.stop()
    },
  }
}

/** One process: over a store there is no more than a best effort between two. */
async function startStoreOnRedis(): Promise<Ground> {
  const ground = await startOnRedis((client) => createStoreState(new RedisStore({ client, prefix: 'app:' })))
  const state = await ground.node()
  return { ...ground, node: async () => state }
}

async function startOnPostgres(): Promise<Ground> {
  const postgres = await startPostgres()
  const socketPath = postgres?.socketPath ?? SOCKET_NAME
  const pools: ReturnType<typeof connectToPostgres>[] = []
  return {
    socketPath,
    async node() {
      const pool = connectToPostgres(dirname(socketPath))
      pools.push(pool)
      const state = postgresState({ pool })
      await state.createTable()
      return state
    },
    async stop() {
      for (const pool of pools) await pool.end()
      await postgres?.stop()
    },
  }
}

/** Another process, which holds a lock. */
export interface LockHolder {
  kill(signal: NodeJS.Signals): void
  /** Asks the work whether it still holds the lock: `held`, or the code of the error. */
  ask(): Promise<string>
  /** It has given the lock back, or what it took for it. */
  finished(): Promise<void>
  stop(): Promise<void>
}

/** Starts a process that takes a lock and keeps it; resolves when it has it. */
export async function startLockHolder(
  ...[name, path, key, seconds]: [string, string, string, number]
): Promise<LockHolder> {
  const program = modulePath('test/support/servers/lock-holder.ts')
  const child = spawn(process.execPath, [...NODE_ARGS, program, name, path, key, String(seconds)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const nextLine = async (): Promise<string> => String((await lines.next()).value)
  if ((await nextLine()) !== 'held') throw new Error('The other process has not got the lock.')
  return {
    kill: (signal) => void child.kill(signal),
    ask() {
      child.stdin.write('?\n')
      return nextLine()
    },
    async finished() {
      if ((await nextLine()) !== 'given back') throw new Error('The other process has not given the lock back.')
    },
    stop: () => end(child),
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}
