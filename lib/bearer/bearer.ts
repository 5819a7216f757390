import { OidcError, ProviderError } from '../errors.ts'
import { publishError, publishPassedError } from '../events.ts'
import { type Credentials, readCredentials } from '../http/authorization.ts'
import {
  type ChallengeProblem,
  type ChallengeScheme,
  type Protection,
  protect,
  sendChallenge,
  sendUnavailable,
} from '../http/challenge.ts'
import { answerDenial, type ContextRequest, isPreflight, loginRequired, publishDenial } from '../http/denial.ts'
import type { Handler, Next, Request, Response } from '../http/request.ts'
import { type BearerConfig, parseBearerOptions } from '../options/bearer-config.ts'
import type { BearerOptions } from '../options/bearer-options.ts'
import { loadOnce } from '../time/single-flight.ts'
import type { OidcContext } from '../types.ts'
import { createResourceMetadataHandler, resourceMetadataUrl } from './resource-metadata.ts'
import type { CheckSender } from './sender-constraint.ts'
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
  /**
   * Serves the metadata of the API (RFC 9728), if the option `resource` is set. Mount it at the root of the application if
   * `bearer()` itself is mounted below a path, because the metadata stands beside the API and not below it.
   *
   * @example
   * ```ts
   * import { bearer } from 'express-oidc/bearer'
   *
   * const api = bearer({ issuer, audience: 'my-api', resource: 'https://api.example.com/mcp' })
   * app.use(api.resourceMetadata)
   * app.use('/mcp', api)
   * ```
   */
  readonly resourceMetadata: Handler
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
  const protection = protectionFor(config)
  const metadata = metadataHandlerFor(config)
  const loadChecks = loadOnce(() => createChecks(config))

  function bearerMiddleware(req: BearerRequest, res: Response, next: Next): void {
    // The metadata is for those who have no token yet.
    metadata(req, res, (error) => (error === undefined ? judge(req, res, next) : next(error)))
  }

  function judge(req: BearerRequest, res: Response, next: Next): void {
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
      passWithToken({ req, res, next, protection, credentials }, loadChecks, config).then(
        // Outside of the promise, whose rejection an error that `next` throws would become.
        (isPassed) => isPassed && process.nextTick(next),
        (error: unknown) => process.nextTick(next, error),
      )
    }
  }

  return Object.assign(bearerMiddleware, {
    resourceMetadata: metadata,
    async ready() {
      const { verifier } = await loadChecks()
      await verifier.load()
    },
    async verifyAccessToken(token: string) {
      const { verifier } = await loadChecks()
      return describeToken(token, await verifier.verify(token), config)
    },
  })
}

function protectionFor(config: BearerConfig): Protection {
  const { realm, allowSession, resource, dpopSigningAlgs } = config
  const params = resource === undefined ? {} : { resource_metadata: resourceMetadataUrl(resource) }
  const dpop: ChallengeScheme = { name: 'DPoP', params: { ...params, algs: dpopSigningAlgs.join(' ') } }
  const schemes = [
    ...(requiresDpop(config) ? [] : [{ name: 'Bearer' as const, params }]),
    ...(takesDpop(config) ? [dpop] : []),
  ]
  return { realm, allowSession, schemes }
}

/** A proof names the URL of its request, which only the configuration can say. */
function takesDpop({ baseUrl, resource }: BearerConfig): boolean {
  return baseUrl !== undefined || resource !== undefined
}

/** Tokens that are bound to a certificate are sent as Bearer (RFC 8705 3). */
function requiresDpop({ senderConstrained, clientCertificate }: BearerConfig): boolean {
  return senderConstrained === 'required' && clientCertificate === undefined
}

