import type { AppConfig } from '../config/config.ts'
import type { Request } from '../http.ts'
import { heldSession, type OidcSession } from './held-session.ts'

type IdleConfig = Pick<AppConfig, 'sessionKey' | 'idleTimeout'>

/** A session is not written for every request: once in a twentieth of the time is exact enough. */
const SHARE = 20

/** Whether nobody has used a login for longer than it may be left alone. */
export function isIdle({ login, seenAt }: OidcSession, { idleTimeout }: Pick<AppConfig, 'idleTimeout'>): boolean {
  if (idleTimeout === undefined) return false
  return (seenAt ?? login.loggedInAt) + idleTimeout <= Date.now() / 1000
}

/** Remembers that the login of this request is in use. The session is saved at the end of the request, where it has to be. */
export function noteUse(req: Request, config: IdleConfig): void {
  const { idleTimeout, sessionKey } = config
  const held = idleTimeout === undefined ? undefined : heldSession(req.session, config)
  if (idleTimeout === undefined || held === undefined || isIdle(held, config)) return
  const now = Math.floor(Date.now() / 1000)
  if (now - (held.seenAt ?? held.login.loggedInAt) < idleTimeout / SHARE) return
  Object.assign(Object(req.session), { [sessionKey]: { ...held, seenAt: now } })
}
