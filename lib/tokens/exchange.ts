import { hash } from 'node:crypto'
import { ConfigError, shown } from '../errors.ts'
import { TOKEN_TYPE_URNS, type TokenResponse } from '../protocol/token-endpoint.ts'
import { type ExchangeGrant, exchangeAcrossApps, exchangeToken } from '../protocol/token-exchange.ts'
import { clientOf, type RelyingParty } from '../relying-party.ts'
import { readTokensId } from '../session/current-login.ts'
import type { SessionRequest } from '../session/express-session.ts'
import { isStored } from '../session/login-session.ts'
import { nowInSeconds } from '../time/seconds.ts'
import type {
  AccessToken,
  AccessTokenRequest,
  Login,
  OtherAuthorizationServer,
  TokenExchange,
  TokenRecord,
} from '../types.ts'
import {
  type AccessTokenQuery,
  requireLogin,
  tokenFor,
  tokenUnavailable,
  updatedRecord,
  usableToken,
} from './access-token.ts'
import { freshAccessToken, lockSeconds, loginEnded, storeTokens } from './refresh.ts'

/** What `accessToken({ exchange })` needs to know. */
type ExchangeRequest = AccessTokenRequest &
  Pick<AccessTokenQuery, 'rejectedToken'> & { readonly exchange: TokenExchange }

/**
 * Exchanges a token of the login for an access token (RFC 8693), or returns the one from before until it expires. Concurrent
 * requests of this process share one exchange. Throws `ERR_OIDC_CONFIG` for an invalid exchange, `ERR_OIDC_TOKEN_UNAVAILABLE`
 * if the login does not have the token to exchange, and what {@link freshAccessToken} and the token endpoint throw. A refused
 * exchange leaves the login unchanged.
 */
export async function exchangedAccessToken(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login | undefined,
  { exchange: given, refresh, rejectedToken, scope, resource }: ExchangeRequest,
): Promise<AccessToken> {
  const problems = findProblems(given)
  const misplaced = scope === undefined && resource === undefined ? [] : [MISPLACED]
  if (problems.length + misplaced.length > 0) throw new ConfigError([...problems, ...misplaced])
  const user = requireLogin(login)
  const { id, tokens } = await readTokens(rp, req)
  const exchangeKey = keyOf(given)
  const rejected = refresh === true ? tokenFor(tokens, { exchangeKey })?.accessToken : rejectedToken
  const query = { exchangeKey, rejectedToken: rejected }
  const usable = usableToken(tokens, query)
  if (usable !== undefined) return usable
  const flight = JSON.stringify([id, exchangeKey, rejected ?? ''])
  return await rp.refreshOnce(flight, () => exchange(rp, req, user, given, query))
}

const MISPLACED =
  'The member exchange cannot be combined with scope and resource. Name them inside: { exchange: { scope, resource } }.'

async function readTokens(
  rp: RelyingParty,
  req: SessionRequest,
): Promise<{ readonly id: string; readonly tokens: TokenRecord }> {
  const id = readTokensId(req, rp.config)
  const tokens = id === undefined ? undefined : await rp.tokenRecords.read(req.sessionStore, id)
  return id === undefined || tokens === undefined ? loginEnded() : { id, tokens }
}

async function exchange(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login,
  given: TokenExchange,
  query: AccessTokenQuery,
): Promise<AccessToken> {
  const subject = await subjectToken(rp, req, login, subjectOf(given))
  const provider = await clientOf(rp, login).findProvider()
  const { tokens } = await readTokens(rp, req)
  const grant: ExchangeGrant = {
    subject,
    actor: actorOf(given),
    audience: listOf(given.audience),
    resource: listOf(given.resource),
    scope: given.scope,
    dpopKey: tokens.dpopKey,
  }
  const requestedAt = Math.floor(nowInSeconds())
  const { authorizationServer: server } = given
  const response = await (server === undefined
    ? exchangeToken(provider, grant)
    : exchangeAcrossApps(provider, server, grant))
  return await keep(rp, req, login, { response, requestedAt }, query)
}

/**
 * Keeps the token with those of the login. Under the lock of a refresh and in the record as it is now: otherwise the rotated
 * refresh token of another node would be overwritten.
 */
async function keep(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login,
  { response, requestedAt }: { readonly response: TokenResponse; readonly requestedAt: number },
  query: AccessTokenQuery,
): Promise<AccessToken> {
  // The refresh token of the login stays.
  const { refresh_token: _other, ...granted } = response
  const wasStored = await isStored(req)
  const { id } = await readTokens(rp, req)
  return await rp.sharedStateOf(req.sessionStore).lock(`refresh:${id}`, lockSeconds(rp.config), async (lease) => {
    const { tokens } = await readTokens(rp, req)
    const record = updatedRecord(tokens, { response: granted, idToken: undefined, requestedAt }, query)
    lease.assertHeld()
    await storeTokens({ rp, req, id, wasStored }, record, login)
    return tokenFor(record, query) ?? tokenUnavailable('The token exchange brought no access token.')
  })
}

