import { createServer } from 'node:http'
import { RedisStore } from 'connect-redis'
import express from 'express'
import session from 'express-session'
import { createClient } from 'redis'
import { errorPage, type Options, oidc } from '../../../lib/index.ts'
import { redisState } from '../../../lib/redis.ts'
import { listen } from '../servers/http-server.ts'
import { answerJson, defaultRoutes } from './app-routes.ts'

/** What a node is told by its parent, as JSON: everything but functions. */
export interface NodeSettings {
  readonly redisSocket: string
  readonly options: Options
}

/** One node of an application, in a process of its own. It tells its port, and ends with its parent or when it is told. */
async function main(settings: NodeSettings): Promise<void> {
  const client = createClient({ socket: { path: settings.redisSocket, tls: false } })
  client.on('error', () => undefined)
  await client.connect()
  const app = express().set('env', 'test')
  const store = new RedisStore({ client, prefix: 'app:' })
  app.use(session({ secret: 'the secret of all nodes', store, resave: false, saveUninitialized: false }))
  app.use(oidc({ ...settings.options, sharedState: redisState({ client }) }))
  for (const [path, handlers] of Object.entries(defaultRoutes())) app.all(path, ...([handlers].flat() as never[]))
  app.all('/node', answerJson(() => ({ pid: process.pid })) as never)
  app.use(errorPage() as never)
  const listening = await listen(createServer(app))
  const stop = async (): Promise<void> => {
    await listening.stop()
    client.destroy()
    process.disconnect?.()
  }
  process.once('disconnect', () => process.exit())
  process.once('message', () => void stop())
  process.send?.({ port: listening.port })
}

await main(JSON.parse(process.argv[2] ?? '{}'))
