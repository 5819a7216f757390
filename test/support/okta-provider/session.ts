import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { nowInSeconds, type OktaContext, type OktaRequest, type OktaSession } from './context.ts'
import type { OktaPerson } from './directory.ts'

/** The cookie of somebody's session at Okta, and of the device. Cookies know no ports: ours must not get in the way. */
const SESSION = 'okta_idx'
const DEVICE = 'DT'

/** A new session, as after the sign-in page. */
export function startSession(context: OktaContext, person: OktaPerson): OktaSession {
  const session = { person, authTime: nowInSeconds(), sid: `102${randomBytes(16).toString('hex')}` }
  context.sessions.set(session.sid, session)
  return session
}

/** The session of the browser, where it has not ended. */
export function findSession(context: OktaContext, { headers }: OktaRequest): OktaSession | undefined {
  const [, sid = ''] = new RegExp(`(?:^|; )${SESSION}=([^;]+)`).exec(headers.cookie ?? '') ?? []
  return context.sessions.get(sid)
}

export function sendSessionCookie(res: ServerResponse, { sid }: OktaSession): void {
  res.setHeader('Set-Cookie', [
    `${SESSION}=${sid}; Path=/; HttpOnly`,
    `${DEVICE}=DI0${randomBytes(8).toString('hex')}; Path=/; Max-Age=63072000`,
  ])
}
