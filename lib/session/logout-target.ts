import { createHash } from 'node:crypto'
import type { AppConfig } from '../config/config.ts'
import { ONLY_PROVIDER } from '../config/config.ts'
import type { Login } from '../types.ts'

/** Whose sessions a logout at the provider is about: a session there (`sid`), or else all of a person (`sub`). */
export interface LogoutTarget {
  /** The name of the provider. */
  readonly provider: string
  readonly issuer: string
  readonly sub?: string | undefined
  readonly sid?: string | undefined
}

type Place = Pick<AppConfig, 'origin' | 'basePath' | 'sessionKey' | 'clientIds'>

/** What tells this application from others that share its state, and one provider of it from the others. */
function placeOf({ origin, basePath, sessionKey, clientIds }: Place, provider: string): readonly string[] {
  return [sessionKey, provider, clientIds.get(provider) || origin + basePath]
}

/** Tells under which session id a login is in the index. Two applications may share a session. */
export function fingerprintOf(place: Place, { provider = ONLY_PROVIDER }: Login, sessionId: string): string {
  return hashOf([...placeOf(place, provider), sessionId]).slice(0, 12)
}

/** Under which keys a login is found again: the person's, and the one of the session at the provider. */
export function keysOfLogin(place: Place, login: Login): readonly string[] {
  const { provider = ONLY_PROVIDER, claims } = login
  const at = { provider, issuer: claims.iss }
  const sid = sidOf(login)
  return [
    keyOf(place, at, 'person', claims.sub),
    // A provider that names its sessions in logout tokens alone leaves no more to go by than the person.
    sid === undefined ? keyOf(place, at, 'person without sid', claims.sub) : keyOf(place, at, 'session', sid),
  ]
}

/** Under which keys the logins that are to end are found. A `sid` names one session, whatever is said beside it. */
export function keysOfTarget(place: Place, target: LogoutTarget): readonly string[] {
  const { sub, sid } = target
  if (sid === undefined) return sub === undefined ? [] : [keyOf(place, target, 'person', sub)]
  const unnamed = sub === undefined ? [] : [keyOf(place, target, 'person without sid', sub)]
  return [keyOf(place, target, 'session', sid), ...unnamed]
}

/** Whether a login is one that is to end: what an index says may have been true of a session once. */
export function isMeant(login: Login, { provider, issuer, sub, sid }: LogoutTarget): boolean {
  const { claims } = login
  if ((login.provider ?? ONLY_PROVIDER) !== provider || claims.iss !== issuer) return false
  const own = sidOf(login)
  return sid === undefined || own === undefined ? claims.sub === sub : own === sid
}

function sidOf({ claims }: Login): string | undefined {
  return typeof claims.sid === 'string' && claims.sid !== '' ? claims.sid : undefined
}

type Kind = 'person' | 'person without sid' | 'session'

function keyOf(place: Place, { provider, issuer }: LogoutTarget, kind: Kind, name: string): string {
  return hashOf([...placeOf(place, provider), issuer, kind, name])
}

/** Of one length, and without the name of anybody. */
function hashOf(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url')
}
