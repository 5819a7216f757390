import { OidcError } from '../errors.ts'
import type { Request } from '../http/request.ts'
import type { StoreLike } from '../state/shared-state.ts'

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

/** The store behind the session of this request; `undefined` where express-session has not seen it. */
export function storeOf(req: object): StoreLike | undefined {
  return 'sessionStore' in req ? (req.sessionStore as StoreLike | undefined) : undefined
}

/** How long one operation may take, in milliseconds: some clients queue for ever what they cannot send. */
const LIMIT = 10_000

/**
 * Runs one operation of express-session or its store. Throws `ERR_OIDC_SESSION_STORE` where it fails or gives no answer
 * within ten seconds, and what the shared state has thrown as it is.
 */
export async function storeOperation<Value>(
  run: (done: (error: unknown, value?: Value) => void) => void,
): Promise<Value | undefined> {
  let timer: NodeJS.Timeout | undefined
  try {
    return await new Promise<Value | undefined>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`There was no answer within ${LIMIT / 1000} seconds.`)), LIMIT)
      run((error, value) => (error === undefined || error === null ? resolve(value) : reject(error)))
    })
  } catch (error) {
    if (error instanceof OidcError) throw error
    throw new OidcError('ERR_OIDC_SESSION_STORE', 'The session store failed.', { cause: error })
  } finally {
    clearTimeout(timer)
  }
}
