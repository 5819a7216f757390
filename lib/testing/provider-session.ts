import type { IncomingHttpHeaders } from 'node:http'
import type { JsonObject } from '../jose/json.ts'
import { type EndpointRequest, paramOf, Refusal } from './endpoint-server.ts'
import { randomValue, type TestContext, type UserSession } from './test-records.ts'

/** Cookies do not tell ports apart, so the name does: several providers may run on one host. */
function cookieName(issuer: string): string {
  return `test-provider-${new URL(issuer).port}`
}

/** Starts a session at the provider, or goes on with one, and returns the cookie for it. */
export function sessionCookie({ issuer, records }: TestContext, session: UserSession): string {
  const known = [...records.sessions].find(([, one]) => one === session)?.[0]
  const id = known ?? randomValue()
  records.sessions.set(id, session)
  return `${cookieName(issuer)}=${id}; Path=/; HttpOnly; SameSite=Lax`
}

/** Ends the session of this browser, and returns the cookie that removes its id. */
export function endBrowserSession({ issuer, records }: TestContext, headers: IncomingHttpHeaders): string {
  records.sessions.delete(sessionId(issuer, headers) ?? '')
  return `${cookieName(issuer)}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0`
}

/** Ends the sessions of a user, or the one with this `sid`, and what they granted for as long as they last. */
export function endSessions(
  { records }: TestContext,
  { sub, sid }: { readonly sub?: unknown; readonly sid?: unknown },
): void {
  const isMeant = ({ user, sid: own }: UserSession): boolean => (sid === undefined ? user.sub === sub : own === sid)
  for (const [id, session] of records.sessions) if (isMeant(session)) records.sessions.delete(id)
  for (const { grant } of [...records.accessTokens.values(), ...records.refreshTokens.values()]) {
    // OIDC Core 11: access that is granted with offline_access outlasts the session.
    const isOffline = grant?.scope.split(' ').includes('offline_access')
    if (grant !== undefined && isMeant(grant.session) && isOffline !== true) grant.isRevoked = true
  }
}

/** The session of the browser at the provider, if it is of the user whom `id_token_hint` names (OIDC Core 3.1.2.1). */
export async function currentSession(
  context: TestContext,
  { headers, params }: EndpointRequest,
): Promise<UserSession | undefined> {
  const session = context.records.sessions.get(sessionId(context.issuer, headers) ?? '')
  const hint = await hintedClaims(context, params)
  return hint === undefined || hint['sub'] === session?.user.sub ? session : undefined
}

/** The claims of the parameter `id_token_hint`. It may have expired. */
export async function hintedClaims({ keys }: TestContext, params: URLSearchParams): Promise<JsonObject | undefined> {
  const hint = paramOf(params, 'id_token_hint')
  if (hint === undefined) return undefined
  const claims = await keys.verify(hint)
  if (claims === undefined) throw new Refusal('invalid_request', 'id_token_hint is not signed by this provider.')
  return claims
}

function sessionId(issuer: string, { cookie = '' }: IncomingHttpHeaders): string | undefined {
  const prefix = `${cookieName(issuer)}=`
  const pairs = cookie.split(';').map((pair) => pair.trim())
  return pairs.find((pair) => pair.startsWith(prefix))?.slice(prefix.length)
}
