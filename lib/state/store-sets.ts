/*
 * Sets in the session store, such as the sessions of a user.
 *
 * What it costs. `add` and `remove` read and write one record, however many members the set has: a user, or a monitor, can have
 * thousands of sessions, and each of their logins adds to the same set.
 *
 * How. The head of a set holds its latest entries, at most 32. When it is full, the next change moves them to a page: a record
 * that is not written again. Pages have numbers, and the head knows the first and the last. An entry says that a member was
 * added, or that it was removed; of the entries of one member the latest counts. So nobody has to look for the page of a member
 * to remove it. A page expires with its entries, and the head with its pages.
 */
import { createLimiter } from '../time/limiter.ts'
import { createLocalLock } from './locks.ts'
import { entryName, stateOperation, toMilliseconds } from './operation.ts'
import type { SharedState, StoreLike } from './shared-state.ts'
import { asPromise, destroyRecord, getRecord, lifetimeUntil, recordKey } from './store-record.ts'

/** A member, and when its entry expires, in milliseconds since 1970. With a third item the member was removed. */
export type Entry = readonly [member: string, expiresAt: number, removed?: 'removed']

/** The numbers of the first and the last page, and when their last entry expires, in milliseconds since 1970. */
interface Pages {
  readonly first: number
  readonly last: number
  readonly until: number
}

interface Head {
  readonly entries: readonly Entry[]
  /** Absent until the head was full for the first time. */
  readonly pages: Pages | undefined
}

const MAX_HEAD_ENTRIES = 32
/** 320,000 entries. The oldest are forgotten. */
const MAX_PAGES = 10_000
/** How many pages are read or destroyed at the same time. A pool of connections is there for other requests too. */
const MAX_PARALLEL_PAGES = 4

/** How long a call waits for other calls of this process on the same set or mark, in seconds. */
export const MAX_WAIT_SECONDS = 30

/** The sets of the shared state in this store. Create them only once for each store of a process. */
export function createStoreSets(store: StoreLike): Pick<SharedState, 'add' | 'remove' | 'members' | 'take'> {
  const withSetLock = createLocalLock()
  return {
    add: (key, member, seconds) =>
      withSetLock(key, MAX_WAIT_SECONDS, async () => {
        const head = await readHead(store, key)
        const entries = head.entries.filter(([name, , removed]) => name !== member || removed !== undefined)
        const known = head.entries.find((entry) => !entries.includes(entry))
        const expiresAt = Math.max(Date.now() + toMilliseconds(seconds), known?.[1] ?? 0)
        await append(store, key, { ...head, entries }, [member, expiresAt])
      }),
    remove: (key, member) =>
      withSetLock(key, MAX_WAIT_SECONDS, async () => {
        const head = await readHead(store, key)
        const entries = head.entries.filter(([name]) => name !== member)
        const latest = [...head.entries].reverse().find(([name]) => name === member)
        if (head.pages !== undefined) {
          // An entry in a page must stay hidden for as long as it lives.
          const removed: Entry = [member, head.pages.until, 'removed']
          if (latest?.[2] === undefined) await append(store, key, { ...head, entries }, removed)
        } else if (latest !== undefined) await writeHead(store, key, { ...head, entries })
        else await removeFormer(store, key, member)
      }),
    async members(key) {
      return membersOf(await readAll(store, key, await readHead(store, key)))
    },
    take: (key) =>
      withSetLock(key, MAX_WAIT_SECONDS, async () => {
        const head = await readHead(store, key)
        const entries = await readAll(store, key, head)
        const pages = numbersOf(head.pages)
        await inParallel(pages, (number) => writeEntries(store, pageKey(key, number), []))
        if (entries.length > 0) await writeEntries(store, formerKey(key), [])
        if (entries.length > 0 || pages.length > 0) await writeEntries(store, headKey(key), [])
        return membersOf(entries)
      }),
  }
}

async function append(store: StoreLike, key: string, head: Head, entry: Entry): Promise<void> {
  const isFull = head.entries.length >= MAX_HEAD_ENTRIES
  const { entries, pages } = isFull ? await startHeadAnew(store, key, head) : head
  await writeHead(store, key, { entries: [...entries, entry], pages })
}

/** Moves the entries of the head to a new page. Forgets the two oldest pages if they have expired: faster than new ones come. */
async function startHeadAnew(store: StoreLike, key: string, { entries, pages }: Head): Promise<Head> {
  const { first, last, until } = pages ?? { first: 1, last: 0, until: 0 }
  const number = last + 1
  await writeEntries(store, pageKey(key, number), entries)
  const oldest = numbersOf({ first, last: Math.min(first + 1, last), until })
  const contents = await inParallel(oldest, (page) => readEntries(store, pageKey(key, page)))
  const expired = contents.findIndex((page) => page.length > 0)
  const live = first + (expired === -1 ? oldest.length : expired)
  return { entries: [], pages: { first: live, last: number, until: latestExpiry(entries, until) } }
}

