import { site } from './site.ts'

export interface Cookie {
  readonly name: string
  readonly value: string
  /** The host that set it, or the value of its `Domain`. */
  readonly host: string
  readonly hostOnly: boolean
  readonly path: string
  readonly secure: boolean
  readonly httpOnly: boolean
  readonly sameSite: 'strict' | 'lax' | 'none'
  /** Seconds since 1970; absent: until the browser is closed. */
  readonly expiresAt: number | undefined
}

/** What decides whether SameSite cookies go with a request (RFC 6265bis 5.2). */
export interface RequestSite {
  readonly sameSite: boolean
  /** A top-level navigation with a safe method: `Lax` cookies go with it, even from another site. */
  readonly safeNavigation: boolean
}

export interface CookieJar {
  /** Takes the Set-Cookie headers of one answer. */
  store(url: URL, setCookies: readonly string[]): void
  /** The Cookie header of a request, empty where there is none. */
  header(url: URL, from: RequestSite): string
  /** Those that have not expired. */
  all(): readonly Cookie[]
  remove(matches: (cookie: Cookie) => boolean): void
  /** Set-Cookie headers that a browser does not accept, with the reason. */
  readonly refused: { readonly header: string; readonly reason: string }[]
}

/** A cookie jar by the rules of RFC 6265bis, with `Lax` as the default, as Chromium has it. */
export function createCookieJar(initial: readonly Cookie[] = []): CookieJar {
  let cookies = [...initial]
  const refused: CookieJar['refused'] = []
  const all = (): Cookie[] => cookies.filter((cookie) => !isExpired(cookie))
  const remove = (matches: (cookie: Cookie) => boolean): void => {
    cookies = cookies.filter((cookie) => !matches(cookie))
  }
  function storeOne(url: URL, header: string): void {
    const cookie = parseSetCookie(url, header)
    const reason = refusal(url, cookie, header, all())
    if (reason) {
      refused.push({ header, reason })
      return
    }
    const index = cookies.findIndex((other) => isSame(other, cookie))
    if (index === -1) cookies.push(cookie)
    else cookies[index] = cookie
  }
  return {
    store: (url, setCookies) => {
      for (const header of setCookies) storeOne(url, header)
    },
    header: (url, from) => cookieHeader(all().filter((cookie) => isSent(cookie, url, from))),
    all,
    remove,
    refused,
  }
}

function parseSetCookie(url: URL, header: string): Cookie {
  const [pair = '', ...rest] = header.split(';')
  const attributes = new Map(rest.map((part) => splitAt(part)).map(([name, value]) => [name.toLowerCase(), value]))
  const [name, value] = splitAt(pair)
  const domain = attributes.get('domain')?.replace(/^\./, '').toLowerCase()
  const path = attributes.get('path')
  return {
    name,
    value,
    host: domain || url.hostname,
    hostOnly: !domain,
    path: path?.startsWith('/') ? path : defaultPath(url),
    secure: attributes.has('secure'),
    httpOnly: attributes.has('httponly'),
    sameSite: sameSiteOf(attributes.get('samesite')),
    expiresAt: expiryOf(attributes.get('max-age'), attributes.get('expires')),
  }
}

function splitAt(part: string): [name: string, value: string] {
  const index = part.indexOf('=')
  return index === -1 ? [part.trim(), ''] : [part.slice(0, index).trim(), part.slice(index + 1).trim()]
}

function sameSiteOf(value: string | undefined): Cookie['sameSite'] {
  const known = value?.toLowerCase()
  return known === 'strict' || known === 'none' ? known : 'lax'
}

/** RFC 6265 5.3 (3): `Max-Age` before `Expires`. */
function expiryOf(maxAge: string | undefined, expires: string | undefined): number | undefined {
  if (maxAge !== undefined && /^-?\d+$/.test(maxAge)) return Date.now() / 1000 + Number(maxAge)
  const parsed = expires === undefined ? Number.NaN : Date.parse(expires)
  return Number.isNaN(parsed) ? undefined : parsed / 1000
}

/** RFC 6265 5.1.4: the folder of the request. */
function defaultPath(url: URL): string {
  return url.pathname.slice(0, Math.max(1, url.pathname.lastIndexOf('/')))
}

/** Why a browser does not take a cookie (RFC 6265bis 5.7), or undefined. */
function refusal(url: URL, cookie: Cookie, header: string, others: readonly Cookie[]): string | undefined {
  const isSecure = url.protocol === 'https:'
  const shadowsSecure = others.some((other) => other.secure && isSame(other, { ...cookie, path: other.path }))
  const rules: [broken: boolean, reason: string][] = [
    [header.length === 0 || (cookie.name === '' && cookie.value === ''), 'empty'],
    [cookie.name.length + cookie.value.length > 4096, 'longer than 4096 bytes'],
    [!domainMatches(url.hostname, cookie), 'for another domain'],
    [cookie.secure && !isSecure, 'Secure over http'],
    [!isSecure && shadowsSecure, 'would hide a Secure cookie'],
    [cookie.sameSite === 'none' && !cookie.secure, 'SameSite=None without Secure'],
    [cookie.name.startsWith('__Secure-') && !cookie.secure, '__Secure- without Secure'],
    [cookie.name.startsWith('__Host-') && !isHostCookie(cookie), '__Host- without Secure, with a Domain or a Path'],
  ]
  return rules.find(([broken]) => broken)?.[1]
}

function isHostCookie(cookie: Cookie): boolean {
  return cookie.secure && cookie.hostOnly && cookie.path === '/'
}

function isSame(a: Cookie, b: Cookie): boolean {
  return a.name === b.name && a.host === b.host && a.path === b.path && a.hostOnly === b.hostOnly
}

function isExpired(cookie: Cookie): boolean {
  return cookie.expiresAt !== undefined && cookie.expiresAt <= Date.now() / 1000
}

function domainMatches(hostname: string, cookie: Cookie): boolean {
  if (hostname === cookie.host) return true
  // A Domain may not be wider than the site: no cookie for all of `.com`.
  const isWithinSite = site(new URL(`http://${hostname}`)) === site(new URL(`http://${cookie.host}`))
  return !cookie.hostOnly && isWithinSite && hostname.endsWith(`.${cookie.host}`)
}

function pathMatches(pathname: string, path: string): boolean {
  return pathname === path || pathname.startsWith(path.endsWith('/') ? path : `${path}/`)
}

function isSent(cookie: Cookie, url: URL, from: RequestSite): boolean {
  if (!domainMatches(url.hostname, cookie) || !pathMatches(url.pathname, cookie.path)) return false
  if (cookie.secure && url.protocol !== 'https:') return false
  if (from.sameSite || cookie.sameSite === 'none') return true
  return cookie.sameSite === 'lax' && from.safeNavigation
}

/** RFC 6265 5.4 (2): longer paths first, else in the order in which they came. */
function cookieHeader(cookies: readonly Cookie[]): string {
  const sorted = [...cookies].sort((a, b) => b.path.length - a.path.length)
  return sorted.map((cookie) => (cookie.name === '' ? cookie.value : `${cookie.name}=${cookie.value}`)).join('; ')
}
