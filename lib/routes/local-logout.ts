import { ONLY_PROVIDER } from '../config/config.ts'
import { type Events, publish } from '../events.ts'
import type { Response } from '../http.ts'
import type { RelyingParty } from '../relying-party.ts'
import type { SessionRequest } from '../session/express-session.ts'
import { endSession, readLastLogin, readTokensId } from '../session/login-session.ts'
import { expireSessionCookie } from '../session/session-cookie.ts'

/**
 * Ends the login of this browser because its end at the provider became known. The tokens are forgotten here, and never
 * revoked: nobody has proved to us that the person wants it.
 */
export async function logoutHere(
  rp: RelyingParty,
  req: SessionRequest,
  res: Response,
  how: Events['express-oidc:logout']['how'],
): Promise<void> {
  const login = readLastLogin(req, rp.config)
  if (login === undefined) return
  const { sessionID, session, sessionStore } = req
  const tokensId = readTokensId(req, rp.config)
  await endSession(req, rp.ended)
  if (tokensId !== undefined) await rp.tokenRecords.remove(sessionStore, tokensId)
  expireSessionCookie(req, res, sessionID, session.cookie)
  rp.landing.unmark(res)
  const { provider = ONLY_PROVIDER, claims } = login
  publish['express-oidc:logout'](() => ({ provider, how, issuer: claims.iss, sub: claims.sub }))
}