/** Without an identifier of the API there is no metadata. */
function metadataHandlerFor(config: BearerConfig): Handler {
  const { resource, resourceMetadata: extraMetadata, issuers, dpopSigningAlgs, clientCertificate } = config
  if (resource === undefined) return (_req, _res, next) => next()
  return createResourceMetadataHandler({
    resource,
    authorizationServers: typeof issuers === 'function' ? [] : issuers.map(({ issuer }) => issuer),
    dpopAlgorithms: dpopSigningAlgs,
    requiresDpop: requiresDpop(config),
    bindsCertificates: clientCertificate !== undefined,
    extraMetadata,
  })
}

/** What is loaded with the first token. */
interface Checks {
  readonly verifier: TokenVerifier
  readonly checkSender: CheckSender
}

async function createChecks(config: BearerConfig): Promise<Checks> {
  const [{ createTokenVerifier }, { createSenderCheck }] = await Promise.all([
    import('./verify-token.ts'),
    import('./sender-constraint.ts'),
  ])
  return { verifier: createTokenVerifier(config), checkSender: createSenderCheck(config) }
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
  loadChecks: () => Promise<Checks>,
  config: BearerConfig,
): Promise<boolean> {
  const { req, res, credentials } = exchange
  try {
    const { verifier, checkSender } = await loadChecks()
    const grant = await verifier.verify(credentials.token)
    await checkSender(req, res, credentials, grant)
    req.oidc = createTokenContext(credentials, grant, config)
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
  if (!hasContext(req)) {
    next(notMounted())
    return
  }
  const { isAuthenticated } = req.oidc
  // Also without a guard: who accepts sessions accepts what a browser sends for the pages of other sites.
  const forgery = isAuthenticated ? req.oidc.csrfError?.() : undefined
  // A preflight has neither a token nor a cookie. Handlers must not see it, unless they see the requests of anyone.
  const isAllowed = allowAnonymous || (isAuthenticated && !isPreflight(req))
  if (forgery === undefined && isAllowed) next()
  else answerDenial(req, res, next, forgery ?? loginRequired())
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
    const nonce = error.headers['DPoP-Nonce']
    if (nonce !== undefined) res.setHeader('DPoP-Nonce', nonce)
    sendChallenge(res, protection, problemOf(error), credentials?.scheme)
  } else {
    if (isOutage(error)) {
      publishError(error)
      sendUnavailable(res, secondsUntilRetry(error))
    } else {
      publishPassedError(error)
      next(asError(error))
    }
  }
}

/** The issuer or the shared state is away. Another error of ours is a mistake in the setup. */
function isOutage(error: unknown): error is OidcError {
  return error instanceof ProviderError || (error instanceof OidcError && error.status > 500)
}

/** RFC 6750 3.1, RFC 9449 7.1 and 9. */
function problemOf({ code, status }: OidcError): ChallengeProblem {
  if (status === 400) return INVALID_REQUEST
  if (code === 'ERR_OIDC_DPOP_PROOF_NONCE') return USE_NONCE
  return code.startsWith('ERR_OIDC_DPOP_PROOF_') ? INVALID_PROOF : INVALID_TOKEN
}

const INVALID_REQUEST = {
  status: 400,
  error: 'invalid_request',
  description: 'Send one access token, once, in the header Authorization.',
} as const

const INVALID_TOKEN = { status: 401, error: 'invalid_token', description: 'The access token is not valid.' } as const

const INVALID_PROOF = {
  status: 401,
  error: 'invalid_dpop_proof',
  description: 'The DPoP proof is not valid for this request.',
} as const

const USE_NONCE = {
  status: 401,
  error: 'use_dpop_nonce',
  description: 'Make a DPoP proof with the nonce in the header DPoP-Nonce.',
} as const

function secondsUntilRetry(error: OidcError): number {
  const { retryAfter = RETRY_AFTER.usual } = error instanceof ProviderError ? error : {}
  return Math.min(Math.max(Math.ceil(retryAfter), 1), RETRY_AFTER.longest)
}

/** A function of the options may reject with anything, but next(undefined) would let the request through. */
function asError(reason: unknown): Error {
  if (reason instanceof Error) return reason
  return new Error('A function of the options of bearer() rejected without an Error. Throw an Error.', {
    cause: reason,
  })
}
