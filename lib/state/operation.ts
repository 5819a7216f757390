import { createHash } from 'node:crypto'
import { OidcError } from '../errors.ts'

const TEN_YEARS = 315_360_000_000

/**
 * The name of an entry on a server: of one length, without any character that means something to a server, and without
 * the person whom the key may name.
 */
export function entryName(key: string): string {
  return createHash('sha256').update(asciiJson(key)).digest('base64url')
}

/** Text that every server keeps as it is, in every encoding: printable ASCII, also for a NUL and for half a surrogate pair. */
export function asciiJson(text: string): string {
  return JSON.stringify(text).replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** A life in whole milliseconds: what is none lasts a moment, and nothing lasts for ever. Throws a RangeError for `NaN`. */
export function toMilliseconds(seconds: number): number {
  if (Number.isNaN(seconds)) throw new RangeError('A life in seconds must be a number.')
  return Math.min(Math.max(1, Math.ceil(seconds * 1000)), TEN_YEARS)
}

/** How long one operation may take, in milliseconds. */
const LIMIT = 5000

/**
 * Runs one operation of whatever keeps the shared state. Rejects with `ERR_OIDC_SHARED_STATE` where it fails, and where it
 * takes longer than five seconds: clients queue their commands while a server is away, some for ever. The signal tells the
 * operation that nobody waits for it any more.
 */
export async function stateOperation<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const limit = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const passed = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      limit.abort(new Error(`There was no answer within ${LIMIT / 1000} seconds.`))
      reject(limit.signal.reason)
    }, LIMIT)
  })
  try {
    return await Promise.race([run(limit.signal), passed])
  } catch (cause) {
    throw new OidcError('ERR_OIDC_SHARED_STATE', 'The shared state could not be read or written.', { cause })
  } finally {
    clearTimeout(timer)
  }
}

/** Somebody else held the lock all the time. */
export function lockTimeout(): OidcError {
  return new OidcError('ERR_OIDC_SHARED_STATE', 'A lock was held by somebody else for as long as one waits for it.')
}

/** The lock was not given back in time, and so was taken away. */
export function leaseExpired(): OidcError {
  return new OidcError('ERR_OIDC_SHARED_STATE', 'The work took longer than its lock lives: somebody else may hold it.')
}
