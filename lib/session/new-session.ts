import type { Request } from '../http.ts'
import { sessionCookieName } from './session-cookie.ts'

/**
 * Keeps express-session from giving a session and its cookie to whoever came without one, as `saveUninitialized` has it:
 * providers, which fetch what we publish, have no use for either.
 */
export function forgoNewSession(req: Request): void {
  const sessionId: unknown = Reflect.get(req, 'sessionID')
  if (sessionCookieName(req, String(sessionId)) === undefined) Reflect.deleteProperty(req, 'session')
}
