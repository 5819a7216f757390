import { OidcError } from '../errors.ts'

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
export function noTurn(): OidcError {
  return new OidcError('ERR_OIDC_SHARED_STATE', 'A lock was held by somebody else for as long as one waits for it.')
}

/** The lock was not given back in time, and so was taken away. */
export function leaseEnded(): OidcError {
  return new OidcError('ERR_OIDC_SHARED_STATE', 'The work took longer than its lock lives: somebody else may hold it.')
}
