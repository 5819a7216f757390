import { OidcError } from '../errors.ts'
import { publishError } from '../events.ts'
import { headerOf, type Request, type Response } from '../http/request.ts'
import type { SessionCookie, SessionRequest } from './express-session.ts'

/** Writes this library's own cookies, all with HttpOnly, SameSite=Lax and Path=/. */
interface CookieWriter {
  /** The full name of a cookie: with the prefix `__Host-` over https, so that no subdomain can set it (RFC 6265bis 4.1.3). */
  name(name: string): string
  /** Sets a cookie for this many seconds. `name` is a full name. */
  set(res: Response, name: string, value: string, maxAge: number): void
  /** Deletes a cookie. The attributes are those of `set`: browsers refuse to delete a `__Host-` cookie otherwise. */
  clear(res: Response, name: string): void
}

/** @param origin The origin of `baseUrl`. With https, the cookies are Secure. */
export function createCookieWriter(origin: string): CookieWriter {
  const secure = origin.startsWith('https:')
  const attributes = `; Path=/; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`
  return {
    name: (name) => (secure ? `__Host-${name}` : name),
    set: (res, name, value, maxAge) => {
      res.appendHeader('Set-Cookie', `${name}=${value}; Max-Age=${maxAge}${attributes}`)
    },
    clear: (res, name) => {
      res.appendHeader('Set-Cookie', `${name}=; Max-Age=0; ${EXPIRED}${attributes}`)
    },
  }
}

const EXPIRED = 'Expires=Thu, 01 Jan 1970 00:00:00 GMT'

/** Reads the cookies of a request, undecoded, in their order. A malformed header results in fewer cookies, not in an error. */
export function readCookies(req: Request): ReadonlyMap<string, string> {
  const cookies = new Map<string, string>()
  for (const pair of (headerOf(req, 'cookie') ?? '').split(';')) {
    const end = pair.indexOf('=')
    const name = pair.slice(0, Math.max(end, 0)).replace(LEADING_SPACE, '')
    // Of two cookies with one name, the first has the more specific path (RFC 6265 5.4).
    if (name !== '' && !cookies.has(name)) cookies.set(name, pair.slice(end + 1))
  }
  return cookies
}

/**
 * Only space and tab are removed in front of a name. With another white space, such as a no-break space, it is another name,
 * and browsers do not enforce the rules of the prefix `__Host-` for it.
 */
const LEADING_SPACE = /^[ \t]+/

/** True if the browser withholds the session cookie from navigations that another site started. */
export function isStrict(cookie: SessionCookie): boolean {
  return cookie.sameSite === true || cookie.sameSite === 'strict'
}

/**
 * Finds out whether express-session sets its cookie, which it does not report: it does not if the cookie is `secure`, but the
 * request came over plain http, or over a proxy that it does not trust.
 */
export interface SecureCookieCheck {
  /** Throws `ERR_OIDC_SESSION_COOKIE_INSECURE` if express-session will not set its cookie, as far as is known. */
  check(req: SessionRequest): void
  /** Call it before the response that must set the cookie. If express-session does not set it, the error is published. */
  observe(req: SessionRequest, res: Response): void
}

export function createSecureCookieCheck(): SecureCookieCheck {
  // Whether express-session trusts X-Forwarded-Proto is an option of its own, which cannot be read: it is observed.
  let isHeaderTrusted: boolean | undefined

  return {
    check(req) {
      if (req.session.cookie.secure !== true || isSecure(req)) return
      if (isHeaderTrusted === false || !isForwardedAsSecure(req)) throw insecureCookie()
    },
    observe(req, res) {
      if (isHeaderTrusted === true || req.session.cookie.secure !== true || isSecure(req)) return
      const { sessionID } = req
      res.once('finish', () => {
        isHeaderTrusted = setCookiesOf(res).some((cookie) =>
          decode(cookie.replace(/^[^=]*=/, '')).startsWith(`s:${sessionID}.`),
        )
        if (isHeaderTrusted) return
        const error = insecureCookie()
        publishError(error)
      })
    },
  }
}

function isSecure(req: Request): boolean {
  return Reflect.get(req, 'secure') === true || Reflect.get(req.socket, 'encrypted') === true
}

function isForwardedAsSecure(req: Request): boolean {
  return headerOf(req, 'x-forwarded-proto')?.split(',')[0]?.trim() === 'https'
}

function setCookiesOf(res: Response): readonly string[] {
  const header = res.getHeader('set-cookie') ?? []
  return Array.isArray(header) ? header : [String(header)]
}

function insecureCookie(): OidcError {
  return new OidcError(
    'ERR_OIDC_SESSION_COOKIE_INSECURE',
    'The session cookie has secure: true, but this request came over plain http, so express-session does not set it and ' +
      "the login would be lost. Behind a proxy that ends TLS, set app.set('trust proxy', 1) in Express or proxy: true in " +
      'express-session, and let the proxy send X-Forwarded-Proto.',
  )
}

/**
 * The name of the cookie that the session came with, or `undefined` if the browser sent none. Only express-session knows the
 * name in its options, so it is found by its value: the signed session id.
 */
export function sessionCookieName(req: Request, sessionId: string): string | undefined {
  return [...readCookies(req)].find(([, value]) => decode(value).startsWith(`s:${sessionId}.`))?.[0]
}

function decode(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return ''
  }
}

/**
 * Drops the session if express-session made it for this request, because the request brought none. Returns true if it did so.
 * The store is not asked for anything: the session is not in it yet. A request from a server, such as one for `/jwks`, needs no
 * session; and a new cookie must not replace the browser's real session cookie, which the browser may have withheld.
 */
export function skipNewSession(req: Request): boolean {
  const sessionId: unknown = Reflect.get(req, 'sessionID')
  if (sessionCookieName(req, String(sessionId)) !== undefined) return false
  detachSession(req)
  return true
}

/**
 * Takes the session off the request, so that express-session does nothing at the end of it: it neither saves the session nor
 * extends its lifetime (`touch`, `rolling`), and sets no cookie. The session itself stays as it is.
 */
export function detachSession(req: Request): void {
  Reflect.deleteProperty(req, 'session')
  // With `unset: 'destroy'`, express-session destroys what has this id.
  Reflect.deleteProperty(req, 'sessionID')
}

/** Deletes the browser's cookie of a destroyed session, so that later requests do not look for it in the store. */
export function expireSessionCookie(req: Request, res: Response, sessionId: string, cookie: SessionCookie): void {
  const name = sessionCookieName(req, sessionId)
  if (name === undefined) return
  const { path, domain } = cookie
  const scope = Object.entries({ Path: path, Domain: domain }).flatMap(([key, value]) =>
    value ? `${key}=${value}` : [],
  )
  const secure = name.startsWith('__') || cookie.secure === true ? ['Secure'] : []
  res.appendHeader('Set-Cookie', [`${name}=`, ...scope, 'Max-Age=0', EXPIRED, 'HttpOnly', ...secure].join('; '))
}
