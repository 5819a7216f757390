import type { Login } from '../types.ts'
import type { OidcSession } from './held-session.ts'

/**
 * What logins were before a refresh changed them. A request that read its session before that may write it after, and
 * would bring back what the person has lost since, such as a group: express-session knows of no order.
 */
export interface SupersededLogins {
  /** A login is no longer what it was. Of this process alone. */
  add(tokensId: string, before: Login, after: Login): void
  /** A later login of the same session has taken the place of this one, for good. */
  replace(tokensId: string | undefined, by: OidcSession): void
  /** What a session holds, with its login as it is by now. */
  newest(held: OidcSession): OidcSession
}

interface Known {
  /** As JSON. */
  readonly earlier: readonly string[]
  readonly login: Login
  /** Where the tokens of that login are, if it is another one. */
  readonly by?: string
}

/** No request that is under way was outrun by so many refreshes of others, and none of its own by so many. */
const MOST = 2000
const MOST_OF_ONE = 8

export function createSupersededLogins(): SupersededLogins {
  const known = new Map<string, Known>()

  function remember(tokensId: string, what: Known): void {
    known.delete(tokensId)
    known.set(tokensId, what)
    const [oldest] = known.keys()
    if (known.size > MOST && oldest !== undefined) known.delete(oldest)
  }

  return {
    add(tokensId, before, login) {
      if (known.get(tokensId)?.by !== undefined) return
      // One that is as it was before is the newest all the same.
      const all = [...(known.get(tokensId)?.earlier ?? []), JSON.stringify(before)]
      const earlier = all.filter((one) => one !== JSON.stringify(login)).slice(-MOST_OF_ONE)
      remember(tokensId, { earlier, login })
    },
    replace(tokensId, by) {
      if (tokensId !== undefined) remember(tokensId, { earlier: [], login: by.login, by: by.tokensId })
    },
    newest(held) {
      const found = known.get(held.tokensId)
      if (found?.by !== undefined) return this.newest({ ...held, login: found.login, tokensId: found.by })
      return found?.earlier.includes(JSON.stringify(held.login)) === true ? { ...held, login: found.login } : held
    },
  }
}
