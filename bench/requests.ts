import type { RequestListener } from 'node:http'
import type { Store } from 'express-session'
import { callApp, type MadeUpRequest } from './made-up-request.ts'
import type { Figure } from './report.ts'
import { type LoggedInApp, startBareApp, startOwnApp } from './request-apps.ts'

/** A store of its own for each of the two apps. */
export interface StoreKind {
  readonly name: string
  create(): Store
}

export interface RequestSettings {
  readonly rounds: number
  /** Requests to each app in each half of a round. */
  readonly block: number
}

const NAVIGATION = {
  host: 'app.example.com',
  accept: 'text/html,application/xhtml+xml,*/*;q=0.8',
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64)',
  'sec-fetch-site': 'none',
  'sec-fetch-mode': 'navigate',
  'sec-fetch-dest': 'document',
}

/**
 * Requests that begin and end in this process: a few per cent would drown in the noise of sockets. What is measured is the
 * CPU time of the process, in blocks A B B A, so that what drifts drifts for both.
 */
export async function measureRequests(store: StoreKind, settings: RequestSettings): Promise<Figure[]> {
  const bare = await startBareApp(store.create())
  const own = await startOwnApp(store.create())
  const guarded = (app: LoggedInApp): MadeUpRequest => ({
    url: '/profile',
    headers: { ...NAVIGATION, cookie: app.cookie },
    status: 200,
  })
  const open = { url: '/', headers: NAVIGATION, status: 200 }
  const anonymous = { url: '/profile', headers: NAVIGATION, status: 302 }
  const figure = async (name: string, most: number, bareRequest: MadeUpRequest, ownRequest: MadeUpRequest) => ({
    name: `${name}, ${store.name}`,
    unit: 'µs',
    aim: { of: 'ratio', most } as const,
    ...(await compare([bare.app, bareRequest], [own.app, ownRequest], settings)),
  })
  return [
    await figure('guarded request', 1.03, guarded(bare), guarded(own)),
    await figure('open page, no cookie', 1.02, open, open),
    await figure('anonymous at a guarded page', 1.1, anonymous, { ...anonymous, status: 303 }),
  ]
}

/** The size of the session of a login with 15 claims. */
export async function measureSession(store: StoreKind): Promise<Figure> {
  const { sessionBytes: bare } = await startBareApp(store.create())
  const { sessionBytes: ours } = await startOwnApp(store.create())
  const aim = { of: 'ours', most: 900 } as const
  return { name: 'session of 15 claims, as JSON', unit: 'bytes', bare: [bare], ours: [ours], aim }
}

type Call = readonly [app: RequestListener, request: MadeUpRequest]

async function compare(
  bareCall: Call,
  ownCall: Call,
  { rounds, block }: RequestSettings,
): Promise<Pick<Figure, 'bare' | 'ours'>> {
  const bare: number[] = []
  const ours: number[] = []
  for (let round = -1; round < rounds; round++) {
    const [a1, b1, b2, a2] = [
      await measureBlock(bareCall, block),
      await measureBlock(ownCall, block),
      await measureBlock(ownCall, block),
      await measureBlock(bareCall, block),
    ]
    // The first round warms up.
    if (round < 0) continue
    bare.push((a1 + a2) / 2)
    ours.push((b1 + b2) / 2)
  }
  return { bare, ours }
}

/** CPU microseconds for each request, with whatever garbage it leaves: a forced collection would hide what that costs. */
async function measureBlock([app, request]: Call, times: number): Promise<number> {
  const before = process.cpuUsage()
  await callApp(app, request, times)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / times
}
