import { publish } from '../events.ts'
import type { Response } from '../http.ts'
import type { CompletedLogin, RelyingParty } from '../relying-party.ts'
import type { SessionRequest } from '../session/express-session.ts'
import { endSession, readTokensId, saveLogin, startSession } from '../session/login-session.ts'

/**
 * Begins the session of a completed login. False where the hook `afterLogin` has answered the request itself: then
 * nobody is logged in, as when it throws.
 *
 * @param startedAt When the login was started, in seconds since 1970.
 */
export async function beginSession(
  rp: RelyingParty,
  req: SessionRequest,
  res: Response,
  completed: CompletedLogin,
  startedAt: number,
): Promise<boolean> {
  const previousTokens = readTokensId(req, rp.config)
  if (previousTokens !== undefined) await rp.tokenRecords.remove(req.sessionStore, previousTokens)
  await startSession(req, rp.config, rp.ended, completed.login, startedAt)
  const isBegun = await fillSession(rp, req, res, completed).catch(async (error: unknown) => {
    await endSession(req, rp.ended).catch(() => undefined)
    throw error
  })
  if (!isBegun) {
    await endSession(req, rp.ended)
    return false
  }
  rp.landing.mark(req, res)
  const { claims, scope } = completed.login
  publish['express-oidc:login'](() => ({ issuer: claims.iss, sub: claims.sub, scope }))
  return true
}

async function fillSession(
  rp: RelyingParty,
  req: SessionRequest,
  res: Response,
  { login, claims, tokens }: CompletedLogin,
): Promise<boolean> {
  // Nothing of the login is in the session yet: express-session saves it as soon as a hook answers.
  await rp.config.hooks.afterLogin?.({ req, res, claims, scope: login.scope, tokens })
  if (res.headersSent) return false
  const tokensId = await rp.tokenRecords.save(req.sessionStore, tokens, login)
  try {
    await saveLogin(req, rp.config, { login, tokensId })
  } catch (error) {
    await rp.tokenRecords.remove(req.sessionStore, tokensId).catch(() => undefined)
    throw error
  }
  return true
}
