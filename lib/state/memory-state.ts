import { ConfigError } from '../errors.ts'
import { createLocalLock } from './locks.ts'
import { toMilliseconds } from './operation.ts'
import type { SharedState } from './shared-state.ts'

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
export function memoryState({ maxEntries = 1_000_000 }: MemoryStateOptions = {}): SharedState {
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

/** What can be in such a list: it brings along the fields with which the list finds its way, for there may be millions. */
interface Listed<Item> {
  /** In milliseconds since 1970. */
  readonly endsAt: number
  row: Row<Item> | undefined
  before: Item | undefined
  after: Item | undefined
}

/** Remembers what ends when, and lets go of it some time after. Every operation takes the same time, however many there are. */
interface ExpiryList<Item> {
  add(item: Item): void
  /** Takes out what is in it. */
  remove(item: Item): void
}

interface Row<Item> {
  first: Item | undefined
  last: Item | undefined
}

/** How many of a row are let go of with each addition: more than come in, so that what has ended never gathers. */
const AT_ONCE = 2

/**
 * Keeps a row for each magnitude of life. Within one, no life is more than double another, so what came first ends first, or
 * nearly, and only the head needs to be looked at. What has ended goes when others come, and so never holds more memory than
 * what lived before it did. There are no timers.
 *
 * @param most Where there are more than so many, one that ends soonest, or nearly, has to go.
 * @param forget Is told of each that was let go of; not of those that `remove` took out.
 */
function createExpiryList<Item extends Listed<Item>>(most: number, forget: (item: Item) => void): ExpiryList<Item> {
  const rows = new Map<number, Row<Item>>()
  let size = 0

  function remove(item: Item): void {
    unlink(item)
    size -= 1
  }

  function letGo(item: Item): void {
    remove(item)
    forget(item)
  }

  function letGoOfEnded(now: number): void {
    for (const row of rows.values()) {
      for (let count = 0; count < AT_ONCE && row.first !== undefined && row.first.endsAt <= now; count++) {
        letGo(row.first)
      }
    }
  }

  function letGoOfSoonest(): void {
    let soonest: Item | undefined
    for (const { first } of rows.values()) {
      if (first !== undefined && (soonest === undefined || first.endsAt < soonest.endsAt)) soonest = first
    }
    if (soonest !== undefined) letGo(soonest)
  }

  return {
    remove,
    add(item) {
      const now = Date.now()
      letGoOfEnded(now)
      if (size >= most) letGoOfSoonest()
      append(rowFor(rows, item.endsAt - now), item)
      size += 1
    },
  }
}

/** The row of the lives of one magnitude. */
function rowFor<Item>(rows: Map<number, Row<Item>>, life: number): Row<Item> {
  const magnitude = Math.floor(Math.log2(Math.max(1, life)))
  const known = rows.get(magnitude)
  if (known !== undefined) return known
  const row = { first: undefined, last: undefined }
  rows.set(magnitude, row)
  return row
}

function append<Item extends Listed<Item>>(row: Row<Item>, item: Item): void {
  item.row = row
  item.before = row.last
  if (row.last === undefined) row.first = item
  else row.last.after = item
  row.last = item
}

function unlink<Item extends Listed<Item>>({ row, before, after }: Item): void {
  if (before !== undefined) before.after = after
  else if (row !== undefined) row.first = after
  if (after !== undefined) after.before = before
  else if (row !== undefined) row.last = before
}
