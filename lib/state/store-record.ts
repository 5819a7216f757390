import { hash } from 'node:crypto'
import type { StoreLike } from './shared-state.ts'

/** What a record of ours in the session store holds. A name is a part of its key: with another name, records are lost. */
type RecordKind = 'set' | 'page' | 'once' | 'logout' | 'request'

/** With `oidc-` in front: as long as a session id of express-session. */
const HASH_LENGTH = 27

/**
 * The key of a record of ours in the session store. It looks like a session id of express-session: at most 32 characters of
 * `[A-Za-z0-9_-]`. Some stores take no more: connect-session-sequelize has a column of 36 characters, and a file name on
 * Windows holds no colon. The hash (162 bits) does not show the user that the name may hold.
 */
export function recordKey(kind: RecordKind, name: string): string {
  return `oidc-${hash('sha256', JSON.stringify([kind, name]), 'base64url').slice(0, HASH_LENGTH)}`
}

/** The key of a token record. It shows its kind: the id is random and 16 characters long, so the key has 28. */
export function tokenRecordKey(id: string): string {
  return `oidc-tokens-${id}`
}

/**
 * The `cookie` of a record of ours, which expires at this time, in seconds since 1970. Stores read its lifetime from there:
 * some from `expires`, others from `maxAge`.
 */
export function lifetimeUntil(expiresAt: number): Record<string, unknown> {
  const milliseconds = Math.round(expiresAt * 1000)
  const maxAge = Math.max(0, milliseconds - Date.now())
  return { path: '/', httpOnly: true, originalMaxAge: maxAge, maxAge, expires: new Date(milliseconds) }
}

/**
 * A store's callback as a promise, which rejects with the store's own error. `run` returns what the store returned: if its
 * method is async, that is a promise which may reject before the callback is called. It has no other owner (N-1).
 */
export function asPromise<Value>(
  run: (done: (error?: unknown, value?: Value) => void) => unknown,
): Promise<Value | undefined> {
  return new Promise((resolve, reject) => {
    const done = (error?: unknown, value?: Value): void =>
      error === undefined || error === null ? resolve(value) : reject(error)
    const returned = run(done)
    if (isPromise(returned)) returned.then(undefined, done)
  })
}

/** True for promises of other libraries too. */
export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof Object(value).then === 'function'
}

/** Reads a record or a session. Whatever a store says of one that is absent, the result is `undefined`. */
export function getRecord(
  store: StoreLike,
  key: string,
  done: (error: unknown, record?: Readonly<Record<string, unknown>>) => void,
): unknown {
  const answer = (error: unknown, data?: unknown): void => {
    if (error !== undefined && error !== null && !saysAbsent(error)) done(error)
    else done(undefined, isRecord(data) && !saysAbsent(error) ? data : undefined)
  }
  return withRejection(store.get(key, answer), answer)
}

/** Destroys a record or a session. One that is absent already is no failure. */
export function destroyRecord(store: StoreLike, key: string, done: (error?: unknown) => void): unknown {
  const answer = unlessAbsent(done)
  return withRejection(store.destroy(key, answer), answer)
}

/** A rejection of what a store returned is its answer, like an error in its callback. */
function withRejection(returned: unknown, answer: (error: unknown) => void): unknown {
  return isPromise(returned) ? returned.then(undefined, answer) : returned
}

/** The callback of an operation that destroys: that the record was absent is no failure. */
export function unlessAbsent(done: (error?: unknown) => void): (error?: unknown) => void {
  return (error) => done(saysAbsent(error) ? undefined : error)
}

/**
 * True for the errors that mean "there is no such record": ENOENT of file stores, which express-session ignores too, the not
 * found of LevelDB, and the 404 of stores that speak HTTP (CouchDB, object storage).
 */
function saysAbsent(error: unknown): boolean {
  const { code, notFound, status, statusCode }: Readonly<Record<string, unknown>> = Object(error)
  return code === 'ENOENT' || code === 'LEVEL_NOT_FOUND' || notFound === true || status === 404 || statusCode === 404
}

function isRecord(data: unknown): data is Readonly<Record<string, unknown>> {
  return typeof data === 'object' && data !== null
}
