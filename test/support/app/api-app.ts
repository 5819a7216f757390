import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { IncomingHttpHeaders } from 'node:http'
import { connect as connectTo } from 'node:net'
import { afterEach, beforeEach } from 'node:test'
import { type BearerMiddleware, type BearerOptions, bearer } from '../../../lib/bearer.ts'
import { type Events, OidcError } from '../../../lib/index.ts'
import { exchange } from '../browser/http-exchange.ts'
import { listen, sendJson } from '../servers/http-server.ts'
import type { TokenIssuer } from '../servers/token-issuer.ts'
import { answerJson, type Routes } from './app-routes.ts'
import { createHostApp } from './host-app.ts'
import type { Host } from './hosts.ts'

/** What a client of an API receives. */
export interface ApiAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** The challenges of `WWW-Authenticate`, joined as Node does. */
  readonly challenge: string | undefined
  readonly body: string
  json(): Record<string, unknown>
}

export interface ApiRequest {
  readonly method?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** An app with `bearer()` in front of its routes. */
export interface ApiApp {
  readonly origin: string
  readonly api: BearerMiddleware
  /** The paths that reached a handler behind the guards, in order. */
  readonly reached: string[]
  /** What reached the error handler. */
  readonly errors: unknown[]
  /** A request with a token, if there is one. */
  call(token?: string, request?: ApiRequest): Promise<ApiAnswer>
  /** A request with headers that Node's client would not send: two of one name, for example. */
  callRaw(lines: readonly string[], request?: ApiRequest): Promise<ApiAnswer>
  stop(): Promise<void>
}

interface ApiSettings {
  readonly host?: Host
  /** Everything below this path. */
  readonly mountPath?: string
  readonly routes?: Routes
  /** Run before `bearer()`. */
  readonly before?: readonly Parameters<ReturnType<typeof createHostApp>['use']>[0][]
}

/** Starts an API for the tokens of this issuer. */
export async function startApi(
  issuer: Pick<TokenIssuer, 'issuer' | 'audience'>,
  options: Partial<BearerOptions> = {},
  { host = 'express5', routes = {}, mountPath = '', before = [] }: ApiSettings = {},
): Promise<ApiApp> {
  const own = 'issuers' in options ? {} : { issuer: issuer.issuer }
  const usual = { audience: issuer.audience, algorithms: ['ES256', 'RS256'], dangerouslyAllowInsecureRequests: true }
  const api = bearer({ ...own, ...usual, ...options } as BearerOptions)
  const reached: string[] = []
  const errors: unknown[] = []
  const app = createHostApp(host)
  for (const handler of before) app.use(handler)
  app.use(api)
  for (const [path, handlers] of Object.entries({ '/who': who(), ...routes })) {
    const [answer, ...guards] = [handlers].flat().reverse()
    app.route(path, ...guards.reverse(), (req, res, next) => {
      reached.push(path)
      answer?.(req, res, next)
    })
  }
  app.useErrorHandler((error, _req, res, _next) => {
    errors.push(error)
    const [status, code] = error instanceof OidcError ? [error.status, error.code] : [500, String(error)]
    sendJson(res, status, { code })
  })
  const { port, stop } = await listen(app.createServer(mountPath))
  const origin = `http://127.0.0.1:${port}`

  async function call(token?: string, request: ApiRequest = {}): Promise<ApiAnswer> {
    const { method = 'GET', path = '/who', headers = {}, body } = request
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const url = new URL(mountPath + path, origin)
    const answer = await exchange({ method, url, headers: { ...authorization, ...headers }, body })
    return answerOf(answer.status, answer.headers, answer.body)
  }

  return {
    origin,
    api,
    reached,
    errors,
    call,
    callRaw: (lines, { method = 'GET', path = '/who' } = {}) => sendRaw(port, method, mountPath + path, lines),
    stop,
  }
}

function who(): ReturnType<typeof answerJson> {
  return answerJson(({ oidc }) => ({
    by: oidc.authenticatedBy ?? null,
    sub: oidc.claims?.sub ?? null,
    scope: oidc.scope ?? null,
  }))
}

function answerOf(status: number, headers: IncomingHttpHeaders, body: string): ApiAnswer {
  return { status, headers, challenge: headers['www-authenticate'], body, json: () => JSON.parse(body) }
}

/** One request over a connection of its own, whose header lines are sent as they are. */
function sendRaw(port: number, method: string, path: string, lines: readonly string[]): Promise<ApiAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connectTo(port, '127.0.0.1')
    const chunks: Buffer[] = []
    socket.setTimeout(30_000, () => socket.destroy(new Error('no answer in 30 seconds')))
    socket.on('error', reject)
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('end', () => {
      const [head = '', body = ''] = Buffer.concat(chunks).toString('latin1').split('\r\n\r\n')
      const [first = '', ...rest] = head.split('\r\n')
      const pairs = rest.map(
        (line) => [line.split(':')[0]?.toLowerCase() ?? '', line.replace(/^[^:]*: */, '')] as const,
      )
      const headers: Record<string, string> = {}
      for (const [name, value] of pairs) headers[name] = name in headers ? `${headers[name]}, ${value}` : value
      resolve(answerOf(Number(first.split(' ')[1]), headers, body))
    })
    socket.write(
      [`${method} ${path} HTTP/1.1`, 'Host: api.example.test', 'Connection: close', ...lines, '', ''].join('\r\n'),
    )
  })
}

/**
 * The codes of the events `express-oidc:denied` and `express-oidc:error` of each test, in order, and the messages of what was
 * wrong with the tokens. Sets hooks.
 */
export function observeDenials(): {
  readonly denied: string[]
  readonly errors: string[]
  readonly reasons: string[]
} {
  const seen = { denied: [] as string[], errors: [] as string[], reasons: [] as string[] }
  const onDenied = (message: unknown): void => {
    const { code, error } = message as Events['express-oidc:denied']
    seen.denied.push(code)
    if (error instanceof Error) seen.reasons.push(error.message)
  }
  const onError = (message: unknown): void => void seen.errors.push((message as Events['express-oidc:error']).code)
  beforeEach(() => {
    seen.denied.length = 0
    seen.errors.length = 0
    seen.reasons.length = 0
    subscribe('express-oidc:denied', onDenied)
    subscribe('express-oidc:error', onError)
  })
  afterEach(() => {
    unsubscribe('express-oidc:denied', onDenied)
    unsubscribe('express-oidc:error', onError)
  })
  return seen
}
