import { OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import { type AppConfig, ONLY_PROVIDER } from '../options/config.ts'
import type { RefreshedTokens } from '../protocol/refresh-grant.ts'
import { clientOf, type RelyingParty } from '../relying-party.ts'
import { readLogin, readTokensId } from '../session/current-login.ts'
import { endLocalLogin } from '../session/end-login.ts'
import { requireSession, type SessionRequest } from '../session/express-session.ts'
import { isStored, syncLoginWithOtherRequests, writeLogin } from '../session/login-session.ts'
import { chooseSessionClaims, endOfLogin } from '../session/session-claims.ts'
import { loadOnce } from '../time/single-flight.ts'
import type { AccessToken, IdTokenClaims, Login, TokenRecord } from '../types.ts'
import {
  type AccessTokenQuery,
  requireLogin,
  tokenFor,
  tokenUnavailable,
  updatedRecord,
  usableToken,
} from './access-token.ts'

/**
 * Returns an access token of this login that does not expire within a minute. It refreshes the token if necessary: once for
 * all concurrent requests of the session, on all nodes.
 *
 * Throws `ERR_OIDC_TOKEN_UNAVAILABLE` if there is no token and no refresh token. Throws `ERR_OIDC_REFRESH_REFUSED` if the
 * provider has revoked the refresh token; the login has ended then. Any other failed refresh leaves the login unchanged.
 */
export async function freshAccessToken(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login | undefined,
  query: AccessTokenQuery = {},
): Promise<AccessToken> {
  const user = requireLogin(login)
  const id = readTokensId(requireSession(req), rp.config)
  const tokens = id === undefined ? undefined : await rp.tokenRecords.read(req.sessionStore, id)
  if (id === undefined || tokens === undefined) return tokenUnavailable(LOGIN_ENDED)
  const usable = usableToken(tokens, query)
  if (usable !== undefined) return usable
  if (tokens.refreshToken === undefined) {
    return tokenUnavailable(tokens.accessToken === undefined ? NO_ACCESS_TOKEN : NO_REFRESH_TOKEN)
  }
  const { scope = '', resource = '', rejectedToken = '' } = query
  const key = JSON.stringify([id, scope, resource, rejectedToken])
  const token = await rp.refreshOnce(key, () => refreshUnderLock(rp, req, user, id, query))
  // Another request may have done the refresh, and changed the login in its own copy of the session.
  syncLoginWithOtherRequests(req, rp.config, rp.storeWatch)
  return token
}

const NO_ACCESS_TOKEN = "The provider issued no access token for this login. Use a responseType that includes 'code'."
const NO_REFRESH_TOKEN =
  'The access token has expired, or another one is needed, and the login has no refresh token. ' +
  "Add the scope 'offline_access' if the provider supports it, and log in again."
const LOGIN_ENDED = 'The login has ended, so it has no access token. Log in again.'

/**
 * How long the lock is held at most, in seconds: a refresh makes at most two requests to the provider (the second one with
 * a DPoP nonce), and some to the session store.
 */
function lockSeconds({ timeout }: AppConfig): number {
  return 2 * timeout + 2
}

/** Reads the record again under the lock, because another request or node may have refreshed the token in the meantime. */
async function refreshUnderLock(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login,
  id: string,
  query: AccessTokenQuery,
): Promise<AccessToken> {
  const state = rp.sharedStateOf(req.sessionStore)
  return await state.lock(`refresh:${id}`, lockSeconds(rp.config), async (lease) => {
    const tokens = await rp.tokenRecords.read(req.sessionStore, id)
    if (tokens === undefined) return tokenUnavailable(LOGIN_ENDED)
    const usable = usableToken(tokens, query)
    if (usable !== undefined) return usable
    const wasStored = await isStored(req)
    // If this process was suspended, the lock may be lost, and another node may have used the refresh token.
    lease.assertHeld()
    const { record, token } = await refresh(rp, req, login, id, tokens, query)
    // The login may have ended during the refresh, here or on another node. Then nothing of it may remain.
    syncLoginWithOtherRequests(req, rp.config, rp.storeWatch)
    const isReplaced = readTokensId(req, rp.config) !== id
    if (isReplaced || rp.storeWatch.isEnded(req) || (wasStored && !(await isStored(req)))) {
      if (isReplaced) await rp.tokenRecords.remove(req.sessionStore, id)
      // The claims have changed, so express-session would save the ended session at the end of this request.
      else await endLocalLogin(rp, req)
      return tokenUnavailable(LOGIN_ENDED)
    }
    await publishRefresh(rp, req, login, record)
    return token
  })
}

const loadRefreshGrant = loadOnce(() => import('../protocol/refresh-grant.ts'))

/** Uses the refresh token, and stores the new tokens before anything else can fail. */
async function refresh(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login,
  id: string,
  tokens: TokenRecord,
  query: AccessTokenQuery,
): Promise<{ readonly record: TokenRecord; readonly token: AccessToken }> {
  const { refreshTokens } = await loadRefreshGrant()
  const provider = await clientOf(rp, login).findProvider()
  const refreshed = await refreshTokens(provider, login, tokens, query).catch(async (error: unknown) => {
    if (error instanceof OidcError && error.code === 'ERR_OIDC_REFRESH_REFUSED') await endLocalLogin(rp, req)
    throw error
  })
  const idTokenClaims = [...new Set([...(tokens.pastClaims ?? []), ...Object.keys(claimsOf(tokens.idToken))])]
  applyRefreshToSession(rp, req, id, idTokenClaims, refreshed, query)
  const claims = refreshed.idToken?.claims
  const pastClaims = claims && { pastClaims: idTokenClaims.filter((name) => !Object.hasOwn(claims, name)) }
  const record = { ...updatedRecord(tokens, refreshed, query), ...pastClaims }
  await rp.tokenRecords.replace(req.sessionStore, id, record, readLogin(req, rp.config) ?? login)
  return { record, token: tokenFor(record, query) ?? tokenUnavailable(NO_ACCESS_TOKEN) }
}

/** Reads the claims of an ID Token from the token record. It was verified when it was issued. */
function claimsOf(idToken: string): Readonly<Record<string, unknown>> {
  const [, payload = ''] = idToken.split('.')
  return JSON.parse(Buffer.from(payload, 'base64url').toString())
}

/** Updates the claims and the scope in the session, so that guards check the new ones. */
function applyRefreshToSession(
  { config, storeWatch }: RelyingParty,
  req: SessionRequest,
  id: string,
  idTokenClaims: readonly string[],
  { response: { scope }, idToken }: RefreshedTokens,
  query: AccessTokenQuery,
): void {
  const before = readLogin(req, config)
  // A refresh may grant less than the login, never more (RFC 6749 6). The scope of one API's token is not that of the login.
  const isTokenOfLogin = query.scope === undefined && query.resource === undefined
  if (before !== undefined && scope !== undefined && isTokenOfLogin) {
    const remaining = intersectScopes(before.scope, scope)
    if (remaining !== before.scope) writeLogin(req, config, { ...before, scope: remaining })
  }
  if (idToken !== undefined) updateSessionClaims(req, config, idTokenClaims, idToken.claims)
  const after = readLogin(req, config)
  if (before !== undefined && after !== undefined && before !== after) storeWatch.loginChanges.add(id, before, after)
}

function intersectScopes(scope: string, granted: string): string {
  const names = new Set(granted.split(' '))
  return scope
    .split(' ')
    .filter((name) => names.has(name))
    .join(' ')
}

/** The claims that say how and when the user authenticated. A refresh does not authenticate the user (OIDC Core 12.2). */
const LOGIN_CLAIMS: readonly string[] = ['auth_time', 'acr', 'amr', 'sid', 'tid']

/**
 * Replaces the claims of earlier ID Tokens by those of the refreshed one: a group that the user has lost disappears. Claims
 * that came from UserInfo stay. express-session saves the session at the end of the request.
 *
 * @param idTokenClaims The names of all claims that an ID Token of this login has had before.
 */
function updateSessionClaims(
  req: SessionRequest,
  config: AppConfig,
  idTokenClaims: readonly string[],
  refreshed: IdTokenClaims,
): void {
  const login = readLogin(req, config)
  if (login === undefined) return
  const stays = ([name]: readonly [string, unknown]): boolean =>
    LOGIN_CLAIMS.includes(name) || !(idTokenClaims.includes(name) || Object.hasOwn(refreshed, name))
  const isNew = ([name]: readonly [string, unknown]): boolean => !LOGIN_CLAIMS.includes(name)
  const all = [...Object.entries(login.claims).filter(stays), ...Object.entries(refreshed).filter(isNew)]
  const claims = chooseSessionClaims(Object.fromEntries(all) as IdTokenClaims, config)
  const expiresAt =
    config.loginExpiry === 'lifetime' ? login.expiresAt : endOfLogin(config, refreshed, login.loggedInAt)
  const changed: Login = { ...login, claims, expiresAt }
  if (JSON.stringify(changed) !== JSON.stringify(login)) writeLogin(req, config, changed)
}

async function publishRefresh(rp: RelyingParty, req: SessionRequest, login: Login, tokens: TokenRecord): Promise<void> {
  const { provider = ONLY_PROVIDER, claims } = login
  publish['express-oidc:refresh'](() => ({ provider, issuer: claims.iss, sub: claims.sub }))
  await rp.config.hooks.afterRefresh?.({ req, provider, claims, tokens })
}
