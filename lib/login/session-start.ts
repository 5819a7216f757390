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
 * Starts the session of a completed login. Returns false if the hook `afterLogin` has sent a response. Then the user
 * is not logged in, as if the hook had thrown an error. Throws `ERR_OIDC_LOGIN_ENDED` if the provider has logged the
 * user out in the meantime.
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
  // A recheck needs no loop brake: it starts only if the browser has sent a session with a login.
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
  const previous = { id: req.sessionID, tokensId: readTokensId(req, rp.config) }
  await regenerateSession(req, rp, login, startedAt)
  // The login is not in the session yet, because express-session saves the session as soon as a hook sends a response.
  const { name } = clientOf(rp, login).config
  const { scope } = login
  await rp.config.hooks.afterLogin?.({ req, res, provider: name, claims, scope, tokens, ...received })
  if (res.headersSent) return false
  const tokensId = await rp.tokenRecords.save(req.sessionStore, tokens, login)
  // `regenerateSession` keeps the session id if another tab has completed a login in the meantime. Requests in
  // progress may have read the login of that tab, and must not write it back.
  if (req.sessionID === previous.id) rp.storeWatch.loginChanges.replace(previous.tokensId, { login, tokensId })
  try {
    await saveLogin(req, rp.config, rp.storeWatch, { login, tokensId })
    await checkNotLoggedOutMeanwhile(rp, req, login, startedAt)
  } catch (error) {
    await rp.tokenRecords.remove(req.sessionStore, tokensId).catch(() => undefined)
    throw error
  }
  // Remove the previous tokens last. A request that writes the previous login without its tokens destroys the
  // session: see store-watch.ts.
  if (req.sessionID === previous.id && previous.tokensId !== undefined)
    await rp.tokenRecords.remove(req.sessionStore, previous.tokensId)
  return true
}

/**
 * Call this after saving the session. A logout at the provider then either finds the saved session and ends it, or is
 * found here.
 */
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
