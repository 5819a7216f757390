import type { AppConfig } from '../config/config.ts'
import type { Request } from '../http.ts'
import { type SessionRequest, storeOperation } from './express-session.ts'
import { heldSession } from './held-session.ts'

type SessionConfig = Pick<AppConfig, 'sessionKey'>

/** Whether the login of this session was last held against the provider's session less than so many seconds ago. */
export function isCheckedWithin(seconds: number, req: Request, config: SessionConfig): boolean {
  const held = heldSession(req.session, config)
  return held !== undefined && Math.max(held.login.loggedInAt, held.checkedAt ?? 0) + seconds > Date.now() / 1000
}

/** Whether the provider was asked in vain less than so many seconds ago. */
export function isCheckedInVainWithin(seconds: number, req: Request, config: SessionConfig): boolean {
  const checkedAt = heldSession(req.session, config)?.checkedAt
  return checkedAt !== undefined && checkedAt + seconds > Date.now() / 1000
}

/**
 * Remembers that the provider was asked and has not told whether the person is logged in there: or the next page would ask
 * again, and send the browser round for ever. A login that goes on is a new one, and needs no such mark.
 */
export async function noteCheck(req: SessionRequest, { sessionKey }: SessionConfig): Promise<void> {
  const held = heldSession(req.session, { sessionKey })
  if (held === undefined) return
  req.session[sessionKey] = { ...held, checkedAt: Math.floor(Date.now() / 1000) }
  await storeOperation((done) => req.session.save(done))
}
