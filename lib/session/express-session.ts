import { OidcError } from '../errors.ts'
import type { Request } from '../http.ts'

type Callback = (error?: unknown) => void

/** What this library needs of the cookie that express-session describes in `req.session.cookie`. */
export interface SessionCookie {
  readonly path?: string
  readonly domain?: string
  readonly secure?: boolean | 'auto'
  readonly sameSite?: boolean | 'strict' | 'lax' | 'none'
}

/** What this library needs of express-session's `req.session`. */
export interface SessionLike {
  readonly cookie: SessionCookie
  regenerate(done: Callback): void
  save(done: Callback): void
  destroy(done: Callback): void
  [name: string]: unknown
}

/** What this library needs of an express-session store. */
export interface StoreLike {
  get(id: string, done: (error: unknown, data?: unknown) => void): void
  set(id: string, data: unknown, done: Callback): void
  destroy(id: string, done: Callback): void
}

/** A request that express-session has handled. */
export interface SessionRequest extends Request {
  session: SessionLike
  sessionID: string
  sessionStore: StoreLike
}

/**
 * The request with its express-session. Throws `ERR_OIDC_SESSION_MISSING` where there is none and
 * `ERR_OIDC_SESSION_UNSUPPORTED` for another session middleware, each saying what to do.
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
    'There is no req.session. Mount express-session before oidc(): app.use(session({ ... })) and then ' +
      'app.use(oidc({ ... })), for the same paths. If it is mounted so, its store is disconnected, or the path of its ' +
      'cookie does not cover this request.',
  )
}

function unsupported(): OidcError {
  return new OidcError(
    'ERR_OIDC_SESSION_UNSUPPORTED',
    'req.session has no regenerate(): it is not from express-session (cookie-session, perhaps). A login must change ' +
      'the session id, so use express-session, with any of its stores.',
  )
}

/** Runs one operation of express-session or its store. Throws `ERR_OIDC_SESSION_STORE` where it fails. */
export function storeOperation<Value>(
  run: (done: (error: unknown, value?: Value) => void) => void,
): Promise<Value | undefined> {
  return new Promise<Value | undefined>((resolve, reject) => {
    run((error, value) => (error === undefined || error === null ? resolve(value) : reject(error)))
  }).catch((error: unknown) => {
    throw new OidcError('ERR_OIDC_SESSION_STORE', 'The session store failed.', { cause: error })
  })
}
