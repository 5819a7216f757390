import { createLocalLock } from './locks.ts'
import { entryName, stateOperation, toMilliseconds } from './operation.ts'
import type { SharedState, StoreLike } from './shared-state.ts'
import { destroyRecord, getRecord, recordKey } from './store-record.ts'

/** A member and its expiry, in milliseconds since 1970. */
type Member = readonly [member: string, expiresAt: number]

/** How long a call waits for other calls of this process on the same record, in seconds. */
const MAX_WAIT_SECONDS = 30

/**
 * Shared state in the application's session store, for applications without `sharedState`. Each set or mark is one record,
 * shaped like an anonymous session, under a key that looks like a session id. Create only one for each store of a process.
 *
 * Within one process nothing is lost. Between nodes it is a best effort, because a store can only read and write: if two
 * nodes write the same set at the same moment, one change may be lost; both may be the first to mark a key; and `lock` locks
 * this process only.
 */
export function createStoreState(store: StoreLike): SharedState {
  const withRecordLock = createLocalLock()

  /** Reads the record and writes what `next` returns, one call at a time. Writes nothing if it returns `undefined`. */
  function change(
    name: string,
    next: (members: readonly Member[]) => readonly Member[] | undefined,
  ): Promise<Member[]> {
    return withRecordLock(name, MAX_WAIT_SECONDS, async () => {
      const members = await readMembers(store, name)
      const changed = next(members)
      if (changed !== undefined) await writeMembers(store, name, changed)
      return members
    })
  }

  return {
    async add(key, member, seconds) {
      const expiresAt = Date.now() + toMilliseconds(seconds)
      await change(recordKey('set', key), (members) => {
        const known = members.find(([name]) => name === member)
        const others = members.filter(([name]) => name !== member)
        return [...others, [member, Math.max(expiresAt, known?.[1] ?? 0)]]
      })
    },
    async remove(key, member) {
      for (const name of setKeys(key)) await change(name, (members) => without(members, member))
    },
    async members(key) {
      const members = await Promise.all(setKeys(key).map((name) => readMembers(store, name)))
      return namesOf(members.flat())
    },
    async take(key) {
      const empty = (members: readonly Member[]): [] | undefined => (members.length === 0 ? undefined : [])
      const taken = await Promise.all(setKeys(key).map((name) => change(name, empty)))
      return namesOf(taken.flat())
    },
    async once(key, seconds) {
      const mark: Member = ['', Date.now() + toMilliseconds(seconds)]
      const earlier = await change(recordKey('once', key), (members) => (members.length === 0 ? [mark] : undefined))
      return earlier.length === 0
    },
    async seen(key) {
      return (await readMembers(store, recordKey('once', key))).length > 0
    },
    lock: createLocalLock(),
  }
}

/**
 * The keys of the records in which members of a set can be: today's, and that of version 0.2.0, which is read until the next
 * minor version. Marks of that version are not: they live for minutes only.
 */
function setKeys(key: string): readonly string[] {
  return [recordKey('set', key), `oidc-state:set:${entryName(key)}`]
}

function without(members: readonly Member[], member: string): readonly Member[] | undefined {
  const others = members.filter(([name]) => name !== member)
  return others.length === members.length ? undefined : others
}

function namesOf(members: readonly Member[]): readonly string[] {
  return [...new Set(members.map(([member]) => member))]
}

/** Filters out expired members, because not every store checks the expiry of a record. */
async function readMembers(store: StoreLike, name: string): Promise<Member[]> {
  const record = await callStore((done) => getRecord(store, name, done))
  const members: unknown = Object(record).oidcState
  if (!Array.isArray(members)) return []
  return members.filter(isLiveMember)
}

function isLiveMember(entry: unknown): entry is Member {
  if (!Array.isArray(entry)) return false
  const [member, endsAt]: readonly unknown[] = entry
  return typeof member === 'string' && typeof endsAt === 'number' && endsAt > Date.now()
}

async function writeMembers(store: StoreLike, name: string, members: readonly Member[]): Promise<void> {
  if (members.length === 0) {
    await callStore((done) => destroyRecord(store, name, done))
    return
  }
  const expiresAt = members.reduce((latest, [, expiry]) => Math.max(latest, expiry), 0)
  const maxAge = Math.max(1, expiresAt - Date.now())
  // Stores read a record's lifetime from `cookie`: some from `expires`, others from `maxAge`.
  const cookie = { path: '/', httpOnly: true, originalMaxAge: maxAge, maxAge, expires: new Date(expiresAt) }
  await callStore((done) => store.set(name, { cookie, oidcState: members }, done))
}

function callStore(run: (done: (error?: unknown, data?: unknown) => void) => void): Promise<unknown> {
  return stateOperation(
    () =>
      new Promise((resolve, reject) => {
        run((error, data) => (error === undefined || error === null ? resolve(data) : reject(error)))
      }),
  )
}
