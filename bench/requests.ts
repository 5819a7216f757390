import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { forkChild } from './child-app.ts'
import { BARE, type Contender, LIBRARIES, OURS, OURS_TRACED, PASSPORT } from './contenders.ts'
import type { ProviderSettings } from './logged-in-app.ts'
import type { Figure } from './report.ts'
import type { PairResult, PairSettings, RequestMeasure } from './request-pair.ts'

/** How often and against which provider it is measured. */
export interface RequestSettings {
  readonly provider: ProviderSettings
  readonly rounds: number
  readonly block: number
}

/** What a request may cost of ours, as a multiple of what it costs the reference. */
const AIMS: Readonly<Record<RequestMeasure, number>> = {
  'guarded request': 1.05,
  'open page, no cookie': 1.05,
  'anonymous at a guarded page': 1.1,
  'login start': 1,
}

const PAGES: readonly RequestMeasure[] = ['guarded request', 'open page, no cookie', 'anonymous at a guarded page']

/** Pages of every library beside those of express-session alone, and the session of each login. */
export async function measurePages(settings: RequestSettings): Promise<readonly Figure[]> {
  const figures: Figure[] = []
  for (const library of LIBRARIES) {
    const result = await measurePair({ ...settings, reference: BARE, library, measures: PAGES, redis: undefined })
    figures.push(...figuresOf(result, BARE, library), sessionFigure(result, library))
  }
  return figures
}

/** Our pages without and with OpenTelemetry. Its channels belong to the process, so each has a process of its own. */
export async function measureTracedPages(settings: RequestSettings): Promise<readonly Figure[]> {
  const figures: Figure[] = []
  for (const library of [OURS, OURS_TRACED]) {
    const result = await measurePair({ ...settings, reference: BARE, library, measures: PAGES, redis: undefined })
    figures.push(...figuresOf(result, BARE, library))
  }
  return figures
}

/** Our pages beside those of express-session alone, with sessions in Redis. */
export async function measurePagesInRedis(settings: RequestSettings, redis: string): Promise<readonly Figure[]> {
  const result = await measurePair({ ...settings, reference: BARE, library: OURS, measures: PAGES, redis })
  return figuresOf(result, BARE, OURS).map((figure) => ({ ...figure, measure: `${figure.measure}, Redis` }))
}

/** `GET /login` up to its redirect: every library beside Passport. */
export async function measureLoginStart(settings: RequestSettings): Promise<readonly Figure[]> {
  const figures: Figure[] = []
  for (const library of LIBRARIES.filter((one) => one !== PASSPORT)) {
    const pair = { reference: PASSPORT, library, measures: ['login start'] as const, redis: undefined }
    figures.push(...figuresOf(await measurePair({ ...settings, ...pair }), PASSPORT, library))
  }
  return figures
}

/** In a process of its own: what one pair leaves behind, another must not pay for. */
async function measurePair(settings: PairSettings): Promise<PairResult> {
  const child = forkChild('request-pair.ts', {})
  try {
    await messageOf(child)
    child.send(settings)
    return (await messageOf(child)) as PairResult
  } finally {
    child.disconnect()
  }
}

async function messageOf(child: ChildProcess): Promise<unknown> {
  const early = new AbortController()
  const stop = (): void => early.abort(new Error('the process ended before it answered'))
  child.once('exit', stop)
  const [message] = await once(child, 'message', { signal: early.signal })
  child.off('exit', stop)
  return message
}

function figuresOf({ comparisons }: PairResult, reference: Contender, library: Contender): readonly Figure[] {
  return (Object.keys(comparisons) as RequestMeasure[]).flatMap((measure) => {
    const found = comparisons[measure]
    if (found === undefined) return []
    const names = { measure, library: library.name, reference: reference.name, unit: 'µs' }
    return [{ ...names, values: found.library, referenceValues: found.reference, mostRatio: AIMS[measure] }]
  })
}

function sessionFigure({ sessionBytes }: PairResult, library: Contender): Figure {
  const names = { measure: 'session of 15 claims', library: library.name, reference: BARE.name, unit: 'bytes' }
  return { ...names, values: [sessionBytes.library], referenceValues: [sessionBytes.reference], mostRatio: 1.15 }
}
