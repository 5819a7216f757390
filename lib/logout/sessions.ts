import { ConfigError, OidcError, shown } from '../errors.ts'
import { ONLY_PROVIDER } from '../options/config.ts'
import { isIssuerOrTenant, TENANT_PLACEHOLDER } from '../options/issuer.ts'
import { findClient } from '../relying-party/provider-lookup.ts'
import type { Client, RelyingParty } from '../relying-party.ts'
import type { EndOptions } from '../session/end-login.ts'
import { type LogoutTarget, matchesTarget } from '../session/session-index.ts'
import {
  describeSession,
  type FoundSession,
  type SessionInfo,
  type SessionQuery,
  type SessionTarget,
} from '../session/session-list.ts'
import type { StoreLike } from '../state/shared-state.ts'
import { revokeEndedLogin } from './logout.ts'

/** `auth.sessions.list()`: the live logins of a user, or of a session at the provider. */
export async function listSessions(rp: RelyingParty, query: SessionQuery): Promise<readonly SessionInfo[]> {
  const { sub, sid, current, ...providerQuery } = checkMembers('list', query, QUERY_MEMBERS)
  if (sub === undefined && sid === undefined) throw noUserNamed('list', 'sub or sid')
  const found = await rp.sessionList.find(
    storeFor(rp, providerQuery.store),
    await targetOf(rp, 'list', { ...providerQuery, sub, sid }),
  )
  const infos = found.map((session) => describeSession(session, rp.sessionList, current))
  return infos.sort((one, other) => other.loggedInAt - one.loggedInAt)
}

/** `auth.sessions.end()`: ends logins on all nodes, with their tokens. Returns how many have ended. */
export async function endSessions(rp: RelyingParty, given: SessionTarget): Promise<number> {
  const { sub, sid, sessionId, except, ...providerQuery } = checkMembers('end', given, TARGET_MEMBERS)
  const store = storeFor(rp, providerQuery.store)
  const exceptSessionId = except === undefined ? undefined : rp.sessionList.idOf(except)
  const onEnded: EndOptions['onEnded'] = (login, tokens) => revokeEndedLogin(rp, login, tokens)
  const options = { exceptSessionId, onEnded }
  if (sub === undefined && sid === undefined) {
    if (sessionId === undefined) throw noUserNamed('end', 'sub, sid or sessionId')
    return await endOneSession(rp, store, sessionId, options)
  }
  const target = await targetOf(rp, 'end', { ...providerQuery, sub, sid })
  if (sessionId !== undefined) return await endOneSession(rp, store, sessionId, options, target)
  const excepted = exceptSessionId === undefined ? undefined : await rp.sessionList.read(store, exceptSessionId)
  await rp.providerLogouts.recordLogout(store, target, excepted?.oidcSession.tokensId)
  return (await rp.providerLogouts.endSessions(store, target, 'application', options)).length
}

/**
 * Ends one session, even if it is missing from the session index. If there is a target, its login must match the
 * target.
 */
async function endOneSession(
  rp: RelyingParty,
  store: StoreLike,
  idOrName: string,
  options: EndOptions,
  target?: LogoutTarget,
): Promise<number> {
  const found = await rp.sessionList.read(store, rp.sessionList.idOf(idOrName))
  if (found === undefined || found.sessionId === options.exceptSessionId) return 0
  const { sessionId, oidcSession } = found
  if (target !== undefined && !matchesTarget(oidcSession.login, target)) return 0
  const entry = { sessionId, tokensId: oidcSession.tokensId }
  const ended = await rp.providerLogouts.endSession(store, entry, targetOfSession(found), 'application', options)
  return ended === undefined ? 0 : 1
}

function targetOfSession({ oidcSession: { login } }: FoundSession): LogoutTarget {
  return { provider: login.provider ?? ONLY_PROVIDER, issuer: login.claims.iss, sub: login.claims.sub }
}

const QUERY_MEMBERS: readonly string[] = ['sub', 'sid', 'provider', 'issuer', 'current']
const TARGET_MEMBERS: readonly string[] = ['sub', 'sid', 'provider', 'issuer', 'sessionId', 'except']

/**
 * Throws for unknown members, and for members that are no text or are empty. If a misspelt `except` were ignored, the
 * caller's own session would end. An undefined `sub` must not mean every user.
 */
function checkMembers<Given extends object>(method: string, given: Given, names: readonly string[]): Given {
  const entries = Object.entries(Object(given))
  const problems = entries.flatMap(([name, value]) => {
    if (name === 'store') return []
    if (!names.includes(name))
      return [`The call auth.sessions.${method}() takes no ${shown(name)}. It takes ${names.join(', ')}.`]
    if (typeof value === 'string' && value !== '') return []
    return [`The call auth.sessions.${method}() needs text in ${name} that is not empty.`]
  })
  if (problems.length > 0) throw new ConfigError(problems)
  return given
}

function noUserNamed(method: string, needed: string): ConfigError {
  return new ConfigError([`The call auth.sessions.${method}() needs ${needed}, or it names nobody.`])
}

/**
 * Like `Partial`, but a member may also be undefined. `checkMembers` has refused that for the members of the caller.
 */
type PartialOrUndefined<Given> = { readonly [Name in keyof Given]?: Given[Name] | undefined }

/** Returns the user or session, with its provider and issuer: each provider has its own users. */
async function targetOf(
  rp: RelyingParty,
  method: string,
  query: PartialOrUndefined<SessionQuery>,
): Promise<LogoutTarget> {
  const { sub, sid } = query
  const { config } = await clientFor(rp, method, query.provider)
  return { provider: config.name, issuer: issuerOf(config.issuer, method, query.issuer), sub, sid }
}

async function clientFor(rp: RelyingParty, method: string, provider: string | undefined): Promise<Client> {
  const [first, ...others] = rp.config.findsProviders ? [] : rp.clients.values()
  const found = provider === undefined ? first : await findClient(rp, provider, undefined)
  if (found !== undefined && (provider !== undefined || others.length === 0)) return found
  if (rp.config.findsProviders)
    throw new ConfigError([
      `The call auth.sessions.${method}() needs provider, a name for which the option providers returns options.`,
    ])
  throw new ConfigError([
    `The call auth.sessions.${method}() needs provider, one of the names in the option providers: ${shown([...rp.clients.keys()])}.`,
  ])
}

function issuerOf(configured: string, method: string, issuer: string | undefined): string {
  if (issuer === undefined && !configured.includes(TENANT_PLACEHOLDER)) return configured
  if (issuer !== undefined && isIssuerOrTenant(configured, issuer)) return issuer
  throw new ConfigError([
    `The call auth.sessions.${method}() needs issuer, the claim iss of the user, which must match the option issuer.`,
  ])
}

/** Returns the given store, or else the store of the latest request. */
function storeFor(rp: RelyingParty, given: StoreLike | undefined): StoreLike {
  const store = given ?? rp.storeWatch.latestStore
  if (store === undefined) {
    throw new OidcError(
      'ERR_OIDC_SESSION_MISSING',
      'No request has brought a session store yet. Pass the store of express-session to auth.sessions: { sub, store }.',
    )
  }
  rp.storeWatch.watch({ sessionStore: store })
  return store
}
