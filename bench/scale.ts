import session from 'express-session'
import { parseOptions } from '../lib/options/parse-options.ts'
import { createRelyingParty, type RelyingParty } from '../lib/relying-party.ts'
import { createSessionIndex } from '../lib/session/session-index.ts'
import { memoryState } from '../lib/state/memory-state.ts'
import type { SharedState, StoreLike } from '../lib/state/shared-state.ts'
import { spreadOf } from './statistics.ts'

const ISSUER = 'https://op.example.com'

/** What one size came to. */
interface Reading {
  readonly place: string
  readonly sessions: number
  readonly entries: number
  /** Microseconds of one logout by `sub`. */
  readonly bySub: number
  /** Microseconds of one logout by `sid`. */
  readonly bySid: number
  /** Bytes of heap of one index entry; absent where it lies elsewhere. */
  readonly bytes?: number
}

const LOGOUTS = 200

/** The cost of one logout with so many sessions in the store and so many entries in the index. */
export async function measureLogouts(
  place: string,
  create: () => { readonly state: SharedState; readonly store: StoreLike },
  sizes: readonly { readonly sessions: number; readonly entries: number }[],
): Promise<readonly Reading[]> {
  const readings: Reading[] = []
  for (const { sessions, entries } of sizes) {
    const { state, store } = create()
    const { app, clients } = parseOptions({
      ...{ issuer: ISSUER, clientId: 'bench', clientSecret: 's'.repeat(40), baseUrl: 'https://app.example.com' },
      sharedState: state,
    })
    const rp = createRelyingParty({ app, clients })
    globalThis.gc?.()
    const before = process.memoryUsage().heapUsed
    const index = createSessionIndex(app, () => state)
    await fill(index, store, sessions, entries)
    globalThis.gc?.()
    const bytes = place === 'memory' ? { bytes: (process.memoryUsage().heapUsed - before) / (2 * entries) } : {}
    const bySub = await timeLogouts(LOGOUTS, (turn) => logOut(rp, store, { sub: `user-${turn}` }))
    const bySid = await timeLogouts(LOGOUTS, (turn) => logOut(rp, store, { sid: `sid-${turn + LOGOUTS}` }))
    readings.push({ place, sessions, entries, bySub, bySid, ...bytes })
  }
  return readings
}

async function fill(
  index: ReturnType<typeof createSessionIndex>,
  store: StoreLike,
  sessions: number,
  entries: number,
): Promise<void> {
  const loggedInAt = Math.floor(Date.now() / 1000)
  for (let number = 0; number < entries; number++) {
    const claims = { iss: ISSUER, sub: `user-${number}`, sid: `sid-${number}` }
    const login = { claims, scope: 'openid', loggedInAt, expiresAt: loggedInAt + 86_400 }
    const held = { login, tokensId: `tokens-${number}` }
    const id = `session-${number}`
    await index.add(store, id, held)
    if (number < sessions) await set(store, id, { cookie: { originalMaxAge: null }, oidc: held })
  }
}

function set(store: StoreLike, id: string, data: object): Promise<void> {
  return new Promise((resolve, reject) => {
    store.set(id, data, (error) => (error ? reject(error) : resolve()))
  })
}

async function logOut(rp: RelyingParty, store: StoreLike, who: { sub?: string; sid?: string }): Promise<void> {
  const target = { provider: 'default', issuer: ISSUER, ...who }
  const ended = await rp.providerLogouts.endSessions(store, target, 'backchannel')
  if (ended.length !== 1) throw new Error('a logout has not ended one session')
}

async function timeLogouts(count: number, logout: (turn: number) => Promise<void>): Promise<number> {
  const times: number[] = []
  for (let turn = 0; turn < count; turn++) {
    const start = performance.now()
    await logout(turn)
    times.push((performance.now() - start) * 1000)
  }
  return spreadOf(times).median
}

/** The readings as a Markdown table. */
export function scaleTable(readings: readonly Reading[]): string {
  const rows = readings.map(({ place, sessions, entries, bySub, bySid, bytes }) => [
    place,
    sessions.toLocaleString('en'),
    (2 * entries).toLocaleString('en'),
    `${bySub.toFixed(0)} µs`,
    `${bySid.toFixed(0)} µs`,
    bytes === undefined ? '' : `${bytes.toFixed(0)} bytes`,
  ])
  const head = ['shared state', 'sessions', 'index entries', 'logout by sub', 'logout by sid', 'heap of an entry']
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** Everything in the memory of one process: express-session's MemoryStore, and ours. */
export function inMemory(): { readonly state: SharedState; readonly store: StoreLike } {
  return { state: memoryState(), store: new session.MemoryStore() as unknown as StoreLike }
}
