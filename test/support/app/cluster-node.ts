import { createServer } from 'node:http'
import express from 'express'
import session, { type Store } from 'express-session'
import { errorPage, type Options, oidc } from '../../../lib/index.ts'
import type { SharedState } from '../../../lib/state/shared-state.ts'
import { listen } from '../servers/http-server.ts'
import { answerJson, defaultRoutes } from './app-routes.ts'

/** What a node is told by its parent, as JSON: everything but functions. */
export interface NodeSettings {
  /** Where sessions and shared state are: in Redis, or in the PostgreSQL whose socket is in this folder. */
  readonly server: { readonly redisSocket: string } | { readonly postgresFolder: string }
  readonly options: Options
}

/** One node of an application, in a process of its own. It tells its port, and ends with its parent or when it is told. */
async function main(settings: NodeSettings): Promise<void> {
  const { server } = settings
  const { store, sharedState, close } = await ('redisSocket' in server
    ? openRedis(server.redisSocket)
    : openPostgres(server.postgresFolder))
  const app = express().set('env', 'test')
  app.use(session({ secret: 'the secret of all nodes', store, resave: false, saveUninitialized: false }))
  app.use(oidc({ ...settings.options, sharedState }))
  for (const [path, handlers] of Object.entries(defaultRoutes())) app.all(path, ...([handlers].flat() as never[]))
  app.all('/node', answerJson(() => ({ pid: process.pid })) as never)
  app.use(errorPage() as never)
  const listening = await listen(createServer(app))
  const stop = async (): Promise<void> => {
    await listening.stop()
    await close()
    process.disconnect?.()
  }
  process.once('disconnect', () => process.exit())
  process.once('message', () => void stop())
  process.send?.({ port: listening.port })
}

interface Shared {
  readonly store: Store
  readonly sharedState: SharedState
  close(): Promise<void>
}

/** A node loads the packages of its own server only: those of the other take longer to load than all the rest. */
async function openRedis(path: string): Promise<Shared> {
  const { createClient } = await import('redis')
  const { RedisStore } = await import('connect-redis')
  const { redisState } = await import('../../../lib/redis.ts')
  const client = createClient({ socket: { path, tls: false } })
  client.on('error', () => undefined)
  await client.connect()
  const store = new RedisStore({ client, prefix: 'app:' })
  return { store, sharedState: redisState({ client }), close: async () => client.destroy() }
}

async function openPostgres(folder: string): Promise<Shared> {
  const { default: connectPgSimple } = await import('connect-pg-simple')
  const { connectToPostgres } = await import('../servers/postgres.ts')
  const { postgresState } = await import('../../../lib/postgres.ts')
  const pool = connectToPostgres(folder)
  const sharedState = postgresState({ pool })
  await sharedState.createTable()
  // Its table is there already: the package cannot create it on two nodes at once.
  const store = new (connectPgSimple(session))({ pool, pruneSessionInterval: false })
  return { store, sharedState, close: () => pool.end() }
}

await main(JSON.parse(process.argv[2] ?? '{}'))
