import { createLocalLock } from './locks.ts'
import { entryName, stateOperation, toMilliseconds } from './operation.ts'
import type { SharedState, StoreLike } from './shared-state.ts'

/** A member with its end, in milliseconds since 1970. */
type Member = readonly [member: string, endsAt: number]

/** How long one waits for others of this process who are busy with the same record, in seconds. */
const MAX_WAIT_SECONDS = 30

/**
 * Shared state in the app's own session store: one record for each set or mark, of the form of an anonymous session, with a
 * key that begins with `oidc-state:`. Make one for each store of a process. Within the process nothing is lost. A store can
 * only read and write, so that between nodes it is a best effort: what two of them write into the same set in the same
 * moment, only one of them may have written; each may be told that it was the first to say something; and `lock` locks
 * this process alone.
 */
export function createStoreState(store: StoreLike): SharedState {
  const withRecordLock = createLocalLock()

  /** Reads the record and, where the change gives members, writes them in its place; one at a time. */
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
      const endsAt = Date.now() + toMilliseconds(seconds)
      await change(nameOf('set', key), (members) => {
        const known = members.find(([name]) => name === member)
        const others = members.filter(([name]) => name !== member)
        return [...others, [member, Math.max(endsAt, known?.[1] ?? 0)]]
      })
    },
    async remove(key, member) {
      await change(nameOf('set', key), (members) => {
        const others = members.filter(([name]) => name !== member)
        return others.length === members.length ? undefined : others
      })
    },
    async members(key) {
      return (await readMembers(store, nameOf('set', key))).map(([member]) => member)
    },
    async take(key) {
      const taken = await change(nameOf('set', key), (members) => (members.length === 0 ? undefined : []))
      return taken.map(([member]) => member)
    },
    async once(key, seconds) {
      const mark: Member = ['', Date.now() + toMilliseconds(seconds)]
      const said = await change(nameOf('once', key), (members) => (members.length === 0 ? [mark] : undefined))
      return said.length === 0
    },
    async seen(key) {
      return (await readMembers(store, nameOf('once', key))).length > 0
    },
    lock: createLocalLock(),
  }
}

function nameOf(kind: 'set' | 'once', key: string): string {
  return `oidc-state:${kind}:${entryName(key)}`
}

/** Those that have not ended: not every store looks at the end of a record. */
async function readMembers(store: StoreLike, name: string): Promise<Member[]> {
  const record = await operate((done) =>
    store.get(name, (error, data) => (isAbsent(error) ? done() : done(error, data))),
  )
  const members: unknown = Object(record).oidcState
  if (!Array.isArray(members)) return []
  return members.filter((entry): entry is Member => Array.isArray(entry) && entry[1] > Date.now())
}

/** Stores of files tell so of a record that is not there; express-session knows that too. */
function isAbsent(error: unknown): boolean {
  return Object(error).code === 'ENOENT'
}

async function writeMembers(store: StoreLike, name: string, members: readonly Member[]): Promise<void> {
  if (members.length === 0) {
    await operate((done) => store.destroy(name, done))
    return
  }
  const endsAt = members.reduce((latest, [, end]) => Math.max(latest, end), 0)
  const maxAge = Math.max(1, endsAt - Date.now())
  // Stores learn a record's life from `cookie`, some from `expires`, others from `maxAge`.
  const cookie = { path: '/', httpOnly: true, originalMaxAge: maxAge, maxAge, expires: new Date(endsAt) }
  await operate((done) => store.set(name, { cookie, oidcState: members }, done))
}

function operate(run: (done: (error?: unknown, data?: unknown) => void) => void): Promise<unknown> {
  return stateOperation(
    () =>
      new Promise((resolve, reject) => {
        run((error, data) => (error === undefined || error === null ? resolve(data) : reject(error)))
      }),
  )
}
