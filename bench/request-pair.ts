import { RedisStore } from 'connect-redis'
import session, { type Store } from 'express-session'
import { createClient } from 'redis'
import type { Contender } from './contenders.ts'
import { type LoggedInApp, type ProviderSettings, startLoggedIn } from './logged-in-app.ts'
import { callApp, type MadeUpRequest } from './made-up-request.ts'

/** What is measured, by the name that the table has for it. */
export type RequestMeasure = 'guarded request' | 'open page, no cookie' | 'anonymous at a guarded page' | 'login start'

/** Two apps to compare, in a process of their own. */
export interface PairSettings {
  readonly reference: Contender
  readonly library: Contender
  readonly provider: ProviderSettings
  /** The socket of a Redis server; absent: memory. */
  readonly redis: string | undefined
  readonly measures: readonly RequestMeasure[]
  readonly rounds: number
  /** Requests to each app in each half of a round. */
  readonly block: number
}

/** One number of each round, for each of both apps. */
export interface Comparison {
  readonly reference: readonly number[]
  readonly library: readonly number[]
}

export interface PairResult {
  readonly comparisons: Readonly<Partial<Record<RequestMeasure, Comparison>>>
  readonly sessionBytes: { readonly reference: number; readonly library: number }
}

const NAVIGATION = {
  host: 'app.example.com',
  accept: 'text/html,application/xhtml+xml,*/*;q=0.8',
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64)',
  'sec-fetch-site': 'none',
  'sec-fetch-mode': 'navigate',
  'sec-fetch-dest': 'document',
}

const REQUESTS: Readonly<Record<RequestMeasure, Pick<MadeUpRequest, 'url' | 'answer'>>> = {
  'guarded request': { url: '/profile', answer: 'page' },
  'open page, no cookie': { url: '/', answer: 'page' },
  'anonymous at a guarded page': { url: '/profile', answer: 'redirect' },
  'login start': { url: '/login?returnTo=/profile', answer: 'redirect' },
}

/**
 * Requests that begin and end in this process: a few per cent would drown in the noise of sockets. The figure is the CPU
 * time of the process, in blocks A B B A, so that what drifts drifts for both.
 */
async function measurePair(settings: PairSettings): Promise<PairResult> {
  const createStore = await storeFactory(settings.redis)
  const reference = await startLoggedIn(settings.reference, createStore(), settings.provider)
  const library = await startLoggedIn(settings.library, createStore(), settings.provider)
  const comparisons: Partial<Record<RequestMeasure, Comparison>> = {}
  for (const measure of settings.measures) comparisons[measure] = await compare(measure, reference, library, settings)
  const sessionBytes = { reference: reference.sessionBytes, library: library.sessionBytes }
  return { comparisons, sessionBytes }
}

async function storeFactory(redis: string | undefined): Promise<() => Store> {
  if (redis === undefined) return () => new session.MemoryStore()
  const client = createClient({ socket: { path: redis, tls: false } })
  await client.connect()
  return () => new RedisStore({ client })
}

async function compare(
  measure: RequestMeasure,
  reference: LoggedInApp,
  library: LoggedInApp,
  { rounds, block }: PairSettings,
): Promise<Comparison> {
  const figures = { reference: [] as number[], library: [] as number[] }
  for (let round = -1; round < rounds; round++) {
    const [a1, b1, b2, a2] = [
      await measureBlock(measure, reference, block),
      await measureBlock(measure, library, block),
      await measureBlock(measure, library, block),
      await measureBlock(measure, reference, block),
    ]
    // The first round warms up.
    if (round < 0) continue
    figures.reference.push((a1 + a2) / 2)
    figures.library.push((b1 + b2) / 2)
  }
  return figures
}

/** CPU microseconds for each request, with whatever garbage it leaves: a forced collection would hide what that costs. */
async function measureBlock(measure: RequestMeasure, { app, store, cookie }: LoggedInApp, times: number) {
  const isLoggedIn = measure === 'guarded request'
  // Some libraries write a session for each login that is started: without this, the store would grow from block to block.
  if (!isLoggedIn && store instanceof session.MemoryStore) store.clear()
  const headers = isLoggedIn ? { ...NAVIGATION, cookie } : NAVIGATION
  const before = process.cpuUsage()
  await callApp(app, { ...REQUESTS[measure], headers }, times)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / times
}

process.on('disconnect', () => process.exit())
process.once('message', async (settings: PairSettings) => process.send?.(await measurePair(settings)))
process.send?.('ready')
