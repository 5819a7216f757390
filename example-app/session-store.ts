import { RedisStore } from 'connect-redis'
import type { Store } from 'express-session'
import { createClient } from 'redis'
import type { SharedState } from '../lib/index.ts'
import { redisState } from '../lib/redis.ts'
import { SettingsError } from './settings.ts'

/** Sessions that several nodes of the app share. */
export interface SharedSessions {
  readonly store: Store
  /** What the nodes share: logouts by the provider, and locks for token refreshes. */
  readonly sharedState: SharedState
  close(): Promise<void>
}

/** Connects to Redis (or Valkey). Rejects if it is not reachable at start. Later the client reconnects by itself. */
export async function connectSharedSessions(url: string): Promise<SharedSessions> {
  let wasThere = false
  const client = createClient({
    url,
    socket: { reconnectStrategy: (retries, cause) => (wasThere ? Math.min(retries * 100, 2_000) : cause) },
  })
  // Without a listener, the first lost connection would crash the process.
  client.on('error', () => {})
  try {
    await client.connect()
  } catch (cause) {
    throw new SettingsError('Nothing that speaks Redis answers at REDIS_URL.', { cause })
  }
  wasThere = true
  return {
    store: new RedisStore({ client, prefix: 'harbourline:' }),
    sharedState: redisState({ client, prefix: 'harbourline-state:' }),
    close: () => client.close(),
  }
}