const SUBJECT_TYPES = {
  access_token: TOKEN_TYPE_URNS.accessToken,
  id_token: TOKEN_TYPE_URNS.idToken,
  refresh_token: TOKEN_TYPE_URNS.refreshToken,
} as const

type SubjectName = keyof typeof SUBJECT_TYPES

function subjectOf({ subjectToken, authorizationServer }: TokenExchange): SubjectName {
  return subjectToken ?? (authorizationServer === undefined ? 'access_token' : 'id_token')
}

/** The token to exchange. One that has expired is refreshed first: the provider would refuse it. */
async function subjectToken(
  rp: RelyingParty,
  req: SessionRequest,
  login: Login,
  name: SubjectName,
): Promise<ExchangeGrant['subject']> {
  const type = SUBJECT_TYPES[name]
  if (name === 'access_token') return { token: (await freshAccessToken(rp, req, login)).accessToken, type }
  const { tokens } = await readTokens(rp, req)
  if (name === 'refresh_token') return { token: tokens.refreshToken ?? tokenUnavailable(NO_REFRESH_TOKEN), type }
  if (!hasExpired(tokens.idToken)) return { token: tokens.idToken, type }
  await freshAccessToken(rp, req, login, { refresh: true })
  const { idToken } = (await readTokens(rp, req)).tokens
  return hasExpired(idToken) ? tokenUnavailable(OLD_ID_TOKEN) : { token: idToken, type }
}

const NO_REFRESH_TOKEN = "The login has no refresh token to exchange. Add the scope 'offline_access', and log in again."
const OLD_ID_TOKEN = 'The ID Token of the login has expired, and the refresh brought no new ID Token. Log in again.'

/** It was verified when it was issued, and its `exp` is a number since then. */
function hasExpired(idToken: string): boolean {
  const [, payload = ''] = idToken.split('.')
  const { exp } = JSON.parse(Buffer.from(payload, 'base64url').toString())
  return !(exp > nowInSeconds())
}

function actorOf({ actorToken, actorTokenType }: TokenExchange): ExchangeGrant['actor'] {
  return actorToken === undefined
    ? undefined
    : { token: actorToken, type: actorTokenType ?? TOKEN_TYPE_URNS.accessToken }
}

function listOf(value: string | readonly string[] | undefined): readonly string[] {
  return value === undefined ? [] : [value].flat()
}

/** Two exchanges have the same key only if they are equal. A hash: the actor's token must not be stored as a name. */
function keyOf(given: TokenExchange): string {
  const { audience, resource, scope, authorizationServer: server } = given
  const target = [listOf(audience), listOf(resource), scope ?? null, subjectOf(given), actorOf(given) ?? null]
  const place = server === undefined ? null : [server.issuer, server.tokenEndpoint, server.clientId]
  return `exchange:${hash('sha256', JSON.stringify([target, place]), 'base64url')}`
}

const TEXT: readonly (string & keyof TokenExchange)[] = ['scope', 'actorToken', 'actorTokenType']
const LISTS: readonly ('audience' | 'resource')[] = ['audience', 'resource']
const MEMBERS: readonly string[] = [...TEXT, ...LISTS, 'subjectToken', 'authorizationServer']
const SERVER_TEXT: readonly (string & keyof OtherAuthorizationServer)[] = ['issuer', 'tokenEndpoint', 'clientId']
const METHODS: readonly unknown[] = ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none', undefined]

/** A misspelt member would exchange for more than was meant, so unknown ones are refused. */
function findProblems(given: TokenExchange): readonly string[] {
  const { authorizationServer: server, subjectToken: subject } = given
  return [
    ...Object.keys(given)
      .filter((name) => !MEMBERS.includes(name))
      .map(
        (name) =>
          `The call accessToken({ exchange }) knows no ${shown(name)} in exchange. See TokenExchange for its members.`,
      ),
    ...TEXT.filter((name) => given[name] !== undefined && !isText(given[name])).map((name) => mustBeText(name)),
    ...LISTS.filter((name) => !listOf(given[name]).every(isText)).map((name) => mustBeText(name)),
    ...(subject === undefined || Object.hasOwn(SUBJECT_TYPES, subject) ? [] : [UNKNOWN_SUBJECT]),
    ...(server === undefined ? [] : serverProblems(given, server)),
  ]
}

function serverProblems({ audience }: TokenExchange, server: OtherAuthorizationServer): readonly string[] {
  const { clientSecret, tokenEndpointAuthMethod: method } = server
  return [
    ...SERVER_TEXT.filter((name) => !isText(server[name])).map((name) => mustBeText(`authorizationServer.${name}`)),
    ...(clientSecret === undefined || isText(clientSecret) ? [] : [mustBeText('authorizationServer.clientSecret')]),
    ...(METHODS.includes(method)
      ? []
      : ['The member exchange.authorizationServer.tokenEndpointAuthMethod is not supported.']),
    ...(audience === undefined
      ? []
      : ['The member exchange cannot have audience beside authorizationServer, whose issuer it is.']),
  ]
}

const UNKNOWN_SUBJECT = "The member exchange.subjectToken must be 'access_token', 'id_token' or 'refresh_token'."

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

function mustBeText(name: string): string {
  return `The member exchange.${name} must be text that is not empty.`
}
