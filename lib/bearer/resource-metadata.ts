import { createHash } from 'node:crypto'
import { allowMethods, type Handler, headerOf, type Request, type Response } from '../http/request.ts'
import { send } from '../http/response.ts'
import { skipNewSession } from '../session/cookies.ts'
import type { Json } from '../types.ts'

/** What the metadata of an API says (RFC 9728 2). All of it is configuration, nothing is taken from a request. */
export interface ResourceMetadataSettings {
  /** The identifier of the API: an absolute URL without fragment. It may have a path, such as `/mcp`. */
  readonly resource: string
  /** The issuers of its access tokens. */
  readonly authorizationServers: readonly string[]
  readonly scopesSupported?: readonly string[] | undefined
  /** The algorithms of DPoP proofs. Unset: the API takes no proofs. */
  readonly dpopAlgorithms?: readonly string[] | undefined
  /** True if every access token must be bound to a DPoP key. */
  readonly requiresDpop?: boolean | undefined
  /** True if access tokens that are bound to a client certificate are accepted. */
  readonly bindsCertificates?: boolean | undefined
  /** Further members by their wire names, such as `resource_name`. They replace no member that says what is enforced. */
  readonly extraMetadata?: Readonly<Record<string, Json | undefined>> | undefined
}

const WELL_KNOWN = '/.well-known/oauth-protected-resource'

/**
 * The URL of the metadata of an API, for `resource_metadata` of its challenges (RFC 9728 5.1): the well-known path stands between
 * the host and the path (RFC 9728 3.1).
 *
 * @example
 * ```ts
 * resourceMetadataUrl('https://api.example.com/mcp')
 * // 'https://api.example.com/.well-known/oauth-protected-resource/mcp'
 * ```
 */
export function resourceMetadataUrl(resource: string): string {
  const { origin, pathname, search } = new URL(resource)
  return origin + WELL_KNOWN + (pathname === '/' ? '' : pathname) + search
}

/** The metadata of an API (RFC 9728 2). Empty lists are left out (RFC 9728 3.2). */
export function createResourceMetadata(settings: ResourceMetadataSettings): Readonly<Record<string, Json>> {
  const { resource, authorizationServers, scopesSupported, dpopAlgorithms, extraMetadata } = settings
  const members = {
    ...extraMetadata,
    resource,
    authorization_servers: authorizationServers,
    scopes_supported: scopesSupported ?? extraMetadata?.['scopes_supported'],
    bearer_methods_supported: ['header'],
    dpop_signing_alg_values_supported: dpopAlgorithms,
    dpop_bound_access_tokens_required: settings.requiresDpop === true || undefined,
    tls_client_certificate_bound_access_tokens: settings.bindsCertificates === true || undefined,
  }
  const present = Object.entries(members).filter(([, value]) => value !== undefined && !isEmptyList(value))
  return Object.freeze(Object.fromEntries(present)) as Readonly<Record<string, Json>>
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

/** Long enough to save requests, short enough to change the configuration within a day. */
const MAX_AGE_SECONDS = 3600

/**
 * Creates the handler that serves the metadata of an API at its well-known path, and passes all other requests on. Mount it
 * at the root of the app, before any guard and outside the path of the API: its path is beside that of the API, not below it.
 *
 * The metadata is public, so scripts of every site may read it (RFC 9728 3.1). It needs neither a token nor a session.
 */
export function createResourceMetadataHandler(settings: ResourceMetadataSettings): Handler {
  const path = trimSlash(new URL(resourceMetadataUrl(settings.resource)).pathname)
  const body = JSON.stringify(createResourceMetadata(settings))
  const etag = `"${createHash('sha256').update(body).digest('base64url')}"`

  return (req, res, next) => {
    if (trimSlash(pathOf(req)) !== path) return next()
    try {
      sendMetadata(req, res, body, etag)
    } catch (error) {
      next(error)
    }
  }
}

function sendMetadata(req: Request, res: Response, body: string, etag: string): void {
  // No request of a browser can do harm here, so none is refused for its origin.
  res.setHeader('Access-Control-Allow-Origin', '*')
  if (req.method === 'OPTIONS') {
    answerPreflight(res)
    return
  }
  allowMethods(req, 'GET', 'HEAD', 'OPTIONS')
  skipNewSession(req)
  res.setHeader('ETag', etag)
  // express-session may add a cookie to any response, and a shared cache must not store that one.
  const cacheControl = headerOf(req, 'cookie') === undefined ? `public, max-age=${MAX_AGE_SECONDS}` : 'no-store'
  if (headerOf(req, 'if-none-match') === etag) {
    res.setHeader('Cache-Control', cacheControl)
    res.writeHead(304).end()
  } else {
    send(res, 200, 'application/json', body, cacheControl)
  }
}

/** A client may send headers of its own, as MCP clients do: `MCP-Protocol-Version`. */
function answerPreflight(res: Response): void {
  res.setHeader('Access-Control-Allow-Methods', 'GET, HEAD')
  res.setHeader('Access-Control-Allow-Headers', '*, Authorization')
  res.setHeader('Access-Control-Max-Age', String(MAX_AGE_SECONDS))
  res.setHeader('Content-Length', '0')
  res.writeHead(204).end()
}

/** The path that arrived, wherever the handler is mounted. */
function pathOf({ originalUrl, url = '/' }: Request): string {
  return (originalUrl ?? url).replace(/[?#].*$/s, '')
}

/** Some clients leave the slash at the end of the API's path out of the URL of its metadata, and some do not. */
function trimSlash(path: string): string {
  return path.replace(/\/$/, '')
}
