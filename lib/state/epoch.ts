import { randomBytes } from 'node:crypto'
import { publishError } from '../events.ts'
import { withTimeLimit } from '../time/limit.ts'
import { createSingleFlight } from '../time/single-flight.ts'
import type { SharedState } from './shared-state.ts'

/**
 * The epoch of a shared state: a random id that lies in the state itself. A state that was added, replaced, emptied or
 * restarted without its data has another one. Whoever remembers the epoch in which something was added to the state can tell
 * later whether the state can still have it, without a request for each such thing.
 *
 * What it costs. Nothing while nobody asks for the epoch. Otherwise one small request every two seconds for each process, in
 * the background.
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
}

/** The session store as shared state. It cannot lose the state and keep the sessions, so its epoch never changes. */
export const STORE_EPOCH: StateEpoch = {
  latest: '',
  isCurrent: (epoch) => epoch === '',
  current: async () => '',
  read: async () => '',
}

/** After this time the epoch is read again, in the background, in milliseconds. */
const FRESH_MILLISECONDS = 2000
/** After this time an epoch counts as unknown, in milliseconds. */
const KNOWN_MILLISECONDS = 5000
/** How long a request waits for the epoch, in seconds. */
const MAX_WAIT_SECONDS = 1

export function createStateEpoch(state: SharedState): StateEpoch {
  let latest: string | undefined
  let readAt = Number.NEGATIVE_INFINITY
  let triedAt = Number.NEGATIVE_INFINITY
  let isFailing = false
  const share = createSingleFlight<'read', string>()

  async function readNow(): Promise<string> {
    const startedAt = Date.now()
    triedAt = startedAt
    try {
      latest = await readEpoch(state)
      readAt = startedAt
      isFailing = false
      return latest
    } catch (error) {
      // Once for each outage.
      if (!isFailing) publishError(error)
      isFailing = true
      throw error
    }
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
