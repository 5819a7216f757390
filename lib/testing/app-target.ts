import {
  createServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  Server,
  type ServerResponse,
} from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import { OidcError } from '../errors.ts'
import { parseHttpUrl } from '../options/urls.ts'

/**
 * The application under test: an Express or Connect app (any function that takes a request and a response), an `http.Server`, or
 * the URL of an application that runs already. An app, and a server that does not listen, listens on a free port for the time
 * of the call.
 */
export type TestTarget = ((req: IncomingMessage, res: ServerResponse) => unknown) | Server | string | URL

/** An application that listens. */
export interface ListeningApp {
  /** Scheme, host and port, to connect to. */
  readonly origin: string
  /** The path of the URL, without a slash at the end. Empty for an app or a server. */
  readonly basePath: string
  /** True if browsers reach the application at that URL. False for a port that only this call knows. */
  readonly isPublic: boolean
}

/** Runs something with the application listening. */
export async function withApp<Result>(
  target: TestTarget,
  use: (app: ListeningApp) => Promise<Result>,
): Promise<Result> {
  if (typeof target === 'string' || target instanceof URL) return use(parseTarget(String(target)))
  const server = serverOf(target)
  if (server.listening) return use(listeningApp(server))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve)
  })
  try {
    return await use(listeningApp(server))
  } finally {
    await closeServer(server)
  }
}

/** Closes the port and every connection. */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

function serverOf(target: unknown): Server {
  // Jest loads node:http outside of the modules of a test, so a server is told by what it can do.
  if (typeof target === 'function') return createServer(target as (req: IncomingMessage, res: ServerResponse) => void)
  if (target instanceof Server || typeof Reflect.get(Object(target), 'listen') === 'function') return target as Server
  throw new OidcError(
    'ERR_OIDC_TESTING',
    'The app must be an Express or Connect app, an http.Server, or the URL of an app that runs. Pass the app itself, not a ' +
      'promise or a module.',
  )
}

function listeningApp(server: Server): ListeningApp {
  const { port } = server.address() as AddressInfo
  return { origin: `http://127.0.0.1:${port}`, basePath: '', isPublic: false }
}

function parseTarget(url: string): ListeningApp {
  const parsed = parseHttpUrl(url)
  if (parsed === undefined) {
    throw new OidcError(
      'ERR_OIDC_TESTING',
      'The URL of the app must be absolute, such as http://localhost:3000. Check it.',
    )
  }
  return { origin: parsed.origin, basePath: parsed.pathname.replace(/\/$/, ''), isPublic: true }
}

/** A request to the application or the provider. */
export interface ExchangeRequest {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  /** The fields of a form. */
  readonly form?: URLSearchParams | undefined
}

/** A whole response. */
export interface ExchangeResponse {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** Sends a request and reads the response. It follows no redirect, and lets the caller set `Host`, which `fetch` does not. */
export function exchange(
  url: string,
  { method = 'GET', headers = {}, form }: ExchangeRequest,
): Promise<ExchangeResponse> {
  const body = form?.toString()
  const type = body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }
  const start = url.startsWith('https:') ? httpsRequest : httpRequest
  return new Promise((resolve, reject) => {
    const sent = start(url, { method, agent: false, headers: { ...type, ...headers } }, (res) => {
      const chunks: Buffer[] = []
      res.on('data', (chunk) => chunks.push(chunk))
      res.on('error', reject)
      res.on('end', () => {
        resolve({ status: res.statusCode ?? 0, headers: res.headers, body: Buffer.concat(chunks).toString('utf8') })
      })
    })
    sent.on('error', reject).end(body)
  })
}

/** Where a response redirects to. A form for the provider (`authorizationRequestMethod: 'POST'`) is like a redirect with its fields. */
export function readLocation(url: string, response: ExchangeResponse, issuer: string): string | undefined {
  const { status, headers, body } = response
  const { location } = headers
  if (status >= 300 && status < 400 && location !== undefined) return new URL(location, url).href
  const action = unescapeHtml(/<form method="post" action="([^"]*)">/.exec(body)?.[1] ?? '')
  return action.startsWith(`${issuer}/`) ? `${action}?${readForm(response)}` : undefined
}

/** The fields of a form that submits itself. */
export function readForm({ status, body }: ExchangeResponse): URLSearchParams | undefined {
  const fields = status !== 200 ? [] : [...body.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)]
  if (fields.length === 0) return undefined
  return new URLSearchParams(
    fields.map(([, name = '', value = '']): [string, string] => [unescapeHtml(name), unescapeHtml(value)]),
  )
}

/** The reverse of `escapeHtml()`. */
export function unescapeHtml(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => ENTITIES[name] ?? '')
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" }
