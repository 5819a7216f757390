import { OidcError } from '../errors.ts'
import type { HostConfig } from '../options/config.ts'
import { headerOf, type Request } from './request.ts'

/**
 * Finds the host of the application that a request is for, if the application has several (option `baseUrl`). `undefined` if
 * it is none of them. There is no fallback: a redirect to another host would lose the login.
 *
 * `X-Forwarded-Host` counts if Express trusts the proxy that sent the request, as for `req.hostname`. Otherwise all places
 * that name the host must agree (RFC 9110 7.2, RFC 9112 3.2, RFC 9113 8.3.1).
 */
export function findHost(req: Request, hosts: readonly HostConfig[]): HostConfig | undefined {
  const forwarded = forwardedHost(req)
  const names = forwarded === undefined ? namesOf(req) : [forwarded]
  const found = new Set(names.map((name) => hosts.find(({ origin }) => originOf(name, origin) === origin)))
  const [host, ...others] = found
  return others.length === 0 ? host : undefined
}

/** The error for a request for another host. */
export function hostUnknown(): OidcError {
  return new OidcError(
    'ERR_OIDC_HOST_UNKNOWN',
    'The request is for a host that baseUrl does not have. Add its URL to the list in baseUrl. Behind a proxy, let it pass ' +
      "Host on, or send X-Forwarded-Host and set app.set('trust proxy', 1) in Express.",
  )
}

/** The host in the request target, in `:authority` of HTTP/2, and in each header `Host`. */
function namesOf(req: Request): readonly string[] {
  const [, inTarget] = /^https?:\/\/([^/?#]*)/i.exec(req.originalUrl ?? req.url ?? '') ?? []
  const authority = headerOf(req, ':authority')
  // `req.headers` has the first of several, and the next server may take the last.
  const raw = req.rawHeaders.flatMap((name, index) =>
    index % 2 === 0 && name.toLowerCase() === 'host' ? [req.rawHeaders[index + 1] ?? ''] : [],
  )
  return [...(inTarget === undefined ? [] : [inTarget]), ...(authority === undefined ? [] : [authority]), ...raw]
}

/** As Express reads it for `req.hostname`: the first of several values is what the browser has sent. */
function forwardedHost(req: Request): string | undefined {
  const value = headerOf(req, 'x-forwarded-host')
  return value !== undefined && isFromTrustedProxy(req) ? (value.split(',')[0] ?? '').trim() : undefined
}

/** Connect has no such setting. */
function isFromTrustedProxy(req: Request): boolean {
  const app: unknown = Reflect.get(req, 'app')
  const { get } = Object(app)
  const isTrusted: unknown = typeof get === 'function' ? get.call(app, 'trust proxy fn') : undefined
  return typeof isTrusted === 'function' && isTrusted(req.socket.remoteAddress, 0) === true
}

/** A host name or an address, with or without a port: nothing that a URL parser could read as something else. */
const HOST = /^(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i

/** The origin of a host under the scheme of `origin`, without the default port. */
function originOf(host: string, origin: string): string | undefined {
  const url = `${origin.replace(/\/\/.*$/, '')}//${host}`
  return HOST.test(host) && URL.canParse(url) ? new URL(url).origin : undefined
}
