import { OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import type { Response } from '../http/request.ts'
import { ONLY_PROVIDER } from '../options/config.ts'
import { type CompletedLogin, clientOf, type RelyingParty } from '../relying-party.ts'
import { readTokensId } from '../session/current-login.ts'
import { endLocalLogin } from '../session/end-login.ts'
import type { SessionRequest } from '../session/express-session.ts'
import { regenerateSession, saveLogin } from '../session/login-session.ts'
import type { Login, Transaction } from '../types.ts'

/**
 * Starts the session of a completed login. The result is false if the hook `afterLogin` has sent a response: then no one
 * is logged in, as if it had thrown. Throws `ERR_OIDC_LOGIN_ENDED` if the provider has logged the user out in the meantime.
 */
export async function startLoginSession(
  rp: RelyingParty,
  req: SessionRequest,
  res: Response,
  completed: CompletedLogin,
  { startedAt, recheckedTokensId }: Pick<Transaction, 'startedAt' | 'recheckedTokensId'>,
): Promise<boolean> {
  const isStarted = await storeLoginInSession(rp, req, res, completed, startedAt).catch(async (error: unknown) => {
    await endLocalLogin(rp, req).catch(() => undefined)
    throw error
  })
  if (!isStarted) {
    await endLocalLogin(rp, req)
    return false
  }
  rp.secureCookie.observe(req, res)
  // The browser has returned the session of a rechecked login before, so it needs no loop brake.
  if (recheckedTokensId === undefined) rp.loopBrake.countLogin(req, res)
  const { claims, scope, provider = ONLY_PROVIDER } = completed.login
  publish['express-oidc:login'](() => ({ provider, issuer: claims.iss, sub: claims.sub, scope }))
  return true
}

async function storeLoginInSession(
  rp: RelyingParty,
  req: SessionRequest,
  res: Response,
  { login, claims, tokens, received }: CompletedLogin,
  startedAt: number,
): Promise<boolean> {
  const before = { id: req.sessionID, tokensId: readTokensId(req, rp.config) }
  await regenerateSession(req, rp, login, startedAt)
  // The login is not in the session yet, because express-session saves the session as soon as a hook sends a response.
  const { name } = clientOf(rp, login).config
  const { scope } = login
  await rp.config.hooks.afterLogin?.({ req, res, provider: name, claims, scope, tokens, ...received })
  if (res.headersSent) return false
  const tokensId = await rp.tokenRecords.save(req.sessionStore, tokens, login)
  // The session id stays if another tab has just completed the same login. Requests in progress have read that login,
  // and must not write it back.
  if (req.sessionID === before.id) rp.storeWatch.loginChanges.replace(before.tokensId, { login, tokensId })
  try {
    await saveLogin(req, rp.config, rp.storeWatch, { login, tokensId })
    await checkNotLoggedOutMeanwhile(rp, req, login, startedAt)
  } catch (error) {
    await rp.tokenRecords.remove(req.sessionStore, tokensId).catch(() => undefined)
    throw error
  }
  // Only now: until the session holds the new login, a write of the previous one would destroy the session.
  if (req.sessionID === before.id && before.tokensId !== undefined)
    await rp.tokenRecords.remove(req.sessionStore, before.tokensId)
  return true
}

/** Call this after saving: a logout at the provider then either finds the saved session, or is found here. */
async function checkNotLoggedOutMeanwhile(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login,
  startedAt: number,
): Promise<void> {
  if (!(await rp.providerLogouts.wasLoggedOutSince(req.sessionStore, login, startedAt))) return
  const { issuer } = clientOf(rp, login).config
  throw new OidcError(
    'ERR_OIDC_LOGIN_ENDED',
    `${issuer} logged the user out while this login was in progress. Start the login again.`,
  )
}
