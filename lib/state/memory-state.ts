import { ConfigError } from '../errors.ts'
import type { SharedState } from '../shared-state.ts'
import { createExpiryList, type Listed } from './expiry-list.ts'
import { createLocalLock } from './local-lock.ts'
import { toMilliseconds } from './state-entry.ts'

/** What a state in memory may hold. */
export interface MemoryStateOptions {
  /**
   * How many members and marks there may be in all. One more, and one of those that end soonest goes: a logout at the
   * provider does not find that session then, or a replay of that token is not known as one.
   * @default 1_000_000
   */
  maxEntries?: number
}

/** A member of a set, or a mark. */
interface Entry extends Listed<Entry> {
  readonly key: string
  readonly member: string
  /** The table that it is in. */
  readonly table: Table
}

type Table = Map<string, Map<string, Entry>>

/**
 * Shared state of one process, which is gone with it. An entry takes some 350 bytes beside its texts; those that have ended
 * go when others come. Throws a `ConfigError` for a bound that is none.
 */
export function createMemoryState({ maxEntries = 1_000_000 }: MemoryStateOptions = {}): SharedState {
  if (!Number.isInteger(maxEntries) || maxEntries < 1) throw new ConfigError(['maxEntries must be a number from 1.'])
  const sets: Table = new Map()
  const marks: Table = new Map()
  const list = createExpiryList<Entry>(maxEntries, takeOut)

  function put(table: Table, key: string, member: string, seconds: number): void {
    const endsAt = Date.now() + toMilliseconds(seconds)
    const known = table.get(key)?.get(member)
    if (known !== undefined && known.endsAt >= endsAt) return
    if (known !== undefined) list.remove(known)
    const entry: Entry = { key, member, endsAt, table, row: undefined, before: undefined, after: undefined }
    list.add(entry)
    // Only now: adding may have let go of the last of this set.
    const members = table.get(key) ?? new Map<string, Entry>()
    table.set(key, members.set(member, entry))
  }

  return {
    async add(key, member, seconds) {
      put(sets, key, member, seconds)
    },
    async remove(key, member) {
      const entry = sets.get(key)?.get(member)
      if (entry === undefined) return
      list.remove(entry)
      takeOut(entry)
    },
    async members(key) {
      return [...(sets.get(key)?.values() ?? [])].filter(lives).map(({ member }) => member)
    },
    async take(key) {
      const entries = [...(sets.get(key)?.values() ?? [])]
      sets.delete(key)
      for (const entry of entries) list.remove(entry)
      return entries.filter(lives).map(({ member }) => member)
    },
    async once(key, seconds) {
      const isFirst = !isMarked(marks, key)
      if (isFirst) put(marks, key, '', seconds)
      return isFirst
    },
    async seen(key) {
      return isMarked(marks, key)
    },
    lock: createLocalLock(),
  }
}

function takeOut({ table, key, member }: Entry): void {
  const members = table.get(key)
  members?.delete(member)
  if (members?.size === 0) table.delete(key)
}

function isMarked(marks: Table, key: string): boolean {
  const entry = marks.get(key)?.get('')
  return entry !== undefined && lives(entry)
}

function lives({ endsAt }: Entry): boolean {
  return endsAt > Date.now()
}
