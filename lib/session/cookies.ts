import { headerOf, type Request, type Response } from '../http.ts'

/** How a cookie of ours is written: always HttpOnly, SameSite=Lax and for the whole host. */
export interface CookieWriter {
  /** The cookie's full name: with the `__Host-` prefix over https, which no sub-domain can set (RFC 6265bis 4.1.3). */
  name(name: string): string
  /** Sets a cookie for so many seconds. `name` is a full name. */
  set(res: Response, name: string, value: string, maxAge: number): void
  /** Deletes a cookie, with the attributes it was set with: browsers refuse to delete a `__Host-` cookie otherwise. */
  clear(res: Response, name: string): void
}

/** Cookies for an application that browsers see at this origin. */
export function createCookieWriter(origin: string): CookieWriter {
  const secure = origin.startsWith('https:')
  const attributes = `; Path=/; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`
  return {
    name: (name) => (secure ? `__Host-${name}` : name),
    set: (res, name, value, maxAge) => {
      res.appendHeader('Set-Cookie', `${name}=${value}; Max-Age=${maxAge}${attributes}`)
    },
    clear: (res, name) => {
      res.appendHeader('Set-Cookie', `${name}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT${attributes}`)
    },
  }
}

/**
 * What stands between two cookies beside the semicolon (RFC 6265 4.2.1). A name behind other white space, such as a
 * no-break space, is another name, to which browsers hold no prefix.
 */
const LEADING_SPACE = /^[ \t]+/

/** The cookies of a request, in the order they came, undecoded. A malformed header yields fewer, never an error. */
export function readCookies(req: Request): ReadonlyMap<string, string> {
  const cookies = new Map<string, string>()
  for (const pair of (headerOf(req, 'cookie') ?? '').split(';')) {
    const end = pair.indexOf('=')
    const name = pair.slice(0, Math.max(end, 0)).replace(LEADING_SPACE, '')
    // Of two with one name the first is the more specific one (RFC 6265 5.4).
    if (name !== '' && !cookies.has(name)) cookies.set(name, pair.slice(end + 1))
  }
  return cookies
}
