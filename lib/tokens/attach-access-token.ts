import { ConfigError, OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import { sendLoginAnswer } from '../http/login-answer.ts'
import { type Handler, type Next, type Request, type Response, requestPath, wantsPage } from '../http/request.ts'
import { objectOf, option, required } from '../options/option-row.ts'
import { anyOf, functionRule, must, nonEmptyString, resultOf, showUrl } from '../options/rule.ts'
import type { AccessTokenRequest, OidcContext, TokenHeaders } from '../types.ts'

/** Where `attachAccessToken()` lets the access token go, and which token it is. */
export interface AttachOptions {
  /**
   * The URL of the API, as the proxy has it: `'https://api.example.com/v1'`. The path of the request is added. If the proxy
   * rewrites paths, pass a function that returns the whole URL of a request: the proof of a bound token (DPoP) names it.
   */
  target: string | ((req: Request) => string)
  /** Some of the scopes of the login, as in `req.oidc.accessToken()`. */
  scope?: string
  /** The API that the token is for, as in `req.oidc.accessToken()`. */
  resource?: string
}

/** A middleware that puts an access token on requests for a proxy. */
export interface TokenAttacher extends Handler {
  /**
   * The same for the upgrade to a WebSocket, which runs through no middleware. Call `authenticateUpgrade()` first. Rejects
   * with what `req.oidc.accessToken()` rejects with.
   */
  upgrade(req: Request): Promise<void>
}

const attachRule = objectOf({
  target: required(
    anyOf(
      functionRule,
      must('be an absolute URL without query, fragment or credentials, or a function', isTarget, showUrl),
    ),
  ),
  scope: option(nonEmptyString),
  resource: option(nonEmptyString),
})

function isTarget(value: unknown): boolean {
  return (
    typeof value === 'string' &&
    /^(?:https?|wss?):\/\/[^/?#@\\\s]+(?:\/[^?#\\\s]*)?$/.test(value) &&
    URL.canParse(value)
  )
}

/**
 * Puts a fresh access token of the user on each request, for a proxy behind it: the browser has a session, and the API gets a
 * token. The token is refreshed if necessary, and gets a proof if it is bound to a key (DPoP, RFC 9449 7). The cookies of the
 * browser, and any `Authorization` and `DPoP` that it sends, do not reach the API.
 *
 * Without a login, and if the provider refuses to refresh the token, a script gets 401 with `loginUrl`. If the provider is
 * down, the error goes to `next` (502, 503 or 504) and the login stays. A response of the API is passed on as it is.
 *
 * Passes to `next`: `ERR_OIDC_NOT_MOUNTED`, `ERR_OIDC_CROSS_ORIGIN_REQUEST`, and for pages the codes of
 * `req.oidc.accessToken()`. Mount it before body parsers.
 *
 * @throws {ConfigError} `ERR_OIDC_CONFIG` for an invalid option.
 * @example
 * ```ts
 * import { createProxyMiddleware } from 'http-proxy-middleware'
 *
 * const target = 'https://api.example.com'
 * app.use('/api', requireAuth(), attachAccessToken({ target }), createProxyMiddleware({ target, changeOrigin: true }))
 * ```
 */
export function attachAccessToken(options: AttachOptions): TokenAttacher {
  const problems = attachRule(options, 'options')
  if (problems.length > 0) throw new ConfigError(problems)
  const { target, ...request } = options

  async function attach(req: Request, oidc: Attachable): Promise<TokenHeaders> {
    const { method = 'GET' } = req
    const url = typeof target === 'function' ? resultOf(target(req)) : joinPath(target, req.url ?? '/')
    if (typeof url !== 'string') throw noUrl()
    const headers = await oidc.tokenHeaders(withHttpScheme(url), { ...request, method })
    replaceCredentials(req, headers)
    return headers
  }

  /** Returns true if the request can go on. */
  async function handle(req: Request, res: Response): Promise<boolean> {
    const oidc = requireAttachable(req)
    const forgery = oidc.csrfError()
    if (forgery !== undefined) throw forgery
    const headers = await attach(req, oidc).catch((error: unknown) => answerWithLogin(req, res, oidc, error))
    if (headers === undefined) return false
    if (headers.dpop !== undefined) observeNonce(res, headers)
    return true
  }

  function attachMiddleware(req: Request, res: Response, next: Next): void {
    handle(req, res).then(
      // Outside of the promise, whose rejection an error that `next` throws would become.
      (isReady) => isReady && process.nextTick(next),
      // A function of the options may throw anything, but next(undefined) would let the request through.
      (error: unknown) =>
        process.nextTick(
          next,
          error ?? new Error('The target of attachAccessToken() rejected without a reason. Throw an Error.'),
        ),
    )
  }

  return Object.assign(attachMiddleware, {
    async upgrade(req: Request): Promise<void> {
      await attach(req, requireAttachable(req))
    },
  })
}

function noUrl(): ConfigError {
  return new ConfigError([
    'The function target of attachAccessToken() must return the URL of the request as a string, and not be async.',
  ])
}

/** What this needs of `req.oidc`. Only a context with a session has it. */
type Attachable = OidcContext & {
  callingPage(): string
  csrfError(): OidcError | undefined
  tokenHeaders(url: string, request: AccessTokenRequest & { readonly method: string }): Promise<TokenHeaders>
}

function requireAttachable(req: Request): Attachable {
  const oidc: unknown = Reflect.get(req, 'oidc')
  if (typeof oidc === 'object' && oidc !== null && 'tokenHeaders' in oidc) return oidc as Attachable
  throw new OidcError(
    'ERR_OIDC_NOT_MOUNTED',
    'The request of attachAccessToken() has no session, because oidc() did not handle it. Mount app.use(oidc({ ... })) ' +
      'before it. For a WebSocket, call authenticateUpgrade() first.',
  )
}

/** A new login gives a new token. */
const NEEDS_LOGIN: ReadonlySet<string> = new Set([
  ...['ERR_OIDC_TOKEN_UNAVAILABLE', 'ERR_OIDC_REFRESH_REFUSED', 'ERR_OIDC_INTERACTION_REQUIRED'],
])

/** Sends 401 with the login URL if the user must log in, and rethrows any other error. A page gets the error page instead. */
function answerWithLogin(req: Request, res: Response, oidc: Attachable, error: unknown): undefined {
  const isLoginNeeded = error instanceof OidcError && error.status === 401 && NEEDS_LOGIN.has(error.code)
  if (!isLoginNeeded || wantsPage(req)) throw error
  publish['express-oidc:denied'](() => ({ code: error.code, path: requestPath(req) }))
  const loginUrl = oidc.loginUrl(oidc.callingPage())
  sendLoginAnswer(req, res, { error: error.code, message: 'Please sign in.', loginUrl })
}

/** The path as a proxy adds it. A request to a proxy may name a whole URL (RFC 9112 3.2.2), whose host does not count. */
function joinPath(target: string, url: string): string {
  const path = url.replace(/^[a-z][a-z\d+.-]*:\/\/[^/?#]*/i, '')
  return target.replace(/\/$/, '') + (path.startsWith('/') ? path : `/${path}`)
}

/** A WebSocket begins as a request over http. */
function withHttpScheme(url: string): string {
  return url.replace(/^ws(?=s?:)/, 'http')
}

/** The headers that carry credentials of the browser. */
const CREDENTIALS: ReadonlySet<string> = new Set(['authorization', 'dpop', 'cookie'])

/** Proxies read `headers`, `headersDistinct` or `rawHeaders`, so all are replaced, without a trace of the former values. */
function replaceCredentials(req: Request, { authorization, dpop }: TokenHeaders): void {
  // Node makes them of `rawHeaders` when they are first read.
  const { headers, headersDistinct, rawHeaders } = req
  const own = Object.entries({ Authorization: authorization, ...(dpop === undefined ? {} : { DPoP: dpop }) })
  // Each name is followed by its value.
  let header = ''
  const raw = rawHeaders.flatMap((text, index) => {
    const isName = index % 2 === 0
    if (isName) header = text.toLowerCase()
    if (CREDENTIALS.has(header)) return []
    return [!isName && header === 'connection' ? withoutCredentials(text) : text]
  })
  rawHeaders.splice(0, rawHeaders.length, ...raw, ...own.flat())
  for (const name of CREDENTIALS) {
    Reflect.deleteProperty(headers, name)
    Reflect.deleteProperty(headersDistinct, name)
  }
  for (const [name, value] of own) Object.assign(headers, { [name.toLowerCase()]: value })
  for (const [name, value] of own) Object.assign(headersDistinct, { [name.toLowerCase()]: [value] })
  if (headers.connection === undefined) return
  headers.connection = withoutCredentials(headers.connection)
  Object.assign(headersDistinct, { connection: [headers.connection] })
}

/** A proxy removes the headers that `Connection` names (RFC 9110 7.6.1). It must not remove those that are set here. */
function withoutCredentials(connection: string): string {
  const names = connection.split(',').map((name) => name.trim())
  // The default of HTTP/1.1, if nothing is left.
  return names.filter((name) => name !== '' && !CREDENTIALS.has(name.toLowerCase())).join(', ') || 'keep-alive'
}

/** The API demands nonces in its responses (RFC 9449 8.2), which the proxy writes. */
function observeNonce(res: Response, { keepNonce }: TokenHeaders): void {
  const { writeHead } = res
  res.writeHead = function writeHeadAndKeepNonce(this: Response, ...args: unknown[]) {
    const result = Reflect.apply(writeHead, this, args)
    const given = Object.entries(Object(args.at(-1))).find(([name]) => name.toLowerCase() === 'dpop-nonce')
    const nonce = res.getHeader('dpop-nonce') ?? given?.[1]
    keepNonce({ get: () => (typeof nonce === 'string' ? nonce : null) })
    return result
  } as typeof writeHead
}
