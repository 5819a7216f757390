import { OidcError, ProviderError } from '../errors.ts'
import { publishError } from '../events.ts'
import { type Credentials, readCredentials } from '../http/authorization.ts'
import { type Protection, protect, sendChallenge, sendUnavailable } from '../http/challenge.ts'
import { answerDenial, type ContextRequest, isPreflight, loginRequired, publishDenial } from '../http/denial.ts'
import type { Next, Request, Response } from '../http/request.ts'
import { type BearerConfig, parseBearerOptions } from '../options/bearer-config.ts'
import type { BearerOptions } from '../options/bearer-options.ts'
import { loadOnce } from '../time/single-flight.ts'
import type { OidcContext } from '../types.ts'
import { createAnonymousContext, createTokenContext } from './token-context.ts'
import { type AccessTokenInfo, describeToken } from './token-info.ts'
import type { TokenVerifier } from './verify-token.ts'

/** The middleware that `bearer()` returns. */
export interface BearerMiddleware {
  (req: Request, res: Response, next: Next): void
  /**
   * Loads the metadata and keys of every issuer now. Call it at startup if the app should not start with a wrong issuer;
   * otherwise the first token loads them. Rejects with a `ProviderError`.
   */
  ready(): Promise<void>
  /**
   * Verifies an access token that other middleware has read, as `requireBearerAuth()` of the MCP SDK does. Needed only there:
   * `bearer()` itself verifies the tokens of the routes behind it, and `req.oidc` describes them.
   *
   * Rejects with `ERR_OIDC_ACCESS_TOKEN_…` (status 401) for a token that must be refused, among them those that are bound to a
   * DPoP key or a certificate, and with a `ProviderError` (status 5xx) if the token cannot be verified at the moment.
   *
   * @example
   * ```ts
   * const api = bearer({ issuer, audience: 'https://mcp.example.com' })
   * const verifier = { verifyAccessToken: (token: string) => api.verifyAccessToken(token) }
   * ```
   */
  verifyAccessToken(token: string): Promise<AccessTokenInfo>
}

/**
 * Protects an API by access tokens (RFC 6750, RFC 9068). Each request must bring a token of the issuer for this API in the
 * header `Authorization`. The middleware verifies it and sets `req.oidc`, which the guards look at. A request without a valid
 * token gets 401 with a `WWW-Authenticate` challenge and JSON; it reaches no handler.
 *
 * It requests the metadata and keys of the issuer at the first token, not earlier. While they are not available, requests get
 * 503.
 *
 * @throws {ConfigError} `ERR_OIDC_CONFIG` with all problems of the options.
 * @example
 * ```ts
 * import { bearer, requireScope } from 'express-oidc/bearer'
 *
 * app.use('/api', bearer({ issuer: 'https://example.okta.com/oauth2/default', audience: 'api://default' }))
 * app.get('/api/orders', requireScope('orders:read'), (req, res) => res.json({ of: req.oidc.claims?.sub }))
 * ```
 */
export function bearer(options: BearerOptions): BearerMiddleware {
  const config = parseBearerOptions(options)
  const { realm, allowSession } = config
  const protection: Protection = { realm, allowSession, schemes: [{ name: 'Bearer', params: {} }] }
  const loadVerifier = loadOnce(async () => (await import('./verify-token.ts')).createTokenVerifier(config))

  function bearerMiddleware(req: BearerRequest, res: Response, next: Next): void {
    protect(req, protection)
    let credentials: Credentials | undefined
    try {
      credentials = readCredentials(req)
    } catch (error) {
      refuse({ req, res, next, protection }, error)
      return
    }
    if (credentials === undefined) passWithoutToken(req, res, next, config)
    else {
      passWithToken({ req, res, next, protection, credentials }, loadVerifier, config).then(
        // Outside of the promise, whose rejection an error that `next` throws would become.
        (isPassed) => isPassed && process.nextTick(next),
        (error: unknown) => process.nextTick(next, error),
      )
    }
  }

  return Object.assign(bearerMiddleware, {
    async ready() {
      await (await loadVerifier()).load()
    },
    async verifyAccessToken(token: string) {
      const { verify } = await loadVerifier()
      return describeToken(token, await verify(token))
    },
  })
}

type BearerRequest = Request & { oidc?: OidcContext }

/** One request, and what is known about it. */
interface Exchange {
  readonly req: BearerRequest
  readonly res: Response
  readonly next: Next
  readonly protection: Protection
  readonly credentials?: Credentials
}

/** Returns true if the token is good. Rejects if the response cannot be sent, because the application has sent one meanwhile. */
async function passWithToken(
  exchange: Exchange & { readonly credentials: Credentials },
  loadVerifier: () => Promise<TokenVerifier>,
  config: BearerConfig,
): Promise<boolean> {
  const { req, credentials } = exchange
  try {
    const { verify } = await loadVerifier()
    req.oidc = createTokenContext(credentials, await verify(credentials.token), config)
  } catch (error) {
    refuse(exchange, error)
    return false
  }
  return true
}

/** A session counts only if the option says so: other sites can have the browser send it. */
function passWithoutToken(
  req: BearerRequest,
  res: Response,
  next: Next,
  { allowSession, allowAnonymous }: BearerConfig,
): void {
  if (!allowSession) req.oidc = createAnonymousContext()
  if (!hasContext(req)) next(notMounted())
  // A preflight has neither a token nor a cookie. Handlers must not see it, unless they see the requests of anyone.
  else if (allowAnonymous || (req.oidc.isAuthenticated && !isPreflight(req))) next()
  else answerDenial(req, res, next, loginRequired())
}

function hasContext(req: BearerRequest): req is ContextRequest {
  return req.oidc !== undefined
}

function notMounted(): OidcError {
  return new OidcError(
    'ERR_OIDC_NOT_MOUNTED',
    'The option allowSession of bearer() needs oidc(): mount app.use(oidc({ ... })) before app.use(bearer({ ... })).',
  )
}

/** How long a client waits if the issuer does not say, and the longest that it is told, in seconds. */
const RETRY_AFTER = { usual: 5, longest: 300 }

/**
 * Every token that is refused gets the same response: it must not tell a forger what to do better. Why it was refused is
 * published for the operator.
 */
function refuse({ req, res, next, protection, credentials }: Exchange, error: unknown): void {
  if (error instanceof OidcError && error.expose) {
    publishDenial(req, error.code, error)
    sendChallenge(res, protection, error.status === 400 ? INVALID_REQUEST : INVALID_TOKEN, credentials?.scheme)
  } else {
    publishError(error)
    if (error instanceof ProviderError) sendUnavailable(res, secondsUntilRetry(error))
    else next(asError(error))
  }
}

const INVALID_REQUEST = {
  status: 400,
  error: 'invalid_request',
  description: 'Send one access token, once, in the header Authorization.',
} as const

const INVALID_TOKEN = { status: 401, error: 'invalid_token', description: 'The access token is not valid.' } as const

function secondsUntilRetry({ retryAfter = RETRY_AFTER.usual }: ProviderError): number {
  return Math.min(Math.max(Math.ceil(retryAfter), 1), RETRY_AFTER.longest)
}

/** A function of the options may reject with anything, but next(undefined) would let the request through. */
function asError(reason: unknown): Error {
  if (reason instanceof Error) return reason
  return new Error('A function of the options of bearer() rejected without an Error. Throw an Error.', {
    cause: reason,
  })
}
