import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import { beforeEach } from 'node:test'
import { parseOptions } from '../../../lib/options/parse-options.ts'
import { createProviderFinder, type Provider } from '../../../lib/provider/provider.ts'
import { share } from '../app/stage.ts'
import { listen, readBody } from '../servers/http-server.ts'

/** A request as it came in. */
export interface Asked {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly form: URLSearchParams
}

/** A server that says what a test wants it to, and remembers what it was asked. Its address is known while tests run. */
export interface BackChannel {
  readonly origin: string
  readonly asked: readonly Asked[]
  /** Answers everything; 200 with `{}` unless a test sets it. */
  answer: (asked: Asked, res: ServerResponse) => void
}

/** One server for all tests of a file or a `describe`; each of them finds it as new. */
export function createBackChannel(): BackChannel {
  const asked: Asked[] = []
  const nothing = (_: Asked, res: ServerResponse): void => sendAnswer(res, 200, {})
  const server = createServer(async (req, res) => {
    const body = await readBody(req)
    const { method = '', url = '', headers } = req
    const request = { method, path: url, headers, body, form: new URLSearchParams(body) }
    asked.push(request)
    channel.answer(request, res)
  })
  const listening = share(() => listen(server))
  const channel: BackChannel = {
    get origin() {
      return `http://127.0.0.1:${listening().port}`
    },
    asked,
    answer: nothing,
  }
  beforeEach(() => {
    asked.length = 0
    channel.answer = nothing
  })
  return channel
}

export function sendAnswer(
  res: ServerResponse,
  status: number,
  json: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  res.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(json))
}

export const CLIENT_ID = 'client:one'
export const CLIENT_SECRET = 'a-Secret_of.40-characters_0123456789abcd'

/** A provider that needs no discovery, with all its endpoints at one origin. */
export async function createDirectProvider(
  options: object = {},
  metadata: object = {},
  origin: string = 'https://op.example',
): Promise<Provider> {
  const { clients } = parseOptions({
    issuer: origin,
    clientId: CLIENT_ID,
    baseUrl: 'https://app.example',
    secret: 'what the cookies are sealed with, of 32 and more',
    providerMetadata: {
      issuer: origin,
      authorization_endpoint: `${origin}/authorize`,
      token_endpoint: `${origin}/token`,
      jwks_uri: `${origin}/keys`,
      userinfo_endpoint: `${origin}/userinfo`,
      pushed_authorization_request_endpoint: `${origin}/par`,
      revocation_endpoint: `${origin}/revoke`,
      introspection_endpoint: `${origin}/introspect`,
      ...metadata,
    },
    dangerouslyAllowInsecureRequests: origin.startsWith('http:'),
    ...options,
  })
  const [config] = clients
  if (config === undefined) throw new Error('there is no provider in the options')
  return await createProviderFinder(config)()
}
