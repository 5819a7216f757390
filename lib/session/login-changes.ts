import { hash } from 'node:crypto'
import type { Login } from '../types.ts'
import type { OidcSession } from './stored-session.ts'

/**
 * Logins before a refresh changed them. A request that read its session before the refresh may write it afterwards, and would
 * bring back what the user has lost, such as a group: express-session keeps no order between requests. Of this process only.
 *
 * A login can have many kB of claims, so memory is limited in bytes and in time: each earlier login is kept as a hash, and only
 * the latest one as a copy.
 */
export interface LoginChanges {
  /** Records that a refresh has changed the login. */
  add(tokensId: string, before: Login, after: Login): void
  /** Records that a later login of the same session has replaced this one for good. */
  replace(tokensId: string | undefined, replacedBy: OidcSession): void
  /** Returns the session with its login as it is now. */
  latest(oidcSession: OidcSession): OidcSession
}

interface LoginChange {
  /** Hashes of what the login was before. */
  readonly earlier: readonly string[]
  /** The login as it is now, as JSON in UTF-8, whose size is known. */
  readonly login: Buffer
  /** The id of the tokens of the login that has replaced this one, if any. */
  readonly replacedBy: string | undefined
  /** In milliseconds since 1970. */
  readonly changedAt: number
}

/** More changes than can happen while a request is in progress: of all logins, and of one. */
const MAX_CHANGED_LOGINS = 2000
const MAX_CHANGES_OF_ONE = 8
const MAX_BYTES = 16 * 1024 * 1024
/** Longer than a request takes. */
const MAX_MILLISECONDS = 600_000

export function createLoginChanges(): LoginChanges {
  /** The one that was changed longest ago is the first. */
  const changes = new Map<string, LoginChange>()
  let bytes = 0

  function forget(tokensId: string): void {
    bytes -= changes.get(tokensId)?.login.length ?? 0
    changes.delete(tokensId)
  }

  function forgetOld(): void {
    for (const [tokensId, { changedAt }] of changes) {
      const isWithinLimits = changes.size <= MAX_CHANGED_LOGINS && bytes <= MAX_BYTES
      if (isWithinLimits && Date.now() - changedAt < MAX_MILLISECONDS) return
      forget(tokensId)
    }
  }

  function remember(tokensId: string, login: string, earlier: readonly string[], replacedBy?: string): void {
    forget(tokensId)
    const change = { earlier, login: Buffer.from(login), replacedBy, changedAt: Date.now() }
    changes.set(tokensId, change)
    bytes += change.login.length
    forgetOld()
  }

  return {
    add(tokensId, before, after) {
      const known = changes.get(tokensId)
      if (known?.replacedBy !== undefined) return
      const login = JSON.stringify(after)
      const all = [...(known?.earlier ?? []), hashOf(JSON.stringify(before))]
      // A login can become again what it was before. It is then the latest, and not an earlier one.
      const isLatest = hashOf(login)
      remember(tokensId, login, all.filter((one) => one !== isLatest).slice(-MAX_CHANGES_OF_ONE))
    },
    replace(tokensId, { login, tokensId: replacedBy }) {
      if (tokensId !== undefined) remember(tokensId, JSON.stringify(login), [], replacedBy)
    },
    latest(oidcSession) {
      forgetOld()
      const change = changes.get(oidcSession.tokensId)
      if (change === undefined) return oidcSession
      const { replacedBy, earlier } = change
      if (replacedBy !== undefined) return this.latest({ ...oidcSession, login: loginOf(change), tokensId: replacedBy })
      const isEarlier = earlier.includes(hashOf(JSON.stringify(oidcSession.login)))
      return isEarlier ? { ...oidcSession, login: loginOf(change) } : oidcSession
    },
  }
}

function loginOf({ login }: LoginChange): Login {
  return JSON.parse(login.toString())
}

function hashOf(text: string): string {
  return hash('sha256', text, 'base64url')
}
