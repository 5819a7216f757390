import { ONLY_PROVIDER } from '../config/config.ts'
import { OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import type { Response } from '../http.ts'
import { type CompletedLogin, clientOf, type RelyingParty } from '../relying-party.ts'
import type { SessionRequest } from '../session/express-session.ts'
import { endSession, readTokensId, saveLogin, startSession } from '../session/login-session.ts'
import type { Login, Transaction } from '../types.ts'

/**
 * Begins the session of a completed login. False where the hook `afterLogin` has answered the request itself: then
 * nobody is logged in, as when it throws. Throws `ERR_OIDC_LOGIN_ENDED` where the provider has logged the person out since
 * the login was started.
 */
export async function beginSession(
  rp: RelyingParty,
  req: SessionRequest,
  res: Response,
  completed: CompletedLogin,
  { startedAt, checks }: Pick<Transaction, 'startedAt' | 'checks'>,
): Promise<boolean> {
  const previousTokens = readTokensId(req, rp.config)
  if (previousTokens !== undefined) await rp.tokenRecords.remove(req.sessionStore, previousTokens)
  const isBegun = await fillSession(rp, req, res, completed, startedAt).catch(async (error: unknown) => {
    await endSession(req, rp.ended).catch(() => undefined)
    throw error
  })
  if (!isBegun) {
    await endSession(req, rp.ended)
    return false
  }
  // A login that was only checked has had its session before.
  if (checks === undefined) rp.landing.mark(req, res)
  const { claims, scope, provider = ONLY_PROVIDER } = completed.login
  publish['express-oidc:login'](() => ({ provider, issuer: claims.iss, sub: claims.sub, scope }))
  return true
}

async function fillSession(
  rp: RelyingParty,
  req: SessionRequest,
  res: Response,
  { login, claims, tokens }: CompletedLogin,
  startedAt: number,
): Promise<boolean> {
  const before = { id: req.sessionID, tokensId: readTokensId(req, rp.config) }
  await startSession(req, rp.config, rp.ended, login, startedAt)
  // Nothing of the login is in the session yet: express-session saves it as soon as a hook answers.
  const { name } = clientOf(rp, login).config
  await rp.config.hooks.afterLogin?.({ req, res, provider: name, claims, scope: login.scope, tokens })
  if (res.headersSent) return false
  const tokensId = await rp.tokenRecords.save(req.sessionStore, tokens, login)
  // Requests that have read the login from before must not write it back.
  if (req.sessionID === before.id) rp.ended.superseded.replace(before.tokensId, { login, tokensId })
  try {
    await saveLogin(req, rp.config, { login, tokensId })
    await checkNotEnded(rp, req, login, startedAt)
  } catch (error) {
    await rp.tokenRecords.remove(req.sessionStore, tokensId).catch(() => undefined)
    throw error
  }
  return true
}

/** Only now: a logout at the provider in this moment either finds the saved session, or is found here. */
async function checkNotEnded(rp: RelyingParty, req: SessionRequest, login: Login, startedAt: number): Promise<void> {
  if (!(await rp.remoteLogouts.hasReached(req.sessionStore, login, startedAt))) return
  throw new OidcError('ERR_OIDC_LOGIN_ENDED', 'The provider has logged the person out while this login was on its way.')
}
