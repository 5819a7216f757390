import { OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import { traced } from '../operations.ts'
import { type AppConfig, type Config, ONLY_PROVIDER } from '../options/config.ts'
import type { RefreshableTokens, RefreshedTokens } from '../protocol/refresh-grant.ts'
import { narrowedGrant } from '../protocol/refreshed-login.ts'
import { clientOf, type RelyingParty } from '../relying-party.ts'
import { readLogin, readTokensId } from '../session/current-login.ts'
import { endLocalLogin } from '../session/end-login.ts'
import { requireSession, type SessionRequest } from '../session/express-session.ts'
import { isStored, syncLoginWithOtherRequests, writeLogin } from '../session/login-session.ts'
import { chooseSessionClaims, endOfLogin } from '../session/session-claims.ts'
import type { Lease } from '../state/shared-state.ts'
import { nowInSeconds } from '../time/seconds.ts'
import { loadOnce } from '../time/single-flight.ts'
import type { AccessToken, AccessTokenRequest, IdTokenClaims, Login, TokenRecord } from '../types.ts'
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
 * provider has revoked the refresh token, and `ERR_OIDC_INTERACTION_REQUIRED` if it wants the user to log in first; the login has
 * ended then. Any other failed refresh leaves the login unchanged.
 */
export async function freshAccessToken(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login | undefined,
  { refresh: mustRefresh, ...asked }: AccessTokenQuery & Pick<AccessTokenRequest, 'refresh'> = {},
): Promise<AccessToken> {
  const user = requireLogin(login)
  const id = readTokensId(requireSession(req), rp.config)
  const tokens = id === undefined ? undefined : await rp.tokenRecords.read(req.sessionStore, id)
  if (id === undefined || tokens === undefined) return tokenUnavailable(LOGIN_ENDED)
  // A request or node that reads the record after the refresh finds another token than this one, and uses that.
  const query = mustRefresh === true ? { ...asked, rejectedToken: tokenFor(tokens, asked)?.accessToken } : asked
  const usable = usableToken(tokens, query)
  if (usable !== undefined) return usable
  if (tokens.refreshToken === undefined) {
    return tokenUnavailable(tokens.accessToken === undefined ? NO_ACCESS_TOKEN : NO_REFRESH_TOKEN)
  }
  const { scope = '', resource = '', rejectedToken = '' } = query
  const key = JSON.stringify([id, scope, resource, rejectedToken])
  const { provider = ONLY_PROVIDER } = user
  const token = await rp.refreshOnce(key, () =>
    traced(
      'express-oidc:refresh',
      () => ({ provider }),
      () => refreshUnderLock(rp, req, user, id, query),
    ),
  )
  // Another request may have done the refresh, and changed the login in its own copy of the session.
  syncLoginWithOtherRequests(req, rp.config, rp.storeWatch)
  return token
}

const NO_ACCESS_TOKEN =
  "The provider issued no access token for this login. Use a responseType that includes 'code', and request a scope of an API."
const NO_REFRESH_TOKEN =
  'The access token has expired, or another one is needed, and the login has no refresh token. ' +
  "Add the scope 'offline_access' if the provider supports it, and log in again."
const LOGIN_ENDED = 'The login has ended, so it has no access token. Log in again.'

/** Throws the error of a login that has no tokens any more. */
export function loginEnded(): never {
  return tokenUnavailable(LOGIN_ENDED)
}

/**
 * How long the lock is held at most, in seconds: a refresh makes at most two requests to the provider (the second one with
 * a DPoP nonce), and some to the session store. A refresh that another node was faster with starts again only if time is left.
 */
export function lockSeconds({ timeout }: AppConfig): number {
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
    return await refreshLatest({ rp, req, login, id, query, wasStored, lease }, tokens)
  })
}

const loadRefreshGrant = loadOnce(() => import('../protocol/refresh-grant.ts'))

/** A refresh in progress, and what it is for. */
interface Refresh {
  readonly rp: RelyingParty
  readonly req: SessionRequest
  readonly login: Login
  /** The id of the token record. */
  readonly id: string
  readonly query: AccessTokenQuery
  /** True if the session was in its store before the refresh. */
  readonly wasStored: boolean
  readonly lease: Lease
}

/**
 * Refreshes, and believes a refusal only if no other node has refreshed: without a common lock, or with one that was lost,
 * both use the same refresh token and one of them is refused. It then goes on, once, with the tokens of the other node.
 */
