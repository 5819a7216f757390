import { randomBytes } from 'node:crypto'
import { publishError } from '../events.ts'
import { withTimeLimit } from '../time/limit.ts'
import { createSingleFlight } from '../time/single-flight.ts'
import type { SharedState } from './shared-state.ts'

/**
 * The epoch of a shared state: a random id that lies in the state itself. A state that was added, replaced, emptied or
 * restarted without its data has another one. A process that remembers the epoch in which something was added to the state can tell
 * later whether the state can still have it, without a request for each such thing.
 *
 * A state can also go back to an older copy of itself, such as the last snapshot of a Redis that has crashed, or a backup. It
 * has its old epoch then, but not what was added since. So a process leaves a mark after it has added something, and gives the
 * state a new epoch when the mark is gone. It takes one process that has added something to the state and still runs.
 *
 * What it costs. Nothing while nobody asks for the epoch. Otherwise two small requests every two seconds for each process, in
 * the background. An addition costs one request, in the background too.
 */
export interface StateEpoch {
  /** The epoch as it was last read, which may be long ago; `undefined` before the first read. Never waits. */
  readonly latest: string | undefined
  /** True if this is the epoch, as it was read a few seconds ago. Never waits. False if it is not known or too old. */
  isCurrent(epoch: string): boolean
  /** Returns the epoch as it was read a few seconds ago, or reads it. `undefined` if the state does not respond in a second. */
  current(): Promise<string | undefined>
  /** Reads the epoch. Rejects if the state cannot be reached. */
  read(): Promise<string>
  /** Call it when something was added that the state must not lose. Never waits. */
  leaveMark(): void
}

/** The session store as shared state. It cannot lose the state and keep the sessions, so its epoch never changes. */
export const STORE_EPOCH: StateEpoch = {
  latest: '',
  isCurrent: (epoch) => epoch === '',
  current: async () => '',
  read: async () => '',
  leaveMark: () => undefined,
}

/** After this time the epoch is read again, in the background, in milliseconds. */
const FRESH_MILLISECONDS = 2000
/** After this time an epoch counts as unknown, in milliseconds. */
const KNOWN_MILLISECONDS = 5000
/** How long a request waits for the epoch, in seconds. */
const MAX_WAIT_SECONDS = 1
/** How often a process gives a state another epoch, in milliseconds. */
const RENEWAL_MILLISECONDS = 60_000

export function createStateEpoch(state: SharedState): StateEpoch {
  let latest: string | undefined
  let readAt = Number.NEGATIVE_INFINITY
  let triedAt = Number.NEGATIVE_INFINITY
  let isFailing = false
  const share = createSingleFlight<'read', string>()
  const mark = createMark(state)
  let renewedAt = Number.NEGATIVE_INFINITY

  async function readNow(): Promise<string> {
    const startedAt = Date.now()
    triedAt = startedAt
    try {
      const [found, isMarkLost] = await Promise.all([readEpoch(state), mark.isLost()])
      latest = isMarkLost && found === latest ? await renew(found) : found
      readAt = startedAt
      isFailing = false
      mark.renew()
      return latest
    } catch (error) {
      // Once for each outage.
      if (!isFailing) publishError(error)
      isFailing = true
      throw error
    }
  }

  /** Not more often than once in a minute: a state that removes marks because it is full would cause ever more additions. */
  async function renew(epoch: string): Promise<string> {
    if (isWithin(RENEWAL_MILLISECONDS, renewedAt, Date.now())) return epoch
    renewedAt = Date.now()
    await state.remove(EPOCH_KEY, epoch)
    return readEpoch(state)
  }
  const read = (): Promise<string> => share('read', readNow)

  /** True if the epoch is known. Reads it in the background when it gets old. */
  function isKnown(): boolean {
    const now = Date.now()
    if (!isWithin(FRESH_MILLISECONDS, triedAt, now)) void read().catch(() => undefined)
    return isWithin(KNOWN_MILLISECONDS, readAt, now)
  }

  return {
    get latest() {
      return latest
    },
    isCurrent: (epoch) => isKnown() && epoch === latest,
    async current() {
      if (isKnown()) return latest
      // During an outage nobody waits.
      if (isFailing) return undefined
      return withTimeLimit(MAX_WAIT_SECONDS, read, () => new Error('The epoch of sharedState is not known yet.')).catch(
        () => undefined,
      )
    },
    read,
    leaveMark: mark.leave,
  }
}

/** False if the clock was set back, too. */
function isWithin(milliseconds: number, since: number, now: number): boolean {
  return now >= since && now - since < milliseconds
}

const EPOCH_KEY = 'epoch'
/** As long as a shared state keeps anything. A new epoch then does no harm. */
const TEN_YEARS = 315_360_000

/** Several processes can find the state empty and begin an epoch at the same moment. All then take the same one. */
async function readEpoch(state: SharedState): Promise<string> {
  const found = firstOf(await state.members(EPOCH_KEY))
  if (found !== undefined) return found
  const own = randomBytes(6).toString('base64url')
  await state.add(EPOCH_KEY, own, TEN_YEARS)
  return firstOf(await state.members(EPOCH_KEY)) ?? own
}

function firstOf(epochs: readonly string[]): string | undefined {
  return [...epochs].sort()[0]
}

interface Mark {
  leave(): void
  /** Leaves another mark if the latest one is old. */
  renew(): void
  /** True if the state does not have the latest mark any more. Each loss is told once. */
  isLost(): Promise<boolean>
}

/** How long the state keeps a mark, in seconds. */
const MARK_SECONDS = 3600
/** How long a mark is looked for, in milliseconds: half of that, because the clock of the state may be another one. */
const MARK_MILLISECONDS = 1_800_000
/** When a mark is old, in milliseconds. */
const MARK_INTERVAL = 10_000

/** The latest mark of this process in the state. */
function createMark(state: SharedState): Mark {
  let latest: { readonly key: string; readonly leftAt: number } | undefined
  let isLeaving = false
  let isLeftAgain = false

  async function leaveNow(): Promise<void> {
    const [key, leftAt] = [`epoch-mark:${randomBytes(12).toString('base64url')}`, Date.now()]
    await state.once(key, MARK_SECONDS)
    latest = { key, leftAt }
  }

  /** While one is being left, all further additions share the next one. */
  function leave(): void {
    isLeftAgain = isLeaving
    if (isLeaving) return
    isLeaving = true
    const next = (): void => {
      isLeaving = false
      if (isLeftAgain) leave()
    }
    // In an outage the previous mark stays the latest. The outage itself is reported by others.
    leaveNow().then(next, next)
  }

  return {
    leave,
    renew() {
      const isYoung = latest !== undefined && isWithin(MARK_INTERVAL, latest.leftAt, Date.now())
      if (!isYoung && !isLeaving) leave()
    },
    async isLost() {
      const mark = latest
      if (mark === undefined || !isWithin(MARK_MILLISECONDS, mark.leftAt, Date.now())) return false
      if (await state.seen(mark.key)) return false
      if (latest === mark) latest = undefined
      return true
    },
  }
}
