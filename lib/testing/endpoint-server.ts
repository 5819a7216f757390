import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { escapeHtml } from '../http/response.ts'
import type { TestEndpoint } from './misbehavior.ts'
import type { TestContext } from './test-records.ts'

/** A request to an endpoint of the test provider. */
export interface EndpointRequest {
  readonly method: string
  readonly headers: IncomingMessage['headers']
  /** Of the query, or of the form if the request is a POST. */
  readonly params: URLSearchParams
}

/** The response of an endpoint. */
export interface EndpointResponse {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly json?: unknown
  /** A whole page. Its values have been escaped. */
  readonly html?: string
}

/** A route of the test provider. */
export interface EndpointRoute {
  readonly endpoint: TestEndpoint
  readonly path: string
  readonly methods: readonly string[]
  /** How the refusals of this endpoint are shown: to the client as JSON, or to the user as a page. */
  readonly refusals: 'json' | 'page'
  readonly respond: (context: TestContext, request: EndpointRequest) => EndpointResponse | Promise<EndpointResponse>
}

/** An OAuth error response (RFC 6749 5.2). */
export class Refusal extends Error {
  readonly error: string
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  constructor(error: string, description: string, status = 400, headers: Readonly<Record<string, string>> = {}) {
    super(description)
    this.error = error
    this.status = status
    this.headers = headers
  }
}

/** A server for these routes. It listens nowhere yet. */
export function createEndpointServer(context: () => TestContext, routes: readonly EndpointRoute[]): Server {
  return createServer((req, res) => {
    answer(context(), routes, req, res).catch((error: unknown) => {
      // The client has gone away, for example because its time was over.
      if (req.errored !== null) return
      // A fault of the test kit, or of keys that it was given: the person who tests an application must see it.
      process.emitWarning(`The test provider failed: ${error}`)
      res.writeHead(500).end()
    })
  })
}

async function answer(
  context: TestContext,
  routes: readonly EndpointRoute[],
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const [pathname, query] = (req.url ?? '').split('?', 2)
  const route = routes.find(({ path }) => path === pathname)
  if (route === undefined) return send(res, { status: 404, json: { error: 'not_found' } })
  const outcome = await context.misbehaviors.respond(route.endpoint)
  if (outcome === 'down') {
    req.socket.destroy()
    return
  }
  if (outcome === 'unavailable') return send(res, { status: 503, headers: { 'Retry-After': '1' } })
  try {
    const method = req.method ?? ''
    if (!route.methods.includes(method)) {
      throw new Refusal('invalid_request', `Use ${route.methods.join(' or ')}.`, 405, {
        Allow: route.methods.join(', '),
      })
    }
    const params = method === 'POST' ? await readForm(req) : new URLSearchParams(query)
    send(res, await route.respond(context, { method, headers: req.headers, params }))
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    send(res, route.refusals === 'json' ? refusalAsJson(error) : refusalAsPage(error))
  }
}

const MAX_FORM_BYTES = 1_000_000

async function readForm(req: IncomingMessage): Promise<URLSearchParams> {
  const type = req.headers['content-type'] ?? ''
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of req) {
    size += chunk.length
    if (size > MAX_FORM_BYTES) throw new Refusal('invalid_request', 'The form is too long.', 413)
    chunks.push(chunk)
  }
  if (size > 0 && !/^application\/x-www-form-urlencoded\b/i.test(type)) {
    throw new Refusal('invalid_request', 'The body must be a form (application/x-www-form-urlencoded).')
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'))
}

function refusalAsJson({ error, message, status, headers }: Refusal): EndpointResponse {
  return { status, headers, json: { error, error_description: message } }
}

function refusalAsPage({ error, message, status, headers }: Refusal): EndpointResponse {
  return { status, headers, html: page('Sign-in failed', `<p>${escapeHtml(message)}</p><p><code>${error}</code></p>`) }
}

/** A page of the test provider. The content must have been escaped. */
export function page(title: string, content: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title></head>
<body><main><h1>${title}</h1>${content}</main></body>
</html>
`
}

function send(res: ServerResponse, { status, headers = {}, json, html }: EndpointResponse): void {
  const body = html ?? (json === undefined ? '' : JSON.stringify(json))
  const type = html === undefined ? 'application/json' : 'text/html; charset=utf-8'
  res.writeHead(status, {
    'Cache-Control': 'no-store',
    ...(body === '' ? {} : { 'Content-Type': type }),
    'Content-Length': Buffer.byteLength(body),
    ...headers,
  })
  res.end(body)
}

/** The value of a parameter. An empty one counts as absent, and none may be there twice (RFC 6749 3.1 and 3.2). */
export function paramOf(params: URLSearchParams, name: string): string | undefined {
  const values = params.getAll(name)
  if (values.length > 1) throw new Refusal('invalid_request', `The parameter ${name} is there twice.`)
  return values[0] === '' ? undefined : values[0]
}

/** The same for a parameter that must be there. */
export function requiredParam(params: URLSearchParams, name: string): string {
  const value = paramOf(params, name)
  if (value === undefined) throw new Refusal('invalid_request', `The parameter ${name} is missing.`)
  return value
}
