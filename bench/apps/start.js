import { once } from 'node:events'
import { createServer, get } from 'node:http'

// Sends the milliseconds from the first import to the answer of the first request.

const { APP, ISSUER: issuer, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret } = process.env
const startedAt = performance.now()
const { default: express } = await import('express')
const { default: session } = await import('express-session')
const { createApp } = await import(APP)
const store = new session.MemoryStore()
const baseUrl = 'http://127.0.0.1:3000'
const app = await createApp({ express, session, store, issuer, clientId, clientSecret, baseUrl })
await requestOnce(app)
process.send(performance.now() - startedAt)

async function requestOnce(app) {
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const [response] = await once(get({ port: server.address().port, host: '127.0.0.1', agent: false }), 'response')
  response.resume()
  await once(response, 'end')
  server.close()
}
