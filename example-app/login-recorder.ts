import { AsyncLocalStorage } from 'node:async_hooks'
import { createHash } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Request, RequestHandler } from 'express'
import type { Events, Hooks } from '../lib/index.ts'

/** A request of the app to the provider. */
export interface ProviderRequest {
  readonly method: string
  /** The path alone. */
  readonly path: string
  /** The HTTP status, or an error code. */
  readonly outcome: number | string
  readonly milliseconds: number
}

/** A parameter in the address bar of a login. The value is left out if it is random: it protects the login. */
export interface SentParameter {
  readonly name: string
  readonly value: string | undefined
}

/** The first half of a login: the redirect to the provider. Times are milliseconds since 1970. */
export interface LoginStart {
  readonly at: number
  /** The page that the user wanted. */
  readonly path: string
  readonly endpoint: string
  readonly sent: readonly SentParameter[]
}

/** How a login went. It contains no token, code, nonce or state. */
export interface LoginRecord {
  /** Absent if the login started on another node, or before this process did. */
  readonly start?: LoginStart
  /** When the browser came back. */
  readonly returnedAt: number
  /** The parameters that it brought. */
  readonly returned: readonly SentParameter[]
  readonly requests: readonly ProviderRequest[]
  /** The algorithm of the signature of the ID Token. */
  readonly algorithm: string
  readonly finishedAt: number
}

declare module 'express-session' {
  interface SessionData {
    loginRecord: LoginRecord
  }
}

/** One request to the app, while it runs. */
interface Recording {
  readonly at: number
  readonly requests: ProviderRequest[]
  startedFor?: string
}

/** The parameters whose values a page may show. */
const PUBLIC = [
  'response_type',
  'client_id',
  'redirect_uri',
  'scope',
  'code_challenge_method',
  'prompt',
  'max_age',
  'iss',
]

/** How many logins in progress are remembered. Beyond that the oldest is forgotten, and its page shows less. */
const MOST_STARTED = 1000

/**
 * Records how logins go, for the page that shows it: with the events of the library, which contain no secret, and the hook
 * `afterLogin`. Mount `middleware` in front of `oidc()`, and pass `hooks` to it.
 */
export function createLoginRecorder(): {
  readonly middleware: RequestHandler
  readonly hooks: Required<Pick<Hooks, 'afterLogin'>>
  close(): void
} {
  const current = new AsyncLocalStorage<Recording>()
  const started = new Map<string, LoginStart>()

  const onLoginStart = (message: unknown): void => {
    const recording = current.getStore()
    if (recording) recording.startedFor = (message as Events['express-oidc:login-start']).path
  }
  const onProviderRequest = (message: unknown): void => {
    const { method, url, outcome, milliseconds } = message as Events['express-oidc:provider']
    current.getStore()?.requests.push({ method, path: new URL(url).pathname, outcome, milliseconds })
  }
  subscribe('express-oidc:login-start', onLoginStart)
  subscribe('express-oidc:provider', onProviderRequest)

  return {
    middleware(_req, res, next) {
      const recording: Recording = { at: Date.now(), requests: [] }
      res.once('finish', () => {
        const location = res.getHeader('location')
        if (recording.startedFor === undefined || typeof location !== 'string' || !URL.canParse(location)) return
        const url = new URL(location)
        const [oldest] = started.size < MOST_STARTED ? [] : started.keys()
        if (oldest !== undefined) started.delete(oldest)
        started.set(keyOf(url.searchParams.get('state')), toStart(recording.at, recording.startedFor, url))
      })
      current.run(recording, next)
    },
    hooks: {
      afterLogin({ req, tokens }) {
        const { session, query } = req as Request
        const key = keyOf(query['state'])
        const start = started.get(key)
        started.delete(key)
        // A silent check of the session is no new login.
        if (session.loginRecord && start?.sent.some(({ name, value }) => name === 'prompt' && value === 'none')) return
        const { at = Date.now(), requests = [] } = current.getStore() ?? {}
        session.loginRecord = {
          ...(start && { start }),
          ...{
            returnedAt: at,
            returned: withoutSecrets(new URL(req.url ?? '', 'http://localhost').searchParams),
            requests,
            finishedAt: Date.now(),
          },
          algorithm: algorithmOf(tokens.idToken),
        }
      },
    },
    close() {
      unsubscribe('express-oidc:login-start', onLoginStart)
      unsubscribe('express-oidc:provider', onProviderRequest)
    },
  }
}

/** The state connects both halves of a login. Only its hash is kept. */
function keyOf(state: unknown): string {
  return createHash('sha256').update(String(state)).digest('base64url')
}

function toStart(at: number, path: string, url: URL): LoginStart {
  return { at, path, endpoint: url.origin + url.pathname, sent: withoutSecrets(url.searchParams) }
}

function withoutSecrets(params: URLSearchParams): readonly SentParameter[] {
  return [...params].map(([name, value]) => ({ name, value: PUBLIC.includes(name) ? value : undefined }))
}

/** The header of a JWT says how it is signed. The library has verified it. */
function algorithmOf(idToken: string): string {
  const [header = ''] = idToken.split('.')
  return String(Object(JSON.parse(Buffer.from(header, 'base64url').toString())).alg)
}
