import { shown } from '../errors.ts'
import type { Config } from '../options/config.ts'
import type { RelyingParty } from '../relying-party.ts'
import type { Transaction } from '../types.ts'

/**
 * Returns the scopes of a new login. A token response without `scope` means that the requested scope was granted (RFC
 * 6749 5.1). But the user can remove scopes from the request in the browser, and no provider reports that. So only
 * `openid` is assumed, unless the option `dangerouslyAssumeRequestedScope` is set.
 */
export function grantedScope(
  { notices }: RelyingParty,
  { dangerouslyAssumeRequestedScope, scope }: Config,
  { scope: requestedScope = scope }: Pick<Transaction, 'scope'>,
  granted: string | undefined,
): string {
  if (granted === undefined) return dangerouslyAssumeRequestedScope ? requestedScope : 'openid'
  const missing = missingScopes(scope, granted)
  if (missing.length > 0) {
    notices(
      `scope ${missing}`,
      `The provider did not grant the scope ${missing.map((one) => `'${one}'`).join(' and ')} of the option scope. It granted ` +
        `${shown(granted)}. Check the name, and whether this client may have it.`,
    )
  }
  return granted
}

/** Ignores `offline_access`, because many providers grant it but do not list it in the response. */
function missingScopes(requested: string, granted: string): readonly string[] {
  const names = new Set(granted.split(' '))
  return requested.split(' ').filter((one) => one !== 'offline_access' && !names.has(one))
}