async function refreshLatest(attempt: Refresh, tokens: TokenRecord, isRetry = false): Promise<AccessToken> {
  const { rp, req, login, query, lease } = attempt
  // If this process was suspended, the lock may be lost, and another node may have used the refresh token.
  lease.assertHeld()
  const result = await refresh(attempt, tokens).catch(async (error: unknown) => {
    if (error instanceof OidcError && error.code === 'ERR_OIDC_INTERACTION_REQUIRED') expireLogin(attempt)
    if (!(error instanceof OidcError) || error.code !== 'ERR_OIDC_REFRESH_REFUSED') throw error
    const newer = await findNewerTokens(attempt, tokens)
    if (newer === undefined) await endLocalLogin(rp, req)
    if (newer === undefined || isRetry) throw error
    return { newer }
  })
  if ('newer' in result) return usableToken(result.newer, query) ?? (await refreshLatest(attempt, result.newer, true))
  await publishRefresh(rp, req, login, result.record)
  return result.token
}

/**
 * Expires the login, so that guards send the user to log in again. The session stays: the same user gets back what the
 * application has stored in it. A token for another API may need more than the login did, so that ends no login.
 */
function expireLogin(attempt: Refresh): void {
  const { rp, req, query } = attempt
  const login = readLogin(req, rp.config)
  if (login === undefined || query.scope !== undefined || query.resource !== undefined) return
  applyToSession(attempt, login, { ...login, expiresAt: Math.floor(nowInSeconds()) })
}

/** The other node may have its response, but may not have stored it yet. In milliseconds. */
const MIN_WAIT = 100
const MAX_WAIT = 300

/** Returns the tokens of the login if their refresh token is no longer the refused one. Waits a moment for another node. */
async function findNewerTokens({ rp, req, id }: Refresh, refused: TokenRecord): Promise<TokenRecord | undefined> {
  const readNewer = async (): Promise<TokenRecord | undefined> => {
    const tokens = await rp.tokenRecords.read(req.sessionStore, id)
    return tokens?.refreshToken === refused.refreshToken ? undefined : tokens
  }
  const newer = await readNewer()
  if (newer !== undefined) return newer
  // Random, so that nodes that were refused together do not read together.
  await new Promise((resolve) => setTimeout(resolve, MIN_WAIT + Math.random() * (MAX_WAIT - MIN_WAIT)))
  return await readNewer()
}

/**
 * Uses the refresh token. Its successor is stored before the response is judged: the old one is spent, and using it again
 * can end the login (RFC 9700 4.14.2). The access token and the claims are stored only if the whole response is accepted.
 */
async function refresh(
  attempt: Refresh,
  tokens: RefreshableTokens,
): Promise<{ readonly record: TokenRecord; readonly token: AccessToken }> {
  const { rp, req, login, query } = attempt
  const { refreshTokens } = await loadRefreshGrant()
  const provider = await clientOf(rp, login).findProvider()
  const keep = (successor: TokenRecord): Promise<void> =>
    storeTokens(attempt, successor, readLogin(req, rp.config) ?? login)
  const refreshed = await refreshTokens(provider, login, tokens, query, keep)
  const idTokenClaims = [...new Set([...(tokens.pastClaims ?? []), ...Object.keys(claimsOf(tokens.idToken))])]
  const before = readLogin(req, rp.config)
  const after = before && updatedLogin(provider.config, before, idTokenClaims, refreshed, query)
  const claims = refreshed.idToken?.claims
  const pastClaims = claims && { pastClaims: idTokenClaims.filter((name) => !Object.hasOwn(claims, name)) }
  const { needsIdToken: _isProven, ...proven } = tokens
  const record = { ...updatedRecord(proven, refreshed, query), ...pastClaims }
  await storeTokens(attempt, record, after ?? login)
  if (before !== undefined && after !== undefined) applyToSession(attempt, before, after)
  if (refreshed.response.access_token === undefined) tokenUnavailable(NO_ACCESS_TOKEN)
  return { record, token: tokenFor(record, query) ?? tokenUnavailable(NO_ACCESS_TOKEN) }
}

/** Stores the tokens, unless the login has ended during the refresh, here or on another node. Then nothing of it may remain. */
export async function storeTokens(
  { rp, req, id, wasStored }: Pick<Refresh, 'rp' | 'req' | 'id' | 'wasStored'>,
  record: TokenRecord,
  login: Login,
): Promise<void> {
  const replace = (): Promise<void> => rp.tokenRecords.replace(req.sessionStore, id, record, login)
  // A second try, because a token that is not stored is lost.
  await replace().catch(replace)
  syncLoginWithOtherRequests(req, rp.config, rp.storeWatch)
  const isReplaced = readTokensId(req, rp.config) !== id
  if (!isReplaced && (!wasStored || (await isStored(req))) && !(await isLoginOver(rp, req, id))) return
  if (isReplaced) await rp.tokenRecords.remove(req.sessionStore, id)
  // Otherwise express-session could save the ended session at the end of this request.
  else await endLocalLogin(rp, req)
  tokenUnavailable(LOGIN_ENDED)
}

