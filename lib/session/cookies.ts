import { OidcError } from '../errors.ts'
import { headerOf, type Request, type Response } from '../http/request.ts'
import { type SessionCookie, type SessionRequest, storeOperation } from './express-session.ts'

/** How a cookie of ours is written: always HttpOnly, SameSite=Lax and for the whole host. */
interface CookieWriter {
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

/** Whether the browser keeps this session's cookie back from navigations that another site began. */
export function isStrict(cookie: SessionCookie): boolean {
  return cookie.sameSite === true || cookie.sameSite === 'strict'
}

/**
 * Throws `ERR_OIDC_SESSION_COOKIE_INSECURE` where express-session would silently not set its cookie: it is `secure`, but
 * the request came over plain http, and no proxy says otherwise.
 */
export function checkSecureCookie(req: SessionRequest): void {
  if (req.session.cookie.secure !== true || isSecure(req)) return
  throw new OidcError(
    'ERR_OIDC_SESSION_COOKIE_INSECURE',
    'The session cookie is secure, but this request came over plain http, so express-session will not set it and the ' +
      "login would be lost. Behind a proxy that ends TLS: app.set('trust proxy', 1) in Express or proxy: true in " +
      'express-session, and have the proxy send X-Forwarded-Proto.',
  )
}

function isSecure(req: Request): boolean {
  if (Reflect.get(req, 'secure') === true || Reflect.get(req.socket, 'encrypted') === true) return true
  // Whether the header is trusted is express-session's own setting, which cannot be read from outside.
  return headerOf(req, 'x-forwarded-proto')?.split(',')[0]?.trim() === 'https'
}

/**
 * The name of the cookie that a session came with; `undefined` where the browser sent none for it. The name is
 * express-session's secret: it is the cookie whose signed value holds the session id.
 */
export function sessionCookieName(req: Request, sessionId: string): string | undefined {
  return [...readCookies(req)].find(([, value]) => signedValue(value).startsWith(`s:${sessionId}.`))?.[0]
}

/**
 * Drops the session that express-session has made because none came with the request: it must not take the place of the
 * browser's own, which was kept back, nor be written for a request of no browser.
 */
export async function destroyUnsentSession(req: SessionRequest): Promise<void> {
  if (req.session !== undefined && sessionCookieName(req, req.sessionID) === undefined) {
    await storeOperation((done) => req.session.destroy(done))
  }
}

/** Deletes the browser's cookie of a session that was destroyed, so that open pages need no look into the store. */
export function expireSessionCookie(req: Request, res: Response, sessionId: string, cookie: SessionCookie): void {
  const name = sessionCookieName(req, sessionId)
  if (name === undefined) return
  const { path, domain } = cookie
  const place = Object.entries({ Path: path, Domain: domain }).flatMap(([key, value]) =>
    value ? `${key}=${value}` : [],
  )
  const secure = name.startsWith('__') || cookie.secure === true ? ['Secure'] : []
  const ended = ['Max-Age=0', 'Expires=Thu, 01 Jan 1970 00:00:00 GMT', 'HttpOnly']
  res.appendHeader('Set-Cookie', [`${name}=`, ...place, ...ended, ...secure].join('; '))
}

function signedValue(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return ''
  }
}

/**
 * Keeps express-session from giving a session and its cookie to whoever came without one, as `saveUninitialized` has it:
 * providers, which fetch what we publish, have no use for either.
 */
export function skipNewSession(req: Request): void {
  const sessionId: unknown = Reflect.get(req, 'sessionID')
  if (sessionCookieName(req, String(sessionId)) === undefined) Reflect.deleteProperty(req, 'session')
}
