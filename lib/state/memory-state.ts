import { ConfigError, shown } from '../errors.ts'
import { createLocalLock } from './locks.ts'
import { toMilliseconds } from './operation.ts'
import type { SharedState } from './shared-state.ts'

/** The options of {@link memoryState}. */
export interface MemoryStateOptions {
  /**
   * The maximum number of entries (members of sets, and marks). Above it, an entry that is about to expire is removed early:
   * a logout at the provider may then miss that session, or a used logout token may be accepted again.
   * @default 1_000_000
   */
  maxEntries?: number
}

/**
 * Shared state in the memory of one process, for `sharedState` of an application that runs as a single process, and for
 * tests. It is faster than the session store and works with every store. A restart empties it: a logout at the provider then
 * ends the sessions from before with their next request. With several nodes use `redisState()` or `postgresState()`.
 *
 * An entry takes about 350 bytes besides its texts. Expired entries are removed when new ones are added; there are no timers.
 *
 * @throws {ConfigError} if `maxEntries` is not a whole number from 1
 * @example
 * ```ts
 * import { memoryState } from 'express-oidc/memory'
 *
 * app.use(oidc({ issuer, clientId, clientSecret, baseUrl, sharedState: memoryState() }))
 * ```
 */
export function memoryState({ maxEntries = 1_000_000 }: MemoryStateOptions = {}): SharedState {
  if (!Number.isInteger(maxEntries) || maxEntries < 1) {
    const given = typeof maxEntries === 'number' ? String(maxEntries) : shown(maxEntries)
    throw new ConfigError([`maxEntries must be a whole number from 1, not ${given}.`])
  }
  const sets: Table = new Map()
  const marks: Table = new Map()
  const list = createExpiryList<Entry>(maxEntries, deleteEntry)

  function put(table: Table, key: string, member: string, seconds: number): void {
    const expiresAt = Date.now() + toMilliseconds(seconds)
    const known = table.get(key)?.get(member)
    if (known !== undefined && known.expiresAt >= expiresAt) return
    if (known !== undefined) list.remove(known)
    const entry: Entry = { key, member, expiresAt, table, queue: undefined, before: undefined, after: undefined }
    list.add(entry)
    // Looked up only now, because adding can remove the last other member and with it the set.
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
      deleteEntry(entry)
    },
    async members(key) {
      return [...(sets.get(key)?.values() ?? [])].filter(isAlive).map(({ member }) => member)
    },
    async take(key) {
      const entries = [...(sets.get(key)?.values() ?? [])]
      sets.delete(key)
      for (const entry of entries) list.remove(entry)
      return entries.filter(isAlive).map(({ member }) => member)
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

/** A member of a set, or a mark (with an empty member). */
interface Entry extends Expiring<Entry> {
  readonly key: string
  readonly member: string
  /** The table that holds this entry. */
  readonly table: Table
}

type Table = Map<string, Map<string, Entry>>

function deleteEntry({ table, key, member }: Entry): void {
  const members = table.get(key)
  members?.delete(member)
  if (members?.size === 0) table.delete(key)
}

function isMarked(marks: Table, key: string): boolean {
  const entry = marks.get(key)?.get('')
  return entry !== undefined && isAlive(entry)
}

function isAlive({ expiresAt }: Entry): boolean {
  return expiresAt > Date.now()
}

/** Removes expired items some time after they expire. Every operation takes constant time, however many items there are. */
interface ExpiryList<Item> {
  add(item: Item): void
  /** Removes an item that is in the list. */
  remove(item: Item): void
}

/** An item has the links of the list as its own fields, because there may be millions of items. */
interface Expiring<Item> {
  /** In milliseconds since 1970. */
  readonly expiresAt: number
  queue: Queue<Item> | undefined
  before: Item | undefined
  after: Item | undefined
}

interface Queue<Item> {
  first: Item | undefined
  last: Item | undefined
}

/** How many expired items of a queue one addition removes: more than it adds, so that expired items cannot pile up. */
const REMOVALS_PER_ADDITION = 2

/**
 * Keeps one queue for each power of two of the lifetime. Within a queue no lifetime is more than twice another, so the items
 * expire roughly in their order, and only the head must be looked at.
 *
 * @param maxItems With one item more, one that expires soonest (or nearly) is removed.
 * @param onRemove Called for each item that the list removes itself, not for those passed to `remove`.
 */
function createExpiryList<Item extends Expiring<Item>>(
  maxItems: number,
  onRemove: (item: Item) => void,
): ExpiryList<Item> {
  const queues = new Map<number, Queue<Item>>()
  let size = 0

  function remove(item: Item): void {
    unlink(item)
    size -= 1
  }

  function evict(item: Item): void {
    remove(item)
    onRemove(item)
  }

  function evictExpired(now: number): void {
    for (const queue of queues.values()) {
      for (let count = 0; count < REMOVALS_PER_ADDITION && queue.first !== undefined; count++) {
        if (queue.first.expiresAt > now) break
        evict(queue.first)
      }
    }
  }

  function evictSoonest(): void {
    let soonest: Item | undefined
    for (const { first } of queues.values()) {
      if (first !== undefined && (soonest === undefined || first.expiresAt < soonest.expiresAt)) soonest = first
    }
    if (soonest !== undefined) evict(soonest)
  }

  return {
    remove,
    add(item) {
      const now = Date.now()
      evictExpired(now)
      if (size >= maxItems) evictSoonest()
      append(queueFor(queues, item.expiresAt - now), item)
      size += 1
    },
  }
}

function queueFor<Item>(queues: Map<number, Queue<Item>>, lifetime: number): Queue<Item> {
  const magnitude = Math.floor(Math.log2(Math.max(1, lifetime)))
  const known = queues.get(magnitude)
  if (known !== undefined) return known
  const queue = { first: undefined, last: undefined }
  queues.set(magnitude, queue)
  return queue
}

function append<Item extends Expiring<Item>>(queue: Queue<Item>, item: Item): void {
  item.queue = queue
  item.before = queue.last
  if (queue.last === undefined) queue.first = item
  else queue.last.after = item
  queue.last = item
}

function unlink<Item extends Expiring<Item>>({ queue, before, after }: Item): void {
  if (before !== undefined) before.after = after
  else if (queue !== undefined) queue.first = after
  if (after !== undefined) after.before = before
  else if (queue !== undefined) queue.last = before
}