/** True if the login has ended on any node. Call it after its token record is replaced: store-watch.ts explains why. */
async function isLoginOver({ storeWatch }: RelyingParty, req: SessionRequest, id: string): Promise<boolean> {
  return storeWatch.isEnded(req) || (await storeWatch.isMarkedEnded(req.sessionStore, id))
}

/** Reads the claims of an ID Token from the token record. It was verified when it was issued. */
function claimsOf(idToken: string): Readonly<Record<string, unknown>> {
  const [, payload = ''] = idToken.split('.')
  return JSON.parse(Buffer.from(payload, 'base64url').toString())
}

/** Updates the login in the session, so that guards check the new claims and scope. */
function applyToSession({ rp: { config, storeWatch }, req, id }: Refresh, before: Login, after: Login): void {
  if (JSON.stringify(after) === JSON.stringify(before)) return
  writeLogin(req, config, after)
  storeWatch.loginChanges.add(id, before, after)
}

/**
 * Returns the login with the scope and the claims of the response.
 *
 * @param idTokenClaims The names of all claims that an ID Token of this login has had before.
 */
function updatedLogin(
  config: Config,
  login: Login,
  idTokenClaims: readonly string[],
  { response, idToken }: RefreshedTokens,
  query: AccessTokenQuery,
): Login {
  // The scope of one API's token is not that of the login.
  const isTokenOfLogin = query.scope === undefined && query.resource === undefined
  const narrowed = isTokenOfLogin ? { ...login, ...narrowedGrant(login, response) } : login
  return idToken === undefined
    ? narrowed
    : { ...narrowed, ...updatedClaims(config, login, idTokenClaims, idToken.claims) }
}

/** The claims that say how and when the user authenticated. A refresh does not authenticate the user (OIDC Core 12.2). */
const LOGIN_CLAIMS: readonly string[] = ['auth_time', 'acr', 'amr', 'sid', 'tid']

/**
 * Replaces the claims of earlier ID Tokens by those of the refreshed one: a group that the user has lost disappears. Claims
 * that came from UserInfo stay. express-session saves the session at the end of the request.
 */
function updatedClaims(
  config: Config,
  login: Login,
  idTokenClaims: readonly string[],
  refreshed: IdTokenClaims,
): Pick<Login, 'claims' | 'expiresAt'> {
  const stays = ([name]: readonly [string, unknown]): boolean => {
    if (LOGIN_CLAIMS.includes(name)) return true
    // A refreshed ID Token need not have all claims of the first one (OIDC Core 12.2). Without this one, its limit stays.
    return !Object.hasOwn(refreshed, name) && (name === 'session_expiry' || !idTokenClaims.includes(name))
  }
  const isNew = ([name]: readonly [string, unknown]): boolean => !LOGIN_CLAIMS.includes(name)
  const all = [...Object.entries(login.claims).filter(stays), ...Object.entries(refreshed).filter(isNew)]
  const claims = chooseSessionClaims(Object.fromEntries(all) as IdTokenClaims, config)
  return { claims, expiresAt: updatedExpiry(config, login, refreshed) }
}

/**
 * A refreshed ID Token can move the end of the login in both directions, up to `loginLifetime`. Without `session_expiry`, that
 * of the login stays; a login of an older version has none.
 */
function updatedExpiry(config: Config, login: Login, refreshed: IdTokenClaims): number {
  const { session_expiry: end = login.claims['session_expiry'], iss, exp } = refreshed
  if (config.loginExpiry !== 'id_token' && end === undefined) return login.expiresAt
  return endOfLogin(config, { iss, exp, session_expiry: end }, login.loggedInAt)
}

async function publishRefresh(rp: RelyingParty, req: SessionRequest, login: Login, tokens: TokenRecord): Promise<void> {
  const { provider = ONLY_PROVIDER, claims } = login
  publish['express-oidc:refresh'](() => ({ provider, issuer: claims.iss, sub: claims.sub }))
  await rp.config.hooks.afterRefresh?.({ req, provider, claims, tokens })
}