/** Returns all entries that have not expired, the latest first. */
async function readAll(store: StoreLike, key: string, { entries, pages }: Head): Promise<readonly Entry[]> {
  const contents = await inParallel(numbersOf(pages), (number) => readEntries(store, pageKey(key, number)))
  const former = await readEntries(store, formerKey(key))
  return [...former, ...contents.flat(), ...entries].reverse()
}

/** The members that were not removed by their latest entry. Takes the latest entry first, returns the oldest member first. */
function membersOf(entries: readonly Entry[]): readonly string[] {
  const latest = new Map<string, boolean>()
  for (const [member, , removed] of entries) if (!latest.has(member)) latest.set(member, removed === undefined)
  return [...latest].flatMap(([member, isIn]) => (isIn ? [member] : [])).reverse()
}

function inParallel<Value>(numbers: readonly number[], work: (number: number) => Promise<Value>): Promise<Value[]> {
  const limit = createLimiter(MAX_PARALLEL_PAGES)
  return Promise.all(numbers.map((number) => limit(() => work(number))))
}

function numbersOf(pages: Pages | undefined): readonly number[] {
  if (pages === undefined) return []
  const first = Math.max(pages.first, pages.last - MAX_PAGES + 1)
  return Array.from({ length: Math.max(0, pages.last - first + 1) }, (_, index) => first + index)
}

const headKey = (key: string): string => recordKey('set', key)
const pageKey = (key: string, number: number): string => recordKey('page', `${number} ${key}`)

async function readHead(store: StoreLike, key: string): Promise<Head> {
  const record = await callStore<Readonly<Record<string, unknown>>>((done) => getRecord(store, headKey(key), done))
  return { entries: entriesOf(record), pages: isPages(record?.['pages']) ? record['pages'] : undefined }
}

function isPages(value: unknown): value is Pages {
  const { first, last, until }: Readonly<Record<string, unknown>> = Object(value)
  return Number.isSafeInteger(first) && Number.isSafeInteger(last) && typeof until === 'number' && until > Date.now()
}

async function writeHead(store: StoreLike, key: string, { entries, pages }: Head): Promise<void> {
  if (pages === undefined) return writeEntries(store, headKey(key), entries)
  await writeRecord(store, headKey(key), { oidcState: entries, pages }, latestExpiry(entries, pages.until))
}

export async function readEntries(store: StoreLike, key: string): Promise<readonly Entry[]> {
  return entriesOf(await callStore((done) => getRecord(store, key, done)))
}

/** Without entries the record is destroyed. */
export async function writeEntries(store: StoreLike, key: string, entries: readonly Entry[]): Promise<void> {
  if (entries.length === 0) await callStore((done) => destroyRecord(store, key, done))
  else await writeRecord(store, key, { oidcState: entries }, latestExpiry(entries, 0))
}

async function writeRecord(store: StoreLike, key: string, content: object, expiresAt: number): Promise<void> {
  const record = { cookie: lifetimeUntil(expiresAt / 1000), ...content }
  await callStore((done) => store.set(key, record, done))
}

/** Leaves out expired entries, because not every store checks the expiry of a record. */
function entriesOf(record: unknown): readonly Entry[] {
  const entries: unknown = Object(record).oidcState
  return Array.isArray(entries) ? entries.filter(isLiveEntry) : []
}

function isLiveEntry(entry: unknown): entry is Entry {
  if (!Array.isArray(entry)) return false
  const [member, expiresAt]: readonly unknown[] = entry
  return typeof member === 'string' && typeof expiresAt === 'number' && expiresAt > Date.now()
}

function latestExpiry(entries: readonly Entry[], other: number): number {
  return entries.reduce((latest, [, expiresAt]) => Math.max(latest, expiresAt), other)
}

/** The key of version 0.2.0, which had a set in one record. Such records are read until the next minor version. */
function formerKey(key: string): string {
  return `oidc-state:set:${entryName(key)}`
}

async function removeFormer(store: StoreLike, key: string, member: string): Promise<void> {
  const entries = await readEntries(store, formerKey(key))
  const others = entries.filter(([name]) => name !== member)
  if (others.length < entries.length) await writeEntries(store, formerKey(key), others)
}

function callStore<Value>(run: (done: (error?: unknown, data?: Value) => void) => unknown): Promise<Value | undefined> {
  return stateOperation(() => asPromise(run))
}
