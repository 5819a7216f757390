/**
 * The URL of a request as its sender sees it: `baseUrl`, and the path that arrived. The header `Host` plays no part. A proxy may
 * have removed the path of `baseUrl`. Returns `undefined` if the target of the request has no path (`OPTIONS *`).
 *
 * @param target `req.originalUrl`, or `req.url` where no framework has changed it.
 */
export function externalUrl(baseUrl: string, target: string): string | undefined {
  const { origin, pathname } = new URL(baseUrl)
  const basePath = pathname.replace(/\/$/, '')
  // The target of a request to a proxy is a whole URL (RFC 9112 3.2.2), of which only the path counts.
  const path = target.replace(/^https?:\/\/[^/?#]*/i, '').replace(/[?#].*$/s, '')
  if (!path.startsWith('/')) return undefined
  // Joined, not resolved: `//evil.example` would be another host.
  return path === basePath || path.startsWith(`${basePath}/`) ? origin + path : origin + basePath + path
}

/** True if two URLs are equal after normalization, without their queries and fragments (RFC 9449 4.3 (9)). */
export function isSameUrl(one: string, other: string): boolean {
  const normal = normalizeUrl(one)
  return normal !== undefined && normal === normalizeUrl(other)
}

const MAX_LENGTH = 4096

/**
 * Printable ASCII without credentials, and without what WHATWG URL would correct silently: spaces, backslashes, a missing slash.
 */
const HTTP_URL = /^https?:\/\/[\w!$&'()*+,.:;=[\]~%-]+(?:[/?#][!-[\]-~]*)?$/i

/** RFC 3986 6.2.2, 6.2.3: case, percent-encoding, dot segments, the default port, the empty path. */
function normalizeUrl(url: string): string | undefined {
  if (url.length > MAX_LENGTH || !HTTP_URL.test(url) || !URL.canParse(url)) return undefined
  const { origin, pathname } = new URL(url)
  return origin + pathname.replace(/%[\da-f]{2}|[|^]/gi, normalizeOctet)
}

/** Unreserved characters are not encoded, all others in capital letters. Browsers leave `|` and `^` as they are. */
function normalizeOctet(octet: string): string {
  const character = octet.length === 1 ? octet : String.fromCharCode(Number.parseInt(octet.slice(1), 16))
  if (/[\w.~-]/.test(character)) return character
  return octet.length === 1 ? encodeURIComponent(octet) : octet.toUpperCase()
}
