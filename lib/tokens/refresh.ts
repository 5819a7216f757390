import { OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import { type AppConfig, ONLY_PROVIDER } from '../options/config.ts'
import type { RefreshedTokens } from '../protocol/refresh-grant.ts'
import { clientOf, type RelyingParty } from '../relying-party.ts'
import { readLogin, readTokensId } from '../session/current-login.ts'
import { requireSession, type SessionRequest } from '../session/express-session.ts'
import { endSession, isStored, syncLoginWithOtherRequests, writeLogin } from '../session/login-session.ts'
import { chooseSessionClaims, endOfLogin } from '../session/session-claims.ts'
import type { AccessToken, IdTokenClaims, Login, TokenRecord } from '../types.ts'
import { type AccessTokenQuery, tokenFor, updatedRecord, usableToken } from './access-token.ts'

/** What a turn takes beside two requests to the provider, which is the most, in seconds: the session store is asked. */
const MARGIN = 2

/**
 * The tokens of this login, with an access token that lives for a minute at least. It is refreshed where it does not: once
 * for all requests of the session that ask at the same time, on whatever node. Throws `ERR_OIDC_TOKEN_UNAVAILABLE`,
 * `ERR_OIDC_REFRESH_REFUSED` after having ended the login, and what a refresh does; all else leaves the login as it is.
 */
export async function freshTokens(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login | undefined,
  wanted: AccessTokenQuery = {},
): Promise<AccessToken> {
  const id = login === undefined ? undefined : readTokensId(requireSession(req), rp.config)
  const tokens = id === undefined ? undefined : await rp.tokenRecords.read(req.sessionStore, id)
  if (login === undefined || id === undefined || tokens === undefined) return unavailable('Nobody is logged in.')
  const usable = usableToken(tokens, wanted)
  if (usable !== undefined) return usable
  if (tokens.refreshToken === undefined)
    return unavailable(REASONS[tokens.accessToken === undefined ? 'none' : 'ended'])
  const { scope = '', resource = '', rejectedToken = '' } = wanted
  const key = JSON.stringify([id, scope, resource, rejectedToken])
  const token = await rp.refreshOnce(key, () => refreshUnderLock(rp, req, login, id, wanted))
  // Another request may have refreshed for this one.
  syncLoginWithOtherRequests(req, rp.config, rp.storeWatch)
  return token
}

const REASONS = {
  none: 'There is no access token for this request.',
  ended: 'The access token has ended, and there is no refresh token: a new login brings a new one.',
}

function unavailable(message: string): never {
  throw new OidcError('ERR_OIDC_TOKEN_UNAVAILABLE', message)
}

/** Whoever comes last finds that the work is done: the record is read again once it is this one's turn. */
async function refreshUnderLock(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login,
  id: string,
  wanted: AccessTokenQuery,
): Promise<AccessToken> {
  return await rp
    .sharedStateOf(req.sessionStore)
    .lock(`refresh:${id}`, 2 * rp.config.timeout + MARGIN, async (lease) => {
      const tokens = await rp.tokenRecords.read(req.sessionStore, id)
      if (tokens === undefined) return unavailable('The login has ended.')
      const usable = usableToken(tokens, wanted)
      if (usable !== undefined) return usable
      const wasStored = await isStored(req)
      // Another node may have spent the refresh token, if this one has been asleep.
      lease.assertHeld()
      const { record, token } = await refresh(rp, req, login, id, tokens, wanted)
      // The login may have ended in the meantime, here or on another node: then nothing of it may stay.
      syncLoginWithOtherRequests(req, rp.config, rp.storeWatch)
      const isReplaced = readTokensId(req, rp.config) !== id
      if (isReplaced || rp.storeWatch.isEnded(req) || (wasStored && !(await isStored(req)))) {
        await rp.tokenRecords.remove(req.sessionStore, id)
        // With its changed claims it would be saved at the end of this request, and be back.
        if (!isReplaced) await endSession(req, rp.storeWatch)
        return unavailable('The login has ended.')
      }
      await publishRefresh(rp, req, login, record)
      return token
    })
}

async function refresh(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login,
  id: string,
  tokens: TokenRecord,
  wanted: AccessTokenQuery,
): Promise<{ readonly record: TokenRecord; readonly token: AccessToken }> {
  const { refreshTokens } = await import('../protocol/refresh-grant.ts')
  const provider = await clientOf(rp, login).findProvider()
  const refreshed = await refreshTokens(provider, login, tokens, wanted).catch(async (error: unknown) => {
    if (error instanceof OidcError && error.code === 'ERR_OIDC_REFRESH_REFUSED') await endRefusedLogin(rp, req, id)
    throw error
  })
  const earlier = [...new Set([...(tokens.pastClaims ?? []), ...Object.keys(claimsOf(tokens.idToken))])]
  applyRefreshToSession(rp, req, id, earlier, refreshed, wanted)
  const claims = refreshed.idToken?.claims
  const pastClaims = claims && { pastClaims: earlier.filter((name) => !Object.hasOwn(claims, name)) }
  const record = { ...updatedRecord(tokens, refreshed, wanted), ...pastClaims }
  await rp.tokenRecords.replace(req.sessionStore, id, record, readLogin(req, rp.config) ?? login)
  return { record, token: tokenFor(record, wanted) ?? unavailable(REASONS.none) }
}

/** Puts into the session what has changed: the claims, and the scope. */
function applyRefreshToSession(
  { config, storeWatch }: RelyingParty,
  req: SessionRequest,
  id: string,
  earlier: readonly string[],
  { response: { scope }, idToken }: RefreshedTokens,
  wanted: AccessTokenQuery,
): void {
  const before = readLogin(req, config)
  // RFC 6749 5.1, 6: less may be granted than at login, and never more. What was asked for one API says nothing of the login.
  const isOfLogin = wanted.scope === undefined && wanted.resource === undefined
  if (before !== undefined && scope !== undefined && isOfLogin) {
    const left = scopeIn(before.scope, scope)
    if (left !== before.scope) writeLogin(req, config, { ...before, scope: left })
  }
  if (idToken !== undefined) updateSessionClaims(req, config, earlier, idToken.claims)
  const after = readLogin(req, config)
  if (before !== undefined && after !== undefined && before !== after) storeWatch.loginChanges.add(id, before, after)
}

function scopeIn(scope: string, granted: string): string {
  const names = new Set(granted.split(' '))
  return scope
    .split(' ')
    .filter((name) => names.has(name))
    .join(' ')
}

async function publishRefresh(rp: RelyingParty, req: SessionRequest, login: Login, tokens: TokenRecord): Promise<void> {
  const { provider = ONLY_PROVIDER, claims } = login
  publish['express-oidc:refresh'](() => ({ provider, issuer: claims.iss, sub: claims.sub }))
  await rp.config.hooks.afterRefresh?.({ req, provider, claims, tokens })
}

async function endRefusedLogin(rp: RelyingParty, req: SessionRequest, id: string): Promise<void> {
  await rp.tokenRecords.remove(req.sessionStore, id)
  await endSession(req, rp.storeWatch)
}

/** Those of a token that was verified when it came. */
function claimsOf(idToken: string): Readonly<Record<string, unknown>> {
  const [, payload = ''] = idToken.split('.')
  return JSON.parse(Buffer.from(payload, 'base64url').toString())
}

/** How and when the person was authenticated: a refresh is none, whatever its ID Token says (OIDC Core 12.2). */
const LOGIN_CLAIMS: readonly string[] = ['auth_time', 'acr', 'amr', 'sid', 'tid']

/**
 * Puts what a refreshed ID Token says into the session, so that guards judge by it: a group that the person has lost is
 * gone. Claims that came from UserInfo stay. The session is saved at the end of the request.
 *
 * @param earlier The names of the claims that came with an ID Token of this login before.
 */
function updateSessionClaims(
  req: SessionRequest,
  config: AppConfig,
  earlier: readonly string[],
  refreshed: IdTokenClaims,
): void {
  const login = readLogin(req, config)
  if (login === undefined) return
  const isKept = ([name]: readonly [string, unknown]): boolean => {
    return LOGIN_CLAIMS.includes(name) || !(earlier.includes(name) || Object.hasOwn(refreshed, name))
  }
  const isNew = ([name]: readonly [string, unknown]): boolean => !LOGIN_CLAIMS.includes(name)
  const all = [...Object.entries(login.claims).filter(isKept), ...Object.entries(refreshed).filter(isNew)]
  const claims = chooseSessionClaims(Object.fromEntries(all) as IdTokenClaims, config)
  const expiresAt =
    config.loginExpiry === 'lifetime' ? login.expiresAt : endOfLogin(config, refreshed, login.loggedInAt)
  const changed: Login = { ...login, claims, expiresAt }
  if (JSON.stringify(changed) !== JSON.stringify(login)) writeLogin(req, config, changed)
}
