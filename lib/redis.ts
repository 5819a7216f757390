import { ConfigError } from './errors.ts'
import { createPolledLock } from './state/locks.ts'
import { asciiJson, entryName, stateOperation, toMilliseconds } from './state/operation.ts'
import type { SharedState } from './state/shared-state.ts'

export type { Lease, SharedState } from './state/shared-state.ts'

/** As much as is needed of a client, pool, cluster or sentinel of the package `redis` (node-redis), version 4 or later. */
export interface NodeRedisClient {
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
  readonly isReady?: boolean
}

/** As much as is needed of a client or cluster of the package `ioredis`, version 4 or later. */
export interface IoRedisClient {
  call(command: string, ...args: string[]): Promise<unknown>
  readonly status?: string
}

/** What `redisState` works with. */
export interface RedisStateOptions {
  /** A client that is connected, or about to be. Who made it closes it. */
  client: NodeRedisClient | IoRedisClient
  /**
   * What the names of all keys begin with. Applications that share a Redis need different ones.
   * @default 'oidc-state:'
   */
  prefix?: string
}

// Each script is one operation on one key: atomic, and at home on one node of a cluster. All times are those of the server.
const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`

const ADD = `${NOW}
local life = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local known = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not known or tonumber(known) < now + life then redis.call('ZADD', KEYS[1], now + life, ARGV[1]) end
if redis.call('PTTL', KEYS[1]) < life then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1`

const REMOVE = "return redis.call('ZREM', KEYS[1], ARGV[1])"

const MEMBERS = `${NOW}
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now), '+inf')`

const TAKE = `${NOW}
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now), '+inf')
redis.call('DEL', KEYS[1])
return members`

const ONCE = "return redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) and 1 or 0"

const SEEN = "return redis.call('EXISTS', KEYS[1])"

// Some clients send a command again when the connection broke before its answer came: the owner stays the owner.
const ACQUIRE = `
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return redis.call('GET', KEYS[1]) == ARGV[1] and 1 or 0`

const RELEASE = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"

/**
 * Shared state on Redis 5 or later, or Valkey, for any number of nodes. Every operation is one script (EVAL), and so
 * atomic. Throws a `ConfigError` for a prefix that would break the keys of a Redis Cluster.
 *
 * @example
 * ```ts
 * import { redisState } from 'express-oidc/redis'
 * import { createClient } from 'redis'
 *
 * const client = createClient({ url: 'redis://localhost:6379' })
 * client.on('error', console.error)
 * await client.connect()
 * const sharedState = redisState({ client })
 * ```
 */
export function redisState({ client, prefix = 'oidc-state:' }: RedisStateOptions): SharedState {
  if (typeof prefix !== 'string' || /[{}]/.test(prefix)) {
    throw new ConfigError(['prefix must be text without { and }, which mean something to a Redis Cluster.'])
  }
  const evaluate = evaluatorOf(client)
  // What belongs to one key of ours is on one node of a cluster.
  const run = (kind: string, script: string, key: string, ...args: string[]): Promise<unknown> =>
    stateOperation(() => evaluate(script, `${prefix}${kind}:{${entryName(key)}}`, args))
  const isOne = async (...parameters: Parameters<typeof run>): Promise<boolean> =>
    Number(await run(...parameters)) === 1

  return {
    add: async (key, member, seconds) => {
      await run('set', ADD, key, asciiJson(member), String(toMilliseconds(seconds)))
    },
    remove: async (key, member) => {
      await run('set', REMOVE, key, asciiJson(member))
    },
    members: async (key) => readMembers(await run('set', MEMBERS, key)),
    take: async (key) => readMembers(await run('set', TAKE, key)),
    once: async (key, seconds) => isOne('once', ONCE, key, String(toMilliseconds(seconds))),
    seen: async (key) => isOne('once', SEEN, key),
    lock: createPolledLock({
      acquire: (key, owner, milliseconds) => isOne('lock', ACQUIRE, key, owner, String(milliseconds)),
      release: async (key, owner) => {
        await run('lock', RELEASE, key, owner)
      },
    }),
  }
}

type Evaluate = (script: string, key: string, args: string[]) => Promise<unknown>

function evaluatorOf(client: RedisStateOptions['client']): Evaluate {
  if ('call' in client) {
    return async (script, key, args) => {
      // `wait` is what ioredis calls a client that connects with its first command.
      await untilReady(() => client.status === undefined || client.status === 'ready' || client.status === 'wait')
      return client.call('eval', script, '1', key, ...args)
    }
  }
  return async (script, key, args) => {
    await untilReady(() => client.isReady !== false)
    return client.eval(script, { keys: [key], arguments: args })
  }
}

/**
 * Waits a moment for a client that is connecting. Its own queue would keep the command, and send it when the caller has
 * long been told that it failed.
 */
async function untilReady(isReady: () => boolean): Promise<void> {
  for (let attempt = 0; !isReady(); attempt++) {
    if (attempt === 40) throw new Error('The Redis client is not connected.')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function readMembers(reply: unknown): readonly string[] {
  return Array.isArray(reply) ? reply.map((member) => JSON.parse(String(member))) : []
}
