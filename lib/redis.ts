import { ConfigError, shown } from './errors.ts'
import { createPolledLock } from './state/locks.ts'
import { asciiJson, entryName, parseAsciiJson, stateOperation, toMilliseconds } from './state/operation.ts'
import type { SharedState } from './state/shared-state.ts'

export type { Lease, SharedState } from './state/shared-state.ts'

/** What `redisState` needs of a client, pool, cluster or sentinel of the package `redis` (node-redis), version 4 or later. */
export interface NodeRedisClient {
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
  readonly isReady?: boolean
}

/** What `redisState` needs of a client or cluster of the package `ioredis`, version 4 or later. */
export interface IoRedisClient {
  call(command: string, ...args: string[]): Promise<unknown>
  readonly status?: string
}

/** The options of {@link redisState}. */
export interface RedisStateOptions {
  /** A client that is connected or connecting. You create it, handle its `error` events and close it. */
  client: NodeRedisClient | IoRedisClient
  /**
   * The start of every key. Applications that share a Redis need different prefixes. It must not contain `{` or `}`.
   * @default 'oidc-state:'
   */
  prefix?: string
}

/**
 * Shared state on Redis 5 or later, or Valkey, for any number of nodes. You need it when the application runs on more than
 * one node and you have Redis. Each operation is one script (EVAL) on one key: it is atomic and works on a Redis Cluster.
 *
 * Its methods reject with `ERR_OIDC_SHARED_STATE` if Redis cannot be reached or does not respond within five seconds.
 *
 * @throws {ConfigError} if `prefix` is not a string or contains `{` or `}`, which mark the hash tag of a Redis Cluster
 * @example
 * ```ts
 * import { redisState } from 'express-oidc/redis'
 * import { createClient } from 'redis'
 *
 * const client = createClient({ url: 'redis://localhost:6379' })
 * client.on('error', console.error)
 * await client.connect()
 * app.use(oidc({ issuer, clientId, clientSecret, baseUrl, sharedState: redisState({ client }) }))
 * ```
 */
export function redisState({ client, prefix = 'oidc-state:' }: RedisStateOptions): SharedState {
  if (typeof prefix !== 'string' || /[{}]/.test(prefix)) {
    throw new ConfigError([
      `prefix must be a string without { and }, which mark the hash tag of a Redis Cluster, not ${shown(prefix)}.`,
    ])
  }
  const evaluate = evaluatorOf(client)
  // The hash tag {...} keeps everything of one key on one node of a cluster.
  const call = (kind: string, script: string, key: string, ...args: string[]): Promise<unknown> =>
    evaluate(script, `${prefix}${kind}:{${entryName(key)}}`, args)
  const run = (...parameters: Parameters<typeof call>): Promise<unknown> => stateOperation(() => call(...parameters))
  const readMembers = (script: string, key: string): Promise<readonly string[]> =>
    stateOperation(async () => parseMembers(await call('set', script, key)))
  const isOne = async (...parameters: Parameters<typeof run>): Promise<boolean> =>
    Number(await run(...parameters)) === 1

  return {
    add: async (key, member, seconds) => {
      await run('set', ADD, key, asciiJson(member), String(toMilliseconds(seconds)))
    },
    remove: async (key, member) => {
      await run('set', REMOVE, key, asciiJson(member))
    },
    members: (key) => readMembers(MEMBERS, key),
    take: (key) => readMembers(TAKE, key),
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

// Each script works on one key only, so that it is atomic and runs on any node of a cluster. All times are the server's.
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

// A client may repeat a command when the connection breaks before the response: so the owner acquires its lock again.
const ACQUIRE = `
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return redis.call('GET', KEYS[1]) == ARGV[1] and 1 or 0`

const RELEASE = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"

type Evaluate = (script: string, key: string, args: string[]) => Promise<unknown>

function evaluatorOf(client: RedisStateOptions['client']): Evaluate {
  if ('call' in client) {
    return async (script, key, args) => {
      // 'wait' is the status of an ioredis client that connects with its first command (lazyConnect).
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
 * Waits up to two seconds for a client that is connecting. The client's own queue would keep the command, and send it long
 * after the caller has received the error.
 */
async function untilReady(isReady: () => boolean): Promise<void> {
  for (let attempt = 0; !isReady(); attempt++) {
    if (attempt === 40) throw new Error('The client of redisState is not connected after two seconds.')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function parseMembers(reply: unknown): readonly string[] {
  return Array.isArray(reply) ? reply.map(parseAsciiJson) : []
}
