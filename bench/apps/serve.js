import { once } from 'node:events'
import { createServer } from 'node:http'
import { Session } from 'node:inspector/promises'
import express from 'express'
import session from 'express-session'

// Serves the app of one library on a free port, sends its address to the parent process, and answers its questions.

const { APP, ISSUER: issuer, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret } = process.env
const profiler = new Session()

/** What the parent may ask: the CPU time so far in microseconds, and a profile. */
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

const server = createServer({ keepAliveTimeout: 60_000 }).listen(0, '127.0.0.1')
await once(server, 'listening')
const baseUrl = `http://127.0.0.1:${server.address().port}`
const { createApp } = await import(APP)
const store = new session.MemoryStore()
server.on('request', await createApp({ express, session, store, issuer, clientId, clientSecret, baseUrl }))
process.on('message', async (question) => process.send((await ANSWERS[question]()) ?? null))
process.on('disconnect', () => process.exit())
process.send(baseUrl)
