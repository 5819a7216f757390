import { hash } from 'node:crypto'
import { OidcError } from '../errors.ts'
import { type TimeLimit, withTimeLimit } from '../time/limit.ts'

/** The time limit of one operation, in seconds. */
const MAX_OPERATION_SECONDS = 5

/**
 * Runs one operation of a shared state. Rejects with `ERR_OIDC_SHARED_STATE` if it fails or takes longer than five seconds:
 * clients queue their commands while a server is away, some without a limit. The signal then aborts the operation.
 */
export async function stateOperation<T>(run: (limit: TimeLimit) => Promise<T>): Promise<T> {
  try {
    return await withTimeLimit(MAX_OPERATION_SECONDS, run, noResponse)
  } catch (cause) {
    if (cause instanceof OidcError) throw cause
    throw new OidcError(
      'ERR_OIDC_SHARED_STATE',
      `An operation of sharedState failed or took longer than ${MAX_OPERATION_SECONDS} seconds. The cause has the error ` +
        'of the client. Check that the server behind sharedState (without one: the session store) is reachable.',
      { cause },
    )
  }
}

function noResponse(): Error {
  return new Error(`The shared state did not respond within ${MAX_OPERATION_SECONDS} seconds.`)
}

/** Another caller held the lock for the whole time that this one may wait. */
export function lockTimeout(): OidcError {
  return new OidcError(
    'ERR_OIDC_SHARED_STATE',
    'Waiting for a lock of sharedState timed out: another request held it all the time. Try again.',
  )
}

/** The holder kept the lock too long and has lost it. */
export function leaseExpired(): OidcError {
  return new OidcError(
    'ERR_OIDC_SHARED_STATE',
    'A lock of sharedState expired before its work was done, so another request may hold it now. Try again. If this ' +
      'happens often, look for a slow provider or a process that stops for seconds.',
  )
}

/**
 * The name of an entry on a server: a hash. It has a fixed length, holds no character with a meaning to a server, and does
 * not show the user that the key may name.
 */
export function entryName(key: string): string {
  return hash('sha256', asciiJson(key), 'base64url')
}

/** JSON in printable ASCII, which every server stores unchanged in every encoding, even a NUL or half a surrogate pair. */
export function asciiJson(text: string): string {
  return JSON.stringify(text).replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Reads what {@link asciiJson} has written. The error does not show the value, which another program has written. */
export function parseAsciiJson(value: unknown): string {
  try {
    const text: unknown = JSON.parse(String(value))
    if (typeof text === 'string') return text
  } catch {
    // Not JSON: the same error as for JSON of something else.
  }
  throw new TypeError(
    'A set of sharedState has a member that another program has written. Use another prefix or table.',
  )
}

const TEN_YEARS = 315_360_000_000

/** A lifetime in whole milliseconds, from one millisecond to ten years. Throws a RangeError for `NaN`. */
export function toMilliseconds(seconds: number): number {
  if (Number.isNaN(seconds)) throw new RangeError('A lifetime in seconds must be a number, not NaN.')
  return Math.min(Math.max(1, Math.ceil(seconds * 1000)), TEN_YEARS)
}
