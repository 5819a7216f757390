import { readEndSessionParams } from '../config/end-session-params.ts'
import { publish } from '../events.ts'
import { createEndSessionRequest, type EndSessionRequest } from '../protocol/end-session.ts'
import type { Provider } from '../protocol/provider.ts'
import { revokeTokens } from '../protocol/revocation.ts'
import { clientOf, type RelyingParty } from '../relying-party.ts'
import type { Login, TokenRecord } from '../types.ts'

/** How long a person waits for the provider to forget tokens, in seconds. */
const LONGEST_WAIT = 2

/**
 * What is to be done at the provider once the login has ended here: its tokens are revoked (RFC 7009), and the way to its
 * own logout is returned where it has one. A provider that is down must not keep anybody logged in: then the logout is
 * local. So it is where the provider of the login is no longer configured: no other one is to see its tokens.
 */
export async function logoutAtProvider(
  rp: RelyingParty,
  login: Login | undefined,
  tokens: TokenRecord | undefined,
): Promise<EndSessionRequest | undefined> {
  if (login === undefined || tokens === undefined) return undefined
  const provider = await clientOf(rp, login)
    .findProvider()
    .catch(() => undefined)
  if (provider === undefined) return undefined
  if (rp.config.revokeTokens) await withinWait(revoke(provider, tokens))
  return createEndSessionRequest(provider, tokens.idToken, readEndSessionParams(provider.config, login.claims))
}

/** A logout does not hang on it: those who watch are told. */
async function revoke(provider: Provider, tokens: TokenRecord): Promise<void> {
  try {
    await revokeTokens(provider, tokens)
  } catch (error) {
    publish['express-oidc:error'](() => ({ code: 'ERR_OIDC_REVOCATION', error }))
  }
}

async function withinWait(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const wait = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, LONGEST_WAIT * 1000)
  })
  await Promise.race([work, wait])
  clearTimeout(timer)
}
