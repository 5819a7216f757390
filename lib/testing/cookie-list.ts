import { nowInSeconds } from '../time/seconds.ts'

/** A cookie as Playwright's `context.addCookies()` takes it. */
export interface TestCookie {
  name: string
  value: string
  domain: string
  path: string
  /** In seconds since 1970; -1 until the browser is closed. */
  expires: number
  httpOnly: boolean
  secure: boolean
  sameSite: 'Strict' | 'Lax' | 'None'
}

/** The cookies of one host. */
export interface CookieList {
  /** Takes the `Set-Cookie` headers of a response. */
  store(setCookies: readonly string[] | undefined): void
  /** The `Cookie` header of a request to this path. */
  header(path: string): string
  /** The cookies that have not expired. */
  all(domain: string): TestCookie[]
}

export function createCookieList(): CookieList {
  const cookies = new Map<string, TestCookie>()
  const current = (): TestCookie[] =>
    [...cookies.values()].filter(({ expires }) => expires < 0 || expires > nowInSeconds())

  return {
    store(setCookies = []) {
      for (const header of setCookies) {
        const cookie = parseSetCookie(header)
        cookies.set(`${cookie.path} ${cookie.name}`, cookie)
      }
    },
    header(path) {
      const sent = current().filter((cookie) => matches(path, cookie.path))
      return sent.map(({ name, value }) => `${name}=${value}`).join('; ')
    },
    all: (domain) => current().map((cookie) => ({ ...cookie, domain: cookie.domain === '' ? domain : cookie.domain })),
  }
}

function parseSetCookie(header: string): TestCookie {
  const [pair = '', ...rest] = header.split(';').map((part) => part.trim())
  const [name, value] = splitAt(pair)
  const attributes = new Map(rest.map(splitAt).map(([key, text]) => [key.toLowerCase(), text]))
  return {
    name,
    value,
    domain: attributes.get('domain')?.replace(/^\.?(?=.)/, '.') ?? '',
    path: attributes.get('path') ?? '/',
    expires: expiryOf(attributes),
    httpOnly: attributes.has('httponly'),
    secure: attributes.has('secure'),
    sameSite: sameSiteOf(attributes.get('samesite')),
  }
}

function splitAt(part: string): readonly [name: string, value: string] {
  const end = part.indexOf('=')
  return end < 0 ? [part, ''] : [part.slice(0, end), part.slice(end + 1)]
}

/** RFC 6265 5.3: `Max-Age` goes before `Expires`. */
function expiryOf(attributes: ReadonlyMap<string, string>): number {
  const [maxAge, expires] = [attributes.get('max-age'), attributes.get('expires')]
  if (maxAge !== undefined) return Number(maxAge) > 0 ? nowInSeconds() + Number(maxAge) : 0
  return expires === undefined ? -1 : Date.parse(expires) / 1000
}

function sameSiteOf(value: string | undefined): TestCookie['sameSite'] {
  if (value?.toLowerCase() === 'strict') return 'Strict'
  return value?.toLowerCase() === 'none' ? 'None' : 'Lax'
}

/** RFC 6265 5.1.4. */
function matches(path: string, cookiePath: string): boolean {
  return path === cookiePath || path.startsWith(cookiePath.endsWith('/') ? cookiePath : `${cookiePath}/`)
}
