import { once } from 'node:events'
import { createServer, get } from 'node:http'

/** Serves an app for one request, and asks it. */
export async function answerOnce(app) {
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const [response] = await once(get({ port: server.address().port, host: '127.0.0.1', agent: false }), 'response')
  response.resume()
  await once(response, 'end')
  server.close()
}
