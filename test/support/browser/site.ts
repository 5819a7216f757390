/**
 * The site of a URL: scheme and registrable domain, never the port. An address and a single label are a site of their
 * own, so that `127.0.0.1` and `localhost` are cross-site. Of other names the last two labels count.
 */
export function site(url: URL): string {
  const isAddress = /^[\d.]+$|^\[/.test(url.hostname)
  const domain = isAddress ? url.hostname : url.hostname.split('.').slice(-2).join('.')
  return `${url.protocol}//${domain}`
}

/** Secure Contexts 3.1: browsers send their `Sec-Fetch-*` headers to such origins only. */
export function isTrustworthy(url: URL): boolean {
  return url.protocol === 'https:' || /^(localhost|.*\.localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname)
}

/** `Sec-Fetch-Site` of a request, from the origin that began it and all URLs that it went through (Fetch Metadata 2.3). */
export function fetchSite(initiator: string | undefined, chain: readonly string[]): string {
  if (initiator === undefined) return 'none'
  const from = new URL(initiator)
  const urls = chain.map((url) => new URL(url))
  if (urls.every((url) => url.origin === from.origin)) return 'same-origin'
  return urls.every((url) => site(url) === site(from)) ? 'same-site' : 'cross-site'
}
