import { AccessDeniedError } from '../errors.ts'
import type { AppConfig } from '../options/config.ts'
import { headerOf, type Request } from './request.ts'

/**
 * Who has sent a request, as far as the browser says: a page of our own origin (or the user, who typed the address), a page
 * of another origin, or `unknown` for a program and for a browser that says nothing.
 *
 * `Sec-Fetch-Site` decides if it is there (Fetch Metadata 2.3), because no page can set it. `Origin` is compared with the
 * origin of `baseUrl`, never with `Host` or `X-Forwarded-Host`, which a proxy may take from the request. An `Origin: null`
 * is another origin: a page in a sandboxed frame can be anyone's.
 */
export function senderOf(req: Request, origin: string): 'own' | 'other' | 'unknown' {
  const site = headerOf(req, 'sec-fetch-site')
  if (site !== undefined) return site === 'same-origin' || site === 'none' ? 'own' : 'other'
  const sender = headerOf(req, 'origin')
  if (sender === undefined) return 'unknown'
  return sender === origin ? 'own' : 'other'
}

/** True if the browser says that a page of our own origin has sent the request. Nothing is assumed if it does not say so. */
export function isFromOwnPage(req: Request, origin: string): boolean {
  return headerOf(req, 'sec-fetch-site') !== 'none' && senderOf(req, origin) === 'own'
}

/**
 * Returns the error for a WebSocket that a page of another origin opens. Browsers send cookies with it, and no CORS protects
 * it, so both headers must agree: `Sec-Fetch-Site`, and `Origin`, which every browser sends (RFC 6455 4.1).
 */
export function crossOriginHandshakeError(
  req: Request,
  { origin, trustedOrigins }: Pick<AppConfig, 'origin' | 'trustedOrigins'>,
): AccessDeniedError | undefined {
  const sender = headerOf(req, 'origin')
  if (sender !== undefined && trustedOrigins.includes(sender)) return undefined
  const isOwn = sender === undefined || sender === origin
  return isOwn && senderOf(req, origin) !== 'other' ? undefined : crossOrigin(origin)
}

/** The methods that change nothing (RFC 9110 9.2.1), without TRACE, which no browser sends. */
const SAFE_METHODS: ReadonlySet<unknown> = new Set(['GET', 'HEAD', 'OPTIONS'])

/**
 * True if the method may change something, as any method may that we do not know. A middleware for method overrides, such
 * as `method-override`, replaces `req.method`, so the method that was sent counts as well.
 */
function isUnsafe(req: Request): boolean {
  return [req.method, Reflect.get(req, 'originalMethod') ?? req.method].some((method) => !SAFE_METHODS.has(method))
}

/**
 * Returns the error for an unsafe request that a page of another origin has sent. The rules are those of
 * `http.CrossOriginProtection` in Go: a request without `Sec-Fetch-Site` and `Origin` passes, because no browser of today
 * sends one for a page of another origin.
 *
 * @param trusted Origins that may send such requests.
 */
export function crossOriginError(
  req: Request,
  { origin }: Pick<AppConfig, 'origin'>,
  trusted: readonly string[],
): AccessDeniedError | undefined {
  if (!isUnsafe(req) || senderOf(req, origin) !== 'other') return undefined
  if (trusted.includes(headerOf(req, 'origin') ?? '')) return undefined
  return crossOrigin(origin)
}

function crossOrigin(origin: string): AccessDeniedError {
  return new AccessDeniedError(
    'ERR_OIDC_CROSS_ORIGIN_REQUEST',
    `The request does not come from a page at ${origin}, the origin of baseUrl. If one of your own pages sends it from ` +
      'another origin, add that origin to the option trustedOrigins.',
  )
}
