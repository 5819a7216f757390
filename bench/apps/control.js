import { once } from 'node:events'
import { createServer } from 'node:http'
import { Session } from 'node:inspector/promises'

const profiler = new Session()

/** What the bench may ask of an app's process: what CPU it has used, in microseconds, and a profile of it. */
const ANSWERS = {
  cpu: () => process.cpuUsage(),
  startProfile: async () => {
    profiler.connect()
    await profiler.post('Profiler.enable')
    await profiler.post('Profiler.setSamplingInterval', { interval: 250 })
    await profiler.post('Profiler.start')
  },
  stopProfile: async () => (await profiler.post('Profiler.stop')).profile,
}

/** Serves an app on a free port, tells the parent process where, and answers its questions until it goes away. */
export async function serve(createApp) {
  const server = createServer({ keepAliveTimeout: 60_000 }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const baseUrl = `http://127.0.0.1:${server.address().port}`
  server.on('request', await createApp(baseUrl))
  process.on('message', async (question) => process.send((await ANSWERS[question]()) ?? null))
  process.on('disconnect', () => process.exit())
  process.send(baseUrl)
}
