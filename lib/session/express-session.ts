import { OidcError } from '../errors.ts'
import type { Request } from '../http/request.ts'
import { traced } from '../operations.ts'
import type { StoreLike } from '../state/shared-state.ts'
import { asPromise } from '../state/store-record.ts'
import { withTimeLimit } from '../time/limit.ts'

/** A request that express-session has handled. */
export interface SessionRequest extends Request {
  session: SessionLike
  sessionID: string
  sessionStore: StoreLike
}

/** What this library needs of express-session's `req.session`. */
export interface SessionLike {
  readonly cookie: SessionCookie
  regenerate(done: Callback): void
  save(done: Callback): void
  destroy(done: Callback): void
  [name: string]: unknown
}

type Callback = (error?: unknown) => void

/** What this library needs of `req.session.cookie`, express-session's description of its cookie. */
export interface SessionCookie {
  readonly path?: string
  readonly domain?: string
  readonly secure?: boolean | 'auto'
  readonly sameSite?: boolean | 'strict' | 'lax' | 'none'
}

/**
 * Returns the request with its express-session. Throws `ERR_OIDC_SESSION_MISSING` without a session and
 * `ERR_OIDC_SESSION_UNSUPPORTED` for a session of another middleware.
 */
export function requireSession(req: Request): SessionRequest {
  if (hasSession(req)) return req
  throw typeof req.session === 'object' && req.session !== null ? unsupported() : missing()
}

function hasSession(req: Request): req is SessionRequest {
  const { session } = req
  if (typeof session !== 'object' || session === null || !('regenerate' in session)) return false
  return typeof session.regenerate === 'function' && 'sessionStore' in req
}

function missing(): OidcError {
  return new OidcError(
    'ERR_OIDC_SESSION_MISSING',
    'There is no req.session. Mount express-session before oidc(), for the same paths: app.use(session({ ... })), then ' +
      'app.use(oidc({ ... })). If it is mounted, its store is disconnected, or the path of its cookie does not cover ' +
      'this request.',
  )
}

function unsupported(): OidcError {
  return new OidcError(
    'ERR_OIDC_SESSION_UNSUPPORTED',
    'req.session has no regenerate(), so it is not from express-session (but perhaps from cookie-session). A login must ' +
      'change the session id: use express-session, with any of its stores.',
  )
}

/** The session store of this request; `undefined` if express-session has not handled it. */
export function storeOf(req: object): StoreLike | undefined {
  return 'sessionStore' in req ? (req.sessionStore as StoreLike | undefined) : undefined
}

/** The time limit of one operation, in seconds: some clients queue commands without a limit while a server is away. */
const MAX_OPERATION_SECONDS = 10

/**
 * Runs one operation of express-session or its store. Throws `ERR_OIDC_SESSION_STORE` if it fails or takes longer than ten
 * seconds. An `OidcError`, such as one of the shared state, is passed on unchanged.
 */
export async function storeOperation<Value>(
  operation: 'get' | 'set' | 'destroy' | 'save' | 'regenerate',
  run: (done: (error: unknown, value?: Value) => void) => unknown,
): Promise<Value | undefined> {
  try {
    return await traced(
      'express-oidc:store',
      () => ({ operation }),
      () => withTimeLimit(MAX_OPERATION_SECONDS, () => asPromise(run), noResponse),
    )
  } catch (error) {
    throw error instanceof OidcError ? error : storeError(error)
  }
}

/** The error of a session store that failed. */
export function storeError(cause: unknown): OidcError {
  return new OidcError(
    'ERR_OIDC_SESSION_STORE',
    `The session store failed or did not respond within ${MAX_OPERATION_SECONDS} seconds. The cause has the error of ` +
      'the store. Check the connection of the store that you passed to express-session.',
    { cause },
  )
}

function noResponse(): Error {
  return new Error(`The session store did not respond within ${MAX_OPERATION_SECONDS} seconds.`)
}
