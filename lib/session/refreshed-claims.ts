import type { IdTokenClaims } from '../claims.ts'
import type { AppConfig } from '../config/config.ts'
import { endOfLogin } from '../login-expiry.ts'
import type { Login } from '../types.ts'
import type { SessionRequest } from './express-session.ts'
import { readLogin, writeLogin } from './login-session.ts'
import { chooseSessionClaims } from './session-claims.ts'

/** How and when the person was authenticated: a refresh is none, whatever its ID Token says (OIDC Core 12.2). */
const OF_THE_LOGIN: readonly string[] = ['auth_time', 'acr', 'amr', 'sid', 'tid']

/**
 * Puts what a refreshed ID Token says into the session, so that guards judge by it: a group that the person has lost is
 * gone. Claims that came from UserInfo stay. The session is saved at the end of the request.
 *
 * @param earlier The names of the claims that came with an ID Token of this login before.
 */
export function takeRefreshedClaims(
  req: SessionRequest,
  config: AppConfig,
  earlier: readonly string[],
  refreshed: IdTokenClaims,
): void {
  const login = readLogin(req, config)
  if (login === undefined) return
  const isKept = ([name]: readonly [string, unknown]): boolean => {
    return OF_THE_LOGIN.includes(name) || !(earlier.includes(name) || Object.hasOwn(refreshed, name))
  }
  const isNew = ([name]: readonly [string, unknown]): boolean => !OF_THE_LOGIN.includes(name)
  const all = [...Object.entries(login.claims).filter(isKept), ...Object.entries(refreshed).filter(isNew)]
  const claims = chooseSessionClaims(Object.fromEntries(all) as IdTokenClaims, config)
  const expiresAt =
    config.loginExpiry === 'lifetime' ? login.expiresAt : endOfLogin(config, refreshed, login.loggedInAt)
  const changed: Login = { ...login, claims, expiresAt }
  if (JSON.stringify(changed) !== JSON.stringify(login)) writeLogin(req, config, changed)
}
