import { OidcError } from '../errors.ts'
import { headerOf, type Request, type Response } from '../http.ts'
import { readCookies } from './cookies.ts'
import { type SessionCookie, type SessionRequest, storeOperation } from './express-session.ts'

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
export async function dropNewSession(req: SessionRequest): Promise<void> {
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
